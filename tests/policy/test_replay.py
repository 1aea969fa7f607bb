"""What a policy would have done on logged traffic, from scores and recorded detections alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.policy.evaluate import evaluate
from guard.policy.policy import Policy
from guard.policy.replay import replay
from guard.policy.replayed import Change, Hour, Replay, RuleCount
from guard.records import Record
from guard.types import Action, Detection, Direction, FiredRule, Span
from tests.policy.build import policy_of, record_of

_ALLOW, _REWRITE, _BLOCK = Action.ALLOW, Action.REWRITE, Action.BLOCK
_HATE = "id: hate, category: hate, threshold: 0.5, action: block"
_PHONE = Detection("pii.phone", Span(0, 3), 0.95, "phone")
_NOON = datetime(2026, 1, 1, 12, 10, tzinfo=UTC)


def _fired(rule_id: str, action: Action = _BLOCK, shadow: bool = False) -> tuple[FiredRule, ...]:
    return (FiredRule(rule_id, "hate", 0.9, 0.5, action, shadow),)


def _run(policy: Policy, *records: Record, examples: int = 5) -> Replay:
    return replay(policy, records, examples=examples)


def test_actions_changes_and_examples() -> None:
    """What was logged beside what would have been; a change names who decides it."""
    policy = policy_of(_HATE, "id: mild, category: violence, threshold: 0.5, action: rewrite")
    found = _run(
        policy,
        record_of("1", {"hate": 0.9, "violence": 0.9}, action=_BLOCK, rules=_fired("hate")),
        record_of("2", {"hate": 0.6, "violence": 0.1}, text="t", policy="q@0123456789ab"),
        record_of("3", {"hate": 0.1, "violence": 0.6}),
        record_of("4", {"hate": 0.1, "violence": 0.1}, action=_BLOCK, rules=_fired("old") + _fired("s", shadow=True)),
    )
    assert [(a.action, a.logged, a.now) for a in found.actions] == [(_ALLOW, 2, 1), (_REWRITE, 0, 1), (_BLOCK, 2, 2)]
    assert set(found.changes) == {Change(_ALLOW, _BLOCK, 1), Change(_ALLOW, _REWRITE, 1), Change(_BLOCK, _ALLOW, 1)}
    assert [(e.id, e.rules, e.text) for e in found.examples] == [
        ("2", ("hate",), "t"),
        ("3", ("mild",), None),
        ("4", ("old",), None),
    ]
    assert (found.records, found.changed, found.undecidable) == (4, 3, 0)
    assert found.logged_policies == (("p@0123456789ab", 3), ("q@0123456789ab", 1))
    assert found.rules == (RuleCount("hate", _BLOCK, False, 1, 2, 0), RuleCount("mild", _REWRITE, False, 0, 2, 0))
    assert _run(policy, record_of("2", {"hate": 0.6}), examples=0).examples == ()


def test_hours_are_utcs() -> None:
    """Counted by the hour of the decision; hours without any are left out."""
    found = _run(
        policy_of(_HATE),
        record_of("1", {"hate": 0.9}, time=_NOON + timedelta(hours=3)),
        record_of("2", {"hate": 0.9}, time=_NOON, action=_BLOCK),
        record_of("3", {"hate": 0.1}, time=_NOON + timedelta(minutes=49)),
    )
    assert found.hours == (
        Hour("2026-01-01T12:00Z", 2, 1, 0, 1, 0, 0),
        Hour("2026-01-01T15:00Z", 1, 0, 0, 1, 1, 0),
    )


def test_a_category_that_was_not_scored_is_undecidable() -> None:
    """It is never counted as not fired; where something as strong fires anyway the decision is known."""
    policy = policy_of(
        "id: crime, category: crime, threshold: 0.5, action: rewrite",
        _HATE,
        "id: quiet, category: weapons, threshold: 0.5, action: block, shadow: true",
        "id: out, category: cyber, threshold: 0.5, action: block, direction: output",
    )
    found = _run(policy, record_of("1", {"hate": 0.1}), record_of("2", {"hate": 0.9}), record_of("3", {"crime": 0.1}))
    assert {rule.id: (rule.now, rule.undecidable) for rule in found.rules} == {
        "crime": (0, 2),
        "hate": (1, 1),
        "quiet": (0, 3),
        "out": (0, 0),
    }
    assert found.undecidable == 2
    assert sum(hour.undecidable for hour in found.hours) == 2


def test_a_recognizer_that_came_later_is_undecidable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log from before it says nothing about it, and neither about its parent; once the log shows it, it does."""
    later = ("pii", "pii.phone", "pii.tattoo")
    monkeypatch.setattr("guard.policy.replay.BUILT_IN_CATEGORIES", later)
    policy = policy_of("id: pii, category: pii, threshold: 0.5, action: block")
    before = [record_of("1", {}, detections=(_PHONE,)), record_of("2", {})]
    found = _run(policy, *before)
    assert [(r.now, r.undecidable) for r in found.rules] == [(1, 1)]
    assert (found.undecidable, found.hours[0].undecidable) == (1, 1)
    tattoo = Detection("pii.tattoo", Span(0, 3), 0.95, "tattoo")
    found = _run(policy, *before, record_of("3", {}, detections=(tattoo,)))
    assert [(r.now, r.undecidable) for r in found.rules] == [(2, 0)]
    assert found.undecidable == 0


