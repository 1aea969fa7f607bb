"""Ratios with what was asked of them, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.bench import page


@dataclass(frozen=True, slots=True)
class Ratio:
    """Two things measured side by side in one run.

    Attributes:
        what: What was measured.
        measured: Ours, with its unit.
        beside: What it is compared with, with its unit.
        ratio: Ours over the other's; the median where there were rounds.
        low: A quarter of the rounds lie below; the ratio itself if there was one round.
        high: A quarter lie above.
        asked: The bound.
        at_most: Whether the bound is an upper one.
    """

    what: str
    measured: str
    beside: str
    ratio: float
    low: float
    high: float
    asked: float
    at_most: bool

    @property
    def reached(self) -> bool:
        """Whether the ratio keeps its bound."""
        return self.ratio <= self.asked if self.at_most else self.ratio >= self.asked

    def cells(self) -> tuple[str, ...]:
        """Its line of the table."""
        spread = "" if self.low == self.high else f" ({self.low:.2f}-{self.high:.2f})"
        bound = f"{'≤' if self.at_most else '≥'} {self.asked:g}"
        return (
            self.what,
            self.measured,
            self.beside,
            f"{self.ratio:.2f}{spread}",
            bound,
            "yes" if self.reached else "**no**",
        )


def rounds(
    what: str, measured: str, beside: str, ratios: Sequence[float], *, at_most: float | None = None, at_least: float = 0
) -> Ratio:
    """A ratio from those of several rounds, or of one."""
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    asked = at_least if at_most is None else at_most
    return Ratio(what, measured, beside, float(middle), float(low), float(high), asked, at_most is not None)


def ratio_table(ratios: Sequence[Ratio]) -> str:
    """The ratios as Markdown."""
    head = ("", "measured", "beside", "ratio (quartiles)", "asked", "reached")
    return page.table(head, [ratio.cells() for ratio in ratios])
