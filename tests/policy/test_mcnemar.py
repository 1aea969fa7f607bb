"""McNemar's test, against values that were worked out by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.policy.mcnemar import mcnemar

_COUNTS = st.integers(0, 3000)


@pytest.mark.parametrize(
    ("gains", "losses", "p"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),  # 2 * 1/2
        (2, 0, 0.5),  # 2 * 1/4
        (6, 0, 0.03125),  # 2 * 1/64
        (5, 1, 0.21875),  # 2 * (1 + 6)/64
        (10, 2, 0.03857421875),  # 2 * (1 + 12 + 66)/4096
        (7, 3, 0.34375),  # 2 * (1 + 10 + 45 + 120)/1024
        (5, 5, 1.0),  # both tails meet in the middle
    ],
)
def test_few_changes_are_counted_exactly(gains: int, losses: int, p: float) -> None:
    """Up to 1000 changes the p-value is the binomial's, two-sided."""
    assert mcnemar(gains, losses) == p


def test_many_changes_take_chi_square_with_the_correction() -> None:
    """600 against 450: (150 - 1)^2 / 1050 = 21.1438, whose tail with one degree of freedom is erfc(sqrt(x / 2))."""
    assert mcnemar(600, 450) == pytest.approx(4.2623e-6, rel=1e-3)
    assert mcnemar(600, 450) == pytest.approx(math.erfc(math.sqrt(149**2 / 1050 / 2)))
    assert mcnemar(600, 600) == 1.0


def test_the_two_ways_meet() -> None:
    """Around the border the approximation is as good as the exact count for every use."""
    assert mcnemar(540, 461) == pytest.approx(mcnemar(540, 460), rel=0.1)


@given(_COUNTS, _COUNTS)
def test_it_is_a_probability_and_symmetric(gains: int, losses: int) -> None:
    """Gains and losses are two names for one question, and no count leaves the range."""
    p = mcnemar(gains, losses)
    assert 0 <= p <= 1 and p == mcnemar(losses, gains)


def test_negative_counts_are_refused() -> None:
    """A count below zero is a defect of the caller."""
    with pytest.raises(ValueError, match="0 or more"):
        mcnemar(-1, 3)
