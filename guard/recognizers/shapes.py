"""Keys that their issuers gave a shape of its own, so that they can be found: how a shape is looked for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from guard.recognizers.entropy import looks_random
from guard.recognizers.match import Match


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of key.

    Attributes:
        cue: A literal without which no key of the kind is in a text; looking for it costs next to nothing.
        pattern: The key; its first group, or else all of it, is found.
        bits: Least entropy of what is found, in bits per character.
        score: How sure a key of this shape is.
    """

    cue: str
    pattern: re.Pattern[str]
    bits: float
    score: float


def shape(cue: str, pattern: str, bits: float = 3.0, score: float = 0.95) -> Shape:
    """A shape that stands alone: neither a letter nor a digit touches it.

    Args:
        cue: See :class:`Shape`.
        pattern: As a regular expression; each unbounded repeat must eat all that could begin another match.
        bits: Least entropy.
        score: How sure it is.
    """
    return Shape(cue, re.compile(rf"(?<![0-9A-Za-z_-]){pattern}(?![0-9A-Za-z_-])"), bits, score)


def find_shapes(shapes: Iterable[Shape], text: str) -> list[Match]:
    """Every key of the given shapes in a text that looks random."""
    found = []
    for one in shapes:
        if one.cue in text:
            for m in one.pattern.finditer(text):
                group = 1 if one.pattern.groups else 0
                if looks_random(m[group], one.bits):
                    found.append(Match(m.start(group), m.end(group), one.score))
    return found
