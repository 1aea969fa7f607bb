"""How texts are disguised for ``tests.bench.evasion``: one function a disguise, applied to all of a text.

Deterministic: the same text is always disguised in the same way. Only the homophones, which no rule undoes, are the
training's.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from training import evasion

Disguise: TypeAlias = Callable[[str], str]

_HAN = "\u4e00-\u9fff"
_WORD = re.compile("[A-Za-z]+")
_HAN_RUN = re.compile(f"[{_HAN}]{{2,}}")
_LEET = str.maketrans("aeiostbgAEIOSTBG", "4310578943105789")
_CYRILLIC = str.maketrans("aceiopxysjABCEHIKMOPTX", "асеіорхуѕјАВСЕНІКМОРТХ")
_SMALL_CAPITALS = str.maketrans("abcdefghijklmnoprstuvwyz", "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ")
_FLOOD = ("\u0335\u0322\u031b", "\u0337\u0327\u0302", "\u0334\u0321\u030c", "\u0336\u0328\u0308")
_EMOJI = "🔥😂⭐🌟💥"


def _words(change: Disguise) -> Disguise:
    return lambda text: _WORD.sub(lambda word: change(word[0]), text)


def _between(sign: str) -> Disguise:
    """A sign between the letters of every word, or between the characters of every Chinese run."""

    def change(text: str) -> str:
        text = _WORD.sub(lambda word: sign.join(word[0]), text)
        return _HAN_RUN.sub(lambda run: sign.join(run[0]), text)

    return change


def _spelled(text: str) -> str:
    """Everything letter by letter, so that the words are lost."""
    return " ".join(re.sub(r"\s", "", text))


def _emoji_between(text: str) -> str:
    def change(match: re.Match[str]) -> str:
        return "".join(char + _EMOJI[at % len(_EMOJI)] for at, char in enumerate(match[0][:-1])) + match[0][-1]

    return _HAN_RUN.sub(change, _WORD.sub(change, text))


def _marked(marks: tuple[str, ...]) -> Disguise:
    return lambda text: "".join(
        char + (marks[at % len(marks)] if char.isalpha() else "") for at, char in enumerate(text)
    )


def _broken(word: str) -> str:
    middle = len(word) // 2
    return f"{word[:middle]}*{word[middle:]}" if len(word) > 3 else word


def _units(form: str) -> Disguise:
    return lambda text: "".join(form.format(ord(char)) for char in text)


def _trained(name: str) -> Disguise:
    """A transform of the training, with a generator of its own for each text."""
    transform = evasion.TRANSFORMS[name][0]
    return lambda text: transform(text, np.random.default_rng(len(text)))


@dataclass(frozen=True, slots=True)
class Kind:
    """A disguise.

    Attributes:
        change: Text to disguised text.
        languages: Where it makes sense.
        exact: True if the text can be read back by rule, so that no more than 3 points may be lost.
    """

    change: Disguise
    languages: tuple[str, ...] = ("en", "zh")
    exact: bool = True


#: Every disguise by the name that the table gives it.
DISGUISES: Mapping[str, Kind] = {
    "full width": Kind(lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text), ("en",)),
    "zero width": Kind(lambda text: "\u200b".join(text)),
    "traditional": Kind(_trained("traditional"), ("zh",)),
    "bold letters": Kind(_words(lambda word: "".join(chr(ord(c.lower()) - ord("a") + 0x1D41A) for c in word)), ("en",)),
    "small capitals": Kind(lambda text: text.lower().translate(_SMALL_CAPITALS), ("en",)),
    "squared letters": Kind(
        _words(lambda word: "".join(chr(ord(c.upper()) - ord("A") + 0x1F170) for c in word)), ("en",)
    ),
    "marks, flood": Kind(_marked(_FLOOD)),
    "marks, struck": Kind(_marked(("\u0336",))),
    "look-alikes": Kind(_words(lambda word: word.translate(_CYRILLIC)), ("en",)),
    "leet": Kind(_words(lambda word: word.translate(_LEET)), ("en",)),
    "stars between": Kind(_between("*")),
    "dots between": Kind(_between(".")),
    "spaces between": Kind(_between(" "), ("zh",)),
    "letter by letter": Kind(_spelled, ("en",)),
    "emoji between": Kind(_emoji_between),
    "broken words": Kind(_words(_broken), ("en",)),
    "percent": Kind(lambda text: "".join(f"%{byte:02X}" for byte in text.encode())),
    "base64": Kind(lambda text: base64.b64encode(text.encode()).decode()),
    "base64, twice": Kind(lambda text: base64.b64encode(base64.b64encode(text.encode())).decode()),
    "hex": Kind(lambda text: text.encode().hex()),
    "escapes": Kind(_units("\\u{:04x}")),
    "entities": Kind(_units("&#{};")),
    "reversed": Kind(lambda text: text[::-1]),
    "emoji for words": Kind(_trained("emoji"), exact=False),
    "homophones": Kind(_trained("homophone"), ("zh",), exact=False),
}
