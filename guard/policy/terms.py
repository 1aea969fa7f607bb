"""Words and patterns in a text: which lists of terms have one there, and where. Pure.

A term is found in the NORMALISED text, whatever its case, in whole words where a script has words: ``bar`` is not in
``barrel``. Scripts that are written without spaces have no such borders, so Chinese is found anywhere. A text is cut
into units (a word, a stretch of white space, or one character of such a script) and a term is a row of units, so the
borders are kept by the cut and any number of terms costs one walk through a tree for each unit.

Patterns run on RE2 and on nothing else: the time that they take is linear in the text whatever somebody writes.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from guard.normalize import Normalized, normalize
from guard.patterns import compile_pattern
from guard.types import Detection

#: What detections name as their source.
SOURCE = "terms"
#: Code points of the longest term.
MAX_TERM = 200

# Chinese, Japanese and Korean (whose particles stick to the words), Thai, Lao, Burmese, Khmer.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3041-\u318f\u31a0-\u31bf\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
_UNIT = re.compile(f"(?:[^\\W{_UNSPACED}]|[\u0300-\u036f])+|\\s+|.", re.DOTALL)
_SPACE = " "


class TermMistake(ValueError):
    """A term that cannot be used: ``what`` is wrong with it, and the ``cure``."""

    def __init__(self, what: str, cure: str) -> None:
        self.what, self.cure = what, cure
        super().__init__(f"{what} ({cure})")


@dataclass(frozen=True, slots=True)
class TermList:
    """Terms that mean one thing.

    Attributes:
        category: What a hit is, as detections and scores name it.
        literals: Folded terms, see :func:`folded_term`.
        patterns: RE2 patterns, see :func:`guard.patterns.checked_pattern`.
    """

    category: str
    literals: tuple[str, ...]
    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """A place in a NORMALISED text, [start, end) in code points, where a list has a term."""

    category: str
    start: int
    end: int


def folded_term(text: str) -> str:
    """A term as it is compared: normalised as texts are, in lower case, with single spaces.

    Raises:
        TermMistake: Nothing visible in it, punctuation alone, or too long.
    """
    if len(text) > MAX_TERM:
        raise TermMistake(f"a term of {len(text)} characters", f"write at most {MAX_TERM}")
    folded = " ".join(_fold(normalize(text).text).split())
    if not folded:
        raise TermMistake("an empty term", "write a word, or remove it")
    if not any(char.isalnum() or (char > "\x7f" and unicodedata.category(char)[0] == "S") for char in folded):
        raise TermMistake("a term of punctuation alone", "write a word, or a pattern")
    return folded


def fingerprint(literals: Iterable[str], patterns: Iterable[str]) -> str:
    """Six hexadecimal digits that change with the list, not with its order."""
    listed = [*(f"t{text}" for text in sorted(set(literals))), *(f"p{text}" for text in sorted(set(patterns)))]
    return hashlib.sha256("\n".join(listed).encode()).hexdigest()[:6]


class TermMatcher:
    """Lists of terms, ready to be looked for. Immutable, thread-safe."""

    def __init__(self, lists: Sequence[TermList]) -> None:
        """Build the tree.

        Args:
            lists: Checked terms; categories are unique.
        """
        self.categories = tuple(found.category for found in lists)
        # unit -> the tree behind it; under None the categories whose term ends here.
        self._tree: dict[str | None, Any] = {}
        for terms in lists:
            for literal in terms.literals:
                self._plant(_UNIT.findall(literal), terms.category)
        self._patterns = [
            (terms.category, compile_pattern(pattern, any_case=True)) for terms in lists for pattern in terms.patterns
        ]

    @property
    def patterns(self) -> tuple[tuple[str, str], ...]:
        """Every pattern, in any case, with its list's category."""
        return tuple((category, str(pattern.pattern)) for category, pattern in self._patterns)

    def begun(self, text: str, low: int, high: int) -> dict[str, int]:
        """Where the end of a text cuts off what may become a term: the first such place of each list, patterns aside.

        Args:
            text: A NORMALISED text.
            low: First code point that it may begin at.
            high: One past the last one.
        """
        units = _UNIT.findall(_fold(text[low:]))
        found: dict[str, int] = {}
        at = low
        for index, unit in enumerate(units):
            if at >= high:
                break
            if unit in self._tree:
                for category in _reachable(self._tree, units[index:]):
                    found.setdefault(category, at)
            at += len(unit)
        return found

    def find(self, text: str) -> tuple[Hit, ...]:
        """Every place where a list has a term, by list and place; what overlaps in one list is one place.

        Args:
            text: A NORMALISED text.
        """
        found: dict[str, list[tuple[int, int]]] = {}
        if self._tree:
            self._walk(text, found)
        for category, pattern in self._patterns:
            places = [match.span() for match in pattern.finditer(text) if match.start() < match.end()]
            if places:
                found.setdefault(category, []).extend(places)
        return tuple(Hit(category, *place) for category in found for place in _joined(found[category]))

    def _plant(self, units: Sequence[str], category: str) -> None:
        node = self._tree
        for unit in units:
            node = node.setdefault(unit, {})
        node[None] = (*node.get(None, ()), category)

    def _walk(self, text: str, found: dict[str, list[tuple[int, int]]]) -> None:
        units = _UNIT.findall(_fold(text))
        tree, at = self._tree, 0
        for index, unit in enumerate(units):
            node = tree.get(unit)
            if node is not None:
                self._follow(node, units, index, at, found)
            at += len(unit)

    @staticmethod
    def _follow(
        node: dict[str | None, Any],
        units: Sequence[str],
        index: int,
        start: int,
        found: dict[str, list[tuple[int, int]]],
    ) -> None:
        """Note the longest term of each list that begins with this unit."""
        longest: dict[str, int] = {}
        end = start
        while True:
            end += len(units[index])
            for category in node.get(None, ()):
                longest[category] = end
            index += 1
            if index == len(units):
                break
            unit = units[index]
            following = node.get(_SPACE if unit.isspace() else unit)
            if following is None:
                break
            node = following
        for category, last in longest.items():
            found.setdefault(category, []).append((start, last))


def detections(hits: Iterable[Hit], normalized: Normalized) -> tuple[Detection, ...]:
    """Hits as detections, with spans of the ORIGINAL; they are certain."""
    return tuple(Detection(hit.category, normalized.original_span(hit.start, hit.end), 1.0, SOURCE) for hit in hits)


def _reachable(node: dict[str | None, Any], units: Sequence[str]) -> set[str]:
    """The lists with a term that begins with all the units and goes on."""
    for unit in units:
        following = node.get(_SPACE if unit.isspace() else unit)
        if following is None:
            return set()
        node = following
    below = [child for unit, child in node.items() if unit is not None]
    found: set[str] = set()
    while below:
        node = below.pop()
        found.update(node.get(None, ()))
        below += [child for unit, child in node.items() if unit is not None]
    return found


def _fold(text: str) -> str:
    """Lower case, one character for one: offsets depend on it."""
    lower = text.lower()
    if len(lower) != len(text):
        lower = "".join(low if len(low := char.lower()) == 1 else char for char in text)
    # At the end of a word Greek has another small sigma.
    return lower.replace("ς", "σ")


def _joined(places: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Places in order, with those that overlap as one."""
    out: list[tuple[int, int]] = []
    for start, end in sorted(places):
        if out and start < out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((start, end))
    return out
