"""Latin letters in disguise: under marks, as look-alikes, in leet, one by one, backwards."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

from guard.unmask.edits import Edit
from guard.unmask.looks import Looks
from guard.unmask.words import english, from_leet, is_backwards, is_word, lookalikes, split_words

# So many disguised words make a text a disguised one: then less is asked of the others.
_SURE = 2

# Marks of the general blocks: those of Arabic, Hebrew, Thai or Devanagari belong to their letters. No keycaps.
_MARKS = "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20e2\u20e4-\u20f0\ufe20-\ufe2f"
_MARKED = re.compile(f"(?:[^\\W_][{_MARKS}]*)*[^\\W_][{_MARKS}](?:[^\\W_]|[{_MARKS}])*")
_MARK = re.compile(f"[{_MARKS}]")
_FLOOD = re.compile(f"[{_MARKS}]{{3}}")
# Strokes through a letter, and what encloses it, are drawn and never written.
_OVERLAY = re.compile("[\u0334-\u0338\u20d0-\u20f0]")
_HAN_MARKED = re.compile(f"[\u4e00-\u9fff][{_MARKS}]")


_MARK_SET = frozenset(char for char in map(chr, range(0x300, 0xFE30)) if _MARK.match(char))


def may_be_marks(looks: Looks) -> bool:
    """A trace of :func:`marks`."""
    return not looks.ascii and looks.has(_MARK_SET)


def marks(text: str) -> list[Edit]:
    """Letters under floods of combining marks, or struck through one by one."""
    marked = list(_MARKED.finditer(text))
    flooded = [match for match in marked if _is_flood(match[0])]
    # What is flooded here and there is flooded everywhere; the short words do not show it.
    chosen = marked if len(flooded) >= _SURE else flooded
    return [
        Edit(at, at + 1, plain)
        for match in chosen
        for at, char in enumerate(match[0], start=match.start())
        if (plain := "" if _MARK.match(char) else _base(char)) != char
    ]


def _is_flood(word: str) -> bool:
    if _FLOOD.search(word) or len(_OVERLAY.findall(word)) >= 2 or _HAN_MARKED.search(word):
        return True
    loose = len(_MARK.findall(word))
    return loose >= 3 and 3 * loose >= len(word) and is_word("".join(map(_base, _MARK.sub("", word))))


def _base(char: str) -> str:
    return unicodedata.normalize("NFD", char)[0] if not "\uac00" <= char <= "\ud7a3" else char


@cache
def _tokens() -> re.Pattern[str]:
    """Runs of letters, of any script, and of symbols that look like letters."""
    symbols = "".join(char for char in lookalikes() if not char.isalpha())
    return re.compile(f"(?:[^\\W\\d_]|[{symbols}])+")


def may_be_homoglyphs(looks: Looks) -> bool:
    """A trace of :func:`homoglyphs`."""
    return not looks.ascii and not looks.characters.isdisjoint(lookalikes())


def homoglyphs(text: str) -> list[Edit]:
    """Letters of other scripts, and symbols, in the place of Latin letters that they look like (Unicode, UTS #39).

    A word of two scripts has to read as a word (or, with Cyrillic letters, to look like one: no language mixes these
    two). Words of one script alone count only if most of their like read as words: Russian holds some that do.
    """
    mixed: list[re.Match[str]] = []
    whole: list[re.Match[str]] = []
    short: list[re.Match[str]] = []
    others = 0
    for match in _tokens().finditer(text):
        token = match[0]
        if token.isascii() or lookalikes().keys().isdisjoint(token):
            others += not token.isascii() and not _is_han(token)
        elif len(token) == 1:
            short.append(match)
        elif not _reads(token):
            others += 1
        else:
            (mixed if _is_mixed(token) else whole).append(match)
    if not mixed and (len(whole) <= others or not any(len(match[0]) >= 3 for match in whole)):
        return []
    chosen = sorted([*mixed, *whole, *short], key=lambda match: match.start())
    return [
        Edit(at, at + 1, lookalikes()[char])
        for match in chosen
        for at, char in enumerate(match[0], start=match.start())
        if char in lookalikes()
    ]


def _reads(token: str) -> bool:
    plain = "".join(lookalikes().get(char, char) for char in token)
    if not plain.isascii():
        return False
    if is_word(plain):
        # Two flags are four letters of this kind.
        return len(plain) > 2 or not all("\U0001f1e6" <= char <= "\U0001f1ff" for char in token)
    foreign = [char for char in token if not char.isascii()]
    cyrillic = all("\u0400" <= char <= "\u04ff" for char in foreign)
    return cyrillic and len(token) - len(foreign) >= 2 and len(token) >= 4


def _is_mixed(token: str) -> bool:
    """True for ASCII letters beside letters of another script; Turkish is all Latin."""
    return any(map(str.isascii, token)) and any(
        not char.isascii() and not unicodedata.name(char, "").startswith("LATIN") for char in token
    )


def _is_han(token: str) -> bool:
    return "\u3040" <= token[0] <= "\u9fff"


# A whole stretch between white space or Chinese characters: pieces of paths, keys and encodings are none.
_STRETCH = re.compile(
    r"(?<![!-~])[\"'(\[{<]*([A-Za-z0-9@$!|]{1,16})(?:['-][A-Za-z0-9]{1,16})?[\"')\]}>.,;:?!]*(?![!-~])"
)
_FIGURES = frozenset("0123456789@$!|")
_BESIDE_LETTERS = re.compile(r"[0-9@$!|](?:(?<=[A-Za-z].)[A-Za-z0-9@$!|]|(?<![A-Za-z0-9].)[0-9@$!|]?[A-Za-z]{2})")


def may_be_leet(looks: Looks) -> bool:
    """A trace of :func:`leet`."""
    return looks.has(_FIGURES) and bool(_BESIDE_LETTERS.search(looks.text))


def leet(text: str) -> list[Edit]:
    """Digits and signs in the place of letters: ``v3rm1n``. Of ``item5`` and ``5mins`` the letters alone are a word.

    Where two words are read so, shorter ones are, too: ``70`` is ``to``.
    """
    tokens = [(match.start(1), match[1].rstrip("!")) for match in _STRETCH.finditer(text)]
    sure = {at: word for at, token in tokens if not _is_labelled(token) and (word := from_leet(token))}
    if len(sure) >= _SURE:
        sure = {at: word for at, token in tokens if (word := from_leet(token, trust=True))}
    return [edit for at, token in tokens if at in sure for edit in _changed(at, token, sure[at])]


def _is_labelled(token: str) -> bool:
    letters = token.strip("0123456789@$!|")
    return len(letters) > 1 and is_word(letters)


def _changed(start: int, old: str, new: str) -> Iterator[Edit]:
    for at, (before, after) in enumerate(zip(old, new, strict=True), start=start):
        if before != after:
            yield Edit(at, at + 1, after)


# What breaks a word and is part of none.
_BREAK = "[*|~^·•★☆●\u2600-\u27bf\U0001f300-\U0001f5ff\U0001f600-\U0001f64f\U0001f680-\U0001faff]"
_GAP = "[^A-Za-z0-9\u3040-\u9fff]"
_SINGLES = re.compile(rf"(?<![A-Za-z0-9])[A-Za-z@$](?:{_GAP}{{1,3}}[A-Za-z0-9@$!|](?![A-Za-z0-9]))+")
# The second and the third of single letters.
_TWO_SINGLES = re.compile("[^A-Za-z0-9][A-Za-z0-9@$!|][^A-Za-z0-9]{1,3}[A-Za-z0-9@$!|](?![A-Za-z0-9])")
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
    pieces = [piece for match in _SINGLES.finditer(text) for piece in _pieces(match)]
    signs = {_kind(piece[1][1]) for piece in pieces if list(_joined(piece))}
    for piece in pieces:
        yield from _joined(piece, trust=len(piece) > 1 and _kind(piece[1][1]) in signs)


def _broken(text: str) -> Iterator[Edit]:
    words = [list(_LETTERS.finditer(text, match.start(), match.end())) for match in _BROKEN.finditer(text)]
    words = [parts for parts in words if is_word("".join(part[0] for part in parts))]
    sure = [p for p in words if not all(len(part[0]) > 1 and is_word(part[0]) for part in p) and _length(p) >= 4]
    for parts in words if len(sure) >= _SURE else sure:
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
    words = split_words(plain) if plain.isalpha() else None
    if not words and not (trust and plain.isalpha()):
        return
    words = words or [plain]
    begins = {sum(map(len, words[:number])) for number in range(1, len(words))}
    for number, ((at, old), new) in enumerate(zip(letters, plain, strict=True)):
        kept = " " if number in begins else ""
        if number and piece[2 * number - 1][1] != kept:
            place, gap = piece[2 * number - 1]
            yield Edit(place, place + len(gap), kept)
        if old != new:
            yield Edit(at, at + 1, new)


_WORD = re.compile("[A-Za-z']+")
_ENDINGS = frozenset(".?!。？！")
_OPENING = frozenset({
    "how", "what", "why", "who", "when", "where", "i", "the", "you", "we", "they", "it", "this", "that", "these",
    "those", "my", "your", "can", "all", "a", "an",
})  # fmt: skip


# Characters that tell which way a text runs.
_GLANCE = 80


def may_be_backwards(looks: Looks) -> bool:
    """A trace of :func:`backwards`: few of the words are English, or the Chinese runs the other way."""
    words = [word for word in looks.text[:_GLANCE].lower().split() if len(word) > 2 and word.isalpha()]
    if len(words) >= 2 and 2 * sum(word in english() for word in words) < len(words):
        return True
    return not looks.ascii and is_backwards(looks.text)


def backwards(text: str) -> list[Edit]:
    """English from right to left, whole or word by word, and Chinese.

    The whole is one edit a line: its end is read first, so no smaller place in it is one in the original.
    """
    edits: list[Edit] = []
    at = 0
    for line in text.splitlines(keepends=True):
        words = list(_WORD.finditer(line))
        turned = _is_turned([word[0] for word in words])
        # A line that begins with the end of a sentence was turned as a whole.
        if turned and words[0][0][::-1].lower() in _OPENING and line[0] not in _ENDINGS:
            edits += [Edit(at + w.start(), at + w.end(), w[0][::-1]) for w in words if len(w[0]) > 1]
        elif turned or is_backwards(line):
            body = line.rstrip()
            edits.append(Edit(at, at + len(body), body[::-1]))
        at += len(line)
    return edits


def _is_turned(words: list[str]) -> bool:
    turned = sum(is_word(word[::-1]) for word in words)
    return len(words) >= 3 and turned >= 0.7 * len(words) and turned > 2 * sum(map(is_word, words))
