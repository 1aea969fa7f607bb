"""What a text looks like at a glance: enough to spare an ordinary text every closer look."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Looks:
    """A glance at a text.

    Attributes:
        text: The text.
        characters: Those that occur.
        longest: Length of the longest stretch without white space.
        ascii: True if there are no others than ASCII characters.
    """

    text: str
    characters: frozenset[str]
    longest: int
    ascii: bool

    @classmethod
    def of(cls, text: str) -> Looks:
        """Look at a text; linear, some microseconds for a short one."""
        longest = max(map(len, text.split()), default=0)
        return cls(text, frozenset(text), longest, text.isascii())

    def has(self, characters: frozenset[str]) -> bool:
        """True if one of the characters occurs."""
        return not self.characters.isdisjoint(characters)
