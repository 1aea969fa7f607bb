"""One scale per activation, taken from sample texts, instead of one per run.

Dynamic int8 measures the range of an activation anew in every run, over all texts of it: texts that share a run move
each other's scores. With the scales written into the graph a text's score depends on nothing but the text, so runs may
be shared. On even activations (training/int8/smoothing.py) fixed scales cost no accuracy, and they save the measuring.

The products become ``MatMulIntegerToFloat`` of ONNX Runtime's own operators, the kernel that it builds from the
standard ones where scales are dynamic; left standard, constant scales keep it from recognising the pattern, which
costs a tenth of the speed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from guard.classifier.chunker import Chunk

#: Percentile of the texts' own largest values that a scale covers; what is beyond is clipped.
_COVERED = 95.0
_LEVELS = 255
_RUNTIME_DOMAIN = "com.microsoft"


@dataclass(frozen=True, slots=True)
class Range:
    """Values that an activation takes; ``low <= 0 <= high``, so that zero is a level."""

    low: float
    high: float


def fix_scales(floating: Path, dynamic: Path, target: Path, chunks: Sequence[Chunk]) -> None:
    """Write the dynamically quantised graph anew with the scales that sample texts need.

    Args:
        floating: The graph in floating point; the ranges are taken from it.
        dynamic: The same graph after ``quantize_dynamic``.
        target: The graph with fixed scales.
        chunks: Texts such as the model will read, some hundreds.

    Raises:
        ValueError: There are no chunks, or the dynamic graph is not of the shape that ``quantize_dynamic`` writes.
    """
    model = onnx.load(dynamic)
    names = [node.input[0] for node in model.graph.node if node.op_type == "DynamicQuantizeLinear"]
    _quantise_by_constants(model, activation_ranges(floating, names, chunks))
    _fuse_products(model)
    onnx.save(model, target)


def activation_ranges(floating: Path, names: Sequence[str], chunks: Iterable[Chunk]) -> dict[str, Range]:
    """The range of each named activation over the chunks, a few extreme texts left out."""
    model = onnx.load(floating)
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: list[list[tuple[float, float]]] = []
    for chunk in chunks:
        ids = np.array([chunk.input_ids], dtype=np.int64)
        types = np.array([chunk.token_type_ids], dtype=np.int64)
        values = session.run(
            list(names), {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": types}
        )
        found.append([(float(value.min()), float(value.max())) for value in values])
    if not found:
        raise ValueError("no texts to take the ranges of activations from")
    extremes = np.array(found)  # [chunks, names, 2]
    low = np.minimum(0.0, np.percentile(extremes[:, :, 0], 100 - _COVERED, axis=0))
    high = np.maximum(0.0, np.percentile(extremes[:, :, 1], _COVERED, axis=0))
    return {name: Range(float(least), float(most)) for name, least, most in zip(names, low, high, strict=True)}


def _quantise_by_constants(model: ModelProto, ranges: Mapping[str, Range]) -> None:
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        if node.op_type != "DynamicQuantizeLinear":
            nodes.append(node)
            continue
        source = ranges[node.input[0]]
        quantised, scale_name, zero_name = node.output
        scale = max(source.high - source.low, 1e-6) / _LEVELS
        zero = int(np.clip(round(-source.low / scale), 0, _LEVELS))
        model.graph.initializer.append(numpy_helper.from_array(np.array(scale, dtype=np.float32), scale_name))
        model.graph.initializer.append(numpy_helper.from_array(np.array(zero, dtype=np.uint8), zero_name))
        nodes.append(
            helper.make_node("QuantizeLinear", [node.input[0], scale_name, zero_name], [quantised], name=node.name)
        )
    _put(model, nodes)


def _fuse_products(model: ModelProto) -> None:
    """``MatMulInteger, Cast, Mul(scales), Add(bias)`` becomes one node, at the place of the last."""
    makers = {name: node for node in model.graph.node for name in node.output}
    readers: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    constants = {tensor.name for tensor in model.graph.initializer}
    fused: dict[str, NodeProto] = {}
    gone: set[str] = set()
    for product in [node for node in model.graph.node if node.op_type == "MatMulInteger"]:
        cast = _only(readers, product.output[0], "Cast")
        scaled = _only(readers, cast.output[0], "Mul")
        scales = makers[_other(scaled, cast.output[0])]
        activation_scale = makers[product.input[0]].input[1]
        inputs = [*product.input[:2], activation_scale, _other(scales, activation_scale), *product.input[2:]]
        last = scaled
        after = readers[scaled.output[0]]
        if len(after) == 1 and after[0].op_type == "Add" and _other(after[0], scaled.output[0]) in constants:
            last = after[0]
            inputs.append(_other(last, scaled.output[0]))
        gone.update(node.output[0] for node in (product, cast, scaled, scales, last))
        fused[last.output[0]] = helper.make_node(
            "MatMulIntegerToFloat", inputs, [last.output[0]], name=product.name, domain=_RUNTIME_DOMAIN
        )
    kept = (fused.get(node.output[0], node) for node in model.graph.node if _stays(node, gone, fused))
    _put(model, list(kept))
    model.opset_import.append(helper.make_opsetid(_RUNTIME_DOMAIN, 1))


def _stays(node: NodeProto, gone: set[str], fused: Mapping[str, NodeProto]) -> bool:
    return node.output[0] not in gone or node.output[0] in fused


def _only(readers: Mapping[str, Sequence[NodeProto]], name: str, kind: str) -> NodeProto:
    found = readers.get(name, ())
    if len(found) != 1 or found[0].op_type != kind:
        raise ValueError(f"{name}: one {kind} expected behind it, found {[node.op_type for node in found]}")
    return found[0]


def _other(node: NodeProto, name: str) -> str:
    (other,) = (entry for entry in node.input if entry != name)
    return str(other)


def _put(model: ModelProto, nodes: Iterable[NodeProto]) -> None:
    kept = list(nodes)
    del model.graph.node[:]
    model.graph.node.extend(kept)
