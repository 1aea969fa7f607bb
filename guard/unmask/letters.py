"""Latin letters in disguise: under marks, as look-alikes, in leet, backwards."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache

from guard.unmask.edits import Edit
from guard.unmask.looks import Looks
from guard.unmask.words import SURE, english, from_leet, is_backwards, is_word, lookalikes, name_in_leet

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
    chosen = marked if len(flooded) >= SURE else flooded
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
    r"(?<![!-~])[\"'(\[{<]*([A-Za-z0-9@$!|]{1,16}(?:['-][A-Za-z0-9@$!|]{1,16}){0,3})[\"')\]}>.,;:?!]*(?![!-~])"
)
_PART = re.compile(r"[^'-]+")
_FIGURES = frozenset("0123456789@$!|")
_BESIDE_LETTERS = re.compile(r"[0-9@$!|](?:(?<=[A-Za-z].)[A-Za-z0-9@$!|]|(?<![A-Za-z0-9].)[0-9@$!|]?[A-Za-z]{2})")


def may_be_leet(looks: Looks) -> bool:
    """A trace of :func:`leet`."""
    return looks.has(_FIGURES) and bool(_BESIDE_LETTERS.search(looks.text))


def leet(text: str) -> list[Edit]:
    """Digits and signs in the place of letters: ``v3rm1n``. Of ``item5`` and ``5mins`` the letters alone are a word.

    Where two words are read so, shorter ones are, too: ``70`` is ``to``; and names, which no dictionary has.
    """
    tokens = [
        (stretch.start(1) + part.start(), part[0].rstrip("!"))
        for stretch in _STRETCH.finditer(text)
        for part in _PART.finditer(stretch[1])
    ]
    sure = {at: word for at, token in tokens if not _is_labelled(token) and (word := from_leet(token))}
    if len(sure) >= SURE:
        sure = {at: word for at, token in tokens if (word := from_leet(token, trust=True) or name_in_leet(token))}
    return [edit for at, token in tokens if at in sure for edit in _changed(at, token, sure[at])]


def _is_labelled(token: str) -> bool:
    letters = token.strip("0123456789@$!|")
    return len(letters) > 1 and is_word(letters)


def _changed(start: int, old: str, new: str) -> Iterator[Edit]:
    for at, (before, after) in enumerate(zip(old, new, strict=True), start=start):
        if before != after:
            yield Edit(at, at + 1, after)


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
