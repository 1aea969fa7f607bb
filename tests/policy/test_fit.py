"""Thresholds that meet a goal together: exact where few rules are, never worse than what they began with where many."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.policy.fit import Evidence, fit
from guard.policy.goal import Aim, Goal

_GOALS = [
    Goal(Aim.MAX_FPR, 0.0),
    Goal(Aim.MAX_FPR, 0.3),
    Goal(Aim.MIN_RECALL, 0.7),
    Goal(Aim.MIN_RECALL, 1.0),
    Goal(Aim.COST, fp=1, fn=5),
    Goal(Aim.COST, fp=3, fn=1),
]
_NEVER = float("inf")


def _key(evidence: Evidence, goal: Goal, thresholds: tuple[float, ...]) -> tuple[float, float, float]:
    """How far the bound is broken, then what is to be made small, counted record by record."""
    stopped = evidence.stopped.copy()
    for scores, threshold in zip(evidence.scores, thresholds, strict=True):
        stopped |= scores >= min(threshold, 1.0)
    broken = 0.0
    for group in np.unique(evidence.group):
        here = evidence.group == group
        found, positives = np.sum(stopped & evidence.positive & here), np.sum(evidence.positive & here)
        alarms, negatives = np.sum(stopped & ~evidence.positive & here), np.sum(~evidence.positive & here)
        if goal.aim is Aim.MAX_FPR:
            broken += max(0, alarms - int(np.floor(goal.bound * negatives + 1e-9)))
        elif goal.aim is Aim.MIN_RECALL:
            broken += max(0, int(np.ceil(goal.bound * positives - 1e-9)) - found)
    found, alarms = float(np.sum(stopped & evidence.positive)), float(np.sum(stopped & ~evidence.positive))
    if goal.aim is Aim.COST:
        return 0.0, goal.fp * alarms - goal.fn * found, alarms
    return (broken, -found, alarms) if goal.aim is Aim.MAX_FPR else (broken, alarms, -found)


def _drawn(size: int, rules: int, seed: int, groups: int = 1) -> Evidence:
    rng = np.random.default_rng(seed)
    positive = rng.random(size) < 0.3
    kind = rng.integers(0, rules, size)
    scores = tuple(np.clip(rng.normal(0.2 + 0.4 * (positive & (kind == r)), 0.15), 0.0, 1.0) for r in range(rules))
    group = rng.integers(0, groups, size).astype(np.int8)
    return Evidence(scores, positive, rng.random(size) < 0.02, group)


@st.composite
def _small(draw: st.DrawFn) -> Evidence:
    rules, size = draw(st.integers(1, 3)), draw(st.integers(1, 12))
    score = st.sampled_from([-np.inf, 0.0, 0.1, 0.3, 0.5, 0.8, 1.0])
    return Evidence(
        scores=tuple(np.array(draw(st.lists(score, min_size=size, max_size=size))) for _ in range(rules)),
        positive=np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size))),
        stopped=np.array(draw(st.lists(st.integers(0, 9), min_size=size, max_size=size))) == 9,
        group=np.array(draw(st.lists(st.integers(0, 1), min_size=size, max_size=size)), np.int8),
    )


@given(_small(), st.sampled_from(_GOALS))
@settings(max_examples=300, deadline=None)
def test_few_rules_are_tuned_as_well_as_can_be(evidence: Evidence, goal: Goal) -> None:
    """No combination of thresholds, each at any score or never, is better than the one that is found."""
    candidates = [sorted({*scores[np.isfinite(scores)].tolist(), _NEVER}) for scores in evidence.scores]
    best = min(_key(evidence, goal, thresholds) for thresholds in product(*candidates))
    found = fit(evidence, goal, [0.5] * len(evidence.scores))
    assert _key(evidence, goal, found) == best


@pytest.mark.parametrize("goal", _GOALS)
def test_two_rules_on_many_records_are_tuned_as_well_as_can_be(goal: Goal) -> None:
    """Every pair of scores is compared with what is found."""
    evidence = _drawn(80, 2, seed=3, groups=2)
    candidates = [[*scores.tolist(), _NEVER] for scores in evidence.scores]
    best = min(_key(evidence, goal, thresholds) for thresholds in product(*candidates))
    assert _key(evidence, goal, fit(evidence, goal, [0.5, 0.5])) == best


@pytest.mark.parametrize("goal", [Goal(Aim.MAX_FPR, 0.05), Goal(Aim.MIN_RECALL, 0.8), Goal(Aim.COST, fp=1, fn=2)])
def test_many_rules_meet_the_bound_and_no_step_of_one_is_better(goal: Goal) -> None:
    """With ten rules the search ends where no threshold on its own can be improved, and the bound holds."""
    evidence = _drawn(4000, 10, seed=5, groups=2)
    found = fit(evidence, goal, [0.5] * 10)
    key = _key(evidence, goal, found)
    assert key[0] == 0
    for index in range(10):
        for threshold in np.quantile(evidence.scores[index], np.linspace(0, 1, 25)):
            moved = (*found[:index], float(threshold), *found[index + 1 :])
            assert _key(evidence, goal, moved) >= key


def test_many_rules_do_better_than_one_threshold_for_all() -> None:
    """The best threshold that all rules could share within the bound finds less."""
    evidence, goal = _drawn(4000, 10, seed=7), Goal(Aim.MAX_FPR, 0.05)
    shared = min(_key(evidence, goal, (t,) * 10) for t in np.linspace(0, 1, 500).tolist())
    assert _key(evidence, goal, fit(evidence, goal, [0.5] * 10)) < shared


def test_a_sample_of_many_records_keeps_the_bound_of_all() -> None:
    """The search by pairs looks at a part of a large file; the bound holds on all of it."""
    evidence, goal = _drawn(250_000, 4, seed=9), Goal(Aim.MAX_FPR, 0.5)
    key = _key(evidence, goal, fit(evidence, goal, [0.5] * 4))
    assert key[0] == 0 and key[1] < _key(evidence, goal, (0.5,) * 4)[1]


def test_a_bound_that_cannot_be_met_gives_what_comes_nearest() -> None:
    """What scores 1 fires at every threshold, and what has no score at none."""
    evidence = Evidence(
        (np.array([1.0, 0.9, -np.inf, 0.2]),), np.array([0, 1, 1, 0], bool), np.zeros(4, bool), np.zeros(4, np.int8)
    )
    assert fit(evidence, Goal(Aim.MAX_FPR, 0.0), [0.5]) == (0.9,)
    assert fit(evidence, Goal(Aim.MIN_RECALL, 1.0), [0.5]) == (0.9,)


def test_a_share_of_whole_records_is_not_lost_to_rounding() -> None:
    """A tenth of thirty are three, though 0.1 * 30 and 0.3 * 10 are a digit off as floats."""
    scores = np.arange(1, 41) / 50
    evidence = Evidence((scores,), np.arange(40) % 4 == 3, np.zeros(40, bool), np.zeros(40, np.int8))
    assert np.sum(~evidence.positive & (scores >= fit(evidence, Goal(Aim.MAX_FPR, 0.1), [0.5])[0])) == 3
    assert np.sum(evidence.positive & (scores >= fit(evidence, Goal(Aim.MIN_RECALL, 0.3), [0.5])[0])) == 3
