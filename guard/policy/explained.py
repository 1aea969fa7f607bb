"""What an explanation says: the values that :mod:`guard.policy.explain` gives. Immutable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from guard.normalize import Step
from guard.types import Action, Detection, Direction, Span


class Need(StrEnum):
    """What has to change."""

    #: The rule's score has to fall below its threshold, or the threshold has to rise above the score.
    FALL = "fall"
    #: The rule's score has to reach its threshold, or the threshold has to come down to the score.
    REACH = "reach"
    #: The rule fires and is in shadow: it has to act.
    ACT = "act"
    #: The policy's mode has to be enforce.
    ENFORCE = "enforce"


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that has to change; of :attr:`Need.ENFORCE` there is no rule.

    Attributes:
        need: What.
        rule: Id of the rule.
        score: Its score, 0..1; None if there is none.
        threshold: Its threshold, 0..1.
    """

    need: Need
    rule: str = ""
    score: float | None = None
    threshold: float = 0.0


@dataclass(frozen=True, slots=True)
class Change:
    """Another action and what it takes, all of it; nothing if no rule asks for the action."""

    action: Action
    conditions: tuple[Condition, ...]

    @property
    def possible(self) -> bool:
        """True if the policy has a way to this action."""
        return bool(self.conditions)


@dataclass(frozen=True, slots=True)
class ChunkPart:
    """A piece of the text as the classifier read it.

    Attributes:
        span: In code points of the ORIGINAL.
        tokens: Model tokens.
        scores: Calibrated as part of the text: its score is the highest of its chunks'.
        peaks: By category where the token stands that scores highest, in code points of the ORIGINAL.
    """

    span: Span
    tokens: int
    scores: Mapping[str, float]
    peaks: Mapping[str, Span]


@dataclass(frozen=True, slots=True)
class RuleView:
    """What one rule made of the text.

    Attributes:
        id: The rule's.
        action: What it asks for.
        shadow: True if it does not act.
        category: What it looks at, or the child of it that scores highest.
        score: What it was compared by, 0..1; None if nothing of its category was scored or found.
        threshold: It fires from here on, 0..1.
        margin: ``score - threshold``; None without a score.
        fired: True if it fired.
        lifted: True if it would have fired but for its allow-terms.
        not_asked: Why it was not asked: ``direction``, ``lang`` or ``tags``; empty if it was.
        chunk: Number of the chunk that gave the score, from 1; None if it was no chunk's.
        peak: Where the highest token of that chunk stands, in code points of the ORIGINAL.
    """

    id: str
    action: Action
    shadow: bool
    category: str
    score: float | None
    threshold: float
    margin: float | None
    fired: bool
    lifted: bool = False
    not_asked: str = ""
    chunk: int | None = None
    peak: Span | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """One decision, explained.

    Attributes:
        policy: ``name@revision``.
        model: ``name@revision``.
        direction: The text's.
        language: ``zh``, ``en`` or ``other``.
        turns: Turns of context that were given.
        tokens: Model tokens of the text.
        action: What was decided.
        output_text: What may be passed on.
        message: True if that is the policy's message.
        decided_by: Ids of the rules behind the action; none where nothing fired that acts.
        degraded: True if the text could not be screened and ``on_error`` decided.
        second_screening: True if the masked text was screened again and blocked.
        shadow_mode: True if the policy only reports.
        steps: What normalisation changed, step by step.
        chunks: How the classifier read it.
        scores: Every category's, the highest first.
        detections: Places that were found.
        rules: Every rule, the nearest to firing first; those that were not asked at the end.
        changes: The other actions.
    """

    policy: str
    model: str
    direction: Direction
    language: str
    turns: int
    tokens: int
    action: Action
    output_text: str
    message: bool
    decided_by: tuple[str, ...]
    degraded: bool
    second_screening: bool
    shadow_mode: bool
    steps: tuple[Step, ...]
    chunks: tuple[ChunkPart, ...]
    scores: Mapping[str, float]
    detections: tuple[Detection, ...]
    rules: tuple[RuleView, ...]
    changes: tuple[Change, ...]