def test_what_recognizers_always_looked_for_is_decidable() -> None:
    """A text without a phone number has none."""
    policy = policy_of("id: pii, category: pii, threshold: 0.5, action: rewrite, rewrite: mask")
    found = _run(policy, record_of("1", {}), record_of("2", {}, detections=(_PHONE,), action=_REWRITE))
    assert (found.changed, found.undecidable, found.rules[0].now, found.rules[0].undecidable) == (0, 0, 1, 0)


def test_a_block_after_masking_is_undecidable() -> None:
    """The second screening saw what the mask left over, and only the text can tell whether it would again."""
    policy = policy_of("id: pii, category: pii, threshold: 0.5, action: rewrite, rewrite: mask")
    found = _run(policy, record_of("1", {}, detections=(_PHONE,), action=_BLOCK))
    assert (found.changed, found.undecidable, found.changes) == (0, 1, ())


def test_what_could_not_be_screened_is_decided_by_on_error() -> None:
    """As it was then; it is counted in a note."""
    found = _run(policy_of(_HATE, mode="enforce\non_error: allow"), record_of("1", {}, degraded=True, action=_BLOCK))
    assert found.changes == (Change(_BLOCK, _ALLOW, 1),)
    assert found.notes[0] == "decided by on_error, now as then: 1 records that could not be screened"


def test_a_policy_in_shadow_allows() -> None:
    """Its rules fire, and nothing else."""
    found = _run(policy_of(_HATE, mode="shadow"), record_of("1", {"hate": 0.9}, action=_BLOCK))
    assert found.changes == (Change(_BLOCK, _ALLOW, 1),)
    assert found.rules[0].now == 1


@settings(deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries({"hate": st.floats(0, 1), "violence": st.floats(0, 1), "noncompliant": st.floats(0, 1)}),
        max_size=20,
    ),
    st.sampled_from(list(Direction)),
)
def test_the_same_policy_changes_nothing(scores: list[dict[str, float]], direction: Direction) -> None:
    """Whatever was scored: replayed by the policy that decided it, a log is as it was."""
    policy = policy_of(
        _HATE,
        "id: any, category: noncompliant, threshold: 0.8, action: rewrite",
        "id: out, category: violence, threshold: 0.3, action: block, direction: output",
    )
    records = []
    for index, scored in enumerate(scores):
        outcome = evaluate(policy, direction, scored, ())
        fields: dict[str, Any] = {"action": outcome.action, "rules": outcome.rules, "direction": direction}
        records.append(record_of(str(index), scored, **fields))
    found = _run(policy, *records)
    assert (found.changed, found.undecidable, found.records) == (0, 0, len(scores))
    assert all(rule.logged == rule.now for rule in found.rules)
