"""The table of token embeddings in int8, with a scale per token.

One scale for the whole table is set by its largest row, a rare token as a rule, and leaves the others few steps. With
a scale per row the table costs 4 bytes a token more and a multiplication per token read. The tables of places and
segments stay in float: they are small, and a scale for all of their rows costs them as much.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_TABLE = "word_embeddings.weight"
_LEVELS = 127


def scale_rows(source: Path, target: Path) -> None:
    """Write a graph anew with its token table in int8.

    Args:
        source: A graph in floating point with one ``Gather`` of a table whose name ends in ``word_embeddings.weight``.
        target: The same graph with rows of int8 and their scales.

    Raises:
        ValueError: There is not exactly one such ``Gather``.
    """
    model = onnx.load(source)
    graph = model.graph
    reads = [node for node in graph.node if node.op_type == "Gather" and node.input[0].endswith(_TABLE)]
    if len(reads) != 1:
        raise ValueError(f"{source}: one Gather of {_TABLE} expected, found {len(reads)}")
    (read,) = reads
    name, ids = read.input
    stored = next(tensor for tensor in graph.initializer if tensor.name == name)
    table = numpy_helper.to_array(stored)
    scales = np.maximum(np.abs(table).max(axis=1, keepdims=True), np.finfo(np.float32).tiny) / _LEVELS
    rows = np.round(table / scales).astype(np.int8)
    graph.initializer.remove(stored)
    graph.initializer.append(numpy_helper.from_array(rows, f"{name}.rows"))
    graph.initializer.append(numpy_helper.from_array(scales.astype(np.float32), f"{name}.scales"))
    out, place = read.output[0], list(graph.node).index(read)
    graph.node.remove(read)
    added = [
        helper.make_node("Gather", [f"{name}.rows", ids], [f"{out}.rows"], name=f"{read.name}/rows"),
        helper.make_node("Cast", [f"{out}.rows"], [f"{out}.cast"], name=f"{read.name}/cast", to=TensorProto.FLOAT),
        helper.make_node("Gather", [f"{name}.scales", ids], [f"{out}.scales"], name=f"{read.name}/scales"),
        helper.make_node("Mul", [f"{out}.cast", f"{out}.scales"], [out], name=f"{read.name}/scaled"),
    ]
    for offset, node in enumerate(added):
        graph.node.insert(place + offset, node)
    onnx.save(model, target)
