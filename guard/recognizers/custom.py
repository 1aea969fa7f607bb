"""Recognizers of a policy's own: patterns for what only its owner looks for, such as staff or contract numbers.

Patterns are RE2, which matches in linear time whatever the pattern and the text: who writes a policy cannot stop the
guard with a slow one. They see the text as the built-in recognizers do, normalised.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import re2

from guard.normalize import normalize
from guard.recognizers.checksums import Checksum
from guard.recognizers.labels import surroundings
from guard.recognizers.match import Match
from guard.types import CUSTOM

# What a match without any of its context words is worth.
_WITHOUT_CONTEXT = 0.5

# Texts that show a pattern which matches nothing at all somewhere: \b, ^ and x* do.
_PROBES = ("", "a 1", "中")


class BadPattern(ValueError):
    """A pattern that cannot be used; ``args`` are what is wrong and its cure."""


@dataclass(frozen=True, slots=True)
class Custom:
    """A recognizer of a policy's own. Immutable, thread-safe.

    Attributes:
        name: Unique among the policy's and the built-in recognizers.
        patterns: Compiled by :func:`compile_pattern`.
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


def compile_pattern(pattern: str) -> Any:
    """An RE2 pattern, ready to be searched for.

    Raises:
        BadPattern: It is none, it can never match because normalisation changes its characters, or it matches
            without a character.
    """
    folded = normalize(pattern).text
    if folded != pattern:
        raise BadPattern(
            "the pattern has characters that no normalised text has",
            rf"write it as {folded}, or code points as \x{{...}}",
        )
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0]
        said = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise BadPattern(f"not an RE2 pattern: {said}", "see github.com/google/re2/wiki/Syntax") from None
    if any(m.end() == m.start() for probe in _PROBES for m in compiled.finditer(probe)):
        raise BadPattern("the pattern matches without any character", "let it need one, as + does in place of *")
    return compiled


def fold_words(words: list[str]) -> tuple[str, ...]:
    """Context words as they are looked for: normalised, in lower case."""
    return tuple(normalize(word).text.lower() for word in words)
