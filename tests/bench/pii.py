"""Recognizers measured: what of made-up personal data and secrets is found, and what that only looks like them.

- found: share of the made-up values that are covered whole by detections of their category (recall)
- right: share of a category's detections, in all of the made-up texts, that touch a value of it (precision)
- near misses: share of the category's near misses in which it is detected
- per 1000: ordinary texts in 1000 in which it is detected; such texts hold real addresses and numbers, too
- detections count from the score on at which the default policy acts

With ``--presidio`` the same texts go through Microsoft Presidio in the same run: its pattern recognizers, with a blank
English tokenizer in place of a language model, Chinese numbers allowed, and its own scores from 0.35 on.

A third set is of others' making: texts whose Parquet column ``original_label`` lists, in Presidio's names, what kinds
of data are in them. There a text counts as found if anything of the kind is, and as wrong if it is without the kind.

Usage: ``python -m tests.bench.pii [--texts N] [--rows DIR] [--typed FILE] [--presidio PYTHON]
[--page docs/recognizers.md]``
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from guard.normalize import normalize
from guard.recognizers import detect
from tests.bench.page import table, write_between
from tests.bench.pii_texts import KINDS, Row, near_misses, positives

_ACTS = 0.5
_PRESIDIO = Path(__file__).with_name("presidio_side.py")
# Ordinary texts that go through Presidio, which takes milliseconds for each.
_PRESIDIO_ROWS = 3000


# Kinds of data by Presidio's names.
_TYPES = {
    "EMAIL_ADDRESS": "pii.email",
    "PHONE_NUMBER": "pii.phone",
    "US_SSN": "pii.id_card",
    "CREDIT_CARD": "pii.bank_card",
    "IBAN_CODE": "pii.iban",
    "IP_ADDRESS": "pii.ip",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A detection as both sides give it: offsets in code points of the text."""

    category: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Figures:
    """One category; shares are 0..1, None where nothing was detected or looked for.

    Attributes:
        found: See the top of this file.
        right: Likewise.
        near: Likewise.
        ordinary: Ordinary texts in 1000.
    """

    found: float
    right: float | None
    near: float
    ordinary: float | None


def ours(texts: Sequence[str]) -> list[list[Found]]:
    """What the recognizers here find from the acting score on."""
    return [
        [Found(d.category, d.span.start, d.span.end) for d in detect(normalize(text)) if d.score >= _ACTS]
        for text in texts
    ]


def theirs(python: Path, texts: Sequence[str]) -> list[list[Found]]:
    """What Presidio finds; ``python`` is an interpreter whose environment has it."""
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    done = subprocess.run([python, _PRESIDIO], input=lines, capture_output=True, text=True, check=True)
    return [[Found(*one) for one in json.loads(line)] for line in done.stdout.splitlines()]


def ordinary_texts(directory: Path) -> list[str]:
    """The texts of a directory of Parquet files whose label is compliant, in a fixed order that is nobody's."""
    texts = []
    for file in sorted(directory.glob("*.parquet")):
        rows = pq.read_table(file, columns=["text", "label"])
        pairs = zip(rows["text"].to_pylist(), rows["label"].to_pylist(), strict=True)
        texts += [text for text, label in pairs if text and label == "compliant"]
    random.Random(20261122).shuffle(texts)
    return texts


def measure(
    rows: Sequence[Row], found: Sequence[Sequence[Found]], ordinary: Sequence[Sequence[Found]]
) -> dict[str, Figures]:
    """The figures of every category that the texts are made up for.

    Args:
        rows: Made-up texts.
        found: What was detected in each.
        ordinary: What was detected in each of the ordinary texts; may be empty.
    """
    categories = dict.fromkeys(row.category for row in rows)
    return {category: _figures(category, rows, found, ordinary) for category in categories}


