"""The one file that knows ONNX Runtime: chunks in, raw scores of each chunk and of its tokens out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from guard.classifier.chunker import FIRST_TOKEN, Chunk
from guard.errors import ArtifactError

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_OUTPUTS = ("scores", "token_scores")


@dataclass(frozen=True, slots=True)
class Raw:
    """What the graph says of one chunk, uncalibrated, each in [0, 1].

    Attributes:
        scores: [categories].
        token_scores: Of the text's own tokens, [chunk.text_tokens, categories].
    """

    scores: NDArray[np.float32]
    token_scores: NDArray[np.float32]


class Session:
    """A loaded graph. ``run`` may be called from several threads at once; one thread of its own each.

    Attributes:
        shared: Whether chunks share a run. With dynamic int8 they do not: it takes one activation scale per run, so
            chunks in one run moved each other's scores, on short texts by 0.008 on average and 0.25 at most. A
            decision must not depend on who else asks. With static scales a chunk's scores are its own, up to float
            noise.
    """

    def __init__(self, path: Path, *, columns: int, threads: int = 1, shared: bool = False) -> None:
        """Load a graph.

        Args:
            path: ``model.onnx``.
            columns: Expected width of ``scores`` and ``token_scores``.
            threads: Threads inside one operator; 1 is the fastest under a CPU limit.
            shared: Whether the graph's activation scales are static, or it has none.

        Raises:
            ArtifactError: Not a graph, or one with other inputs, outputs or width.
        """
        self.shared = shared
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        if threads > 1:
            # Spinning threads burn the quota of a CPU-limited container.
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime has no common base class for its load errors
            raise ArtifactError(f"{path}: not a loadable ONNX graph: {error} (export the model again)") from None
        inputs = {i.name for i in self._session.get_inputs()}
        outputs = {o.name: o.shape for o in self._session.get_outputs()}
        if inputs != set(_INPUTS) or {outputs.get(name, [None])[-1] for name in _OUTPUTS} != {columns}:
            raise ArtifactError(
                f"{path}: the graph has inputs {sorted(inputs)} and outputs {outputs}; needed are {sorted(_INPUTS)}, "
                f"scores [batch, {columns}] and token_scores [batch, tokens, {columns}] (export the model again)"
            )

    def run(self, chunks: Sequence[Chunk]) -> list[Raw]:
        """Score chunks: in one run, padded to the longest, if runs are shared, and otherwise one by one.

        Args:
            chunks: At least one.

        Returns:
            One result per chunk, in order, which does not depend on the others.
        """
        if len(chunks) > 1 and not self.shared:
            return [raw for chunk in chunks for raw in self.run([chunk])]
        shape = (len(chunks), max(len(chunk.input_ids) for chunk in chunks))
        # What is behind a chunk's end is masked, so any token of the vocabulary may stand there.
        ids, mask, types = (np.zeros(shape, dtype=np.int64) for _ in _INPUTS)
        for row, chunk in enumerate(chunks):
            own = slice(len(chunk.input_ids))
            ids[row, own] = chunk.input_ids
            mask[row, own] = 1
            types[row, own] = chunk.token_type_ids
        feed = dict(zip(_INPUTS, (ids, mask, types), strict=True))
        scores, tokens = self._session.run(_OUTPUTS, feed)
        places = (slice(FIRST_TOKEN, FIRST_TOKEN + chunk.text_tokens) for chunk in chunks)
        # Copies, because a view would keep the whole batch as long as one of its results.
        return [Raw(scores[row].copy(), tokens[row, place].copy()) for row, place in enumerate(places)]
