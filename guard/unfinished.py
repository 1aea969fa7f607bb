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
from typing import Any, TypeAlias

from guard.patterns import Unreadable, compile_pattern

# Escapes that stand for a place and for no character.
_PLACES = "bBAZz"
_REPEAT = re.compile(r"[*+?]|\{([0-9]+)(,?)([0-9]*)\}")
# Another mark behind a repeat makes it lazy or greedy to the end, which changes nothing of what it can match.
_MANNER = re.compile(r"[?+]?")
_GROUP = re.compile(r"\?(?:(P?<[A-Za-z_]\w*>)|(:)|(<?[=!])|([a-zA-Z-]+)([:)]))")
_ESCAPE = re.compile(
    r"\\(?:x\{[0-9A-Fa-f]+\}|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[pP]\{[^}]*\}|[pP].|.)", re.DOTALL
)
_CLASS = re.compile(r"\[\^?\]?(?:\[:\^?[a-z]+:\]|\\.|[^\]\\])*\]", re.DOTALL)
# Single characters in a row are listed and not nested: both languages bound how deep a pattern may be.
_ROW = 16


@dataclass(frozen=True, slots=True)
class _One:
    """What stands for one character."""

    source: str


@dataclass(frozen=True, slots=True)
class _Place:
    """What stands for no character: an anchor, a look back, flags."""

    source: str


@dataclass(frozen=True, slots=True)
class _Ahead:
    """A look ahead: it decides as long as its text has not come."""

    choice: _Choice


@dataclass(frozen=True, slots=True)
class _Choice:
    """Alternatives in a group, with how it opens."""

    rows: tuple[tuple[_Node, ...], ...]
    opens: str = "(?:"

    @property
    def source(self) -> str:
        return f"{self.opens}{'|'.join(map(_source, self.rows))})"


@dataclass(frozen=True, slots=True)
class _Repeat:
    """Something so many times; no bound if ``high`` is None."""

    node: _One | _Choice
    low: int
    high: int | None

    @property
    def source(self) -> str:
        return f"{self.node.source}{_times(self.low, self.high)}"


_Node: TypeAlias = _One | _Place | _Ahead | _Choice | _Repeat


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
    rows = _Parser(pattern).read()
    return Unfinished(_begun(rows, r"\Z"), flags, False, _longest(rows))


@lru_cache(maxsize=4096)
def unfinished_re2(pattern: str, *, any_case: bool = False) -> Unfinished | None:
    """The search for what a pattern of RE2 has begun; None if it is too large for that, or cannot be read."""
    try:
        rows = _Parser(pattern).read()
        found = Unfinished(_begun(rows, r"\z"), None, any_case, _longest(rows))
        _compiled(found.source, None, any_case)
    except (ValueError, RecursionError, Unreadable):
        return None
    return found


class _Parser:
    """Reads the structure of a pattern that is known to be sound."""

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0
        self._groups: list[_Choice | None] = []

    def read(self) -> _Choice:
        choice = self._choice("(?:")
        if self._at < len(self._text):
            raise ValueError("a bracket too many")
        return choice

    def _choice(self, opens: str) -> _Choice:
        rows: list[tuple[_Node, ...]] = []
        row: list[_Node] = []
        flags: list[_Node] = []
        while self._at < len(self._text) and self._text[self._at] != ")":
            if self._text[self._at] == "|":
                self._at += 1
                rows.append(tuple(row))
                row = [*flags]
                continue
            node = self._repeated(self._node())
            if isinstance(node, _Place) and node.source.startswith("(?") and node.source[2] != "<":
                # Flags hold for the alternatives behind them, too.
                flags.append(node)
            row.append(node)
        return _Choice((*rows, tuple(row)), opens)

    def _node(self) -> _Node:
        char = self._text[self._at]
        if char == "(":
            return self._group()
        if char == "[":
            return _One(self._take(_CLASS))
        if char == "\\":
            escape = self._take(_ESCAPE)
            if escape[1] in _PLACES:
                return _Place(escape)
            if escape[1] in "QEC":
                raise ValueError("an escape whose structure is not read")
            if escape[1] in "123456789":
                group = self._groups[int(escape[1]) - 1]
                if group is None:
                    raise ValueError("a group in itself")
                return group
            return _One(escape)
        self._at += 1
        return _Place(char) if char in "^$" else _One(char)

    def _group(self) -> _Node:
        self._at += 1
        mark = _GROUP.match(self._text, self._at)
        if mark is None:
            if self._text.startswith("?", self._at):
                raise ValueError("a group that is not read")
            return self._captured()
        self._at = mark.end()
        name, _, look, flags, behind = mark.groups()
        if name:
            return self._captured()
        if flags and behind == ")":
            return _Place(f"(?{flags})")
        choice = self._closed(f"(?{look or flags or ''}{':' if not look else ''}")
        if not look:
            return choice
        return _Place(choice.source) if look[0] == "<" else _Ahead(choice)

    def _captured(self) -> _Choice:
        index = len(self._groups)
        self._groups.append(None)
        choice = self._closed("(?:")
        self._groups[index] = choice
        return choice

    def _closed(self, opens: str) -> _Choice:
        choice = self._choice(opens)
        self._at += 1
        return choice

    def _repeated(self, node: _Node) -> _Node:
        mark = _REPEAT.match(self._text, self._at)
        if mark is None:
            return node
        if not isinstance(node, (_One, _Choice)):
            if isinstance(node, _Repeat) or mark[0][0] != "{":
                raise ValueError("a repeat of what has no characters")
            return node
        self._at = mark.end()
        self._take(_MANNER)
        if mark[1]:
            low = int(mark[1])
            high = (int(mark[3]) if mark[3] else None) if mark[2] else low
        else:
            low, high = {"*": (0, None), "+": (1, None), "?": (0, 1)}[mark[0]]
        return self._repeated(_Choice(((_Repeat(node, low, high),),))) if self._more() else _Repeat(node, low, high)

    def _more(self) -> bool:
        return _REPEAT.match(self._text, self._at) is not None

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise ValueError("an unknown form")
        self._at = found.end()
        return found[0]


