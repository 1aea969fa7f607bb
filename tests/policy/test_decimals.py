"""The shortest decimal between two scores, and how a policy file has it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.policy.decimals import between, written


@given(st.floats(-1, 1), st.floats(0, 1))
def test_it_lies_above_the_one_and_not_above_the_other(low: float, high: float) -> None:
    """Whatever the scores are, even neighbouring floats."""
    if low < high:
        assert low < between(low, high) <= high


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.5, 0.6, 0.55),
        (0.5, 0.51, 0.51),
        (0.851, 0.859, 0.855),
        (0.123456, 0.123459, 0.123458),
        (-math.inf, 0.95, 0.48),
        (0.97, 1.0, 0.99),
        (-1.0, 0.0, 0.0),
        (-math.inf, 0.001, 0.001),
    ],
)
def test_it_has_as_few_decimals_as_do(low: float, high: float, expected: float) -> None:
    """Two at least, and near the middle; with no score below, the middle from 0."""
    assert between(low, high) == expected


@given(st.floats(0, 1))
def test_what_is_written_is_read_back(value: float) -> None:
    """Not a digit is lost, and there is no exponent."""
    assert float(written(value)) == value
    assert "e" not in written(value).lower()


def test_two_places_at_least() -> None:
    """As people write thresholds."""
    assert [written(value) for value in (0.5, 1.0, 0.85, 1e-05)] == ["0.50", "1.00", "0.85", "0.00001"]
