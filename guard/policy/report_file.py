"""A report on the records of a file, with the texts around each rule's thresholds, which are read from it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from guard.policy.eval import Evaluation, evaluate_policy
from guard.policy.labelled import Floats, Labelled
from guard.policy.labelled_file import read_labelled
from guard.policy.policy import Policy
from guard.policy.report import Mark, Report, Sample
from guard.policy.report_rules import Head, make_report, rule_scores, rule_truth
from guard.records import Record

#: Texts below each mark, and as many from it on.
_EACH_SIDE = 5
_MOST_CHARACTERS = 300


def report_on(
    path: Path,
    policy: Policy,
    head: Head,
    marks: Mapping[str, Sequence[Mark]],
    records: Labelled | None = None,
    evaluation: Evaluation | None = None,
) -> Report:
    """Make a report.

    Args:
        path: Records of one model, in JSON Lines.
        policy: The policy whose rules are shown.
        head: What the command says.
        marks: Rule id -> its thresholds.
        records: The records, if they are read already; otherwise all are read, labelled or not.
        evaluation: The policy on the labelled ones, if it is measured already.

    Raises:
        InvalidInput: As :func:`read_labelled`.
        OSError: The file cannot be read.
    """
    if records is None:
        records = read_labelled(path, [rule.category for rule in policy.rules], unlabelled=True)
    if evaluation is None and any(truth.label or truth.categories for truth in records.truths):
        evaluation = evaluate_policy(policy, records)
    return make_report(head, policy, records, marks, evaluation, _samples(path, policy, records, marks))


def _samples(
    path: Path, policy: Policy, records: Labelled, marks: Mapping[str, Sequence[Mark]]
) -> dict[str, tuple[Sample, ...]]:
    """Rule id -> the texts around its marks, the highest score first; of records without a text nothing."""
    out = {}
    with path.open("rb") as lines:
        for rule in policy.rules:
            scores, truth = rule_scores(rule, records), rule_truth(rule, records)
            near = sorted({int(i) for mark in marks[rule.id] for i in _around(scores, mark.threshold)})
            found = [
                Sample(record.id, float(scores[i]), int(truth[i]), record.lang, _beginning(record.text))
                for i in near
                if (record := _read(lines, int(records.places[i]))).text is not None
            ]
            out[rule.id] = tuple(sorted(found, key=lambda sample: -sample.score))
    return out


def _around(scores: Floats, threshold: float) -> NDArray[np.intp]:
    """Indexes of the records that are nearest to a threshold, on both sides."""
    above, below = np.flatnonzero(scores >= threshold), np.flatnonzero((scores < threshold) & np.isfinite(scores))
    nearest = [_lowest(scores, above), _lowest(-scores, below)]
    return np.concatenate(nearest)


def _lowest(values: Floats, members: NDArray[np.intp]) -> NDArray[np.intp]:
    return members[np.argsort(values[members], kind="stable")[:_EACH_SIDE]]


def _read(lines: BinaryIO, place: int) -> Record:
    lines.seek(place)
    return Record.from_json(lines.readline().decode())


def _beginning(text: str | None) -> str:
    text = text or ""
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"
