"""What a pattern has begun and the end of a text cuts off: a search for it, made from the pattern. Pure.

Of a pattern ``abc`` the search finds ``a``, ``ab`` and ``abc`` where the text ends behind them, and nothing
elsewhere. It may find more than could ever become a match (what a pattern wants to see behind it is not checked where
it has come), and never less. It is written in the pattern's own language, Python's or RE2, from its structure alone:
what stands for one character (a letter, a class, an escape) is taken over as it is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from guard.pattern_tree import Ahead, Choice, Node, One, Place, Repeat, read_pattern, times
from guard.patterns import Unreadable, compile_pattern

# Single characters in a row are listed and not nested: both languages bound how deep a pattern may be.
_ROW = 16


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Looks for what one pattern has begun at the end of a text. Immutable, thread-safe.

    Attributes:
        source: The pattern of it, in the language of ``flags``.
        flags: Those of Python's pattern, or None for one of RE2.
        any_case: Whether RE2 matches in any case.
        longest: Code points of the longest match with what it looks at behind it; None if there is no bound.
    """

    source: str
    flags: int | None
    any_case: bool
    longest: int | None

    def find(self, text: str, low: int, high: int) -> int | None:
        """Where the first of it begins.

        Args:
            text: What may go on behind its end.
            low: First code point that it may begin at.
            high: One past the last one.
        """
        if self.longest is not None:
            low = max(low, len(text) - self.longest)
        if low >= high:
            return None
        found = self.compile().search(text, low)
        return found.start() if found and found.start() < high else None

    def compile(self) -> Any:
        """The pattern itself, compiled when it is asked for first: a form shorter than the lookahead never is."""
        return _compiled(self.source, self.flags, self.any_case)


@lru_cache(maxsize=4096)
def _compiled(source: str, flags: int | None, any_case: bool) -> Any:
    return compile_pattern(source, any_case=any_case) if flags is None else re.compile(source, flags)


@lru_cache(maxsize=4096)
def unfinished(pattern: str, flags: int = 0) -> Unfinished:
    """The search for what a pattern of Python's has begun."""
    rows = read_pattern(pattern)
    return Unfinished(_begun(rows, r"\Z"), flags, False, _longest(rows))


@lru_cache(maxsize=4096)
def unfinished_re2(pattern: str, *, any_case: bool = False) -> Unfinished | None:
    """The search for what a pattern of RE2 has begun; None if it is too large for that, or cannot be read."""
    try:
        rows = read_pattern(pattern)
        found = Unfinished(_begun(rows, r"\z"), None, any_case, _longest(rows))
        _compiled(found.source, None, any_case)
    except (ValueError, RecursionError, Unreadable):
        return None
    return found


def _begun(choice: Choice, end: str) -> str:
    """A pattern of what the alternatives may have begun where the text ends."""
    begun = "|".join(_begun_row(row, end) for row in choice.rows)
    return f"{choice.opens}{begun})"


def _begun_row(row: Sequence[Node], end: str) -> str:
    if not row:
        return end
    head, rest = row[0], row[1:]
    if isinstance(head, One):
        return _begun_ones(row, end)
    if isinstance(head, Place):
        return f"(?:{end}|{head.source}(?:{_begun_row(rest, end)}))"
    if isinstance(head, Ahead):
        return f"(?:{_begun(Choice(head.choice.rows), end)}|{_begun_row(rest, end)})"
    if isinstance(head, Choice):
        return f"(?:{_begun(head, end)}|{head.source}(?:{_begun_row(rest, end)}))"
    return _begun_repeat(head, rest, end)


def _begun_ones(row: Sequence[Node], end: str) -> str:
    ones = list(_leading(row))
    parts = [end, *("".join(ones[:count]) + end for count in range(1, len(ones)))]
    return f"(?:{'|'.join(parts)}|{''.join(ones)}(?:{_begun_row(row[len(ones) :], end)}))"


def _leading(row: Sequence[Node]) -> Iterator[str]:
    for node in row[:_ROW]:
        if not isinstance(node, One):
            return
        yield node.source


def _begun_repeat(head: Repeat, rest: Sequence[Node], end: str) -> str:
    behind = f"{head.source}(?:{_begun_row(rest, end)})"
    if head.high == 0:
        return _begun_row(rest, end)
    if isinstance(head.node, One):
        return f"(?:{head.node.source}{times(0, head.high)}{end}|{behind})"
    before = f"{head.node.source}{times(0, None if head.high is None else head.high - 1)}"
    return f"(?:{before}{_begun(head.node, end)}|{behind})"


def _longest(node: Node | Sequence[Node]) -> int | None:
    """Code points of the longest match, what it looks at behind it included; None if there is no bound."""
    if isinstance(node, One):
        return 1
    if isinstance(node, Place):
        return 0
    if isinstance(node, Ahead):
        return _longest(node.choice)
    if isinstance(node, Choice):
        rows = [_longest(row) for row in node.rows]
        return None if None in rows else max((row for row in rows if row is not None), default=0)
    if isinstance(node, Repeat):
        one = _longest(node.node)
        return None if one is None or node.high is None else one * node.high
    parts = [_longest(part) for part in node]
    return None if None in parts else sum(part for part in parts if part is not None)
