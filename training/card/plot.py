"""Plots as plain text, so that a card shows them wherever it is read: on a web page, in an editor, in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_WIDTH = 40


def reliability(bins: Iterable[Mapping[str, Any]], columns: int = _WIDTH) -> str:
    """A reliability diagram on its side, one line a bin.

    The bar is the share of violations among the texts of the bin, ``o`` their mean score: of a calibrated model the
    ``o`` stands where the bar ends.

    Args:
        bins: ``low, high, count, mean_score, share_positive`` (0..1) each, as :class:`guard.metrics.Bin`.
        columns: Width of the bar that stands for 1.
    """
    head = f"{'score':<11}{'texts':>7}{'mean':>7}{'share':>7}  0{'violations':^{columns}}1"
    lines = [
        f"{b['low']:.2f}-{b['high']:.2f}  {b['count']:>7}{b['mean_score']:>7.3f}{b['share_positive']:>7.3f}  "
        f"|{_bar(b['share_positive'], b['mean_score'], columns)}|"
        for b in bins
    ]
    return "\n".join(["```text", head, *lines, "```"])


def _bar(share: float, mark: float, columns: int) -> str:
    """``=`` up to a share of the width, ``o`` at a mark."""
    filled = round(share * columns)
    line = ["="] * filled + [" "] * (columns - filled)
    line[min(columns - 1, max(0, round(mark * columns) - 1))] = "o"
    return "".join(line)
