"""Rewrite from here, block from there: rungs that move together."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from guard.policy.ladder import ladders, upper_rung
from tests.policy.build import policy_of


def test_rules_on_one_category_and_direction_are_a_ladder() -> None:
    """The lowest threshold first; what does not act stands alone."""
    policy = policy_of(
        "id: a, category: hate, threshold: 0.9, action: block",
        "id: b, category: hate, threshold: 0.6, action: rewrite",
        "id: c, category: hate, threshold: 0.5, action: block, shadow: true",
        "id: d, category: hate, threshold: 0.4, action: allow",
        "id: e, category: hate, threshold: 0.3, action: block, direction: output",
        "id: f, category: violence, threshold: 0.3, action: block",
    )
    found = [[rule.id for rule in ladder.rungs] for ladder in ladders(policy.rules)]
    assert found == [["b", "a"], ["c"], ["d"], ["e"], ["f"]]


def test_a_rung_keeps_its_share_of_what_the_ladder_stops() -> None:
    """Of ten stopped texts four were blocked; of fifty it are twenty."""
    scores = np.arange(100) / 100
    rung = upper_rung(scores, 0.9, 0.5, 0.96)
    assert [int(np.sum(scores >= threshold)) for threshold in (0.96, rung)] == [4, 20]


def test_a_rung_stays_where_the_lowest_does() -> None:
    """And where nothing says how much it has to stop, but never below the lowest."""
    scores = np.array([0.1, 0.2, -np.inf])
    assert upper_rung(scores, 0.5, 0.5, 0.9) == 0.9
    assert upper_rung(scores, 0.5, 0.15, 0.9) == 0.9
    assert upper_rung(scores, 0.5, 0.95, 0.9) == 0.95


@given(st.lists(st.floats(0, 1), max_size=30), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_rungs_stay_in_order(scores: list[float], base: float, new_base: float, above: float) -> None:
    """Whatever the scores, a rung is a legal threshold and not below the lowest."""
    rung = upper_rung(np.array(scores), base, new_base, max(base, above))
    assert new_base <= rung <= 1.0
