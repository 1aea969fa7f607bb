"""Edits of a text that keep the way back to the original. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from guard.normalize import Normalized


@dataclass(frozen=True, slots=True)
class Edit:
    """Code points [start, end) of a text, and what is read in their place.

    All that is read there is known to come from the whole range: a place inside is never cut out of an encoding.
    """

    start: int
    end: int
    text: str


def apply(before: Normalized, edits: Sequence[Edit]) -> Normalized:
    """The text with its edits, and its way back to the same original.

    Args:
        before: A text with its way back.
        edits: Disjoint ranges of it that are not empty, in order.

    Returns:
        What no edit touches is the same characters from the same places.
    """
    pieces: list[str] = []
    starts, ends = array("I"), array("I")
    old_starts = array("I", range(len(before.text))) if before.starts is None else before.starts
    old_ends = array("I", range(1, len(before.text) + 1)) if before.ends is None else before.ends
    at = 0
    for edit in edits:
        pieces += [before.text[at : edit.start], edit.text]
        starts += old_starts[at : edit.start]
        ends += old_ends[at : edit.start]
        span = before.original_span(edit.start, edit.end)
        starts.extend([span.start] * len(edit.text))
        ends.extend([span.end] * len(edit.text))
        at = edit.end
    pieces.append(before.text[at:])
    starts += old_starts[at:]
    ends += old_ends[at:]
    return Normalized("".join(pieces), before.original_length, starts, ends)
