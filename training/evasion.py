"""Evasions: how people write so that a filter does not understand, applied to training texts.

Each transform takes a text and a generator and gives the text as an evader might write it. They are applied to
compliant and to noncompliant rows alike, so that an odd spelling says nothing by itself. Several are undone by the
normaliser already (width, zero width, traditional characters); they are here because a promise needs a check.
Encodings stand apart: nobody reads through them, so a text behind one says nothing by itself, and what it hides is
judged when it is decoded.
Homophones come from pypinyin's readings.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TypeAlias
from urllib.parse import quote

import numpy as np
from opencc import OpenCC
from pypinyin import pinyin

#: A transform: text and generator to the disguised text.
Transform: TypeAlias = Callable[[str, np.random.Generator], str]

#: Share of the words, or of the Chinese characters, that a transform touches.
_TOUCHED = 0.3
_WORD = re.compile(r"[A-Za-z]{3,}")
_CHINESE = re.compile("[\u4e00-\u9fff]")
_CHINESE_RUN = re.compile("[\u4e00-\u9fff]{2,}")
_LOOKALIKES = str.maketrans("aceiopxysjABCEHIKMOPTX", "асеіорхуѕјАВСЕНІКМОРТХ")
_LEET: Mapping[str, Sequence[str]] = {
    "a": "4@", "e": "3", "i": "1!", "o": "0", "s": "5$", "t": "7", "b": "8", "g": "9",
}  # fmt: skip
_SYMBOLS = ("*", "·", ".", "-", "_", "|", "/", "~", "。", " ", "❤", "★")
_EMOJI_WORDS: Mapping[str, str] = {
    "gun": "🔫", "knife": "🔪", "bomb": "💣", "money": "💰", "dead": "💀", "fire": "🔥", "pig": "🐷", "dog": "🐶",
    "monkey": "🐵", "rat": "🐀", "snake": "🐍", "pill": "💊", "needle": "💉", "eyes": "👀", "house": "🏠", "car": "🚗",
    "phone": "📱", "bank": "🏦", "card": "💳", "police": "👮", "baby": "👶", "kiss": "💋", "heart": "❤", "drink": "🍺",
    "trash": "🗑", "clown": "🤡", "poop": "💩", "hand": "✋", "women": "👩", "men": "👨", "school": "🏫", "king": "👑",
}  # fmt: skip
_EMOJI_CHARACTERS: Mapping[str, str] = {
    "枪": "🔫", "刀": "🔪", "炸": "💣", "钱": "💰", "死": "💀", "火": "🔥", "猪": "🐷", "狗": "🐶", "猴": "🐵",
    "鼠": "🐀",
    "蛇": "🐍", "药": "💊", "针": "💉", "眼": "👀", "家": "🏠", "车": "🚗", "机": "📱", "卡": "💳", "吻": "💋",
    "心": "❤",
    "酒": "🍺", "屎": "💩", "手": "✋", "女": "👩", "男": "👨", "鸡": "🐔", "鸭": "🦆", "牛": "🐮", "马": "🐴",
    "羊": "🐑",
    "虫": "🐛", "花": "🌸", "草": "🌿", "水": "💧", "日": "☀", "月": "🌙", "鬼": "👻", "鱼": "🐟", "龟": "🐢",
    "虎": "🐯",
}  # fmt: skip


def _per_word(change: Callable[[str], str]) -> Transform:
    """A transform of some of the Latin words; at least of one, if there is one."""

    def transform(text: str, rng: np.random.Generator) -> str:
        words = list(_WORD.finditer(text))
        chosen = _some(len(words), rng)
        out, end = [], 0
        for number, match in enumerate(words):
            if number in chosen:
                out += [text[end : match.start()], change(match[0])]
                end = match.end()
        return "".join([*out, text[end:]])

    return transform


def _some(count: int, rng: np.random.Generator, share: float = _TOUCHED) -> set[int]:
    """Some of ``count`` places: a share of them, at least one."""
    return set(rng.permutation(count)[: max(1, round(count * share))].tolist())


def leet(text: str, rng: np.random.Generator) -> str:
    """Letters of some words as digits and signs: ``p4ssword``."""

    def change(word: str) -> str:
        return "".join(str(rng.choice(list(_LEET[c.lower()]))) if c.lower() in _LEET else c for c in word)

    return _per_word(change)(text, rng)


def spaced(text: str, rng: np.random.Generator) -> str:
    """Some words letter by letter: ``k i l l``, ``k.i.l.l``."""
    gap = str(rng.choice([" ", ".", "-", "_"]))
    return _per_word(lambda word: gap.join(word))(text, rng)


def lookalike(text: str, rng: np.random.Generator) -> str:
    """Some words in letters of another script that look the same."""
    return _per_word(lambda word: word.translate(_LOOKALIKES))(text, rng)


def wide(text: str, rng: np.random.Generator) -> str:
    """Some words in full-width letters."""
    return _per_word(lambda word: "".join(chr(ord(c) + 0xFEE0) for c in word))(text, rng)


def zero_width(text: str, rng: np.random.Generator) -> str:
    """Invisible characters between some characters."""
    places = _some(len(text), rng, 0.2)
    return "".join(char + ("\u200b" if number in places else "") for number, char in enumerate(text))


def symbols(text: str, rng: np.random.Generator) -> str:
    """A symbol between the characters of some Chinese runs: ``敏*感*词``."""
    symbol = str(rng.choice(_SYMBOLS))
    runs = list(_CHINESE_RUN.finditer(text))
    chosen = _some(len(runs), rng, 0.5)
    out, end = [], 0
    for number, match in enumerate(runs):
        if number in chosen:
            start = match.start() + int(rng.integers(max(1, len(match[0]) - 3)))
            stop = min(match.end(), start + int(rng.integers(2, 6)))
            out += [text[end:start], symbol.join(text[start:stop])]
            end = stop
    return "".join([*out, text[end:]])


def traditional(text: str, rng: np.random.Generator) -> str:
    """Traditional characters."""
    del rng  # every character is changed
    return str(_traditional().convert(text))


def homophone(text: str, rng: np.random.Generator) -> str:
    """Some Chinese characters replaced by others of the same sound."""
    sounds = _homophones()
    places = [number for number, char in enumerate(text) if char in sounds]
    chosen = {places[i] for i in _some(len(places), rng, 0.25)} if places else set()
    return "".join(str(rng.choice(sounds[char])) if i in chosen else char for i, char in enumerate(text))


def emoji(text: str, rng: np.random.Generator) -> str:
    """Pictures for words and characters that have one."""
    del rng  # there are few
    text = "".join(_EMOJI_CHARACTERS.get(char, char) for char in text)
    return _WORD.sub(lambda match: _EMOJI_WORDS.get(match[0].lower(), match[0]), text)


#: Every transform by name, and the languages it makes sense in.
TRANSFORMS: Mapping[str, tuple[Transform, tuple[str, ...]]] = {
    "leet": (leet, ("en",)),
    "spaced": (spaced, ("en",)),
    "lookalike": (lookalike, ("en",)),
    "wide": (wide, ("en",)),
    "zero_width": (zero_width, ("en", "zh")),
    "symbols": (symbols, ("zh",)),
    "traditional": (traditional, ("zh",)),
    "homophone": (homophone, ("zh",)),
    "emoji": (emoji, ("en", "zh")),
}


#: Encodings by name.
ENCODINGS: Mapping[str, Callable[[str], str]] = {
    "percent": quote,
    "every_percent": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "hex_pairs": lambda text: text.encode().hex(" "),
    "escapes": lambda text: "".join(f"\\u{ord(char):04x}" for char in text if ord(char) < 0x10000),
    "bytes": lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode()),
    "entities": lambda text: "".join(f"&#{ord(char)};" for char in text),
}


def encode(text: str, rng: np.random.Generator) -> str:
    """A text through one of the :data:`ENCODINGS`, drawn at random."""
    return ENCODINGS[str(rng.choice(list(ENCODINGS)))](text)


def disguise(text: str, lang: str, rng: np.random.Generator) -> str:
    """A text through one transform of its language, drawn at random; unchanged if none touches it."""
    names = [name for name, (_, langs) in TRANSFORMS.items() if lang in langs]
    for name in rng.permutation(names):
        changed = TRANSFORMS[str(name)][0](text, rng)
        if changed != text:
            return changed
    return text


@cache
def _traditional() -> OpenCC:
    return OpenCC("s2t")


@cache
def _homophones() -> Mapping[str, Sequence[str]]:
    """Character of GB 2312's first level -> the others of that level that share its first reading, tone included."""
    level = {
        bytes((row, cell)).decode("gb2312", errors="ignore") for row in range(0xB0, 0xD8) for cell in range(0xA1, 0xFF)
    } - {""}
    readings = {char: pinyin(char)[0][0] for char in sorted(level)}
    by_sound: dict[str, list[str]] = {}
    for char, sound in readings.items():
        by_sound.setdefault(sound, []).append(char)
    return {char: others for char, sound in readings.items() if (others := [c for c in by_sound[sound] if c != char])}
