"""What a recognizer gives back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Match:
    """A place in a NORMALISED text.

    Attributes:
        start: First code point.
        end: One past the last.
        score: How sure the recognizer is, 0..1.
    """

    start: int
    end: int
    score: float
