"""Stage 5: the trained network as an artifact: ONNX, int8, checked against PyTorch.

    python -m training.export --model runs/NAME/train --name NAME --output runs/NAME/artifact

The encoder's activations are evened out first (training/int8/smoothing.py), then its table of tokens becomes int8 with
a scale per token (training/int8/row_scales.py) and its products per-channel int8 with fixed activation scales
(training/int8/static_scales.py); the head, one part in a hundred of the work, stays in float.
The new directory replaces the old one only if the graph agrees with PyTorch on the contrast texts, in the texts' scores
and in the tokens'; otherwise nothing is overwritten.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import Tensor, nn

from guard.classifier.artifact import FILES, ActivationScales, TokenLimits, write_artifact
from guard.classifier.chunker import FIRST_TOKEN, Chunk, Chunker
from guard.classifier.session import Raw, Session
from guard.normalize import normalize
from guard.types import CATEGORIES, NONCOMPLIANT, Direction
from training.batches import collate
from training.contrast import contrast_rows
from training.int8.row_scales import scale_rows
from training.int8.smoothing import smooth
from training.int8.static_scales import fix_scales
from training.network import GuardNetwork, load_network
from training.sources import used_sources

#: Largest mean difference of a score between PyTorch and the float graph, and the int8 graph.
_FLOAT_TOLERANCE = 1e-3
_INT8_TOLERANCE = 0.05
#: Training rows that name a category; with fewer it is declared unsupported.
_MIN_POSITIVES = 100


def main(argv: list[str] | None = None) -> None:
    """Command line of this stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="directory written by training.train")
    parser.add_argument("--name", required=True, help="the model's name")
    parser.add_argument("--sources", type=Path, help="SOURCES.tsv of the corpora, for licences")
    parser.add_argument("--chunk", type=int, default=128, help="text tokens of a chunk when serving")
    parser.add_argument("--overlap", type=int, default=32)
    parser.add_argument("--context", type=int, default=64)
    parser.add_argument("--parity-texts", type=int, default=400)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args(argv)
    limits = TokenLimits(chunk=args.chunk, overlap=args.overlap, context=args.context)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        shutil.copy(args.model / "tokenizer.json", work / FILES.tokenizer)
        metrics = export(args.model, work, limits, args.parity_texts)
        mixture = json.loads((args.model / "mixture.json").read_text(encoding="utf-8"))
        artifact = write_artifact(
            work,
            name=args.name,
            unsupported=tuple(c for c, n in mixture["positives"].items() if n < _MIN_POSITIVES),
            limits=limits,
            activation_scales=ActivationScales.STATIC,
            sources=used_sources(mixture["rows_by_source"], args.sources),
            metrics=metrics,
            created=datetime.datetime.now(datetime.UTC).date().isoformat(),
        )
        _replace(work, args.output)
    print(f"{args.output}: {artifact.identity}, {metrics}")


