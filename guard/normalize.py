"""Level-1 normalisation: one text form for the classifier, the recognizers and the training data.

In this order: bidi and other invisible format characters are removed, the rest is NFKC-folded (UAX #15;
this also folds full-width and half-width forms), and traditional Chinese becomes simplified (OpenCC t2s).
Case is kept; the tokenizer folds it. Every code point of the result knows the range of the ORIGINAL text
that it came from, so a span found in the normalised text can be cut out of the original exactly.

The version is part of every artifact: a model scores only text normalised as its training data was.
"""

from __future__ import annotations

import unicodedata
from array import array
from dataclasses import dataclass

from guard.simplify import simplify
from guard.types import Span

#: Raise it whenever the output of :func:`normalize` changes for any text; the artifact loader compares it.
NORMALIZER_VERSION = "1"

# Second characters of canonical compositions that are themselves starters (derived from UnicodeData's
# canonical pair decompositions), and Hangul vowel and trailing jamo: no segment border before these.
_COMPOSING_STARTERS = (
    frozenset(
        "\u09be\u09d7\u0b3e\u0b56\u0b57\u0bbe\u0bd7\u0cc2\u0cd5\u0cd6\u0d3e\u0d57\u0dcf\u0ddf\u0fb5\u0fb7\u102e\u1b35"
        "\U00011127\U0001133e\U00011357\U000114b0\U000114ba\U000114bd\U000115af\U00011930"
        "\U000113b8\U000113bb\U000113c2\U000113c9\U0001611e\U0001611f\U00016120\U00016129\U00016d67"
    )
    | frozenset(map(chr, range(0x1161, 0x1176)))
    | frozenset(map(chr, range(0x11A8, 0x11C3)))
)

# Invisible characters that are not of category Cf: fillers, joiners and variation selectors.
_INVISIBLE = (
    frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")
    | frozenset(map(chr, range(0xFE00, 0xFE10)))
    | frozenset(map(chr, range(0xE0100, 0xE01F0)))
)
_KEPT_CONTROLS = frozenset("\t\n\r")

# Sorting a run of combining marks costs the square of its length. No script puts more than a few on a letter;
# a longer run is cut as the Stream-Safe Text Format does (UAX #15, section 13), without its CGJ.
_LONGEST_RUN = 31
# The quick check of a short text is cheap even if all of it is marks.
_QUICK = 2048


@dataclass(frozen=True, slots=True)
class Normalized:
    """A normalised text and its way back.

    Attributes:
        text: The normalised text.
        original_length: Code points of the original.
        starts: For each code point of ``text`` the start of its source range in the original; ``None``
            where the mapping is the identity.
        ends: The ends of those ranges; ``None`` with ``starts``.
    """

    text: str
    original_length: int
    starts: array[int] | None = None
    ends: array[int] | None = None

    def original_span(self, start: int, end: int) -> Span:
        """The original's span for [start, end) of the normalised text.

        Characters that were removed next to the range stay outside of it.

        Args:
            start: First code point, 0 <= start <= end.
            end: One past the last code point, end <= len(text).
        """
        if not 0 <= start <= end <= len(self.text):
            raise ValueError(f"span [{start}, {end}) outside of a text of {len(self.text)} code points")
        if self.starts is None or self.ends is None:
            return Span(start, end)
        if start == end:
            at = self.starts[start] if start < len(self.starts) else self.original_length
            return Span(at, at)
        return Span(self.starts[start], max(self.ends[start:end]))


def normalize(text: str) -> Normalized:
    """Normalise a text, keeping offsets.

    Args:
        text: Valid Unicode (no lone surrogates), of any length; cost is linear.

    Returns:
        The normalised text with its mapping; empty if nothing visible was in it.
    """
    if text.isascii() and text.isprintable():
        return Normalized(text, len(text))
    if len(text) <= _QUICK and unicodedata.is_normalized("NFKC", text) and not any(map(_is_removed, text)):
        return Normalized(simplify(text), len(text))
    pieces: list[str] = []
    starts = array("I")
    ends = array("I")
    for start, end, segment in _segments(text):
        folded = segment if segment.isascii() else unicodedata.normalize("NFKC", segment)
        pieces.append(folded)
        for _ in folded:
            starts.append(start)
            ends.append(end)
    return Normalized(simplify("".join(pieces)), len(text), starts, ends)


@dataclass(frozen=True, slots=True)
class Change:
    """A place that a step of normalisation changed.

    Attributes:
        span: Where, in code points of the ORIGINAL.
        before: What the step found there.
        after: What it left; empty if it removed it.
    """

    span: Span
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Step:
    """A step of normalisation that changed something: ``removed``, ``folded`` or ``simplified``."""

    name: str
    changes: tuple[Change, ...]


def steps(text: str) -> tuple[Step, ...]:
    """What :func:`normalize` did to a text, for people; none if it left it as it was.

    Args:
        text: As for :func:`normalize`.
    """
    normalized = normalize(text)
    segments = _segments(text)
    folded = [segment if segment.isascii() else unicodedata.normalize("NFKC", segment) for _, _, segment in segments]
    found = {
        "removed": _runs([(i, i + 1, char, "") for i, char in enumerate(text) if _is_removed(char)]),
        "folded": _runs(
            [
                (start, end, segment, after)
                for (start, end, segment), after in zip(segments, folded, strict=True)
                if segment != after
            ]
        ),
        "simplified": _runs(
            [
                (*_place(normalized, i), before, after)
                for i, (before, after) in enumerate(zip("".join(folded), normalized.text, strict=True))
                if before != after
            ]
        ),
    }
    return tuple(Step(name, changes) for name, changes in found.items() if changes)


def _place(normalized: Normalized, at: int) -> tuple[int, int]:
    span = normalized.original_span(at, at + 1)
    return span.start, span.end


def _runs(places: list[tuple[int, int, str, str]]) -> tuple[Change, ...]:
    """Changes, those that touch each other as one."""
    out: list[Change] = []
    for start, end, before, after in places:
        if out and out[-1].span.end == start:
            last = out[-1]
            out[-1] = Change(Span(last.span.start, end), last.before + before, last.after + after)
        else:
            out.append(Change(Span(start, end), before, after))
    return tuple(out)


def _segments(text: str) -> list[tuple[int, int, str]]:
    """Cut into ranges that NFKC treats independently, with the invisible characters left out."""
    out: list[tuple[int, int, str]] = []
    start = end = 0
    current = ""
    for i, char in enumerate(text):
        if _is_removed(char):
            continue
        if current and len(current) < _LONGEST_RUN and not _starts_segment(char):
            current += char
            end = i + 1
            continue
        if current:
            out.append((start, end, current))
        start, end, current = i, i + 1, char
    if current:
        out.append((start, end, current))
    return out


def _is_removed(char: str) -> bool:
    if char < "\x7f":
        return char < " " and char not in _KEPT_CONTROLS
    return char in _INVISIBLE or unicodedata.category(char) in {"Cf", "Cc"}


def _starts_segment(char: str) -> bool:
    if char < "\u0300":
        return True
    first = unicodedata.normalize("NFKD", char)[0]
    return unicodedata.combining(first) == 0 and first not in _COMPOSING_STARTERS
