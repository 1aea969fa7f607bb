"""Text in, calibrated scores out: chunk, run in bounded batches, pool, calibrate."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from guard.classifier.artifact import FILES, Artifact, read_artifact
from guard.classifier.calibration import calibrate
from guard.classifier.chunker import Chunk, Chunker
from guard.classifier.session import Session
from guard.errors import InvalidInput
from guard.types import Direction, ModelInfo, Timings, Turn

#: Padded tokens of one run of the graph; a lone chunk may exceed it.
_MAX_BATCH_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Query:
    """What the classifier reads: NORMALISED text, its direction and its normalised context."""

    text: str
    direction: Direction
    context: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of one text.

    Attributes:
        scores: Calibrated probability of every category.
        tokens: Model tokens of the text.
        chunks: Pieces it was scored in.
        timings: Microseconds of tokenise and infer (a batch's inference is shared out by tokens).
    """

    scores: Mapping[str, float]
    tokens: int
    chunks: int
    timings: Timings


class Classifier:
    """A loaded artifact. Immutable, thread-safe, lives as long as its owner."""

    def __init__(self, artifact: Artifact, chunker: Chunker, session: Session) -> None:
        self.artifact = artifact
        self._chunker = chunker
        self._session = session

    @classmethod
    def load(cls, directory: Path, *, threads: int = 1, max_tokens: int | None = None) -> Classifier:
        """Load and check a model directory.

        Args:
            directory: An artifact directory.
            threads: Threads inside one operator.
            max_tokens: Overrides the artifact's limit on the tokens of one text.

        Raises:
            ArtifactError: The directory cannot be used; the message names the file.
        """
        artifact = read_artifact(directory)
        if max_tokens is not None:
            artifact = replace(artifact, limits=replace(artifact.limits, max_text=max_tokens))
        chunker = Chunker.from_file(artifact.path(FILES.tokenizer), artifact.limits)
        session = Session(
            artifact.path(FILES.model), pad_id=chunker.pad_id, columns=len(artifact.categories), threads=threads
        )
        return cls(artifact, chunker, session)

    @property
    def info(self) -> ModelInfo:
        """Name, revision and categories, as ``info`` reports them."""
        a = self.artifact
        return ModelInfo(a.name, a.revision, a.categories, a.unsupported, a.normalizer_version)

    def score(self, query: Query) -> Scored:
        """Score one text.

        Raises:
            InvalidInput: The text has more than ``limits.max_text`` tokens.
        """
        result = self.score_batch([query])[0]
        if isinstance(result, InvalidInput):
            raise result
        return result

    def raw_scores(self, query: Query) -> NDArray[np.float32]:
        """Uncalibrated scores [chunks, categories] of one text, for fitting a calibration."""
        chunks = self._chunker.chunks(query.text, query.direction, query.context)
        return np.concatenate([self._session.run([chunk]) for chunk in chunks])

    def score_batch(self, queries: Sequence[Query]) -> list[Scored | InvalidInput]:
        """Score several texts; one that is over the limit fails alone.

        Returns:
            One result per query, in order.
        """
        results: list[Scored | InvalidInput | None] = [None] * len(queries)
        pending: list[_Pending] = []
        for index, query in enumerate(queries):
            began = time.perf_counter_ns()
            chunks = self._chunker.chunks(query.text, query.direction, query.context)
            tokens = chunks[-1].text_tokens + (len(chunks) - 1) * (
                self.artifact.limits.chunk - self.artifact.limits.overlap
            )
            if tokens > self.artifact.limits.max_text:
                results[index] = InvalidInput.of(
                    "text",
                    f"{tokens} tokens, the limit is {self.artifact.limits.max_text}",
                    "split the text, or raise --max-tokens",
                )
                continue
            pending.append(_Pending(index, query, chunks, tokens, (time.perf_counter_ns() - began) // 1000))
        self._run(pending)
        for item in pending:
            platt = self.artifact.calibration[item.query.direction]
            scores = calibrate(np.stack(item.rows()), self.artifact.categories, platt)
            timings = Timings(tokenise=item.tokenise_us, infer=int(item.infer_us))
            results[item.index] = Scored(scores, item.tokens, len(item.chunks), timings)
        return [r for r in results if r is not None]

    def _run(self, pending: Sequence[_Pending]) -> None:
        """All chunks of all texts through the graph, like lengths together, within the token budget."""
        work = [(chunk, item, i) for item in pending for i, chunk in enumerate(item.chunks)]
        work.sort(key=lambda entry: len(entry[0].input_ids))
        start = 0
        while start < len(work):
            end = start + 1
            # Sorted by length: the last one taken is the longest, so it sets the padded width.
            while end < len(work) and (end + 1 - start) * len(work[end][0].input_ids) <= _MAX_BATCH_TOKENS:
                end += 1
            batch = work[start:end]
            began = time.perf_counter_ns()
            rows = self._session.run([chunk for chunk, _, _ in batch])
            spent = (time.perf_counter_ns() - began) / 1000
            total = sum(len(chunk.input_ids) for chunk, _, _ in batch)
            for (chunk, item, i), row in zip(batch, rows, strict=True):
                item.raw[i] = row
                item.infer_us += spent * len(chunk.input_ids) / total
            start = end


class _Pending:
    """A text on its way through the graph."""

    __slots__ = ("chunks", "index", "infer_us", "query", "raw", "tokenise_us", "tokens")

    def __init__(self, index: int, query: Query, chunks: list[Chunk], tokens: int, tokenise_us: int) -> None:
        self.index = index
        self.query = query
        self.chunks = chunks
        self.tokens = tokens
        self.tokenise_us = tokenise_us
        self.raw: dict[int, NDArray[np.float32]] = {}
        self.infer_us = 0.0

    def rows(self) -> list[NDArray[np.float32]]:
        """Raw score rows in chunk order."""
        return [self.raw[i] for i in range(len(self.chunks))]
