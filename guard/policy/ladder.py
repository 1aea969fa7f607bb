"""Rules that stand on one another: rewrite from here, block from there, on one category and the same texts. Pure.

The lowest rung decides which texts are not allowed, so it is the one whose threshold is searched for. The rungs above
only say what becomes of these texts: each keeps the share of them that it had.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from guard.policy.decimals import between
from guard.policy.eval import acts
from guard.policy.labelled import Floats
from guard.policy.policy import Rule


@dataclass(frozen=True, slots=True)
class Ladder:
    """Rules on one category and direction, the lowest threshold first; one that does not act stands alone."""

    rungs: tuple[Rule, ...]

    @property
    def base(self) -> Rule:
        """The lowest rung."""
        return self.rungs[0]


def ladders(rules: Iterable[Rule]) -> list[Ladder]:
    """The rules as ladders, in the order of the first rung in the file."""
    found: dict[tuple[object, ...], list[Rule]] = {}
    for rule in rules:
        alike = (rule.direction, rule.category, rule.when, rule.term_category, rule.allow_category)
        place = alike if acts(rule) else (rule.id,)
        found.setdefault(place, []).append(rule)
    return [Ladder(tuple(sorted(rungs, key=lambda rule: rule.threshold))) for rungs in found.values()]


def upper_rung(scores: Floats, base: float, new_base: float, rung: float) -> float:
    """Where a rung stands when the lowest one has moved: it keeps its share of what the ladder stops.

    Args:
        scores: Scores of the ladder's records, labelled or not, [n]; -inf where there is none.
        base: The lowest rung before.
        new_base: The lowest rung now.
        rung: The rung before, ``base`` or more.

    Returns:
        The rung now, ``new_base`` or more.
    """
    stopped, stopped_now = int(np.sum(scores >= base)), int(np.sum(scores >= new_base))
    if new_base == base or not stopped:
        return max(rung, new_base)
    share = int(np.sum(scores >= rung)) / stopped
    ranked = np.sort(scores[scores >= new_base])[::-1]
    wanted = round(share * stopped_now)
    high = float(ranked[wanted - 1]) if wanted else 1.0
    below = ranked[ranked < high]
    low = float(below[0]) if len(below) else -1.0
    if low < rung <= high:
        return max(rung, new_base)
    return max(between(low, high), new_base) if low < high else high
