"""Texts for measuring a server under load: harmless sentences, half of them Chinese, of the lengths that are asked for.

Nothing in them is found by a recognizer, so a decision costs what it costs for most texts.
"""

from __future__ import annotations

import math
import random

from guard.classifier.chunker import Chunker
from guard.normalize import normalize
from tests.bench.stream_texts import CHINESE, ENGLISH

#: Tokens of the texts of one length, and of the mixed ones the median and the 99 % point.
EVEN, MEDIAN, MOST = 60, 45, 250

# The 99 % point of the standard normal distribution.
_NORMAL_99 = 2.3263
# A lognormal distribution has no end; an encoder that takes whole texts has: 512 with its template.
_LONGEST = 500


def even(chunker: Chunker, count: int, *, tokens: int = EVEN) -> list[str]:
    """Texts of exactly so many model tokens, the template's not counted."""
    draw = random.Random(f"even {tokens}")
    return [_text(draw, chunker, tokens, chinese=number % 2 == 1) for number in range(count)]


def mixed(chunker: Chunker, count: int) -> list[str]:
    """Texts whose lengths are lognormal, with 45 tokens at the median and 250 at the 99 % point."""
    draw = random.Random("mixed")
    width = math.log(MOST / MEDIAN) / _NORMAL_99
    lengths = [max(1, min(_LONGEST, round(draw.lognormvariate(math.log(MEDIAN), width)))) for _ in range(count)]
    return [_text(draw, chunker, length, chinese=number % 2 == 1) for number, length in enumerate(lengths)]


def _text(draw: random.Random, chunker: Chunker, tokens: int, *, chinese: bool) -> str:
    """A text of so many tokens, cut where a token ends; drawn again where the cut makes another token."""
    while True:
        text = ""
        while len(places := chunker.offsets(text)) < tokens:
            text = normalize(text + draw.choice(CHINESE if chinese else ENGLISH) + ("" if chinese else " ")).text
        text = text[: places[tokens - 1][1]]
        if chunker.count(text) == tokens:
            return text
