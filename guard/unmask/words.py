"""What is a word: the tables that decide whether a disguise was undone or a text was spoilt.

Loaded when the first suspicious text comes, some ten megabytes in all; made by ``python -m training.unmask_tables``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cache
from itertools import pairwise, product
from pathlib import Path

_TABLES = Path(__file__).with_name("tables")

#: Chinese characters, as the inside of a class of a pattern.
HAN = "\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff"

# What digits and signs stand for in leet; the dictionary chooses among several.
_LEET: Mapping[str, str] = {
    "0": "o", "1": "il", "3": "e", "4": "a", "5": "s", "6": "gb", "7": "t", "8": "b", "9": "g", "@": "a", "$": "s",
    "!": "il", "|": "li",
}  # fmt: skip
_MOST_READINGS = 64
_LONGEST_WORD = 16
_ENDINGS = ("'s", "s", "es", "ed", "d", "ing", "er", "ers", "ly")
_STEM = 4
_LATIN_WORD = re.compile("[A-Za-z]+")
_HAN_CHARACTER = re.compile(f"[{HAN}]")
_NATURAL = re.compile(f"[A-Za-z{HAN} \\n\\t.,;:!?'\"()，。！？、；：“”（）-]")


@cache
def english() -> Mapping[str, int]:
    """English words in lower case -> rank, 0 for the most frequent."""
    lines = (_TABLES / "english.txt").read_text(encoding="utf-8").split()
    return {word: rank for rank, word in enumerate(lines)}


@cache
def chinese() -> frozenset[str]:
    """Chinese words of two and three characters."""
    return frozenset((_TABLES / "chinese.txt").read_text(encoding="utf-8").split())


@cache
def lookalikes() -> Mapping[str, str]:
    """Characters that look like a Latin letter -> that letter."""
    rows = (line.split("\t") for line in (_TABLES / "lookalikes.tsv").read_text(encoding="utf-8").splitlines())
    return {chr(int(row[0], 16)): row[1] for row in rows}


def is_word(word: str) -> bool:
    """True for an English word of any case, plural and verb endings included."""
    word = word.lower()
    if word in english():
        return True
    return any(len(word) >= _STEM + len(e) and word.endswith(e) and word[: -len(e)] in english() for e in _ENDINGS)


def from_leet(token: str) -> str | None:
    """The word of four or more letters (or three with two of them plain) that a token in leet stands for.

    Returns:
        The word in the token's case; None if there is none, or the token is all letters.
    """
    if not 3 <= len(token) <= _LONGEST_WORD or token.isalpha():
        return None
    options = [_LEET.get(char, char) for char in token]
    plain = sum(map(str.isalpha, token))
    # Ordinals and units: 14th, 50s.
    counts = len(token) - len(token.lstrip("0123456789")) > 1 and token.lstrip("0123456789").isalpha()
    if counts or plain < 1 or (plain < 2 and len(token) < 5) or math.prod(map(len, options)) > _MOST_READINGS:
        return None
    found = [word for letters in product(*options) if (word := "".join(letters)).isalpha() and is_word(word)]
    return min(found, key=lambda word: english().get(word.lower(), len(english())), default=None)


def split_words(letters: str) -> list[str] | None:
    """Letters without their spaces as the likeliest row of words; None if they are no words.

    The likeliest row has the least sum of log ranks (Zipf's law; the usual dynamic programme).
    """
    lower, ranks = letters.lower(), english()
    best: list[tuple[float, int]] = [(0.0, 0)]
    for end in range(1, len(lower) + 1):
        options = [
            (best[start][0] + math.log(ranks[lower[start:end]] + 10) + 1, start)
            for start in range(max(0, end - _LONGEST_WORD), end)
            if best[start][0] < math.inf and lower[start:end] in ranks
        ]
        best.append(min(options, default=(math.inf, end)))
    if best[-1][0] == math.inf:
        return [letters] if is_word(letters) else None
    words: list[str] = []
    end = len(lower)
    while end:
        start = best[end][1]
        words.append(letters[start:end])
        end = start
    words.reverse()
    return words if max(map(len, words)) >= 3 and len(letters) >= 2.5 * len(words) else None


def joints(text: str, places: tuple[int, ...]) -> int:
    """How many borders inside a Chinese text lie within a word.

    Args:
        text: Chinese characters.
        places: Borders: index of the character behind each.
    """
    words = chinese()
    return sum(
        text[at - 1 : at + 1] in words or text[at - 1 : at + 2] in words or text[max(0, at - 2) : at + 1] in words
        for at in places
    )


def is_natural(text: str) -> bool:
    """True for text that a person would write, in English or Chinese, and for hardly any decoded bytes."""
    if not "".join(text.split()).isprintable():
        return False
    if len(text) < 3:
        return text in chinese()
    if len(_NATURAL.findall(text)) < 0.75 * len(text):
        return False
    han = _HAN_CHARACTER.findall(text)
    tokens = _LATIN_WORD.findall(text)
    letters = sum(map(len, tokens))
    if han and 2 * len(han) >= letters:
        together = sum(a + b in chinese() for a, b in pairwise("".join(han)))
        return 6 * together >= len(han)
    return letters >= 4 and sum(len(word) for word in tokens if is_word(word)) >= 0.6 * letters
