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
from enum import StrEnum
from itertools import combinations
from math import ceil, floor, prod

import numpy as np
from numpy.typing import NDArray

from guard.policy.labelled import Bools, Floats

#: Combinations that are looked at one by one.
_CELLS = 1_000_000
#: Thresholds a rule is tried at, beside another one; the last step tries them all.
_LEVELS = 200
#: Records of the search by pairs: a sample of more gives the same thresholds but for the last step.
_SAMPLE = 100_000
_SWEEPS = 30
_STEPS = 2000
#: Counts are whole, a bound on their share need not be: 0.1 * 30 is 3, whatever floats say.
_ROUNDING = 1e-9


class Aim(StrEnum):
    """What is asked of the thresholds."""

    MAX_FPR = "max_fpr"
    MIN_RECALL = "min_recall"
    COST = "cost"


@dataclass(frozen=True, slots=True)
class Goal:
    """What thresholds are chosen for.

    Attributes:
        aim: A bound on false alarms, under which recall is maximised; a bound on recall, under which false alarms
            are minimised; or the least cost.
        bound: The bound, 0..1; not read for a cost.
        fp: What a false alarm costs, >= 0; read for a cost only.
        fn: What a missed text costs, >= 0.
    """

    aim: Aim
    bound: float = 0.0
    fp: float = 1.0
    fn: float = 1.0


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
    groups = int(evidence.group.max(initial=0)) + 1
    tally = _Tally.of(evidence, stopped, groups)
    segment = 2 * evidence.group[open_].astype(np.int64) + evidence.positive[open_]
    scores = [column[open_] for column in evidence.scores]
    levels = [_levels(column, segment, tally.room(goal)) for column in scores]

    if prod(len(found) + 1 for found in levels) <= _CELLS:
        exact = _Search(scores, segment, levels, goal, tally)
        exact.improve(range(len(levels)))
        return exact.thresholds()

    cap = _LEVELS if len(levels) > 2 else int(_CELLS ** (1 / len(levels)))
    chosen = np.arange(len(open_))
    if len(open_) > _SAMPLE:
        chosen = np.sort(np.random.default_rng(0).choice(len(open_), _SAMPLE, replace=False))
    thin = [found[np.unique(np.linspace(0, len(found) - 1, min(cap, len(found))).astype(int))] for found in levels]
    found = _by_pairs([column[chosen] for column in scores], segment[chosen], thin, goal, tally, len(open_), start)

    last = _Search(scores, segment, levels, goal, tally)
    last.move_to(found)
    last.sweep([(index,) for index in range(len(levels))])
    return last.thresholds()


def _by_pairs(
    scores: list[Floats],
    segment: NDArray[np.int64],
    levels: list[Floats],
    goal: Goal,
    tally: _Tally,
    records: int,
    start: Sequence[float],
) -> tuple[float, ...]:
    """The better of two searches by pairs, on a sample of ``records`` records."""
    weight = records / max(1, len(segment))
    pairs = list(combinations(range(len(levels)), min(2, len(levels))))
    greedy = _Search(scores, segment, levels, goal, tally, weight)
    greedy.climb()
    current = _Search(scores, segment, levels, goal, tally, weight)
    current.move_to(start)
    for search in (greedy, current):
        search.sweep(pairs)
    return min((greedy, current), key=lambda search: search.standing()).thresholds()


@dataclass(frozen=True, slots=True, eq=False)
class _Tally:
    """Records of each group: all of them, and those that are stopped whatever is chosen; each [groups]."""

    positives: Floats
    negatives: Floats
    false_alarms: Floats

    @classmethod
    def of(cls, evidence: Evidence, stopped: Bools, groups: int) -> _Tally:
        def count(members: Bools) -> Floats:
            return np.bincount(evidence.group[members], minlength=groups).astype(np.float64)

        return cls(count(evidence.positive), count(~evidence.positive), count(~evidence.positive & stopped))

    def allowed(self, goal: Goal) -> Floats:
        """False alarms that the goal allows, [groups]."""
        return np.array([floor(goal.bound * n + _ROUNDING) for n in self.negatives], np.float64)

    def needed(self, goal: Goal) -> Floats:
        """Positives that the goal asks for, [groups]."""
        return np.array([ceil(goal.bound * n - _ROUNDING) for n in self.positives], np.float64)

    def room(self, goal: Goal) -> Floats:
        """False alarms that a threshold may add, [groups]; none where the bound is broken already."""
        if goal.aim is not Aim.MAX_FPR:
            return np.full(len(self.negatives), np.inf)
        return np.maximum(self.allowed(goal) - self.false_alarms, 0.0)


