"""Scores and detections in, outcome out: the one place where a policy decides. Pure.

Every matching rule fires and the strongest action wins (block > rewrite > allow); the order of the rules
decides nothing but which of several messages is shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from guard.errors import InternalError
from guard.language import OTHER
from guard.policy.policy import Mode, Policy, Rule
from guard.types import Action, Detection, Direction, FiredRule, Span

#: Shown where neither the rules that fired nor the policy have a message.
BUILT_IN_MESSAGE: Mapping[str, str] = {
    "en": "Sorry, I can't help with that. Is there something else I can do for you?",
    "zh": "抱歉，这个内容我无法提供帮助。还有别的可以帮到您的吗？",
}
_NO_TAGS: Mapping[str, str] = {}


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
    policy: Policy,
    direction: Direction,
    scores: Mapping[str, float],
    detections: Sequence[Detection],
    *,
    language: str = OTHER,
    tags: Mapping[str, str] = _NO_TAGS,
) -> Outcome:
    """Decide one text.

    Args:
        policy: The policy that decides.
        direction: The text's direction.
        scores: Category -> probability, 0..1; a category that is missing scores nothing. A rule with allow-terms is
            decided by its ``allow_category`` where that has a score.
        detections: Places in the text; a category counts with the higher of its score and its detections'.
        language: ``zh``, ``en`` or ``other``, for the rules that ask.
        tags: The content's tags, for the rules that ask.

    Returns:
        The outcome. A rule fires at most once: a parent that matches several children names the one that
        scores highest.

    Raises:
        InternalError: A score is not a finite number, so nothing can be said about the text.
    """
    best = _best_scores(scores, detections)
    asked = [rule for rule in policy.rules if rule.concerns(direction, language, tags)]
    fired = list(_fire(asked, scores, best))
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
        _places(action, acting, scores, detections),
    )


def rule_score(rule: Rule, scores: Mapping[str, float], detections: Iterable[Detection]) -> float | None:
    """The highest score that a rule looks at, 0..1, its allow-terms aside; None if there is none."""
    found = [score for category, score in scores.items() if rule.matches(category)]
    found += [found.score for found in detections if rule.matches(found.category)]
    return max(found, default=None)


def decided_score(rule: Rule, scores: Mapping[str, float], detections: Iterable[Detection]) -> float | None:
    """What a rule is compared by, 0..1: :func:`rule_score`, or what is left of it without its allow-terms."""
    left = scores.get(rule.allow_category)
    return rule_score(rule, scores, detections) if left is None else left


def counted(rule: Rule, detections: Sequence[Detection]) -> list[Detection]:
    """What was found for a rule, without what lies inside one of its allow-terms."""
    own = [found for found in detections if rule.matches(found.category)]
    allowed = [found.span for found in detections if found.category == rule.allow_terms]
    if not allowed:
        return own
    return [d for d in own if not any(a.start <= d.span.start and d.span.end <= a.end for a in allowed)]


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
    rules: Sequence[Rule], scores: Mapping[str, float], best: Mapping[str, float]
) -> Iterator[tuple[Rule, tuple[str, float]]]:
    below = _by_parent(best)
    for rule in rules:
        hits = list(below.get(rule.category, ()))
        if rule.term_category in best:
            hits.append((rule.term_category, best[rule.term_category]))
        if not hits:
            continue
        category, score = max(hits, key=lambda hit: hit[1])
        score = scores.get(rule.allow_category, score)
        if score >= rule.threshold:
            yield rule, (category, score)


def _by_parent(best: Mapping[str, float]) -> dict[str, list[tuple[str, float]]]:
    """What :meth:`Rule.matches` says, for all rules at once: category -> the scores of it and of its children."""
    below: dict[str, list[tuple[str, float]]] = {}
    for category, score in best.items():
        name = category
        while name:
            below.setdefault(name, []).append((category, score))
            name = name.rpartition(".")[0]
    return below


def _fired_rule(rule: Rule, hit: tuple[str, float], *, shadow: bool) -> FiredRule:
    category, score = hit
    return FiredRule(rule.id, category, score, rule.threshold, rule.action, shadow)


def _places(
    action: Action, acting: Sequence[Rule], scores: Mapping[str, float], detections: Sequence[Detection]
) -> tuple[Place, ...]:
    if action is not Action.REWRITE or any(rule.answers for rule in acting):
        return ()
    places: set[Place] = set()
    for rule in acting:
        found = counted(rule, detections) if rule.allow_category in scores else detections
        places.update(
            Place(d.span, d.category, rule.id) for d in found if rule.matches(d.category) and d.score >= rule.threshold
        )
    return tuple(sorted(places))
