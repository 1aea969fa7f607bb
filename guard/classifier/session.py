"""The one file that knows ONNX Runtime: one chunk in, raw scores of the chunk and of its tokens out."""

from __future__ import annotations

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
    """A loaded graph. ``run`` may be called from several threads at once; one thread of its own each."""

    def __init__(self, path: Path, *, columns: int, threads: int = 1) -> None:
        """Load a graph.

        Args:
            path: ``model.onnx``.
            columns: Expected width of ``scores`` and ``token_scores``.
            threads: Threads inside one operator; 1 is the fastest under a CPU limit.

        Raises:
            ArtifactError: Not a graph, or one with other inputs, outputs or width.
        """
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

    def run(self, chunk: Chunk) -> Raw:
        """Score one chunk.

        One, because dynamic int8 takes one activation scale per run: chunks that shared a run moved each other's
        scores, on short texts by 0.008 on average and 0.25 at most. A decision must not depend on who else asks.
        """
        ids = np.array([chunk.input_ids], dtype=np.int64)
        types = np.array([chunk.token_type_ids], dtype=np.int64)
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": types}
        scores, tokens = self._session.run(_OUTPUTS, feed)
        return Raw(scores[0], tokens[0, FIRST_TOKEN : FIRST_TOKEN + chunk.text_tokens])
