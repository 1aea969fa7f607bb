"""Text in, calibrated scores out: chunk, run each chunk, pool, calibrate.

Reading a text and pooling its chunks are steps of their own, so that a server can have the chunks run in between by a
queue that several callers share.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from guard.classifier.artifact import FILES, ActivationScales, Artifact, read_artifact
from guard.classifier.calibration import calibrate
from guard.classifier.chunker import Chunk, Chunker
from guard.classifier.session import Raw, Session
from guard.errors import InvalidInput
from guard.types import Direction, ModelInfo, Timings, Turn

#: What to do about a text over the limit; only some commands have an option for it, so none is named.
TOO_LONG_CURE = "split the text, or raise max_tokens where the guard is started"


@dataclass(frozen=True, slots=True)
class Query:
    """What the classifier reads: NORMALISED text, its direction and its normalised context."""

    text: str
    direction: Direction
    context: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenScores:
    """Where a text is what the scores say it is, from the same forward pass.

    Attributes:
        offsets: Code points [start, end) of the NORMALISED text that each token covers, in order.
        scores: Uncalibrated, each in [0, 1]: [tokens, categories], in the order of the artifact's categories. A token
            in the overlap of chunks has the highest of its scores.
    """

    offsets: tuple[tuple[int, int], ...]
    scores: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of one text.

    Attributes:
        scores: Calibrated probability of every category.
        token_scores: The same per token, uncalibrated.
        tokens: Model tokens of the text.
        chunks: Pieces it was scored in.
        timings: Microseconds of tokenise and infer.
    """

    scores: Mapping[str, float]
    token_scores: TokenScores
    tokens: int
    chunks: int
    timings: Timings


@dataclass(frozen=True, slots=True)
class Reading:
    """A text that was read and is to be run.

    Attributes:
        direction: Which calibration its scores get.
        chunks: What is run; at least one.
        tokens: Model tokens of the text.
        microseconds: What reading took.
    """

    direction: Direction
    chunks: tuple[Chunk, ...]
    tokens: int
    microseconds: int


#: Of a text that was not scored.
NO_TOKENS = TokenScores((), np.zeros((0, 0), np.float32))


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
            artifact.path(FILES.model),
            columns=len(artifact.categories),
            threads=threads,
            shared=artifact.activation_scales is ActivationScales.STATIC,
        )
        return cls(artifact, chunker, session)

    @property
    def info(self) -> ModelInfo:
        """Name, revision and categories, as ``info`` reports them."""
        a = self.artifact
        return ModelInfo(a.name, a.revision, a.categories, a.unsupported, a.normalizer_version)

    @property
    def session(self) -> Session:
        """What runs the chunks of a :class:`Reading`."""
        return self._session

    def score(self, query: Query) -> Scored:
        """Score one text in the caller's thread.

        Raises:
            InvalidInput: The text has more than ``limits.max_text`` tokens.
        """
        result = self._score(query)
        if isinstance(result, InvalidInput):
            raise result
        return result

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        """The code points [start, end) of each model token of a NORMALISED text, without scoring it."""
        return self._chunker.offsets(text)

    def raw_scores(self, query: Query) -> NDArray[np.float32]:
        """Uncalibrated scores [chunks, categories] of one text, for fitting a calibration."""
        chunks = self._chunker.chunks(query.text, query.direction, query.context)
        return np.stack([self._alone(chunk).scores for chunk in chunks])

    def score_batch(self, queries: Sequence[Query]) -> list[Scored | InvalidInput]:
        """Score several texts in the caller's thread; one that is over the limit fails alone.

        Returns:
            One result per query, in order; none moves another's scores.
        """
        return [self._score(query) for query in queries]

    def read(self, query: Query) -> Reading:
        """Tokenise and cut a text.

        Raises:
            InvalidInput: The text has more than ``limits.max_text`` tokens.
        """
        began = time.perf_counter_ns()
        chunks = self._chunker.chunks(query.text, query.direction, query.context)
        limits = self.artifact.limits
        tokens = chunks[-1].text_tokens + (len(chunks) - 1) * (limits.chunk - limits.overlap)
        if tokens > limits.max_text:
            reason = f"{tokens} tokens, the limit is {limits.max_text}"
            raise InvalidInput.of("text", reason, TOO_LONG_CURE)
        return Reading(query.direction, tuple(chunks), tokens, (time.perf_counter_ns() - began) // 1000)

    def pool(self, reading: Reading, raw: Sequence[Raw], *, queue: int = 0, infer: int = 0) -> Scored:
        """The calibrated scores of a text whose chunks were run.

        Args:
            reading: The text.
            raw: One per chunk, in order.
            queue: Microseconds that the text has waited.
            infer: Microseconds that its runs have taken.
        """
        pooled = np.stack([chunk.scores for chunk in raw])
        scores = calibrate(pooled, self.artifact.categories, self.artifact.calibration[reading.direction])
        timings = Timings(queue=queue, tokenise=reading.microseconds, infer=infer)
        token_scores = _join(reading.chunks, raw, self.artifact.limits.overlap)
        return Scored(scores, token_scores, reading.tokens, len(raw), timings)

    def _score(self, query: Query) -> Scored | InvalidInput:
        try:
            reading = self.read(query)
        except InvalidInput as error:
            return error
        began = time.perf_counter_ns()
        raw = [self._alone(chunk) for chunk in reading.chunks]
        return self.pool(reading, raw, infer=(time.perf_counter_ns() - began) // 1000)

    def _alone(self, chunk: Chunk) -> Raw:
        (raw,) = self._session.run([chunk])
        return raw


def _join(chunks: Sequence[Chunk], raw: Sequence[Raw], overlap: int) -> TokenScores:
    """The tokens of a text from those of its chunks, each token once."""
    if len(chunks) == 1:
        return TokenScores(chunks[0].offsets, raw[0].token_scores)
    # All chunks but the last are full, so each begins a fixed step behind the one before. A token may stand in more
    # than two of them: an overlap may be longer than the step.
    step = chunks[0].text_tokens - overlap
    offsets = [*chunks[0].offsets, *(place for chunk in chunks[1:] for place in chunk.offsets[overlap:])]
    scores = np.zeros((len(offsets), raw[0].token_scores.shape[1]), np.float32)
    for number, (chunk, scored) in enumerate(zip(chunks, raw, strict=True)):
        own = scores[number * step : number * step + chunk.text_tokens]
        np.maximum(own, scored.token_scores, out=own)
    return TokenScores(tuple(offsets), scores)
