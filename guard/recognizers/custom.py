"""Recognizers of a policy's own: patterns for what only its owner looks for, such as staff or contract numbers.

Patterns are RE2, which matches in linear time whatever the pattern and the text: who writes a policy cannot stop the
guard with a slow one. They see the text as the built-in recognizers do, normalised.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from guard.normalize import normalize
from guard.recognizers.checksums import Checksum
from guard.recognizers.labels import surroundings
from guard.recognizers.match import Match
from guard.types import CUSTOM

# What a match without any of its context words is worth.
_WITHOUT_CONTEXT = 0.5


@dataclass(frozen=True, slots=True)
class Custom:
    """A recognizer of a policy's own. Immutable, thread-safe.

    Attributes:
        name: Unique among the policy's and the built-in recognizers.
        patterns: Compiled by :func:`guard.patterns.compile_pattern`.
        score: What a match scores, 0..1; half of it where there are context words and none stands near by.
        checksum: What a match's letters and digits must satisfy; None for no check.
        context: Words one of which stands near a sure match, normalised and in lower case.
    """

    name: str
    patterns: tuple[Any, ...]
    score: float
    checksum: Checksum | None = None
    context: tuple[str, ...] = ()

    @property
    def category(self) -> str:
        """What rules name it."""
        return f"{CUSTOM}.{self.name}"

    def find(self, text: str) -> list[Match]:
        """Every match in a normalised text; of those that overlap :func:`guard.recognizers.detect` keeps one."""
        return [
            Match(m.start(), m.end(), self._score(text, m.start(), m.end()))
            for pattern in self.patterns
            for m in pattern.finditer(text)
            if m.end() > m.start() and (self.checksum is None or self.checksum(re.sub("[^0-9A-Za-z]", "", m[0])))
        ]

    def _score(self, text: str, start: int, end: int) -> float:
        if not self.context:
            return self.score
        around = surroundings(text, start, end)
        return self.score if any(word in around for word in self.context) else self.score * _WITHOUT_CONTEXT


def fold_words(words: list[str]) -> tuple[str, ...]:
    """Context words as they are looked for: normalised, in lower case."""
    return tuple(normalize(word).text.lower() for word in words)
