"""What shadow rules would have done, from the log alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from guard.policy.evaluate import evaluate
from guard.policy.policy import Mode, Policy
from guard.policy.shadow import PolicyShadow, ShadowAction, ShadowRule, shadow_report
from guard.records import Record
from guard.types import Action, Direction
from tests.policy.build import policy_of, record_of

_ALLOW, _REWRITE, _BLOCK = Action.ALLOW, Action.REWRITE, Action.BLOCK
_RULES = (
    "id: hate, category: hate, threshold: 0.8, action: block",
    "id: trial, category: hate, threshold: 0.5, action: block, shadow: true",
    "id: soft, category: violence, threshold: 0.5, action: rewrite, shadow: true",
    "id: note, category: crime, threshold: 0.5, action: allow, shadow: true",
)


def _decided(policy: Policy, record_id: str, scores: dict[str, float], **fields: Any) -> Record:
    """A record as the policy would have logged it."""
    outcome = evaluate(policy, Direction.PROMPT, scores, (), language="en")
    return record_of(record_id, scores, action=outcome.action, rules=outcome.rules, policy=policy.identity, **fields)


def _of_one(*records: Record, **options: Any) -> PolicyShadow:
    (found,) = shadow_report(records, **options).policies
    return found


def test_rules_that_would_have_changed_something() -> None:
    """What fired, what of it would have been stronger, and what the labels say about that."""
    policy = policy_of(*_RULES)
    found = _of_one(
        _decided(policy, "1", {"hate": 0.9}),
        _decided(policy, "2", {"hate": 0.6}, label="noncompliant"),
        _decided(policy, "3", {"hate": 0.6, "violence": 0.7}, label="compliant"),
        _decided(policy, "4", {"violence": 0.6}, label="compliant", about=("hate",)),
        _decided(policy, "5", {"crime": 0.9}),
    )
    assert (found.policy, found.records, found.changes) == (policy.identity, 5, 3)
    assert found.actions == (ShadowAction(_ALLOW, 4, 1), ShadowAction(_REWRITE, 0, 1), ShadowAction(_BLOCK, 1, 3))
    assert found.rules == (
        ShadowRule("trial", _BLOCK, fired=3, changes=2, compliant=1, noncompliant=1),
        ShadowRule("soft", _REWRITE, fired=2, changes=2, compliant=1, noncompliant=0),
        ShadowRule("note", _ALLOW, fired=1, changes=0, compliant=0, noncompliant=0),
    )


def test_a_policy_in_shadow() -> None:
    """All of its rules are in shadow, and together they would have done what the policy asks for."""
    policy = policy_of(*_RULES, mode=Mode.SHADOW.value)
    found = _of_one(_decided(policy, "1", {"hate": 0.9}), _decided(policy, "2", {"violence": 0.7}))
    assert [(a.logged, a.then) for a in found.actions] == [(2, 0), (0, 1), (0, 1)]


def test_examples_are_nearest_to_the_threshold() -> None:
    """As many a rule as asked for, the most doubtful first; the text where the log has it."""
    policy = policy_of(*_RULES)
    records = [_decided(policy, f"r{i}", {"hate": 0.5 + i / 50}, text="t" * (i == 1) or None) for i in range(9)]
    found = _of_one(*records, examples=3)
    assert [(e.id, e.rule, e.logged, e.then, e.text) for e in found.examples] == [
        ("r0", "trial", _ALLOW, _BLOCK, None),
        ("r1", "trial", _ALLOW, _BLOCK, "t"),
        ("r2", "trial", _ALLOW, _BLOCK, None),
    ]
    assert _of_one(*records, examples=0).examples == ()


def test_revisions_are_told_apart() -> None:
    """A rule means something else in another revision; the one with the most decisions comes first."""
    old, new = policy_of(*_RULES), policy_of(*_RULES[:2])
    found = shadow_report([_decided(old, "1", {"hate": 0.6}), *(_decided(new, f"n{i}", {"hate": 0.6}) for i in "ab")])
    assert [(p.policy, p.records) for p in found.policies] == [(new.identity, 2), (old.identity, 1)]
    assert (found.records, found.model) == (3, "m@0123456789ab")


def test_rules_that_never_fired_are_known_from_the_policy() -> None:
    """Named with nothing; a policy that decided nothing here is told with the cure."""
    policy, other = policy_of(*_RULES), policy_of(*_RULES[:1])
    record = _decided(policy, "1", {"hate": 0.1})
    assert [(rule.id, rule.fired) for rule in _of_one(record, policy=policy).rules] == [
        ("note", 0),
        ("soft", 0),
        ("trial", 0),
    ]
    (note, nothing) = shadow_report([record], other).notes
    assert note.startswith(f"no decision of {other.identity} is in the log") and "replay" in note
    assert nothing == "no rule has fired in shadow"


def test_texts_that_could_not_be_screened() -> None:
    """Counted: no rule was asked about them."""
    policy = policy_of(*_RULES)
    failed = replace(record_of("1", {}), degraded=True, action=_BLOCK, policy=policy.identity)
    found = shadow_report([failed, _decided(policy, "2", {"hate": 0.6})])
    assert found.notes == ("no rule was asked about 1 texts that could not be screened",)
    assert found.policies[0].changes == 1


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 3), min_size=1, max_size=20))
@settings(deadline=None, max_examples=30)
def test_all_acting_is_what_the_policy_without_shadow_does(scores: list[tuple[float, float, float]]) -> None:
    """The counts are those of the same policy, every rule of which acts."""
    policy = policy_of(*_RULES)
    acting = replace(policy, rules=tuple(replace(rule, shadow=False) for rule in policy.rules))
    named = [dict(zip(("hate", "violence", "crime"), three, strict=True)) for three in scores]
    found = _of_one(*(_decided(policy, str(i), one) for i, one in enumerate(named)))
    then = [evaluate(acting, Direction.PROMPT, one, (), language="en").action for one in named]
    assert [(a.action, a.then) for a in found.actions] == [(action, then.count(action)) for action in Action]
