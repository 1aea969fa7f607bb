"""Thresholds of several rules that meet a goal together: the search behind ``guard policy tune``. Pure, numpy only.

A text is stopped if any rule fires, so thresholds cannot be chosen one by one: where two rules stop the same harmless
text it costs once. Choosing them is a budgeted maximum coverage, for which no fast exact method is known. With few
rules every combination is looked at, which is exact. With more the search starts from the steps that find most for
what they cost (Khuller, Moss & Naor 1999), and then looks at every combination of two rules at a time, the others
fixed, until none is better; at last each rule alone at every score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod

import numpy as np
from numpy.typing import NDArray

from guard.policy.goal import Goal
from guard.policy.labelled import Bools, Floats
from guard.policy.search import Search, Tally, levels

#: Combinations that are looked at one by one.
_CELLS = 1_000_000
#: Thresholds a rule is tried at, beside another one; the last step tries them all.
_LEVELS = 200
#: Records of the search by pairs: a sample of more gives the same thresholds but for the last step.
_SAMPLE = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What thresholds are chosen on.

    Attributes:
        scores: For each threshold to be chosen the score of every record, -inf where it has none; each [records].
        positive: True for a record that should be stopped, False for one that should not, [records].
        stopped: True where something that is not to be chosen stops it already, [records].
        group: The group of a record, 0.. , [records]; the goal's bound holds in each of them.
    """

    scores: tuple[Floats, ...]
    positive: Bools
    stopped: Bools
    group: NDArray[np.int8]


def fit(evidence: Evidence, goal: Goal, start: Sequence[float]) -> tuple[float, ...]:
    """Choose the thresholds.

    Args:
        evidence: At least one threshold's; positives and negatives of one group or more.
        goal: What they are chosen for.
        start: The thresholds now, from which the search starts as well.

    Returns:
        For each the lowest score on which it has to fire; infinity if it need not fire on any. Where the bound
        cannot be met, those that come nearest.
    """
    # Nothing can be above 1, and a rule fires at its threshold: these are stopped whatever is chosen.
    stopped = evidence.stopped | np.any([scores >= 1.0 for scores in evidence.scores], axis=0)
    open_ = np.flatnonzero(~stopped)
    tally = Tally.of(evidence.positive, stopped, evidence.group)
    segment = 2 * evidence.group[open_].astype(np.int64) + evidence.positive[open_]
    scores = [column[open_] for column in evidence.scores]
    candidates = [levels(column, segment, tally.room(goal)) for column in scores]

    if prod(len(found) + 1 for found in candidates) <= _CELLS:
        exact = Search(scores, segment, candidates, goal, tally)
        exact.improve(range(len(candidates)))
        return exact.thresholds()

    cap = _LEVELS if len(candidates) > 2 else int(_CELLS ** (1 / len(candidates)))
    thin = [found[np.unique(np.linspace(0, len(found) - 1, min(cap, len(found))).astype(int))] for found in candidates]
    sample = _Sample.of(scores, segment, candidates, 2 * len(tally.negatives))
    found = _by_pairs(scores, segment, thin, goal, tally, sample, start)
    last = Search(scores, segment, candidates, goal, tally)
    last.move_to(found)
    last.sweep([(index,) for index in range(len(candidates))])
    return last.thresholds()


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    """A part of the records that some threshold reaches, of each segment as many as there is room for.

    Attributes:
        chosen: Their indexes.
        weight: How many records each stands for, [segments].
        spared: Records that no threshold reaches, [segments].
    """

    chosen: NDArray[np.intp]
    weight: Floats
    spared: Floats

    @classmethod
    def of(
        cls, scores: Sequence[Floats], segment: NDArray[np.int64], candidates: Sequence[Floats], segments: int
    ) -> _Sample:
        reached = np.zeros(len(segment), bool)
        for column, found in zip(scores, candidates, strict=True):
            if len(found):
                reached |= column >= found[-1]
        spared = np.bincount(segment[~reached], minlength=segments).astype(np.float64)
        chance, chosen, weight = np.random.default_rng(0), [], np.ones(segments)
        for index in range(segments):
            members = np.flatnonzero(reached & (segment == index))
            size = min(len(members), _SAMPLE // segments)
            if size < len(members):
                weight[index] = len(members) / size
                members = chance.choice(members, size, replace=False)
            chosen.append(np.sort(members))
        return cls(np.concatenate(chosen), weight, spared)


def _by_pairs(
    scores: list[Floats],
    segment: NDArray[np.int64],
    candidates: list[Floats],
    goal: Goal,
    tally: Tally,
    sample: _Sample,
    start: Sequence[float],
) -> tuple[float, ...]:
    """The better of two searches by pairs, on a sample of the records."""
    pairs = list(combinations(range(len(candidates)), min(2, len(candidates))))
    columns, kinds = [column[sample.chosen] for column in scores], segment[sample.chosen]
    greedy, current = (Search(columns, kinds, candidates, goal, tally, sample.weight, sample.spared) for _ in range(2))
    greedy.climb()
    current.move_to(start)
    for search in (greedy, current):
        search.sweep(pairs)
    return min((greedy, current), key=lambda search: search.standing()).thresholds()
