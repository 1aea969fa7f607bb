"""Operators that turn spans into new text. Pure: a text and spans in, a text out."""

from __future__ import annotations

from collections.abc import Iterable

from guard.types import Span

#: What stands for a masked code point.
MASK = "*"


def mask(text: str, spans: Iterable[Span]) -> str:
    """Replace every code point inside the spans by an asterisk.

    The length stays the same, so offsets of what lies outside still hold; everything outside of the spans
    stays as it was, byte for byte. Spans may overlap, touch, repeat and come in any order.

    Args:
        text: The original.
        spans: Ranges of code points of ``text``.

    Raises:
        ValueError: A span lies outside of the text or ends before it starts.
    """
    out: list[str] = []
    at = 0
    for start, end in _merged(spans, len(text)):
        out.append(text[at:start])
        out.append(MASK * (end - start))
        at = end
    out.append(text[at:])
    return "".join(out)


def _merged(spans: Iterable[Span], length: int) -> list[tuple[int, int]]:
    """The same ranges in order, disjoint and not empty."""
    merged: list[tuple[int, int]] = []
    for span in sorted(spans):
        if not 0 <= span.start <= span.end <= length:
            raise ValueError(f"span [{span.start}, {span.end}) outside of a text of {length} code points")
        if merged and span.start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], span.end))
        elif span.start < span.end:
            merged.append((span.start, span.end))
    return merged
