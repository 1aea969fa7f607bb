"""Scores and detections in, outcome out: the one place where a policy decides. Pure.

Every matching rule fires and the strongest action wins (block > rewrite > allow); the order of the rules
decides nothing but which of several messages is shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from guard.errors import InternalError
from guard.policy.policy import Mode, Policy, Rule
from guard.types import Action, Detection, Direction, FiredRule, Span

#: Shown where neither the rules that fired nor the policy have a message.
BUILT_IN_MESSAGE: Mapping[str, str] = {
    "en": "Sorry, I can't help with that. Is there something else I can do for you?",
    "zh": "抱歉，这个内容我无法提供帮助。还有别的可以帮到您的吗？",
}


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a rule that rewrites found what it looks for.

    Attributes:
        span: In code points of the original.
        category: What was found.
        rule: The rule's id.
    """

    span: Span
    category: str
    rule: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a policy makes of one text.

    Attributes:
        action: The strongest action of the rules that fired and act; allow if there is none.
        rules: Every rule that fired, in the file's order, shadow rules included.
        acting: The rules behind ``action``: fired, not in shadow, and asking for exactly it.
        places: What to rewrite, sorted. Empty unless the action is a rewrite of the text itself: a template
            replaces the whole text with the message.
    """

    action: Action
    rules: tuple[FiredRule, ...]
    acting: tuple[Rule, ...]
    places: tuple[Place, ...] = ()

    @property
    def spans(self) -> tuple[Span, ...]:
        """The spans of the places, sorted, each once."""
        return tuple(sorted({place.span for place in self.places}))

    @property
    def answers(self) -> bool:
        """True if a message stands for the text."""
        return any(rule.answers for rule in self.acting)


def evaluate(
    policy: Policy, direction: Direction, scores: Mapping[str, float], detections: Sequence[Detection]
) -> Outcome:
    """Decide one text.

    Args:
        policy: The policy that decides.
        direction: The text's direction.
        scores: Category -> probability, 0..1; a category that is missing scores nothing.
        detections: Places in the text; a category counts with the higher of its score and its detections'.

    Returns:
        The outcome. A rule fires at most once: a parent that matches several children names the one that
        scores highest.

    Raises:
        InternalError: A score is not a finite number, so nothing can be said about the text.
    """
    best = _best_scores(scores, detections)
    fired = list(_fire(policy.rules, direction, best))
    if policy.mode is Mode.SHADOW:
        silent = tuple(_fired_rule(rule, hit, shadow=True) for rule, hit in fired)
        return Outcome(Action.ALLOW, silent, ())
    live = [rule for rule, _ in fired if not rule.shadow]
    action = max((rule.action for rule in live), key=lambda a: a.strength, default=Action.ALLOW)
    acting = tuple(rule for rule in live if rule.action is action)
    return Outcome(
        action,
        tuple(_fired_rule(rule, hit, shadow=rule.shadow) for rule, hit in fired),
        acting,
        _places(action, acting, detections),
    )


def message_for(policy: Policy, outcome: Outcome, language: str) -> str:
    """The text to show instead of a screened one.

    The strongest rule that fired, acts and has a message of its own decides (the first in the file among
    equals), even where a stronger one without a message blocks: a person in distress then still reads the
    words that were written for them. Then the policy's message, then the built-in one. A message that
    lacks the language is shown in the one that it has.

    Args:
        policy: The policy that decided.
        outcome: Its outcome.
        language: ``zh``, ``en`` or ``other``; other counts as ``en``.
    """
    live = {fired.id for fired in outcome.rules if not fired.shadow}
    own = [rule for rule in policy.rules if rule.id in live and rule.message and rule.action is not Action.ALLOW]
    own.sort(key=lambda rule: -rule.action.strength)
    for message in (*(rule.message for rule in own), policy.message, BUILT_IN_MESSAGE):
        if message:
            key = "zh" if language == "zh" else "en"
            return message[key] if key in message else next(iter(message.values()))
    raise AssertionError("the built-in message is not empty")


def _best_scores(scores: Mapping[str, float], detections: Sequence[Detection]) -> dict[str, float]:
    best: dict[str, float] = {}
    for category, score in (*scores.items(), *((d.category, d.score) for d in detections)):
        # Compared with a threshold, NaN is never high enough: it would pass every text.
        if not math.isfinite(score):
            raise InternalError(f"the score of {category} is not a finite number (the text counts as unscreened)")
        best[category] = max(score, best.get(category, score))
    return best


def _fire(
    rules: Sequence[Rule], direction: Direction, best: Mapping[str, float]
) -> Iterator[tuple[Rule, tuple[str, float]]]:
    for rule in rules:
        if not rule.applies_to(direction):
            continue
        hits = [(category, score) for category, score in best.items() if rule.matches(category)]
        if not hits:
            continue
        top = max(hits, key=lambda hit: hit[1])
        if top[1] >= rule.threshold:
            yield rule, top


def _fired_rule(rule: Rule, hit: tuple[str, float], *, shadow: bool) -> FiredRule:
    category, score = hit
    return FiredRule(rule.id, category, score, rule.threshold, rule.action, shadow)


def _places(action: Action, acting: Sequence[Rule], detections: Sequence[Detection]) -> tuple[Place, ...]:
    if action is not Action.REWRITE or any(rule.answers for rule in acting):
        return ()
    return tuple(
        sorted(
            {
                Place(found.span, found.category, rule.id)
                for found in detections
                for rule in acting
                if rule.matches(found.category) and found.score >= rule.threshold
            }
        )
    )
