"""Embedding tables in int8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from training.int8.row_scales import scale_rows


def _graph(path: Path, table: NDArray[np.float32], name: str = "word_embeddings.weight") -> None:
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Gather", [name, "ids"], ["out"], name="/embeddings/Gather")],
            "tables",
            [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])],
            [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", table.shape[1]])],
            [numpy_helper.from_array(table, name)],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.save(model, path)


def test_a_large_row_costs_the_others_nothing(tmp_path: Path) -> None:
    """Each row comes back to half a step of its own scale, beside a row a thousand times larger."""
    table = np.random.default_rng(0).normal(size=(6, 16)).astype(np.float32)
    table[2] *= 1000
    table[4] = 0
    _graph(tmp_path / "float.onnx", table)
    scale_rows(tmp_path / "float.onnx", tmp_path / "rows.onnx")
    session = ort.InferenceSession(str(tmp_path / "rows.onnx"), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"ids": np.arange(6)})
    steps = np.abs(table).max(axis=1, keepdims=True) / 127
    assert (np.abs(found - table) <= 0.5001 * steps).all()
    stored = onnx.load(tmp_path / "rows.onnx").graph.initializer
    assert (
        max(np.prod(t.dims) for t in stored if t.data_type == TensorProto.FLOAT) == 6
    )  # the scales: no float table stays


def test_a_graph_without_tables_is_refused(tmp_path: Path) -> None:
    """A graph whose table has another name is no encoder that the export knows."""
    _graph(tmp_path / "float.onnx", np.ones((2, 4), np.float32), name="lookup")
    with pytest.raises(ValueError, match=r"float\.onnx: one Gather of word_embeddings"):
        scale_rows(tmp_path / "float.onnx", tmp_path / "rows.onnx")
