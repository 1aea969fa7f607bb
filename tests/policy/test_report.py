from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.policy.diff import diff
from guard.policy.eval import evaluate_policy
from guard.policy.labelled_file import read_labelled
from guard.policy.pairs import Pairs
from guard.policy.policy import Policy
from guard.policy.report import Mark, Report, RuleReport
from guard.policy.report_file import report_on
from guard.policy.report_rules import Head, grid, marks_of
from guard.records import Record
from guard.types import Direction
from tests.policy.build import file_of, policy_of, record_of

_POLICY = policy_of(
    "id: hate, category: hate, threshold: 0.5, action: block",
    "id: hate-low, category: hate, threshold: 0.3, action: rewrite",
    "id: weapons, direction: prompt, category: weapons, threshold: 0.62, action: block",
    "id: all, category: noncompliant, threshold: 0.7, action: rewrite",
    "id: watch, category: noncompliant, threshold: 0.4, action: block, shadow: true",
    "id: count, category: weapons, threshold: 0.4, action: allow",
)
_HEAD = Head("title", (), (), ())
_SCORES = st.sampled_from([0.0, 0.00004, 0.3, 0.4, 0.5, 0.6199, 0.62, 0.7, 0.9995, 1.0])
_LABELS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"label": "compliant"},
        {"label": "compliant", "about": ("hate",)},
        {"label": "noncompliant", "categories": ("hate",)},
        {"label": "noncompliant", "categories": ("weapons",)},
        {"label": "noncompliant"},
        {},
    ]
)


@st.composite
def _records(draw: st.DrawFn) -> list[Record]:
    categories = st.lists(st.sampled_from(["hate", "weapons", "noncompliant"]), unique=True)
    return [
        record_of(
            str(number),
            {category: draw(_SCORES) for category in draw(categories)},
            direction=draw(st.sampled_from(list(Direction))),
            **draw(_LABELS),
        )
        for number in range(draw(st.integers(1, 12)))
    ]


def _report(path: Path, policy: Policy = _POLICY) -> Report:
    return report_on(path, policy, _HEAD, marks_of(policy))


def _reached(counts: tuple[int, ...], index: int) -> int:
    return sum(counts[index:])


def _moved(rule_id: str, threshold: float) -> Policy:
    rules = (replace(rule, threshold=threshold) if rule.id == rule_id else rule for rule in _POLICY.rules)
    return replace(_POLICY, rules=tuple(rules))


@settings(max_examples=40, deadline=None)
@given(_records(), st.sampled_from(range(len(_POLICY.rules))), st.sampled_from([0.0, 0.0003, 0.3, 0.62, 0.7, 1.0]))
def test_counts_say_what_eval_and_diff_say(records: list[Record], number: int, threshold: float) -> None:
    """At any threshold the counts give the figures of eval, for the rule and the policy, and the flips of diff."""
    with tempfile.TemporaryDirectory() as directory:
        path = file_of(Path(directory) / "r.jsonl", *records)
        report = _report(path)
        rule, index = report.rules[number], report.grid.index(threshold)
        moved = _moved(rule.id, threshold)
        measured = evaluate_policy(moved, read_labelled(path, [r.category for r in moved.rules], unlabelled=True))
        flipped = diff(_POLICY, moved, Pairs(path)).flipped
    expected = measured.rules[number].measures
    assert (rule.positives, rule.negatives) == (expected.positives, expected.negatives)
    assert _reached(rule.counts.positives, index) == expected.found
    assert _reached(rule.counts.negatives, index) == expected.false_alarms
    if rule.whole is None:
        assert rule.shadow or rule.action == "allow"
        assert flipped == 0
        return
    assert (rule.whole.positives, rule.whole.negatives) == (measured.decision.positives, measured.decision.negatives)
    assert rule.whole.found + _reached(rule.counts.alone_positives, index) == measured.decision.found
    assert rule.whole.alarms + _reached(rule.counts.alone_negatives, index) == measured.decision.false_alarms
    at_mark = report.grid.index(rule.marks[0].threshold)
    assert abs(_reached(rule.counts.decisive, index) - _reached(rule.counts.decisive, at_mark)) == flipped


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=5), st.integers(0, 1000), st.integers(1, 20))
def test_grid(marks: list[float], thousandths: int, part: int) -> None:
    """It ascends from 0 to 1 and has every thousandth as people write it, every mark, and the histogram's borders."""
    found = grid(marks)
    assert list(found) == sorted(set(found)) and (found[0], found[-1]) == (0.0, 1.0)
    assert float(f"0.{thousandths:03}" if thousandths < 1000 else "1") in found
    assert {*marks, 0.00001, 0.0002, 0.9999} <= set(found)
    assert part / 20 in found and len(found) < 1500


