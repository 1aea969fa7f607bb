"""What a comparison of two sides says: the values that :mod:`guard.policy.diff` gives. Immutable."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from guard.types import Action, Direction


class Effect(StrEnum):
    """What a flip means for the truth of its record.

    A noncompliant text is decided rightly if it is not allowed, a compliant one if it is; ``none`` is a flip
    between two decisions that are equally right, such as from rewrite to block.
    """

    LOSS = "loss"
    NONE = "none"
    UNKNOWN = "unknown"
    GAIN = "gain"


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of a group of records.

    Attributes:
        records: How many.
        stopped_old: How many the old side does not allow.
        stopped_new: How many the new side does not allow.
        stricter: Flips towards a stronger action.
        looser: Flips towards a weaker one.
        labelled: How many have a label that can judge a whole decision.
        gains: Flips that made a decision right.
        losses: Flips that made a decision wrong.
        p: Two-sided p-value of McNemar's test of gains against losses; 1 where there are neither. Not
            corrected for the number of groups that somebody looks at.
    """

    records: int
    stopped_old: int
    stopped_new: int
    stricter: int
    looser: int
    labelled: int
    gains: int
    losses: int
    p: float


@dataclass(frozen=True, slots=True)
class Flip:
    """Records whose action changed in one way.

    Attributes:
        old: The action before.
        new: The action after.
        records: How many.
        compliant: How many of them are labelled so.
        noncompliant: As for compliant; the others have no label that can judge them.
    """

    old: Action
    new: Action
    records: int
    compliant: int
    noncompliant: int


@dataclass(frozen=True, slots=True)
class RuleChange:
    """What a rule had to do with the flips.

    A flip counts for every rule behind the stronger of its two actions, so the rules' sums may exceed the flips.

    Attributes:
        id: The rule's.
        fired_old: Records where it fired on the old side, in shadow too; None if that policy has no such rule.
        fired_new: As for the new side.
        stricter: Flips towards the rule's action.
        looser: Flips away from it.
        gains: Those of them that made a decision right.
        losses: Those of them that made a decision wrong.
    """

    id: str
    fired_old: int | None
    fired_new: int | None
    stricter: int
    looser: int
    gains: int
    losses: int


@dataclass(frozen=True, slots=True)
class Slice:
    """The records that share a property: ``direction``, ``language`` or ``tags.NAME``."""

    key: str
    value: str
    tally: Tally


@dataclass(frozen=True, slots=True)
class Example:
    """One flip.

    Attributes:
        id: The record's.
        old: Action before.
        new: Action after.
        effect: What that means for its label.
        label: The label; None if there is none.
        direction: The text's.
        language: The text's.
        rule: Of the rules behind the stronger action, the one whose score is farthest above its threshold.
        category: What the rule looks at.
        old_score: The highest score that the rule looks at before; None if there was none.
        new_score: The same after.
        threshold: The rule's.
        text: The text, if the record has it.
    """

    id: str
    old: Action
    new: Action
    effect: Effect
    label: str | None
    direction: Direction
    language: str
    rule: str
    category: str
    old_score: float | None
    new_score: float | None
    threshold: float
    text: str | None


@dataclass(frozen=True, slots=True)
class Side:
    """Who decided: ``name@revision`` of a policy and of a model; the model is empty without records."""

    policy: str
    model: str


@dataclass(frozen=True, slots=True)
class Diff:
    """A comparison.

    Attributes:
        old: The side before.
        new: The side after.
        total: All compared records.
        compliant: Those that are labelled so; its ``stopped`` are false alarms.
        noncompliant: Those that are labelled so; its ``stopped`` are found.
        flips: By kind, the most frequent first.
        rules: Those that fired at all, the ones with most flips first.
        slices: By key and, within it, by flips.
        examples: Of each kind of flip the first ones, losses before others and the clearest first.
        notes: What was left out or may mislead, one line each.
    """

    old: Side
    new: Side
    total: Tally
    compliant: Tally
    noncompliant: Tally
    flips: tuple[Flip, ...]
    rules: tuple[RuleChange, ...]
    slices: tuple[Slice, ...]
    examples: tuple[Example, ...]
    notes: tuple[str, ...]

    @property
    def flipped(self) -> int:
        """Records whose action changed."""
        return self.total.stricter + self.total.looser
