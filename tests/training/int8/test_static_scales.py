from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from guard.classifier.artifact import FILES, TokenLimits
from guard.classifier.chunker import Chunk, Chunker
from guard.types import CATEGORIES, Direction
from training.export import Scores, quantize, to_onnx
from training.int8.static_scales import activation_ranges, fix_scales
from training.network import GuardNetwork
from training.tiny_backbone import write_tiny_backbone
from training.train import load_backbone

_TEXTS = ("a b c", "x y z " * 20, "k", "h t m r w k q", "一 二 三")


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny network as a float graph and as one with fixed scales."""
    folder = tmp_path_factory.mktemp("scales")
    write_tiny_backbone(folder)
    tokenizer, encoder = load_backbone(str(folder))
    tokenizer.save(str(folder / FILES.tokenizer))
    network = GuardNetwork(encoder, int(encoder.config.hidden_size), len(CATEGORIES)).eval()  # type: ignore[union-attr, arg-type]
    to_onnx(Scores(network).eval(), folder / "float.onnx")
    quantize(folder / "float.onnx", folder / "fixed.onnx", _chunks(folder))
    return folder


def _chunks(folder: Path) -> list[Chunk]:
    chunker = Chunker.from_file(folder / FILES.tokenizer, TokenLimits(chunk=64, overlap=4, context=8))
    return [chunker.chunks(text, Direction.PROMPT)[0] for text in _TEXTS]


def _run(path: Path, chunks: list[Chunk]) -> NDArray[np.float32]:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    longest = max(len(chunk.input_ids) for chunk in chunks)
    ids = np.zeros((len(chunks), longest), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, chunk in enumerate(chunks):
        ids[row, : len(chunk.input_ids)] = chunk.input_ids
        mask[row, : len(chunk.input_ids)] = 1
    feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    found: NDArray[np.float32] = session.run(["scores"], feed)[0]
    return found


def test_neighbours_of_a_run_do_not_move_a_score(graphs: Path) -> None:
    """Texts of unlike lengths that share a run get the scores that each gets alone."""
    chunks = _chunks(graphs)
    alone = np.concatenate([_run(graphs / "fixed.onnx", [chunk]) for chunk in chunks])
    assert _run(graphs / "fixed.onnx", chunks) == pytest.approx(alone, abs=1e-3)


def test_no_scale_is_measured_at_run_time(graphs: Path) -> None:
    """The graph holds every scale, and every product of the encoder is one fused node."""
    kinds = [node.op_type for node in onnx.load(graphs / "fixed.onnx").graph.node]
    assert "MatMulIntegerToFloat" in kinds and "QuantizeLinear" in kinds
    assert not {"DynamicQuantizeLinear", "MatMulInteger"} & set(kinds)


def test_fixed_scales_agree_with_the_float_graph(graphs: Path) -> None:
    """Rounding to 8 bits moves the scores of the texts that the scales were taken from by little."""
    chunks = _chunks(graphs)
    assert _run(graphs / "fixed.onnx", chunks) == pytest.approx(_run(graphs / "float.onnx", chunks), abs=0.02)


def test_ranges_hold_zero_and_need_texts(graphs: Path) -> None:
    """Zero is exact in every range, so that padding stays nothing; without a text there is no range."""
    model = onnx.load(graphs / "float.onnx")
    names = [node.output[0] for node in model.graph.node if node.op_type == "Erf"]
    ranges = activation_ranges(graphs / "float.onnx", names, _chunks(graphs))
    assert names and all(found.low <= 0 <= found.high and found.low < found.high for found in ranges.values())
    with pytest.raises(ValueError, match="no texts"):
        fix_scales(graphs / "float.onnx", graphs / "fixed.onnx", graphs / "again.onnx", [])