def _rule(report: Report, rule_id: str) -> RuleReport:
    return next(rule for rule in report.rules if rule.id == rule_id)


def test_records_without_labels(tmp_path: Path) -> None:
    """Are counted as unknown; there is nothing to measure, and no slice."""
    path = file_of(tmp_path / "r.jsonl", record_of("1", {"hate": 0.9}), record_of("2", {"hate": 0.2}))
    report = _report(path)
    hate = _rule(report, "hate")
    assert (hate.positives, hate.negatives, hate.unknown) == (0, 0, 2)
    assert sum(hate.counts.unknown) == sum(hate.counts.decisive) == 2
    assert (report.slices, hate.slices, hate.auprc.value, hate.calibration.bins) == (None, None, None, ())


def test_nothing_that_could_be_screened(tmp_path: Path) -> None:
    """A log of failures makes a report of nothing rather than an error."""
    path = file_of(tmp_path / "r.jsonl", record_of("1", {}, degraded=True))
    assert {rule.unknown for rule in _report(path).rules} == {0}


def test_samples_stand_around_the_marks(tmp_path: Path) -> None:
    """Of each rule the nearest texts on both sides of each mark, the highest score first, long ones cut."""
    records = [
        record_of(str(i), {"hate": i / 100}, text=f"text {i} " + "长" * 400, lang="zh", label="compliant")
        for i in range(100)
    ]
    path = file_of(tmp_path / "r.jsonl", *records)
    policy = policy_of("id: hate, category: hate, threshold: 0.5, action: block")
    marks = {"hate": (Mark("current", 0.5), Mark("proposed", 0.905))}
    (rule,) = report_on(path, policy, _HEAD, marks).rules
    assert [sample.id for sample in rule.samples] == [str(i) for i in (*range(95, 85, -1), *range(54, 44, -1))]
    first = rule.samples[0]
    assert (first.score, first.truth, first.language, len(first.text)) == (0.95, 0, "zh", 300)
    assert first.text.startswith("text 95 长") and first.text.endswith("…")


def test_no_texts_no_samples(tmp_path: Path) -> None:
    """Records without texts, or without a score, give no example."""
    path = file_of(tmp_path / "r.jsonl", record_of("1", {"hate": 0.5}, label="compliant"), record_of("2", {}, text="t"))
    assert _rule(_report(path), "hate").samples == ()


def test_marks() -> None:
    """A threshold of others is a mark where it differs; a rule that they do not have keeps its own alone."""
    found = marks_of(_POLICY, ("proposed", {"hate": 0.4, "all": 0.7}), ("proposed zh", {"hate": 0.6}))
    assert found["hate"] == (Mark("current", 0.5), Mark("proposed", 0.4), Mark("proposed zh", 0.6))
    assert found["all"] == (Mark("current", 0.7),) and found["watch"] == (Mark("current", 0.4),)


def test_size_does_not_follow_the_records(tmp_path: Path) -> None:
    """Twenty times as many records make no longer lists."""
    rng = np.random.default_rng(0)

    def lengths(records: int) -> set[int]:
        rows = (record_of(str(i), {"hate": float(rng.random())}, label="compliant") for i in range(records))
        report = _report(file_of(tmp_path / "r.jsonl", *rows))
        return {len(rule.counts.negatives) for rule in report.rules} | {len(report.grid)}

    assert lengths(10) == lengths(200)
