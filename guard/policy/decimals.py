"""Numbers that people can read: the shortest decimal between two scores."""

from __future__ import annotations

from decimal import Decimal
from math import floor

_FEWEST, _MOST = 2, 17


def between(low: float, high: float) -> float:
    """A threshold above one score and not above another, with as few decimals as do.

    Args:
        low: The highest score that must stay below it; may be negative where there is none.
        high: The lowest score that must reach it, 0..1; above ``low``.

    Returns:
        Of the shortest decimals in ``(low, high]``, two places at least, one nearest to the middle.
    """
    below = max(low, 0.0)
    for places in range(_FEWEST, _MOST + 1):
        scale = 10.0**places
        middle = floor((below + high) / 2 * scale + 0.5)
        for numerator in (middle, middle + 1, middle - 1, floor(high * scale)):
            value = round(numerator / scale, places)
            if below < value <= high:
                return value
    return high


def written(threshold: float) -> str:
    """A threshold as a policy file has it: without exponent, two places at least, not a digit lost."""
    text = format(Decimal(repr(threshold)), "f")
    whole, _, places = text.partition(".")
    return f"{whole}.{places.ljust(_FEWEST, '0')}"
