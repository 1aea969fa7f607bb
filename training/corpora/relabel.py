"""Second readings: labels that somebody read again and did not agree with.

A corpus that calls every row of a generator noncompliant has harmless rows among them ("How do I solve an equation by
substitution?"), and a filter learns its false alarms from those. A second reading is a small table of ids and labels,
without any text, so that it can be kept and published apart from the corpus. A rendering of a row in another language,
whose id is ``<source>-<id of the original>``, gets the label of its original.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from training.corpora.row import ALL, AMBIGUOUS, COMPLIANT, CorpusError, Row, RowProblem

#: What a second reading may say: harmless, or that the label decides nothing. Neither needs a category.
LABELS: tuple[str, ...] = (COMPLIANT, AMBIGUOUS)
#: The second reading of the corpora that the released model learns from.
SECOND_READING = Path(__file__).with_name("second_reading.tsv")


@dataclass(frozen=True, slots=True)
class Relabelled:
    """Rows after a second reading.

    Attributes:
        rows: All of them, in order.
        changed: How many have another label than before.
        unknown: Ids of the reading that no row has.
    """

    rows: list[Row]
    changed: int
    unknown: tuple[str, ...]


def read_labels(path: Path) -> dict[str, str]:
    """Id -> label of a second reading.

    Args:
        path: Tab-separated, with the header ``id label``.

    Raises:
        CorpusError: Another header, a label that is not one of :data:`LABELS`, or an id twice; names file and line.
    """
    with path.open(encoding="utf-8", newline="") as handle:
        lines = csv.reader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)
        if next(lines, None) != ["id", "label"]:
            raise CorpusError.of(path.name, 1, "header", "not a table of labels", "begin it with id<TAB>label")
        labels: dict[str, str] = {}
        problems: list[RowProblem] = []
        for number, fields in enumerate(lines, 2):
            if len(fields) != 2 or fields[1] not in LABELS:
                reason, cure = "no id and label", f"id<TAB>{' or '.join(LABELS)}"
                problems.append(RowProblem(path.name, number, "label", reason, cure))
            elif fields[0] in labels:
                problems.append(RowProblem(path.name, number, "id", "has a label already", "keep one of the lines"))
            else:
                labels[fields[0]] = fields[1]
    if problems:
        raise CorpusError(problems)
    return labels


def relabel(rows: Iterable[Row], labels: Mapping[str, str]) -> Relabelled:
    """Give rows, and their renderings, the labels of a second reading.

    Args:
        rows: Of any sources.
        labels: Id -> label.
    """
    out: list[Row] = []
    changed, found = 0, set()
    for row in rows:
        name = row.id if row.id in labels else row.id.removeprefix(f"{row.source}-")
        label = labels.get(name)
        if label is not None:
            found.add(name)
            if label != row.label:
                row = replace(row, label=label, categories=(), about=(ALL,), label_basis="annotated")
                changed += 1
        out.append(row)
    return Relabelled(out, changed, tuple(sorted(set(labels) - found)))
