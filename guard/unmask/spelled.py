"""Words letter by letter, and words that signs break."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate, pairwise

from guard.unmask.edits import Edit
from guard.unmask.looks import Looks
from guard.unmask.words import SURE, from_leet, is_word, split_words

# What breaks a word and is part of none.
_BREAK = "[*|~^·•★☆●\u2600-\u27bf\U0001f300-\U0001f5ff\U0001f600-\U0001f64f\U0001f680-\U0001faff]"
_GAP = "[^A-Za-z0-9\u3040-\u9fff]"
_SINGLES = re.compile(rf"(?<![A-Za-z0-9])[A-Za-z@$](?:{_GAP}{{1,3}}[A-Za-z0-9@$!|](?![A-Za-z0-9]))+")
# The second and the third of single letters.
_TWO_SINGLES = re.compile("[^A-Za-z0-9'’][A-Za-z0-9@$!|][^A-Za-z0-9]{1,3}[A-Za-z0-9@$!|](?![A-Za-z0-9])")
_BREAKING = re.compile(f"{_BREAK}(?<=[A-Za-z].){_BREAK}?[A-Za-z]")
_SINGLE = re.compile(rf"[A-Za-z0-9@$!|]|{_GAP}{{1,3}}")
_BROKEN = re.compile(f"[A-Za-z]+(?:{_BREAK}{{1,2}}[A-Za-z]+)+")
_LETTERS = re.compile("[A-Za-z]+")
_ASCII_BREAKS = frozenset("*|~^")
_ENUMERATION = frozenset(",;/、")


def may_be_split(looks: Looks) -> bool:
    """A trace of :func:`split_letters`."""
    if _TWO_SINGLES.search(looks.text):
        return True
    return (not looks.ascii or looks.has(_ASCII_BREAKS)) and bool(_BREAKING.search(looks.text))


def split_letters(text: str) -> list[Edit]:
    """Words letter by letter, ``h o w``, ``k.i.l.l``, and words broken by signs and emoji, ``ki*ll``.

    Where one was certainly split, those between the same signs are joined that are too short to tell, or no word.
    """
    edits: list[Edit] = []
    for edit in sorted((*_singles(text), *_broken(text)), key=lambda edit: edit.start):
        if not edits or edits[-1].end <= edit.start:
            edits.append(edit)
    return edits


def _singles(text: str) -> Iterator[Edit]:
    pieces = [part for match in _SINGLES.finditer(text) for piece in _pieces(match) for part in _parts(piece)]
    signs = {_kind(piece[1][1]) for piece in pieces if list(_joined(piece))}
    for piece in pieces:
        yield from _joined(piece, trust=len(piece) > 1 and _kind(piece[1][1]) in signs)


def _broken(text: str) -> Iterator[Edit]:
    words = [list(_LETTERS.finditer(text, match.start(), match.end())) for match in _BROKEN.finditer(text)]
    words = [parts for parts in words if is_word("".join(part[0] for part in parts))]
    sure = [p for p in words if not all(len(part[0]) > 1 and is_word(part[0]) for part in p) and _length(p) >= 4]
    # By chance two halves that are words may make one, but not twice in a text.
    many = sum(_length(parts) > 4 for parts in words) >= SURE
    for parts in words if many or len(sure) >= SURE else sure:
        for left, right in pairwise(parts):
            yield Edit(left.end(), right.start(), "")


def _length(parts: list[re.Match[str]]) -> int:
    return sum(len(part[0]) for part in parts)


def _pieces(match: re.Match[str]) -> Iterator[list[tuple[int, str]]]:
    """Letters and gaps by turns, from letter to letter, with their places.

    The gap between letters is the most frequent one; another one ends a word. Emoji may differ from each other.
    """
    items = _items(match)
    usual = Counter(_kind(gap) for _, gap in items[1::2]).most_common(1)[0][0]
    piece: list[tuple[int, str]] = []
    for number, (at, text) in enumerate(items):
        if number % 2 and _kind(text) != usual:
            yield piece
            piece = []
        else:
            piece.append((at, text))
    yield piece


def _parts(piece: list[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    """The piece, or what stands before and behind figures that are no leet."""
    spelled = "".join(text for _, text in piece[::2])
    if spelled.isalpha() or from_leet(spelled):
        yield piece
        return
    part: list[tuple[int, str]] = []
    for number in range(0, len(piece), 2):
        if piece[number][1].isalpha():
            part += [piece[number - 1], piece[number]] if part else [piece[number]]
        elif part:
            yield part
            part = []
    if part:
        yield part


def _kind(gap: str) -> str:
    """The gap itself, or one mark for all that is neither ASCII nor holds white space."""
    return "\0" if not gap.isascii() and not any(map(str.isspace, gap)) else gap


def _items(match: re.Match[str]) -> list[tuple[int, str]]:
    """Letters and gaps by turns, with their places."""
    return [(match.start() + item.start(), item[0]) for item in _SINGLE.finditer(match[0])]


def _joined(piece: list[tuple[int, str]], *, trust: bool = False) -> Iterator[Edit]:
    """Edits that make words of a piece; in a text that is known to be split, a word of what is none."""
    letters = piece[::2]
    spelled = "".join(text for _, text in letters)
    gap = piece[1][1] if len(piece) > 1 else ""
    # Short words come by chance: in lists (a, b, s) and in formulas (c = a + b).
    if not trust and (len(spelled) < 3 or (len(spelled) < 5 and (_ENUMERATION & set(gap) or len(gap) > 1))):
        return
    plain = from_leet(spelled, trust=trust) or spelled
    if not plain.isalpha():
        return
    words = split_words(plain)
    if not words and not trust:
        return
    words = words or [plain]
    begins = set(accumulate(map(len, words[:-1])))
    for number, ((at, old), new) in enumerate(zip(letters, plain, strict=True)):
        kept = " " if number in begins else ""
        if number and piece[2 * number - 1][1] != kept:
            place, gap = piece[2 * number - 1]
            yield Edit(place, place + len(gap), kept)
        if old != new:
            yield Edit(at, at + 1, new)
