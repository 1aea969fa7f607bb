"""Places that have begun at the end of a text and are not decided: with more text they may be what a rule hides. Pure.

A slice of a stream ends where it was cut, so a value that is longer than what is held of it matches no pattern yet. Its
beginning must not leave before it is known what it becomes. What no rule acts on holds nothing back.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, replace

from guard.language import EN, OTHER, ZH
from guard.normalize import Normalized, normalize
from guard.policy.policy import Mode, Policy, Rule
from guard.recognizers import RECOGNIZERS, Recognizer
from guard.types import Action, Direction, FiredRule, Span
from guard.unfinished import Unfinished, unfinished, unfinished_re2


@dataclass(frozen=True, slots=True)
class Opened:
    """A place that the end of a text cuts off.

    Attributes:
        start: Code point of the text where it begins.
        rule: What would act on it.
        category: What it would be.
        own: True if a pattern of the policy's own looks for it, which may be begun by any text.
    """

    start: int
    rule: Rule
    category: str
    own: bool

    @property
    def fired(self) -> FiredRule:
        """The rule as if the place had been found; how sure a recognizer would be is not known."""
        rule = self.rule
        return FiredRule(rule.id, self.category, rule.threshold, rule.threshold, rule.action)


@dataclass(frozen=True, slots=True)
class _Kind:
    rule: Rule
    category: str
    own: bool
    searches: tuple[Unfinished, ...]


class Openings:
    """Looks for such places, for one policy and one direction. Immutable, thread-safe."""

    def __init__(self, policy: Policy, direction: Direction, tags: Mapping[str, str]) -> None:
        """Choose what matters.

        Args:
            policy: Says what is acted on.
            direction: Of the text.
            tags: Of the content.
        """
        rules = [
            rule
            for rule in policy.rules
            if policy.mode is Mode.ENFORCE and not rule.shadow and rule.action is not Action.ALLOW
            if any(rule.concerns(direction, language, tags) for language in (EN, ZH, OTHER))
        ]
        kinds = []
        for recognizer, own in (
            *((one, False) for one in RECOGNIZERS.values()),
            *((c, True) for c in policy.recognizers),
        ):
            rule = next((rule for rule in rules if rule.matches(recognizer.category)), None)
            if rule:
                kinds.append(_Kind(rule, recognizer.category, own, _searches(recognizer, own)))
        self._terms = policy.terms
        self._term_rules: dict[str, Rule] = {}
        for category, pattern in policy.terms.patterns if policy.terms else ():
            rule = next((rule for rule in rules if rule.matches(category)), None)
            search = unfinished_re2(pattern, any_case=True)
            if rule and search:
                kinds.append(_Kind(rule, category, True, (search,)))
        for category in policy.terms.categories if policy.terms else ():
            rule = next((rule for rule in rules if rule.matches(category)), None)
            if rule:
                self._term_rules[category] = rule
        self._kinds = tuple(kinds)

    def first(self, text: str, part: Span) -> tuple[Opened, ...]:
        """Of each kind the place that begins first.

        Args:
            text: The text, not normalised.
            part: Where it is to begin, in code points of the text.
        """
        normalized = normalize(text)
        low, high = _within(normalized, part)
        found = []
        for kind in self._kinds:
            starts = [at for search in kind.searches if (at := search.find(normalized.text, low, high)) is not None]
            if starts:
                found.append(Opened(min(starts), kind.rule, kind.category, kind.own))
        if self._terms and self._term_rules:
            # A term is never longer than so much, so it is no more a guess than a built-in form is.
            for category, at in self._terms.begun(normalized.text, low, high).items():
                if category in self._term_rules:
                    found.append(Opened(at, self._term_rules[category], category, False))
        return tuple(replace(one, start=normalized.original_span(one.start, one.start + 1).start) for one in found)


def prepare() -> None:
    """Compile what streams may ask for, so that none waits for it."""
    for recognizer in RECOGNIZERS.values():
        for search in _searches(recognizer, False):
            search.compile()


def _searches(recognizer: Recognizer, own: bool) -> tuple[Unfinished, ...]:
    if not own:
        return tuple(unfinished(pattern.pattern, pattern.flags) for pattern in recognizer.patterns)
    return tuple(search for pattern in recognizer.patterns if (search := unfinished_re2(pattern.pattern)))


def _within(normalized: Normalized, part: Span) -> tuple[int, int]:
    if normalized.starts is None:
        return part.start, min(part.end, len(normalized.text))
    return bisect_left(normalized.starts, part.start), bisect_left(normalized.starts, part.end)
