"""Texts and their deltas for the tests of streams: every kind of character that a careless border would tear."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from hypothesis import strategies as st

from guard.types import Span

#: Pieces that texts are composed of; each is whole to a reader.
WHOLE = (
    "hello ", "the world ", "process", ", ", ". ", "\r\n", "\n", "  ", "\t",
    "我爱", "北京天安门", "，", "。", "的", "カタカナ", "한국어", "ｆｕｌｌ", "㍿",
    "e\u0301", "n\u0303\u0323", "क्षि", "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\U0001f44d\U0001f3fd", "\U0001f1e9\U0001f1ea", "\u2764\ufe0f", "1\ufe0f\u20e3", "\u200b", "\u202e", "\x00",
    "x" * 70, "0123456789" * 9, "\u0301" * 40, "a@b", "#", "\U00020000", "\u1112\u1161\u11ab",
)  # fmt: skip

#: Words that the tiny model or the recognizers act on, and none of which a border may hide.
CHARGED = ("bomb ", "kill ", "炸", "selfharm ", "mail a@example.com, ", "电话 138 0013 8000。", " 13800138000 ")


def texts(pieces: Sequence[str] = WHOLE, most: int = 60) -> st.SearchStrategy[str]:
    """Texts of such pieces, and now and then of any characters."""
    composed = st.lists(st.sampled_from(pieces), max_size=most).map("".join)
    return st.one_of(composed, composed, st.text(st.characters(codec="utf-8"), max_size=most))


def cut(text: str, borders: Sequence[int]) -> list[str]:
    """A text in deltas: cut at each border, counted from either end; some deltas are empty."""
    places = sorted({0, len(text), *(border % (len(text) + 1) for border in borders)})
    return [text[start:end] for start, end in pairwise(places)] or [text]


#: Borders for :func:`cut`.
BORDERS = st.lists(st.integers(0, 10_000), max_size=40)

_ENDLESS = re.compile(r"[^\s!-/:-@\[-`{-~\u4e00-\u9fff]{129,}")
_TOKEN = re.compile(r"[A-Za-z]+|[0-9]{1,3}|北京|天安门|[\u4e00-\u9fff]|[^\w\s]|\w")


def plain_tokens(text: str) -> list[Span]:
    """A tokenizer without a model: words, groups of digits, characters; marks and spaces are none."""
    return [Span(*match.span()) for match in _TOKEN.finditer(text) if not "\u0300" <= match[0] <= "\u036f"]


def cut_words(text: str) -> int:
    """How many tokens a window may count beyond the tokenizer's, because it counts endless words in pieces."""
    # A piece has 128 characters, or up to 32 fewer where a border would tear one.
    return sum(len(run) // 96 for run in _ENDLESS.findall(text))
