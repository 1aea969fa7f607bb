"""The structure of a pattern of Python's or of RE2's: what stands for a character, a place, a choice, a repeat. Pure.

What stands for one character (a letter, a class, an escape) is kept as it is written; nothing here knows what it means.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

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


@dataclass(frozen=True, slots=True)
class One:
    """What stands for one character."""

    source: str


@dataclass(frozen=True, slots=True)
class Place:
    """What stands for no character: an anchor, a look back, flags."""

    source: str


@dataclass(frozen=True, slots=True)
class Ahead:
    """A look ahead: it decides as long as its text has not come."""

    choice: Choice


@dataclass(frozen=True, slots=True)
class Choice:
    """Alternatives in a group, with how it opens."""

    rows: tuple[tuple[Node, ...], ...]
    opens: str = "(?:"

    @property
    def source(self) -> str:
        """The group as a pattern, without looks ahead."""
        return f"{self.opens}{'|'.join(map(_source, self.rows))})"


@dataclass(frozen=True, slots=True)
class Repeat:
    """Something so many times; no bound if ``high`` is None."""

    node: One | Choice
    low: int
    high: int | None

    @property
    def source(self) -> str:
        """The repeat as a pattern, without looks ahead."""
        return f"{self.node.source}{times(self.low, self.high)}"


Node: TypeAlias = One | Place | Ahead | Choice | Repeat


def read_pattern(pattern: str) -> Choice:
    """The structure of a pattern that is known to be sound.

    Raises:
        ValueError: It has a form that is not read.
    """
    return _Parser(pattern).read()


class _Parser:
    """Reads the structure of a pattern that is known to be sound."""

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0
        self._groups: list[Choice | None] = []

    def read(self) -> Choice:
        choice = self._choice("(?:")
        if self._at < len(self._text):
            raise ValueError("a bracket too many")
        return choice

    def _choice(self, opens: str) -> Choice:
        rows: list[tuple[Node, ...]] = []
        row: list[Node] = []
        flags: list[Node] = []
        while self._at < len(self._text) and self._text[self._at] != ")":
            if self._text[self._at] == "|":
                self._at += 1
                rows.append(tuple(row))
                row = [*flags]
                continue
            node = self._repeated(self._node())
            if isinstance(node, Place) and node.source.startswith("(?") and node.source[2] != "<":
                # Flags hold for the alternatives behind them, too.
                flags.append(node)
            row.append(node)
        return Choice((*rows, tuple(row)), opens)

    def _node(self) -> Node:
        char = self._text[self._at]
        if char == "(":
            return self._group()
        if char == "[":
            return One(self._take(_CLASS))
        if char == "\\":
            escape = self._take(_ESCAPE)
            if escape[1] in _PLACES:
                return Place(escape)
            if escape[1] in "QEC":
                raise ValueError("an escape whose structure is not read")
            if escape[1] in "123456789":
                group = self._groups[int(escape[1]) - 1]
                if group is None:
                    raise ValueError("a group in itself")
                return group
            return One(escape)
        self._at += 1
        return Place(char) if char in "^$" else One(char)

    def _group(self) -> Node:
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
            return Place(f"(?{flags})")
        choice = self._closed(f"(?{look or flags or ''}{':' if not look else ''}")
        if not look:
            return choice
        return Place(choice.source) if look[0] == "<" else Ahead(choice)

    def _captured(self) -> Choice:
        index = len(self._groups)
        self._groups.append(None)
        choice = self._closed("(?:")
        self._groups[index] = choice
        return choice

    def _closed(self, opens: str) -> Choice:
        choice = self._choice(opens)
        self._at += 1
        return choice

    def _repeated(self, node: Node) -> Node:
        mark = _REPEAT.match(self._text, self._at)
        if mark is None:
            return node
        if not isinstance(node, (One, Choice)):
            if isinstance(node, Repeat) or mark[0][0] != "{":
                raise ValueError("a repeat of what has no characters")
            return node
        self._at = mark.end()
        self._take(_MANNER)
        if mark[1]:
            low = int(mark[1])
            high = (int(mark[3]) if mark[3] else None) if mark[2] else low
        else:
            low, high = {"*": (0, None), "+": (1, None), "?": (0, 1)}[mark[0]]
        return self._repeated(Choice(((Repeat(node, low, high),),))) if self._more() else Repeat(node, low, high)

    def _more(self) -> bool:
        return _REPEAT.match(self._text, self._at) is not None

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise ValueError("an unknown form")
        self._at = found.end()
        return found[0]


def times(low: int, high: int | None) -> str:
    """The mark of a repeat; no bound if ``high`` is None."""
    return f"{{{low},{'' if high is None else high}}}"


def _source(row: Sequence[Node]) -> str:
    """A row as a pattern; looks ahead are left out, what stands behind is asked for by what follows."""
    return "".join(node.source for node in row if not isinstance(node, Ahead))
