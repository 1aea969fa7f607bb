"""Ablations on one fixed proxy: what each stage, more data, another seed and restricted rows give.

    python -m training.ablate --run runs/NAME --data ../shared/data --encoder DIR_OR_ID --output runs/NAME/ablations \
        [--rows 20000] [--only NAME ...]

Every variant is one ``training.train`` on a proxy of the mixture (its directory is kept, a finished one is not
trained again), scored by PyTorch in floating point on two sets: ``unseen``, sources of the training folder that no
variant trains on, and ``bench``. The table says, per family, the AUROC and the recall at 5 % false alarms.
``unseen`` is made of restricted sources (they are only measured on), so it does not apply to the variant that
trains on them. Design choices are made on ``unseen``; ``bench`` is reported.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from guard.classifier.artifact import TokenLimits
from guard.classifier.chunker import Chunker
from guard.classifier.wordpiece import WordPiece
from guard.metrics import auroc, recall_at_fpr
from guard.types import CATEGORIES, NONCOMPLIANT
from training import train
from training.batches import collate
from training.corpora import ALL, Row, directions_of, read_parquet_dir
from training.corpora.row import LICENCE_CLASSES
from training.corpora.splits import sample
from training.network import load_network
from training.queries import query_of
from training.run import device

#: Texts of one source, side, language and label that are measured.
_MEASURED = 150
_LANGUAGES = ("en", "zh")
_POINT = 0.05


@dataclass(frozen=True, slots=True)
class Variant:
    """One training of the proxy.

    Attributes:
        name: In the table.
        question: What it answers.
        backbone: Directory of the stage to begin with, below the run; None: the English encoder as it is.
        share: Of the proxy's rows.
        options: More arguments of ``training.train``.
    """

    name: str
    question: str
    backbone: str | None
    share: float = 1.0
    options: tuple[str, ...] = ()


VARIANTS: tuple[Variant, ...] = (
    Variant("full", "the stages of the release", "rehearse"),
    Variant("seed-1", "spread", "rehearse", options=("--seed", "1")),
    Variant("seed-2", "spread", "rehearse", options=("--seed", "2")),
    Variant("share-05", "scaling", "rehearse", share=0.05),
    Variant("share-25", "scaling", "rehearse", share=0.25),
    Variant("no-rehearsal", "without masked-LM rehearsal", "align"),
    Variant("no-alignment", "vocabulary with glosses only", "vocab"),
    Variant("no-glosses", "new embeddings at random", "ablations/vocab-random"),
    Variant("english", "the English encoder as it is", None),
    Variant("restricted", "twin on all rows, never released", "rehearse", options=("--restricted",)),
)


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--run", type=Path, required=True, help="directory of the release run: its stages are begun from"
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with train/, bench/ and plain.parquet")
    parser.add_argument("--encoder", required=True, help="the English encoder: directory or hub id")
    parser.add_argument("--rows", type=int, default=20000, help="rows of the proxy")
    parser.add_argument("--only", nargs="*", help="these variants; all without")
    parser.add_argument(
        "--train-option", action="append", default=[], help="of every variant, e.g. --train-option=--lr=2e-4"
    )
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args(argv)
    args.output.mkdir(parents=True, exist_ok=True)
    sets = {"unseen": unseen_rows(args.data / "train"), "bench": bench_rows(args.data / "bench")}
    for variant in VARIANTS:
        if args.only and variant.name not in args.only:
            continue
        directory = args.output / variant.name
        if not (directory / "metrics.json").exists():
            train.main([*_command(variant, args), *args.train_option])
        result = args.output / f"{variant.name}.json"
        if not result.exists():
            found = {name: measure(directory, rows) for name, rows in sets.items() if _applies(variant, name)}
            _write(result, {"question": variant.question, "measured": found})
    (args.output / "ablations.md").write_text(to_markdown(read_results(args.output)), encoding="utf-8")


def _command(variant: Variant, args: argparse.Namespace) -> list[str]:
    backbone = args.encoder if variant.backbone is None else str(args.run / variant.backbone)
    paths = ["--data", str(args.data / "train"), "--plain", str(args.data / "plain.parquet")]
    rows = ["--rows", str(round(args.rows * variant.share))]
    return ["--backbone", backbone, *paths, *rows, "--output", str(args.output / variant.name), *variant.options]


def _applies(variant: Variant, name: str) -> bool:
    return not ("--restricted" in variant.options and name == "unseen")


def unseen_rows(path: Path) -> list[Row]:
    """A sample of the sources that are restricted as a whole, of rows with labels that speak about everything."""
    rows = read_parquet_dir(path, licence=LICENCE_CLASSES)
    trained_on = {row.source for row in rows if row.licence_class != "restricted"}
    found = (row for row in rows if row.about_all and row.lang in _LANGUAGES and row.source not in trained_on)
    return sample(found, _MEASURED, by_label=True)


def bench_rows(path: Path) -> list[Row]:
    """A sample of the benchmarks' rows with labels that speak about everything."""
    rows = read_parquet_dir(path, licence=LICENCE_CLASSES)
    found = (row for row in rows if ALL in row.about and row.lang in _LANGUAGES)
    return sample(found, _MEASURED, by_label=True)