def _levels(scores: Floats, segment: NDArray[np.int64], room: Floats) -> Floats:
    """The scores that are worth a threshold, descending.

    One that finds nothing more than the next higher one is not, and neither is one below which more is found for
    nothing; nor one that alone takes more room than there is.
    """
    scored = np.flatnonzero(np.isfinite(scores))
    order = scored[np.argsort(-scores[scored], kind="stable")]
    if not len(order):
        return np.empty(0)
    values, kinds = scores[order], segment[order]
    last = np.append(np.flatnonzero(values[1:] != values[:-1]), len(values) - 1)
    found = np.diff(np.cumsum(kinds % 2)[last], prepend=0) > 0
    costs = np.array([np.cumsum(kinds == 2 * group)[last] for group in range(len(room))])
    inside = np.all(costs <= room[:, None], axis=0)
    dearer = np.append(np.any(np.diff(costs, axis=1) > 0, axis=0), True)
    return values[last][found & dearer & inside]


class _Search:
    """Where every threshold stands, and what that stops. Used once.

    A threshold at level k is at its k-th highest candidate and fires on k parts of the records; at 0 on none.
    """

    def __init__(
        self,
        scores: Sequence[Floats],
        segment: NDArray[np.int64],
        levels: Sequence[Floats],
        goal: Goal,
        tally: _Tally,
        weight: float = 1.0,
    ) -> None:
        self._levels = levels
        self._goal, self._tally, self._weight = goal, tally, weight
        #: From which level on a record is stopped by each; as many as there are levels: by none.
        reach = [
            np.searchsorted(-found, -column, side="left").astype(np.int32)
            for found, column in zip(levels, scores, strict=True)
        ]
        reachable = np.any([r < len(found) for r, found in zip(reach, levels, strict=True)], axis=0)
        self._reach = [r[reachable] for r in reach]
        self._segment = segment[reachable]
        self._segments = 2 * len(tally.negatives)
        # What no threshold reaches is missed, or spared, in any case.
        self._spared = np.bincount(segment[~reachable], minlength=self._segments) * weight
        self._at = [0] * len(levels)
        self._stops = np.zeros(len(self._segment), np.int16)

    def thresholds(self) -> tuple[float, ...]:
        """The lowest score on which each fires; infinity where it fires on none."""
        return tuple(
            float(found[k - 1]) if k else float("inf") for found, k in zip(self._levels, self._at, strict=True)
        )

    def standing(self) -> tuple[float, float, float]:
        """How good the thresholds are; the smaller the better."""
        missed = np.bincount(self._segment[self._stops == 0], minlength=self._segments) * self._weight
        broken, first, second = self._judge(missed + self._spared)
        return float(broken), float(first), float(second)

    def move_to(self, thresholds: Sequence[float]) -> None:
        """Put every threshold to its nearest level from above."""
        for index, threshold in enumerate(thresholds):
            self._move(index, int(np.sum(self._levels[index] >= threshold)))

    def sweep(self, subsets: Sequence[tuple[int, ...]]) -> None:
        """Improve subsets in turn until none gets better."""
        before = self.standing()
        for _ in range(_SWEEPS):
            for subset in subsets:
                self.improve(subset)
            now = self.standing()
            if now >= before:
                return
            before = now

    def improve(self, subset: Sequence[int]) -> None:
        """Put the thresholds of a subset where they are best together, the others fixed."""
        others = self._stops.copy()
        for index in subset:
            others -= self._reach[index] < self._at[index]
        open_ = np.flatnonzero(others == 0)
        shape = tuple(len(self._levels[index]) + 1 for index in subset)
        place = self._segment[open_]
        for index, size in zip(subset, shape, strict=True):
            place = place * size + self._reach[index][open_]
        cells = np.bincount(place, minlength=self._segments * prod(shape)).reshape(self._segments, *shape)
        # Summed from the far end, a cell holds what is not stopped with the thresholds at its levels.
        for axis in range(1, len(shape) + 1):
            cells = np.flip(np.cumsum(np.flip(cells, axis), axis), axis)
        missed = cells * self._weight + self._spared.reshape(-1, *[1] * len(shape))
        best = _first_least(self._judge(missed))
        for index, level in zip(subset, np.unravel_index(best, shape), strict=True):
            self._move(index, int(level))

    def climb(self) -> None:
        """From no threshold at all, take again and again the step that finds most for what it costs."""
        parts = [
            np.bincount(self._segment * (len(found) + 1) + r, minlength=self._segments * (len(found) + 1)).reshape(
                self._segments, -1
            )
            for r, found in zip(self._reach, self._levels, strict=True)
        ]
        room = self._tally.room(self._goal) / self._weight
        needed = np.full(len(room), np.inf)
        if self._goal.aim is Aim.MIN_RECALL:
            found = self._tally.positives - (self._spared[1::2] + self._missed()[1::2])
            needed = self._tally.needed(self._goal) - found
        for _ in range(_STEPS):
            step = self._best_step(parts, room, needed)
            if step is None:
                return
            index, level = step
            fresh = np.flatnonzero((self._stops == 0) & (self._reach[index] < level))
            self._move(index, level)
            gone = np.bincount(self._segment[fresh], minlength=self._segments)
            room, needed = room - gone[0::2], needed - gone[1::2] * self._weight
            for part, r, found_levels in zip(parts, self._reach, self._levels, strict=True):
                size = len(found_levels) + 1
                part -= np.bincount(self._segment[fresh] * size + r[fresh], minlength=part.size).reshape(part.shape)

    def _missed(self) -> Floats:
        return np.bincount(self._segment[self._stops == 0], minlength=self._segments) * self._weight

    def _best_step(self, parts: Sequence[NDArray[np.intp]], room: Floats, needed: Floats) -> tuple[int, int] | None:
        best, step = 0.0, None
        for index, part in enumerate(parts):
            at = self._at[index]
            ahead = np.cumsum(part[:, at:-1], axis=1)
            if not ahead.shape[1]:
                continue
            costs, gains = ahead[0::2], np.minimum(ahead[1::2], np.maximum(needed, 0.0)[:, None]).sum(axis=0)
            total = costs.sum(axis=0)
            worth = np.where(np.all(costs <= room[:, None], axis=0), gains / (total + _ROUNDING), 0.0)
            if self._goal.aim is Aim.COST:
                worth = np.where(self._goal.fn * gains > self._goal.fp * total, worth, 0.0)
            top = int(np.argmax(worth))
            if worth[top] > best:
                best, step = float(worth[top]), (index, at + top + 1)
        return step

    def _move(self, index: int, level: int) -> None:
        reach = self._reach[index]
        self._stops += (reach < level).astype(np.int16) - (reach < self._at[index])
        self._at[index] = level

    def _judge(self, missed: Floats) -> tuple[Floats, Floats, Floats]:
        """What is not stopped, [segments, ...], as three numbers to be made small, the first one first; each [...]."""
        tally, goal = self._tally, self._goal
        extra = [1] * (missed.ndim - 1)
        found = tally.positives.reshape(-1, *extra) - missed[1::2]
        alarms = tally.negatives.reshape(-1, *extra) - missed[0::2]
        recall, cost = -found.sum(axis=0), alarms.sum(axis=0)
        if goal.aim is Aim.COST:
            return np.zeros_like(cost), goal.fp * cost - goal.fn * -recall, cost
        if goal.aim is Aim.MAX_FPR:
            return np.maximum(alarms - tally.allowed(goal).reshape(-1, *extra), 0.0).sum(axis=0), recall, cost
        return np.maximum(tally.needed(goal).reshape(-1, *extra) - found, 0.0).sum(axis=0), cost, recall


def _first_least(keys: tuple[Floats, Floats, Floats]) -> int:
    """Index of the least of three-part keys in a flat order; the first of equals, which fires least."""
    left = np.arange(keys[0].size)
    for key in keys:
        values = key.ravel()[left]
        left = left[values == values.min()]
    return int(left[0])
