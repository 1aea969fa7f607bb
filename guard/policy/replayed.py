"""What a replay says: the values that :mod:`guard.policy.replay` gives. Immutable."""

from __future__ import annotations

from dataclasses import dataclass

from guard.types import Action


@dataclass(frozen=True, slots=True)
class ActionCount:
    """How often an action was logged, and how often the policy would have taken it."""

    action: Action
    logged: int
    now: int


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How often a rule fired.

    Attributes:
        id: The rule's.
        action: What it asks for.
        shadow: True if it would not act.
        logged: Records whose log says that a rule of this name fired.
        now: Records on which it would have fired.
        undecidable: Records on which that needs the text.
    """

    id: str
    action: Action
    shadow: bool
    logged: int
    now: int
    undecidable: int


@dataclass(frozen=True, slots=True)
class Change:
    """Decisions that change in one way."""

    logged: Action
    now: Action
    records: int


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour of the log, in UTC.

    Attributes:
        hour: Its beginning, in ISO 8601.
        records: Decisions.
        stopped_logged: Logged ones that did not allow.
        rewrite: What the policy would have rewritten.
        block: What it would have blocked.
        changed: Decisions that change.
        undecidable: Decisions that need the text.
    """

    hour: str
    records: int
    stopped_logged: int
    rewrite: int
    block: int
    changed: int
    undecidable: int


@dataclass(frozen=True, slots=True)
class ChangedDecision:
    """One decision that changes.

    Attributes:
        id: The record's.
        time: When it was decided, in ISO 8601.
        logged: What was decided.
        now: What would have been.
        rules: What fires now and acts or, where nothing does, what fired and acted then.
        text: The text, if the log has it.
    """

    id: str
    time: str
    logged: Action
    now: Action
    rules: tuple[str, ...]
    text: str | None


@dataclass(frozen=True, slots=True)
class Replay:
    """A policy on logged traffic.

    Attributes:
        policy: ``name@revision``.
        model: ``name@revision`` of the scores.
        logged_policies: Who decided then, with the number of decisions, the most frequent first.
        records: Logged decisions.
        changed: Decisions that change.
        undecidable: Decisions that would be as counted here or stronger, or that an allow-term might weaken, which
            needs the text to be known.
        actions: By action.
        changes: By kind, the most frequent first.
        rules: In the policy's order.
        hours: In their order; hours without decisions are left out.
        examples: Of each kind of change the first ones.
        notes: What was left out or may mislead, one line each.
    """

    policy: str
    model: str
    logged_policies: tuple[tuple[str, int], ...]
    records: int
    changed: int
    undecidable: int
    actions: tuple[ActionCount, ...]
    changes: tuple[Change, ...]
    rules: tuple[RuleCount, ...]
    hours: tuple[Hour, ...]
    examples: tuple[ChangedDecision, ...]
    notes: tuple[str, ...]