@torch.no_grad()
def measure(directory: Path, rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """AUROC and recall at 5 % false alarms per family (``side lang``) of a trained directory.

    Args:
        directory: Written by ``training.train``.
        rows: Labelled rows; the first 128 tokens of a text are read, and its context.
    """
    network = load_network(directory, len(CATEGORIES)).eval().to(device())
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    limits = TokenLimits(chunk=128, overlap=32, context=64)
    chunker = Chunker(WordPiece.parse(tokenizer.to_str(), str(directory)), limits)
    queries = [query_of(row, directions_of(row, training=False)[0]) for row in rows]
    chunks = [chunker.chunks(q.text, q.direction, q.context)[0] for q in queries]
    scores = np.zeros(len(rows))
    column = CATEGORIES.index(NONCOMPLIANT)
    order = sorted(range(len(rows)), key=lambda i: len(chunks[i].input_ids))
    for start in range(0, len(order), 64):
        part = order[start : start + 64]
        ids, mask, types = collate([(chunks[i].input_ids, chunks[i].token_type_ids) for i in part])
        with torch.autocast(ids.device.type, dtype=torch.bfloat16):
            logits, _ = network(ids, mask, types)
        scores[part] = logits[:, column].float().cpu().numpy()
    labels = np.array([row.label == NONCOMPLIANT for row in rows])
    families = np.array([f"{row.side} {row.lang}" for row in rows])
    return {
        name: _figures(labels[families == name], scores[families == name]) for name in sorted(set(families.tolist()))
    }


def _figures(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> dict[str, float]:
    figures = {"texts": float(len(labels))}
    if 0 < labels.sum() < len(labels):
        figures["auroc"] = round(float(auroc(labels, scores)), 4)
        figures["recall_at_5"] = round(float(recall_at_fpr(labels, scores, _POINT)), 4)
    return figures


def _write(path: Path, document: Mapping[str, object]) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def read_results(directory: Path) -> dict[str, dict[str, object]]:
    """Variant name -> what was measured, in the order of :data:`VARIANTS`."""
    files = {variant.name: directory / f"{variant.name}.json" for variant in VARIANTS}
    return {name: json.loads(file.read_text(encoding="utf-8")) for name, file in files.items() if file.exists()}


def to_markdown(results: Mapping[str, Mapping[str, object]]) -> str:
    """One table a set: variants by families, ``AUROC / recall at 5 % false alarms``."""
    parts = ["# Ablations", "AUROC / recall at 5 % false alarms. Generated by `python -m training.ablate`."]
    for name in ("unseen", "bench"):
        measured = {v: r["measured"][name] for v, r in results.items() if name in r["measured"]}  # type: ignore[operator, index]
        families = sorted({f for found in measured.values() for f, values in found.items() if "auroc" in values})
        if not families:
            continue
        parts.append(f"## {name}")
        lines = ["| variant | question | " + " | ".join(families) + " |", "|---|---|" + "---|" * len(families)]
        for variant, found in measured.items():
            cells = [_cell(found.get(family, {})) for family in families]
            lines.append(f"| {variant} | {results[variant]['question']} | " + " | ".join(cells) + " |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _cell(values: Mapping[str, float]) -> str:
    return f"{values['auroc']:.3f} / {values['recall_at_5']:.2f}" if "auroc" in values else ""


if __name__ == "__main__":
    main()