def _times(low: int, high: int | None) -> str:
    return f"{{{low},{'' if high is None else high}}}"


def _source(row: Sequence[_Node]) -> str:
    """A row as a pattern; looks ahead are left out, what stands behind is asked for by what follows."""
    return "".join(node.source for node in row if not isinstance(node, _Ahead))


def _begun(choice: _Choice, end: str) -> str:
    """A pattern of what the alternatives may have begun where the text ends."""
    begun = "|".join(_begun_row(row, end) for row in choice.rows)
    return f"{choice.opens}{begun})"


def _begun_row(row: Sequence[_Node], end: str) -> str:
    if not row:
        return end
    head, rest = row[0], row[1:]
    if isinstance(head, _One):
        return _begun_ones(row, end)
    if isinstance(head, _Place):
        return f"(?:{end}|{head.source}(?:{_begun_row(rest, end)}))"
    if isinstance(head, _Ahead):
        return f"(?:{_begun(_Choice(head.choice.rows), end)}|{_begun_row(rest, end)})"
    if isinstance(head, _Choice):
        return f"(?:{_begun(head, end)}|{head.source}(?:{_begun_row(rest, end)}))"
    return _begun_repeat(head, rest, end)


def _begun_ones(row: Sequence[_Node], end: str) -> str:
    ones = list(_leading(row))
    parts = [end, *("".join(ones[:count]) + end for count in range(1, len(ones)))]
    return f"(?:{'|'.join(parts)}|{''.join(ones)}(?:{_begun_row(row[len(ones) :], end)}))"


def _leading(row: Sequence[_Node]) -> Iterator[str]:
    for node in row[:_ROW]:
        if not isinstance(node, _One):
            return
        yield node.source


def _begun_repeat(head: _Repeat, rest: Sequence[_Node], end: str) -> str:
    behind = f"{head.source}(?:{_begun_row(rest, end)})"
    if head.high == 0:
        return _begun_row(rest, end)
    if isinstance(head.node, _One):
        return f"(?:{head.node.source}{_times(0, head.high)}{end}|{behind})"
    before = f"{head.node.source}{_times(0, None if head.high is None else head.high - 1)}"
    return f"(?:{before}{_begun(head.node, end)}|{behind})"


def _longest(node: _Node | Sequence[_Node]) -> int | None:
    """Code points of the longest match, what it looks at behind it included; None if there is no bound."""
    if isinstance(node, _One):
        return 1
    if isinstance(node, _Place):
        return 0
    if isinstance(node, _Ahead):
        return _longest(node.choice)
    if isinstance(node, _Choice):
        rows = [_longest(row) for row in node.rows]
        return None if None in rows else max((row for row in rows if row is not None), default=0)
    if isinstance(node, _Repeat):
        one = _longest(node.node)
        return None if one is None or node.high is None else one * node.high
    parts = [_longest(part) for part in node]
    return None if None in parts else sum(part for part in parts if part is not None)