def _figures(
    category: str, rows: Sequence[Row], found: Sequence[Sequence[Found]], ordinary: Sequence[Sequence[Found]]
) -> Figures:
    values = near = covered = acted = hits = right = 0
    for row, detections in zip(rows, found, strict=True):
        mine = [one for one in detections if one.category == category]
        value = row.category == category and row.end > row.start
        hits += len(mine)
        right += sum(value and one.start < row.end and one.end > row.start for one in mine)
        if value:
            values += 1
            covered += set(range(row.start, row.end)) <= {at for one in mine for at in range(one.start, one.end)}
        elif row.category == category:
            near += 1
            acted += bool(mine)
    texts = sum(any(one.category == category for one in detections) for detections in ordinary)
    return Figures(
        found=covered / values,
        right=right / hits if hits else None,
        near=acted / near,
        ordinary=1000 * texts / len(ordinary) if ordinary else None,
    )


def typed_table(file: Path, presidio: Path | None) -> str:
    """The figures on texts whose kinds of data others have named."""
    rows = pq.read_table(file, columns=["text", "original_label"])
    texts = rows["text"].to_pylist()
    kinds = [set(json.loads(label)) if label.startswith("[") else set() for label in rows["original_label"].to_pylist()]
    sides = [ours(texts), *([theirs(presidio, texts)] if presidio else [])]
    lines = []
    for kind, category in _TYPES.items():
        line = [f"`{category}`", str(sum(kind in named for named in kinds))]
        for found in sides:
            has = [any(one.category == category for one in detections) for detections in found]
            right = [hit for hit, named in zip(has, kinds, strict=True) if kind in named]
            wrong = [hit for hit, named in zip(has, kinds, strict=True) if kind not in named]
            line += [f"{sum(right) / len(right):.1%}", str(sum(wrong))]
        lines.append(line)
    head = ["category", "texts", "found", "wrong", *(["Presidio: found", "Presidio: wrong"] if presidio else [])]
    return f"{len(texts)} texts of others' making.\n\n{table(head, lines)}"


def _cells(figures: Figures | None) -> Iterator[str]:
    if figures is None or figures.right is None:
        yield from ("-",) * 4
        return
    yield from (f"{figures.found:.1%}", f"{figures.right:.1%}", f"{figures.near:.1%}")
    yield "-" if figures.ordinary is None else f"{figures.ordinary:.2f}"


def report(count: int, directory: Path | None, presidio: Path | None) -> str:
    """Measure and say it in Markdown."""
    rows = [row for category in KINDS for row in (*positives(category, count), *near_misses(category, count))]
    texts = [row.text for row in rows]
    ordinary = ordinary_texts(directory) if directory else []
    here = measure(rows, ours(texts), ours(ordinary))
    there = None
    if presidio:
        both = theirs(presidio, [*texts, *ordinary[:_PRESIDIO_ROWS]])
        there = measure(rows, both[: len(texts)], both[len(texts) :])
    head = ["category", "found", "right", "near misses", "per 1000"]
    if there:
        head += [f"Presidio: {name}" for name in head[1:]]
    lines = [[f"`{name}`", *_cells(here[name]), *(_cells(there[name]) if there else ())] for name in KINDS]
    said = f"{count} made-up values and {count} near misses a category"
    if directory:
        said += f"; {len(ordinary)} ordinary texts"
        said += f", {min(_PRESIDIO_ROWS, len(ordinary))} of them through Presidio" if there else ""
    return f"{said}.\n\n{table(head, lines)}"


def main() -> None:
    """Measure, print the table, and write it into a page if that was asked for."""
    parser = argparse.ArgumentParser(description="What the recognizers find and what they should not.")
    parser.add_argument("--texts", type=int, default=500, help="values, and near misses, per category")
    parser.add_argument("--rows", type=Path, help="directory of Parquet files with text and label")
    parser.add_argument("--typed", type=Path, help="a Parquet file with text and original_label")
    parser.add_argument("--presidio", type=Path, help="a Python interpreter whose environment has presidio-analyzer")
    parser.add_argument("--page", type=Path, help="file whose table is replaced")
    given = parser.parse_args()
    shown = report(given.texts, given.rows, given.presidio)
    if given.typed:
        shown += f"\n\n{typed_table(given.typed, given.presidio)}"
    sys.stdout.write(shown + "\n")
    if given.page:
        write_between(given.page, "pii", shown)


if __name__ == "__main__":
    main()
