"""The search for thresholds: where each of them stands, what that stops, and what would be better. Numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, prod

import numpy as np
from numpy.typing import NDArray

from guard.policy.goal import Aim, Goal
from guard.policy.labelled import Bools, Floats

_SWEEPS = 30
_STEPS = 2000
#: Counts are whole, a bound on their share need not be: 0.1 * 30 is 3, whatever floats say.
_ROUNDING = 1e-9
#: What sums of weighted records may be off by.
_NOISE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """Records of each group.

    Attributes:
        positives: Those that should be stopped, [groups].
        negatives: Those that should not, [groups].
        false_alarms: Those of them that are stopped whatever is chosen, [groups].
    """

    positives: Floats
    negatives: Floats
    false_alarms: Floats

    @classmethod
    def of(cls, positive: Bools, stopped: Bools, group: NDArray[np.int8]) -> Tally:
        """Count records.

        Args:
            positive: True for a record that should be stopped, [records].
            stopped: True where it is, whatever is chosen, [records].
            group: 0 .. , [records].
        """
        groups = int(group.max(initial=0)) + 1

        def count(members: Bools) -> Floats:
            return np.bincount(group[members], minlength=groups).astype(np.float64)

        return cls(count(positive), count(~positive), count(~positive & stopped))

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


def levels(scores: Floats, segment: NDArray[np.int64], room: Floats) -> Floats:
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
    worth: Floats = values[last][found & dearer & inside]
    return worth


class Search:
    """Where every threshold stands, and what that stops. Used once.

    A threshold at level k is at its k-th highest candidate and fires on k parts of the records; at 0 on none.
    """

    def __init__(
        self,
        scores: Sequence[Floats],
        segment: NDArray[np.int64],
        levels: Sequence[Floats],
        goal: Goal,
        tally: Tally,
        weight: Floats | None = None,
        spared: Floats | None = None,
    ) -> None:
        """Begin with thresholds that fire on nothing.

        Args:
            scores: For each threshold those of the records, [records].
            segment: Twice a record's group, and one more if it is positive, [records].
            levels: For each threshold its candidates, descending.
            goal: What is good.
            tally: All records, also those that are not looked at here.
            weight: How many records each of these stands for, [segments]; one if not given.
            spared: Records of each segment that no threshold reaches, beside these; none if not given.
        """
        self._levels = levels
        self._goal, self._tally = goal, tally
        self._segments = 2 * len(tally.negatives)
        self._weight: Floats = np.ones(self._segments) if weight is None else weight
        #: From which level on a record is stopped by each; as many as there are levels: by none.
        reach = [
            np.searchsorted(-found, -column, side="left").astype(np.int32)
            for found, column in zip(levels, scores, strict=True)
        ]
        reachable = np.any([r < len(found) for r, found in zip(reach, levels, strict=True)], axis=0)
        self._reach = [r[reachable] for r in reach]
        self._segment = segment[reachable]
        # What no threshold reaches is missed, or spared, in any case.
        self._spared: Floats = np.bincount(segment[~reachable], minlength=self._segments) * self._weight
        self._spared += 0.0 if spared is None else spared
        self._at = [0] * len(levels)
        self._stops = np.zeros(len(self._segment), np.int16)

    def thresholds(self) -> tuple[float, ...]:
        """The lowest score on which each fires; infinity where it fires on none."""
        return tuple(
            float(found[k - 1]) if k else float("inf") for found, k in zip(self._levels, self._at, strict=True)
        )

    def standing(self) -> tuple[float, float, float]:
        """How good the thresholds are; the smaller the better."""
        broken, first, second = self._judge(self._missed() + self._spared)
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
        extra = [1] * len(shape)
        missed = cells * self._weight.reshape(-1, *extra) + self._spared.reshape(-1, *extra)
        best = _first_least(self._judge(missed))
        for index, level in zip(subset, np.unravel_index(best, shape), strict=True):
            self._move(index, int(level))

    def climb(self) -> None:
        """From no threshold at all, take again and again the step that finds most for what it costs."""
        parts = [
            self._count(self._segment * (len(found) + 1) + r, len(found) + 1)
            for r, found in zip(self._reach, self._levels, strict=True)
        ]
        room = self._tally.room(self._goal)
        needed = np.full(len(room), np.inf)
        if self._goal.aim is Aim.MIN_RECALL:
            found_already = self._tally.positives - (self._spared + self._missed())[1::2]
            needed = self._tally.needed(self._goal) - found_already
        for _ in range(_STEPS):
            step = self._best_step(parts, room, needed)
            if step is None:
                return
            index, level = step
            fresh = np.flatnonzero((self._stops == 0) & (self._reach[index] < level))
            self._move(index, level)
            gone = np.bincount(self._segment[fresh], minlength=self._segments) * self._weight
            room, needed = room - gone[0::2], needed - gone[1::2]
            for part, r, found in zip(parts, self._reach, self._levels, strict=True):
                part -= self._count(self._segment[fresh] * (len(found) + 1) + r[fresh], len(found) + 1)

    def _count(self, place: NDArray[np.int64], width: int) -> Floats:
        """Records by segment and level, [segments, levels]."""
        counted = np.bincount(place, minlength=self._segments * width).reshape(self._segments, width)
        return counted * self._weight[:, None]

    def _missed(self) -> Floats:
        missed: Floats = np.bincount(self._segment[self._stops == 0], minlength=self._segments) * self._weight
        return missed

    def _best_step(self, parts: Sequence[Floats], room: Floats, needed: Floats) -> tuple[int, int] | None:
        best, step = 0.0, None
        for index, part in enumerate(parts):
            at = self._at[index]
            ahead = np.cumsum(part[:, at:-1], axis=1)
            if not ahead.shape[1]:
                continue
            costs, gains = ahead[0::2], np.minimum(ahead[1::2], np.maximum(needed, 0.0)[:, None]).sum(axis=0)
            total = costs.sum(axis=0)
            worth = np.where(np.all(costs <= room[:, None] + _ROUNDING, axis=0), gains / (total + _ROUNDING), 0.0)
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
            return np.maximum(alarms - tally.allowed(goal).reshape(-1, *extra) - _NOISE, 0.0).sum(axis=0), recall, cost
        return np.maximum(tally.needed(goal).reshape(-1, *extra) - found - _NOISE, 0.0).sum(axis=0), cost, recall


def _first_least(keys: tuple[Floats, Floats, Floats]) -> int:
    """Index of the least of three-part keys in a flat order; the first of equals, which fires least."""
    left = np.arange(keys[0].size)
    for key in keys:
        values = key.ravel()[left]
        left = left[values == values.min()]
    return int(left[0])
