"""Where a stream's text can be taken apart: between tokens that do not depend on each other, and between characters.

A character is what a reader sees as one (UAX #29): a letter with its marks, an emoji sequence, a flag, a CRLF, a Hangul
syllable. The rules here are those of them that model outputs can be torn by.
"""

from __future__ import annotations

import re
import unicodedata

# What the tokenizer separates from its neighbours whatever these are, and what it cuts into words of their own. A test
# holds both against the tokenizer: a border that is none would make the count depend on how the text came.
_EDGE_CLASS = (
    "\t\n\r -/:-@\\[-`{-~\u00a0\u1680\u2000-\u200a\u2010-\u2029\u202f-\u2043\u2045-\u2051\u2053-\u205f"
    "\u3000-\u3003\u3008-\u3011\u3014-\u301f\u3030\u303d\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
)
_HAN_CLASS = (
    "\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002b73f\U0002b740-\U0002b81f\U0002b920-\U0002ceaf"
    "\uf900-\ufaff\U0002f800-\U0002fa1f"
)
_EDGE = re.compile(f"[{_EDGE_CLASS}]")
_HAN = re.compile(f"[{_HAN_CLASS}]")
_HAN_RUN = re.compile(f"[{_HAN_CLASS}]+")

#: A "word" may go on for ever. To the model it is one unknown token from 101 characters on, however long it becomes;
#: here it is one for each so many characters, or it would be held as long as it goes on.
LONGEST = 128
_ENDLESS = re.compile(f"[^{_EDGE_CLASS}{_HAN_CLASS}]{{{LONGEST + 1},}}")

#: How far a place is looked for that leaves a character whole; no script has longer ones.
MOST_MARKS = 32

_ZWJ = "\u200d"
_REGIONAL = range(0x1F1E6, 0x1F200)
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_TAGS = range(0xE0020, 0xE0080)
_VOWELS_AND_FINALS = range(0x1160, 0x1200)


def last_border(text: str) -> int:
    """The last place where text may be counted up to; 0 if there is none. What follows it must be known."""
    for at in range(len(text) - 1, 0, -1):
        if border(text, at) and not torn(text, at):
            return at
    return 0


def in_word(text: str, at: int) -> bool:
    """True if the token that begins here continues a word; a Chinese word has no such tokens."""
    return not border(text, at) and not _HAN.match(text[at])


def is_chinese(text: str) -> bool:
    """True if every character is a Chinese one, so that words can be told by the vocabulary alone."""
    return bool(_HAN_RUN.fullmatch(text))


def border(text: str, at: int) -> bool:
    """True if the tokens on both sides do not depend on each other."""
    before, after = text[at - 1], text[at]
    if _EDGE.match(before) or _EDGE.match(after):
        return True
    return bool(_HAN.match(before)) != bool(_HAN.match(after))


def pieces(text: str) -> list[str]:
    """The text in pieces that are counted each by itself: whole, but for what goes on without an edge."""
    cuts = [0]
    for match in _ENDLESS.finditer(text):
        at = match.start()
        while match.end() - at > LONGEST:
            after = at + LONGEST
            whole = next((i for i in range(after, after - MOST_MARKS, -1) if not torn(text, i)), after)
            cuts.append(whole)
            at = whole
    return [text[start:end] for start, end in zip(cuts, [*cuts[1:], len(text)], strict=True)]


def torn(text: str, at: int) -> bool:
    """True if a border here would go through what a reader sees as one character."""
    before, after = text[at - 1], text[at : at + 1]
    if not after or after < "\u0300" or _EDGE.match(after):
        return before == "\r" and after == "\n"
    code = ord(after)
    if code in _REGIONAL and ord(before) in _REGIONAL:
        return _flags_before(text, at) % 2 == 1
    return (
        before == _ZWJ
        or after == _ZWJ
        or code in _SKIN_TONES
        or code in _TAGS
        or code in _VOWELS_AND_FINALS
        or unicodedata.category(after).startswith("M")
    )


def _flags_before(text: str, at: int) -> int:
    """Regional indicators in a row before a place; two of them are a flag."""
    count = 0
    while count < at and count < 2 * MOST_MARKS and ord(text[at - 1 - count]) in _REGIONAL:
        count += 1
    return count
