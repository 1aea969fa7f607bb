"""What is a word: the tables that decide whether a disguise was undone or a text was spoilt.

Loaded when the first suspicious text comes, fifteen megabytes in all; made by ``python -m training.unmask_tables``.
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

#: So many disguised words make a text a disguised one: then less is asked of the others.
SURE = 2

# What digits and signs stand for in leet; the dictionary chooses among several.
_LEET: Mapping[str, str] = {
    "0": "o", "1": "il", "3": "e", "4": "a", "5": "s", "6": "gb", "7": "t", "8": "b", "9": "g", "@": "a", "$": "s",
    "!": "il", "|": "li",
}  # fmt: skip
_MOST_READINGS = 64
# Characters that tell which way a text runs.
_GLANCE = 32
_LONGEST_WORD = 16
_ENDINGS = ("'s", "s", "es", "ed", "d", "ing", "er", "ers", "ly")
_STEM = 4
# Prices of letters that are in no word, beside the log ranks of words (up to 12).
_STRANGE, _STRANGE_LETTER = 14.0, 3.0
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


def from_leet(token: str, *, trust: bool = False) -> str | None:
    """The word that a token in leet stands for.

    Args:
        token: Letters, digits and the signs ``@$!|``.
        trust: True in a text that is known to be in leet: ``70`` then is ``to``. Otherwise a word has three letters or
            more, not all of the token are digits, and counts (``14th``, ``50s``) are none.

    Returns:
        The word in the token's case; None if there is none, or the token is all letters.
    """
    if token.isalpha() or len(token) > _LONGEST_WORD or not (trust or _may_be_word(token)):
        return None
    options = [_LEET.get(char, char) for char in token]
    if math.prod(map(len, options)) > _MOST_READINGS:
        return None
    found = [word for letters in product(*options) if (word := "".join(letters)).isalpha() and is_word(word)]
    return min(found, key=lambda word: english().get(word.lower(), len(english())), default=None)


def name_in_leet(token: str) -> str | None:
    """What a token of a text in leet most likely says that is no word; None without a figure between its letters.

    Args:
        token: As for :func:`from_leet`.
    """
    inside = token.strip("0123456789@$!|")
    if not inside or inside.isalpha() or len(token) > _LONGEST_WORD:
        return None
    name = "".join(_LEET.get(char, char)[0] for char in token)
    return name if name.isalpha() else None


def _may_be_word(token: str) -> bool:
    plain = sum(map(str.isalpha, token))
    rest = token.lstrip("0123456789")
    counts = len(token) - len(rest) > 1 and rest.isalpha()
    return len(token) >= 3 and not counts and (plain > 1 or (plain == 1 and len(token) >= 5))


def split_words(letters: str) -> list[str] | None:
    """Letters without their spaces as the likeliest row of words; None if they are no words.

    The likeliest row has the least sum of log ranks (Zipf's law; the usual dynamic programme). Up to a fifth of the
    letters may be in no word: names.
    """
    lower, ranks = letters.lower(), english()
    best: list[tuple[float, int]] = [(0.0, 0)]
    for end in range(1, len(lower) + 1):
        options: list[tuple[float, int]] = []
        for start in range(max(0, end - _LONGEST_WORD), end):
            rank = ranks.get(lower[start:end])
            price = _STRANGE + _STRANGE_LETTER * (end - start) if rank is None else math.log(rank + 10) + 1
            options.append((best[start][0] + price, start))
        best.append(min(options))
    words: list[str] = []
    end = len(lower)
    while end:
        start = best[end][1]
        words.append(letters[start:end])
        end = start
    words.reverse()
    known = [word for word in words if is_word(word)]
    if not known or max(map(len, known)) < 3 or len(letters) < 2.5 * len(words):
        return None
    return words if sum(map(len, known)) >= 0.8 * len(letters) else None


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


def is_backwards(text: str) -> bool:
    """True for Chinese text whose neighbours are words from right to left, and hardly ever from left to right."""
    words = chinese()
    pairs = [(left, right) for left, right in pairwise(text[:_GLANCE]) if left != right]
    turned = sum(right + left in words for left, right in pairs)
    return turned >= 3 and turned > 1.5 * sum(left + right in words for left, right in pairs)
