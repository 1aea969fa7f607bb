"""Traditional Chinese to simplified, one character to one character, by OpenCC's dictionaries.

The dictionaries lie beside this file as ``simplified.tsv`` (of OpenCC 1.4.2, Apache-2.0; written by
``python -m training.simplified_table``), so that the same text normalises to the same text whatever is installed: the
classifier was trained on what these rules make of its corpora. Phrases come first, the longest at a place, then single
characters, as OpenCC's ``t2s`` does it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("simplified.tsv")


@dataclass(frozen=True, slots=True)
class _Rules:
    """What the table says.

    Attributes:
        characters: Code point to simplified character, for :meth:`str.translate`.
        phrases: Phrase to simplified phrase of the same length.
        found: Finds the phrases, the longest at a place.
        changed: Characters without any of which a text stays as it is.
    """

    characters: Mapping[int, str]
    phrases: Mapping[str, str]
    found: re.Pattern[str]
    changed: frozenset[str]


def simplify(text: str) -> str:
    """The text with its traditional characters simplified.

    Args:
        text: Any text, NFKC.

    Returns:
        A text of the same length, so that offsets stay.
    """
    rules = _rules()
    if rules.changed.isdisjoint(text):
        return text
    out: list[str] = []
    at = 0
    for match in rules.found.finditer(text):
        out += (text[at : match.start()].translate(rules.characters), rules.phrases[match[0]])
        at = match.end()
    out.append(text[at:].translate(rules.characters))
    return "".join(out)


@cache
def _rules() -> _Rules:
    pairs = [line.split("\t") for line in TABLE.read_text(encoding="utf-8").splitlines()]
    characters = {ord(before): after for before, after in pairs if len(before) == 1}
    phrases = {before: after for before, after in pairs if len(before) > 1}
    changed = {chr(code) for code in characters}
    changed |= {b for before, after in phrases.items() for b, a in zip(before, after, strict=True) if b != a}
    longest_first = sorted(phrases, key=len, reverse=True)
    return _Rules(characters, phrases, re.compile("|".join(map(re.escape, longest_first))), frozenset(changed))
