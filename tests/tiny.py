"""A tiny, real artifact for the tests: an ONNX graph and a WordPiece tokenizer that know a dozen words.

The graph looks every token up in a table of weights, keeps the text's own tokens (``attention_mask`` set,
``token_type_ids`` zero), takes the strongest weight per category, adds a bias and applies the sigmoid: a linear
classifier with max pooling. The token scores are the same without the pooling. Its words stand for meaning only in
the tests; nothing of it is shipped.

It can be made with rounded activations: with dynamic scales, where texts that share a run move each other's scores, or
with static ones, where they do not. Without rounding it may share runs, too, if it says so.

Usage: ``python -m tests.tiny DIRECTORY``
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from guard.classifier.artifact import FILES, ActivationScales, Source, write_artifact
from guard.types import CATEGORIES, NONCOMPLIANT

NAME = "tiny"

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[PROMPT]", "[OUTPUT]")

# Logits. The bias alone scores 0.018; a strong word 0.982; a weak one 0.731.
_BIAS = -4.0
_STRONG = 8.0
_WEAK = 5.0

#: What each word adds, by category.
WORDS: dict[str, dict[str, float]] = {
    "bomb": {"weapons": _STRONG, NONCOMPLIANT: _STRONG},
    "hateword": {"hate": _STRONG, NONCOMPLIANT: _STRONG},
    "kill": {"violence": _WEAK},
    "scam": {"fraud_spam": _STRONG, NONCOMPLIANT: _STRONG},
    "selfharm": {"self_harm": _STRONG},
    "jailbreak": {"jailbreak": _STRONG, NONCOMPLIANT: _STRONG},
    "炸": {"weapons": _STRONG, NONCOMPLIANT: _STRONG},
    "弹": {"weapons": _STRONG, NONCOMPLIANT: _STRONG},
    "诈": {"fraud_spam": _STRONG, NONCOMPLIANT: _STRONG},
    "骗": {"fraud_spam": _STRONG, NONCOMPLIANT: _STRONG},
}

_HARMLESS_ENGLISH = ("the", "a", "to", "how", "is", "of", "and", "process", "linux", "hello", "world", "my", "call")
_HARMLESS_CHINESE = tuple("我爱你好的是北京天安门")


def build_tiny_artifact(
    directory: Path, scales: ActivationScales = ActivationScales.DYNAMIC, *, rounded: bool = False
) -> Path:
    """Write the artifact; the same bytes every time.

    Args:
        directory: Created if missing.
        scales: What the description says.
        rounded: Whether activations are rounded to 8 bits, with such scales.

    Returns:
        The directory.
    """
    directory.mkdir(parents=True, exist_ok=True)
    vocabulary = _vocabulary()
    _tokenizer(vocabulary).save(str(directory / FILES.tokenizer))
    onnx.save_model(_graph(_weights(vocabulary), scales if rounded else None), str(directory / FILES.model))
    (directory / FILES.card).write_text("# tiny\n\nA test artifact: a linear classifier over a dozen words.\n")
    write_artifact(
        directory,
        name=NAME,
        unsupported=("sexual_minors",),
        outputs=("scores", "token_scores"),
        sources=(Source("hand-made", "Apache-2.0", "permissive", len(WORDS)),),
        created="2026-01-01",
        activation_scales=scales,
    )
    return directory


def _vocabulary() -> dict[str, int]:
    # No continuation pieces: a word that only begins with a known one ("bombastic") is unknown as a whole.
    pieces = (*_SPECIAL, *WORDS, *_HARMLESS_ENGLISH, *_HARMLESS_CHINESE)
    return {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}


def _tokenizer(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.add_special_tokens(list(_SPECIAL))
    return tokenizer


def _weights(vocabulary: dict[str, int]) -> NDArray[np.float32]:
    weights = np.zeros((len(vocabulary), len(CATEGORIES)), dtype=np.float32)
    for word, added in WORDS.items():
        for category, logit in added.items():
            weights[vocabulary[word], CATEGORIES.index(category)] = logit
    return weights


def _graph(weights: NDArray[np.float32], rounding: ActivationScales | None) -> onnx.ModelProto:
    """``sigmoid(max over the text's tokens of weights[input_ids] + bias)``, and the same without the maximum.

    What is looked up is rounded to 8 bits if asked for.

    Outputs: scores [batch, categories] and token_scores [batch, tokens, categories], the template's tokens included.
    """
    names = ("input_ids", "attention_mask", "token_type_ids")
    constants: dict[str, NDArray[Any]] = {
        "weights": weights,
        "bias": np.full(len(CATEGORIES), _BIAS, dtype=np.float32),
        "one": np.array(1, dtype=np.int64),
        "token_axis": np.array([1], dtype=np.int64),
        "last_axis": np.array([2], dtype=np.int64),
    }
    if rounding is ActivationScales.STATIC:
        constants |= {"scale": np.array(_STRONG / 200, dtype=np.float32), "zero": np.array(0, dtype=np.uint8)}
    nodes = [
        helper.make_node("Gather", ["weights", "input_ids"], ["looked_up" if rounding else "per_token"], axis=0),
        *_rounding(rounding),
        helper.make_node("Sub", ["one", "token_type_ids"], ["is_text"]),
        helper.make_node("Mul", ["attention_mask", "is_text"], ["kept"]),
        helper.make_node("Cast", ["kept"], ["kept_float"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["kept_float", "last_axis"], ["mask"]),
        helper.make_node("Mul", ["per_token", "mask"], ["masked"]),
        helper.make_node("ReduceMax", ["masked", "token_axis"], ["strongest"], keepdims=0),
        helper.make_node("Add", ["strongest", "bias"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["scores"]),
        helper.make_node("Add", ["per_token", "bias"], ["token_logits"]),
        helper.make_node("Sigmoid", ["token_logits"], ["token_scores"]),
    ]
    shapes: dict[str, list[str | int]] = {
        "scores": ["batch", len(CATEGORIES)],
        "token_scores": ["batch", "tokens", len(CATEGORIES)],
    }
    graph = helper.make_graph(
        nodes,
        NAME,
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in names],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    # Old versions on purpose: every runtime that the package allows can read them.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def _rounding(scales: ActivationScales | None) -> list[onnx.NodeProto]:
    if scales is None:
        return []
    if scales is ActivationScales.STATIC:
        rounding = helper.make_node("QuantizeLinear", ["looked_up", "scale", "zero"], ["rounded"])
    else:
        rounding = helper.make_node("DynamicQuantizeLinear", ["looked_up"], ["rounded", "scale", "zero"])
    return [rounding, helper.make_node("DequantizeLinear", ["rounded", "scale", "zero"], ["per_token"])]


if __name__ == "__main__":
    build_tiny_artifact(Path(sys.argv[1]))
