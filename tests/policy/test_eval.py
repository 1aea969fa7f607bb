"""How well a policy decides labelled records: the whole of it, every rule, every slice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from guard.policy.eval import Evaluation, RuleMeasures, evaluate_policy
from guard.policy.labelled_file import read_labelled
from guard.policy.policy import Policy
from guard.records import Record
from guard.types import Direction
from tests.policy.build import file_of, policy_of, record_of

_HATE = "id: hate, category: hate, threshold: 0.5, action: block"
_BAD: dict[str, Any] = {"label": "noncompliant", "categories": ("hate",)}
_GOOD: dict[str, Any] = {"label": "compliant"}


def _measure(tmp_path: Path, policy: Policy, *records: Record) -> Evaluation:
    path = file_of(tmp_path / "r.jsonl", *records)
    return evaluate_policy(policy, read_labelled(path, [rule.category for rule in policy.rules]))


def _counts(rule: RuleMeasures) -> tuple[int, int, int, int]:
    return rule.measures.found, rule.measures.positives, rule.measures.false_alarms, rule.measures.negatives


def test_a_rule_is_measured_against_its_own_truth(tmp_path: Path) -> None:
    """In its direction, at its threshold, by what its category says; shadow rules, too, as if they acted."""
    policy = policy_of(
        _HATE,
        "id: quiet, category: violence, threshold: 0.5, action: block, shadow: true, direction: output",
        "id: any, category: noncompliant, threshold: 0.5, action: block",
    )
    scores = {"hate": 0.9, "violence": 0.9, "noncompliant": 0.9}
    found = _measure(
        tmp_path,
        policy,
        record_of("1", scores, **_BAD),
        record_of("2", scores, direction=Direction.OUTPUT, **_GOOD),
        record_of("3", {"hate": 0.5}, label="compliant", about=("hate",)),
        record_of("4", {"hate": 0.1}, label="noncompliant"),
        record_of("5", {"hate": 0.49}, **_BAD),
    )
    hate, quiet, everything = found.rules
    assert (_counts(hate), hate.unknown) == ((1, 2, 2, 2), 1)
    assert (_counts(quiet), quiet.unknown, quiet.direction, quiet.shadow) == ((0, 0, 1, 1), 0, "output", True)
    assert (_counts(everything), everything.unknown) == ((1, 3, 1, 1), 1)
    assert hate.measures.recall.value == 0.5 and hate.measures.precision.value == pytest.approx(1 / 3)


def test_the_whole_policy_is_measured_by_labels_about_everything(tmp_path: Path) -> None:
    """Not allowed by any rule that acts; a noncompliant text that is no rule's business is none of the policy's."""
    policy = policy_of(
        _HATE,
        "id: mask, category: pii, threshold: 0.5, action: rewrite",
        "id: quiet, category: violence, threshold: 0.5, action: block, shadow: true",
        "id: note, category: violence, threshold: 0.5, action: allow",
    )
    found = _measure(
        tmp_path,
        policy,
        record_of("1", {"pii": 0.9}, **_BAD),  # found, though not by its own rule
        record_of("2", {"hate": 0.1}, **_BAD),
        record_of("3", {"violence": 0.9}, label="noncompliant", categories=("violence",)),  # no rule's that acts
        record_of("4", {"hate": 0.9}, label="noncompliant", categories=("hate",), about=("hate",)),
        record_of("5", {"violence": 0.9}, **_GOOD),
        record_of("6", {"pii": 0.9}, **_GOOD),
    )
    whole = found.decision
    assert (whole.found, whole.positives, whole.false_alarms, whole.negatives) == (1, 2, 1, 2)
    assert found.notes[0].startswith("counted for single rules only: 1 records whose label speaks about some")


def test_slices(tmp_path: Path) -> None:
    """Direction, language, length and tags; a rule has those in which its category is known."""
    found = _measure(
        tmp_path,
        policy_of(_HATE),
        record_of("1", {"hate": 0.9}, lang="zh", tokens=20, tags={"tenant": "a"}, **_BAD),
        record_of("2", {"hate": 0.9}, direction=Direction.OUTPUT, **_GOOD),
        record_of("3", {"hate": 0.9}, lang="other", label="compliant", about=("violence",)),
    )
    assert [(s.key, s.value, s.measures.found, s.measures.false_alarms) for s in found.slices] == [
        ("direction", "prompt", 1, 0),
        ("direction", "output", 0, 1),
        ("language", "zh", 1, 0),
        ("language", "en", 0, 1),
        ("language", "other", 0, 0),
        ("length", "1-16", 0, 1),
        ("length", "17-64", 1, 0),
        ("tags.tenant", "a", 1, 0),
    ]
    rule = found.rules[0]
    assert [s.value for s in rule.slices] == ["prompt", "output", "zh", "en", "1-16", "17-64", "a"]
    assert rule.slices[2].ranking.auprc.value == 1.0


def test_what_a_score_can_do_at_other_thresholds(tmp_path: Path) -> None:
    """Recall at a share of false alarms does not depend on the rule's threshold."""
    records = [record_of(f"g{i}", {"hate": i / 250}, **_GOOD) for i in range(100)]
    records += [record_of(f"b{i}", {"hate": 0.3 + i / 100}, **_BAD) for i in range(20)]
    (rule,) = _measure(tmp_path, policy_of(_HATE.replace("0.5", "0.99")), *records).rules
    assert (rule.measures.found, rule.ranking.recall_at_1.value, rule.ranking.recall_at_5.value) == (0, 0.5, 0.6)
    assert rule.calibration.ece is not None and sum(part.count for part in rule.calibration.bins) == 120


def test_what_may_mislead_is_noted(tmp_path: Path) -> None:
    """Another model, a policy in shadow, a rule whose category nobody scored."""
    policy = policy_of(_HATE, "id: pii, category: pii, threshold: 0.5, action: block", mode="shadow")
    found = _measure(tmp_path, policy, record_of("1", {"hate": 0.9}, **_GOOD))
    assert found.decision.false_alarms == 1
    assert found.notes == (
        "the policy is in shadow: it is measured as if it enforced",
        "no record of m@0123456789ab has a score or a detection for these rules: pii",
    )
    marked = policy_of(_HATE, mode="enforce\ncalibrated_for: other")
    assert "set on other, the scores are of m@" in _measure(tmp_path, marked, record_of("1", {}, **_GOOD)).notes[0]
