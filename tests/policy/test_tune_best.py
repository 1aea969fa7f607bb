"""What tuning promises of the whole policy, against every combination of thresholds."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.policy.eval import stops
from guard.policy.goal import Aim, Goal
from guard.policy.labelled import UNSCORED, Facet, Labelled
from guard.policy.policy import Policy
from guard.policy.truth import Truth
from guard.policy.tune import Options, reaches, tune
from guard.types import Direction
from tests.policy.build import policy_of

_POLICY = policy_of(
    "id: hate, category: hate, threshold: 0.5, action: rewrite",
    "id: hard, category: hate, threshold: 0.8, action: block",
    "id: any, category: noncompliant, threshold: 0.5, action: block, direction: prompt",
)
_TRUTHS = (
    Truth("compliant"),
    Truth("noncompliant", ("hate",)),
    Truth("noncompliant"),
    Truth("compliant", (), ("hate",)),
)
_SCORES = [UNSCORED, 0.0, 0.2, 0.45, 0.5, 0.7, 0.85, 1.0]


@st.composite
def _records(draw: st.DrawFn) -> Labelled:
    size = draw(st.integers(2, 14))

    def column(*values: float) -> np.ndarray:
        return np.array(draw(st.lists(st.sampled_from(values), min_size=size, max_size=size)))

    return Labelled(
        model="m@0123456789ab",
        scores={"hate": column(*_SCORES), "noncompliant": column(*_SCORES)},
        outputs=column(0, 0, 1) == 1,
        truths=_TRUTHS,
        truth=column(0, 0, 1, 2, 3).astype(np.int32),
        facets=(Facet("language", ("en",), np.zeros(size, np.int32)),),
        order=np.arange(size, dtype=np.uint32),
        places=np.arange(size, dtype=np.uint64),
        notes=(),
    )


def _at(policy: Policy, thresholds: dict[str, float]) -> Policy:
    rules = (replace(rule, threshold=thresholds.get(rule.id, rule.threshold)) for rule in policy.rules)
    return replace(policy, rules=tuple(rules))


def _counts(policy: Policy, records: Labelled) -> tuple[list[tuple[int, int]], int]:
    """False alarms and compliant texts of each direction, and what is found in all."""
    stopped, label = stops(policy.rules, records), records.of_decision()
    whole = records.whole()
    alarms = []
    for direction in Direction:
        here = records.travels(direction) & whole & (label == 0)
        alarms.append((int(np.sum(stopped & here)), int(np.sum(here))))
    # A text without categories is the business of no rule but the one on noncompliant, which looks at prompts.
    business = (label == 1) & ((records.of_category("hate") == 1) | ~records.outputs)
    return alarms, int(np.sum(stopped & business))


@given(_records(), st.sampled_from([0.0, 0.2, 0.5]))
@settings(max_examples=200, deadline=None)
def test_no_thresholds_within_the_bound_find_more(records: Labelled, bound: float) -> None:
    """The bound holds in both directions where it can be met, and the most is found that can be."""
    found = tune(_POLICY, records, Goal(Aim.MAX_FPR, bound), Options(holdout=0.0, min_records=1))
    (part,) = found.parts
    tuned = [rule.id for rule in part.rules if not rule.left_alone and rule.id != "hard"]
    if not tuned:
        assert found.thresholds() == {}
        return

    def broken(alarms: list[tuple[int, int]]) -> int:
        return sum(max(0, stopped - int(bound * texts + 1e-9)) for stopped, texts in alarms)

    choices = [sorted({*_SCORES[1:], 0.99}) for _ in tuned]
    best = min(
        (broken(alarms), -caught)
        for thresholds in product(*choices)
        for alarms, caught in [
            _counts(_at(_POLICY, {"hard": 1.0, **dict(zip(tuned, thresholds, strict=True))}), records)
        ]
    )
    if "hate" not in tuned:
        best = min(
            (broken(alarms), -caught)
            for threshold in choices[0]
            for alarms, caught in [_counts(_at(_POLICY, {"any": threshold}), records)]
        )
    alarms, caught = _counts(_at(_POLICY, found.thresholds()), records)
    assert (broken(alarms), -caught) == best
    for direction in part.directions:
        assert direction.met == (not direction.tuned or reaches(found.goal, direction.fitted.after))


@given(_records(), st.sampled_from([Goal(Aim.MIN_RECALL, 0.8), Goal(Aim.COST, fp=1, fn=2)]), st.booleans())
@settings(max_examples=100, deadline=None)
def test_thresholds_are_legal_and_rungs_in_order(records: Labelled, goal: Goal, per_rule: bool) -> None:
    """Whatever the goal, every threshold lies in 0..1 and a block stands no lower than the rewrite below it."""
    found = tune(_POLICY, records, goal, Options(holdout=0.0, min_records=1, per_rule=per_rule))
    rules = {rule.id: rule for rule in found.parts[0].rules}
    assert all(0 <= rule.new <= 1 for rule in rules.values())
    assert rules["hate"].new <= rules["hard"].new
    assert all(rule.new == rule.old for rule in rules.values() if rule.left_alone)
