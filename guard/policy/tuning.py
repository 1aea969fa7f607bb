"""What tuning says: the values that :mod:`guard.policy.tune` gives. Immutable."""

from __future__ import annotations

from dataclasses import dataclass

from guard.policy.goal import Goal
from guard.policy.measures import Measures
from guard.types import Action


@dataclass(frozen=True, slots=True)
class Change:
    """Measures before and after the thresholds are changed, on the same records."""

    before: Measures
    after: Measures


@dataclass(frozen=True, slots=True)
class RuleTuning:
    """What tuning makes of one rule.

    Attributes:
        id: The rule's.
        category: What it looks at.
        direction: ``prompt``, ``output`` or ``both``.
        action: What it asks for.
        shadow: True if it does not act.
        old: Its threshold in the file.
        new: Its threshold now; the old one if it was left alone or serves the goal as it is.
        left_alone: Why it was not tuned; empty if it was.
        positives: Records of the fitted part in its category.
        negatives: Records of the fitted part that are not.
        held_out: The rule against its own truth, on records that the thresholds were not chosen on.
    """

    id: str
    category: str
    direction: str
    action: Action
    shadow: bool
    old: float
    new: float
    left_alone: str
    positives: int
    negatives: int
    held_out: Change


@dataclass(frozen=True, slots=True)
class DirectionTuning:
    """The whole policy in one direction: "not allowed" against the label.

    Attributes:
        direction: ``prompt`` or ``output``.
        tuned: True if a rule of the direction was tuned; the goal is asked of no other.
        met: True if the goal's bound holds on the fitted part, or nothing was tuned. With the bound on every rule
            of its own: if it holds for all that were tuned.
        fitted: On the records that the thresholds were chosen on.
        held_out: On the others.
    """

    direction: str
    tuned: bool
    met: bool
    fitted: Change
    held_out: Change


@dataclass(frozen=True, slots=True)
class TunedPart:
    """The thresholds that were chosen on some of the records.

    Attributes:
        language: Their language; None for all languages together.
        fitted: Records that the thresholds were chosen on.
        held_out: Records that they are reported on.
        directions: The directions that have records.
        rules: Every rule that has records, in the file's order.
    """

    language: str | None
    fitted: int
    held_out: int
    directions: tuple[DirectionTuning, ...]
    rules: tuple[RuleTuning, ...]


@dataclass(frozen=True, slots=True)
class Tuning:
    """Chosen thresholds.

    Attributes:
        policy: ``name@revision``.
        model: ``name@revision`` of the scores.
        goal: What they were chosen for.
        per_rule: True if the goal was asked of every rule of its own, False if of the whole policy.
        holdout: Share of the records that was kept to report on; at 0 it is reported on what was fitted.
        parts: One, or one a language.
        notes: What was left out or may mislead, one line each.
    """

    policy: str
    model: str
    goal: Goal
    per_rule: bool
    holdout: float
    parts: tuple[TunedPart, ...]
    notes: tuple[str, ...]

    @property
    def met(self) -> bool:
        """True if the goal's bound holds wherever something was tuned."""
        return all(direction.met for part in self.parts for direction in part.directions)

    def thresholds(self) -> dict[str, float]:
        """Rule id -> the new threshold, for the rules that change and are chosen for all of their records at once.

        With parts by language a rule that stands in several of them has no single threshold: see :meth:`divided`.
        """
        divided = self.divided()
        return {
            rule.id: rule.new
            for part in self.parts
            for rule in part.rules
            if rule.new != rule.old and rule.id not in divided
        }

    def divided(self) -> tuple[str, ...]:
        """Rules for which the parts do not agree on one threshold, in the file's order."""
        chosen: dict[str, set[float]] = {}
        for part in self.parts:
            for rule in part.rules:
                chosen.setdefault(rule.id, set()).add(rule.new)
        return tuple(name for name, found in chosen.items() if len(found) > 1)
