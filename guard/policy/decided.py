"""A text that two sides have decided, and the flips among them that are worth a look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heappush, heappushpop

from guard.policy.comparison import Effect, Example
from guard.policy.evaluate import Outcome, decided_score
from guard.policy.pairs import Pair
from guard.policy.policy import Rule
from guard.records import LABELS, Record
from guard.types import Action

_NONCOMPLIANT = LABELS[1]


@dataclass(frozen=True, slots=True)
class Decided:
    """A pair that both sides have decided.

    Attributes:
        pair: The records.
        old: What the old side makes of the old one.
        new: What the new side makes of the new one.
        label: The truth about the whole decision; None if it is not known.
    """

    pair: Pair
    old: Outcome
    new: Outcome
    label: str | None

    @property
    def stricter(self) -> bool:
        """True for a flip towards a stronger action."""
        return self.new.action.strength > self.old.action.strength

    @property
    def looser(self) -> bool:
        """True for a flip towards a weaker action."""
        return self.new.action.strength < self.old.action.strength

    @property
    def stronger(self) -> Outcome:
        """The outcome whose rules explain the flip: it takes a rule to act, and none to do nothing."""
        return self.new if self.stricter else self.old

    @property
    def effect(self) -> Effect:
        """What the flip means for the label."""
        if self.label is None:
            return Effect.UNKNOWN
        if (self.old.action is Action.ALLOW) is (self.new.action is Action.ALLOW):
            return Effect.NONE
        return Effect.GAIN if self.stricter is (self.label == _NONCOMPLIANT) else Effect.LOSS


@dataclass(slots=True, order=True)
class _Ranked:
    """An example with its rank: the lowest is given up first."""

    rank: tuple[bool, bool, float, int]
    decided: Decided = field(compare=False)
    rule: Rule = field(compare=False)


class TopExamples:
    """The best examples of each kind of flip, in bounded memory. Used once, by one thread."""

    def __init__(self, size: int) -> None:
        """Hold nothing yet.

        Args:
            size: How many of each kind to keep, >= 0.
        """
        self._size = size
        self._kinds: dict[tuple[Action, Action], list[_Ranked]] = {}
        self._count = 0

    def add(self, decided: Decided) -> None:
        """Consider a flip."""
        if not self._size:
            return
        self._count += 1
        record = decided.pair.new if decided.stricter else decided.pair.old
        clearest = max(decided.stronger.acting, key=lambda rule: (_best(rule, record) or 0.0) - rule.threshold)
        margin = (_best(clearest, record) or 0.0) - clearest.threshold
        effect = decided.effect
        # Among equals the earlier record wins.
        rank = (effect is Effect.LOSS, effect is not Effect.GAIN, margin, -self._count)
        kept = self._kinds.setdefault((decided.old.action, decided.new.action), [])
        put: Callable[[list[_Ranked], _Ranked], object] = heappush if len(kept) < self._size else heappushpop
        put(kept, _Ranked(rank, decided, clearest))

    def examples(self) -> Iterator[Example]:
        """The kept ones: by kind, losses before others, then the clearest first."""
        kinds = sorted(self._kinds.items(), key=lambda item: [action.strength for action in item[0]])
        for _, kept in kinds:
            for ranked in sorted(kept, reverse=True):
                yield _example(ranked.decided, ranked.rule)


def _example(decided: Decided, rule: Rule) -> Example:
    pair = decided.pair
    return Example(
        id=pair.new.id,
        old=decided.old.action,
        new=decided.new.action,
        effect=decided.effect,
        label=decided.label,
        direction=pair.new.direction,
        language=pair.new.lang,
        rule=rule.id,
        category=rule.category,
        old_score=_best(rule, pair.old),
        new_score=_best(rule, pair.new),
        threshold=rule.threshold,
        text=pair.old.text if pair.new.text is None else pair.new.text,
    )


def _best(rule: Rule, record: Record) -> float | None:
    return decided_score(rule, record.scores, record.detections)