class Scores(nn.Module):
    """The exported computation: raw scores in [0, 1] instead of logits, of texts and of their tokens."""

    def __init__(self, network: GuardNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Raw scores [batch, categories] and token scores [batch, tokens, categories]."""
        logits, tokens = self.network(input_ids, attention_mask, token_type_ids)
        return torch.sigmoid(logits), torch.sigmoid(tokens)


def export(model: Path, output: Path, limits: TokenLimits, texts: int) -> dict[str, float]:
    """Write ``model.onnx`` and return the parity figures.

    Raises:
        SystemExit: The graph does not agree with PyTorch.
    """
    network = load_network(model, len(CATEGORIES)).eval().to("cpu")
    chunker = Chunker.from_file(output / FILES.tokenizer, limits)
    chunks = parity_chunks(chunker, texts)
    expected = torch_scores(Scores(network).eval(), chunks)
    smooth(network.encoder, lambda: _feed(network, chunks))
    full = output / "float.onnx"
    to_onnx(Scores(network).eval(), full)
    quantize(full, output / FILES.model, chunks)
    figures: dict[str, float] = {}
    for label, path, tolerance in (("float", full, _FLOAT_TOLERANCE), ("int8", output / FILES.model, _INT8_TOLERANCE)):
        session = Session(path, columns=len(CATEGORIES))
        found = [raw for chunk in chunks for raw in session.run([chunk])]
        column = CATEGORIES.index(NONCOMPLIANT)
        texts_of, tokens_of = ([getattr(r, name) for r in found] for name in ("scores", "token_scores"))
        difference = mean_difference(texts_of, [r.scores for r in expected])
        by_token = mean_difference(tokens_of, [r.token_scores for r in expected])
        same = [(f.scores[column] > 0.5) == (e.scores[column] > 0.5) for f, e in zip(found, expected, strict=True)]
        figures[f"{label}_mean_difference"] = round(difference, 6)
        figures[f"{label}_token_difference"] = round(by_token, 6)
        figures[f"{label}_agreement"] = round(float(np.mean(same)), 4)
        if max(difference, by_token) > tolerance:
            raise SystemExit(
                f"parity check failed: {label} scores differ from PyTorch by {difference:.4f} on average, of tokens by "
                f"{by_token:.4f} (at most {tolerance}); nothing was overwritten"
            )
    full.unlink()
    figures["model_mb"] = round((output / FILES.model).stat().st_size / 1e6, 2)
    return figures


def mean_difference(found: Sequence[NDArray[np.float32]], expected: Sequence[NDArray[np.float32]]) -> float:
    """Of two lists of scores, the mean over texts of the mean absolute difference."""
    return float(np.mean([np.abs(f - e).mean() for f, e in zip(found, expected, strict=True) if f.size]))


def to_onnx(scores: nn.Module, path: Path) -> None:
    """Trace into an ONNX graph with dynamic batch and token axes."""
    ids, mask, types = (t.cpu() for t in collate([((2, 5, 7, 3), (0, 0, 0, 0)), ((2, 5, 3), (0, 0, 1))]))
    axes = {0: "batch", 1: "tokens"}
    names = ["input_ids", "attention_mask", "token_type_ids"]
    with warnings.catch_warnings():
        # The tracing exporter warns of its age and of shape checks that hold for every input.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            scores,
            (ids, mask, types),
            str(path),
            input_names=names,
            output_names=["scores", "token_scores"],
            dynamic_axes={**dict.fromkeys([*names, "token_scores"], axes), "scores": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )


def quantize(source: Path, target: Path, chunks: Sequence[Chunk]) -> None:
    """Int8 of the encoder, a scale per row and channel; the activations' scales are taken from the chunks."""
    graph = onnx.load(source).graph
    exact = [node.name for node in graph.node if _stays_exact(node.name)]
    with tempfile.TemporaryDirectory() as folder:
        rows, dynamic = Path(folder) / "rows.onnx", Path(folder) / "dynamic.onnx"
        scale_rows(source, rows)
        quantize_dynamic(rows, dynamic, weight_type=QuantType.QInt8, per_channel=True, nodes_to_exclude=exact)
        fix_scales(rows, dynamic, target, chunks)


def _stays_exact(name: str) -> bool:
    """Whether a node is of the head, of the outlying channels, or reads a table (the large one is int8 by now)."""
    path = name.split("/")
    return path[2:3] in (["value"], ["attention"]) or "apart" in path or "embeddings" in path


def parity_chunks(chunker: Chunker, count: int) -> list[Chunk]:
    """Token sequences of some contrast texts, in both directions and languages."""
    rows = contrast_rows()
    step = max(1, len(rows) // count)
    directions = (Direction.PROMPT, Direction.OUTPUT)
    return [
        chunker.chunks(normalize(row["text"]).text, directions[number % 2])[0]
        for number, row in enumerate(rows[::step])
    ]


@torch.no_grad()
def torch_scores(scores: nn.Module, chunks: Iterable[Chunk]) -> list[Raw]:
    """What PyTorch gives for each chunk."""
    out = []
    for chunk in chunks:
        ids, mask, types = (t.cpu() for t in collate([(chunk.input_ids, chunk.token_type_ids)]))
        texts, tokens = scores(ids, mask, types)
        own = slice(FIRST_TOKEN, FIRST_TOKEN + chunk.text_tokens)
        out.append(Raw(texts[0].numpy(), tokens[0, own].numpy()))
    return out


@torch.no_grad()
def _feed(network: GuardNetwork, chunks: Iterable[Chunk]) -> None:
    for chunk in chunks:
        ids, mask, types = (t.cpu() for t in collate([(chunk.input_ids, chunk.token_type_ids)]))
        network.hidden(ids, mask, types)


def _replace(new: Path, target: Path) -> None:
    """Put the new files in place of the old ones, description last, so that a torn state is refused at load."""
    target.mkdir(parents=True, exist_ok=True)
    for name in (FILES.model, FILES.tokenizer, FILES.description):
        temporary = target / f".{name}.new"
        shutil.copy(new / name, temporary)
        temporary.replace(target / name)


if __name__ == "__main__":
    main()
