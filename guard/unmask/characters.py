"""Chinese characters in disguise: symbols between them, pictures in their place."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from guard.unmask.edits import Edit
from guard.unmask.looks import Looks
from guard.unmask.words import HAN, chinese

# Between two Chinese characters these stand for nothing; the signs of formulas, tables and names may.
_NOTHING = "*_^#@$%★☆❤♥●○◆◇■□▲△▼▽♠♣♦✿❀✦✧\u2600-\u27bf\u2b00-\u2bff\U0001f300-\U0001faff"
_ENUMERATION = "、"
_PUNCTUATION = "，。；：！？,;:!?()[]{}<>（）【】《》“”‘’\"'"
_RUN = re.compile(f"[{HAN}](?:[^{HAN}\\n]{{1,2}}[{HAN}])+")
_TRACE = re.compile(f"[{HAN}](?=[{_NOTHING}]{{1,2}}[{HAN}]|([^{HAN}\\n{_ENUMERATION}]{{1,2}})[{HAN}]\\1[{HAN}])")
# Of ordinary punctuation it takes two.
_MORE = re.compile(f".[{_NOTHING}]|.[^{HAN}]{{1,2}}.[^{HAN}]", re.DOTALL)
_SIGN = re.compile(f"[{_NOTHING}]+")
_GAP = re.compile(f"[^{HAN}]+")
# Of emoji any may follow another one.
_EMOJI = "\0"


def may_be_symbols(looks: Looks) -> bool:
    """A trace of :func:`symbols`."""
    return not looks.ascii and bool(_TRACE.search(looks.text))


def symbols(text: str) -> list[Edit]:
    """Signs between the characters of words, ``敏*感*词``.

    Signs that mean nothing there, or any between characters that belong together. Of a run one kind of sign is taken,
    as the others are its punctuation; a sign that splits a run may split a single word, too.
    """
    found = list(_RUN.finditer(text))
    sure = [run for match in found if _MORE.match(match[0]) and (run := _run(text, match)).is_split]
    if not sure:
        return []
    signs = {run.sign for run in sure}
    runs = [_run(text, match) for match in found]
    chosen = [run for run in runs if run.is_split or (run.sign in signs and run.together)]
    return [Edit(at, at + len(gap), "") for run in chosen for at, gap in run.gaps]


@dataclass(frozen=True, slots=True)
class _Run:
    """Chinese characters with something between every two of them.

    Attributes:
        sign: The most frequent kind of gap.
        gaps: Those of this kind, with their places.
        together: How many of them stand within a word.
    """

    sign: str
    gaps: list[tuple[int, str]]
    together: int

    @property
    def is_split(self) -> bool:
        count = len(self.gaps)
        if self.sign == _EMOJI:
            return self.together > 0 or count > 2
        if _SIGN.fullmatch(self.sign):
            return self.together > 0 or count > 1
        if count < 2 or _ENUMERATION in self.sign:
            return False
        if any(char in _PUNCTUATION or char.isalnum() for char in self.sign):
            return self.together >= max(2, count / 6)
        return self.together > 0


def _run(text: str, match: re.Match[str]) -> _Run:
    gaps = [(match.start() + gap.start(), gap[0]) for gap in _GAP.finditer(match[0])]
    usual = Counter(_kind(gap) for _, gap in gaps).most_common(1)[0][0]
    chosen = [(at, gap) for at, gap in gaps if _kind(gap) == usual]
    return _Run(usual, chosen, sum(_is_joint(text, at, at + len(gap)) for at, gap in chosen))


def _kind(gap: str) -> str:
    return _EMOJI if not gap.isascii() and _SIGN.fullmatch(gap) else gap


def _is_joint(text: str, start: int, end: int) -> bool:
    """True if the characters around a gap are a word, or in one; further gaps between them do not count."""
    before = _GAP.sub("", text[max(0, start - _REACH) : start])[-2:]
    behind = _GAP.sub("", text[end : end + _REACH])[:2]
    words = chinese()
    return before[-1:] + behind[:1] in words or before + behind[:1] in words or before[-1:] + behind in words


#: Pictures -> characters and English words that they are put for.
_PICTURES: Mapping[str, tuple[str, str]] = {
    "🔫": ("枪", "gun"), "🔪": ("刀", "knife"), "🗡": ("剑刀", "sword"), "💣": ("炸弹", "bomb"), "💰": ("钱", "money"),
    "💵": ("钱", "money"), "💀": ("死", "dead"), "🔥": ("火", "fire"), "🐷": ("猪", "pig"), "🐖": ("猪", "pig"),
    "🐶": ("狗", "dog"), "🐕": ("狗", "dog"), "🐵": ("猴", "monkey"), "🐒": ("猴", "monkey"), "🐀": ("鼠", "rat"),
    "🐭": ("鼠", "rat"), "🐍": ("蛇", "snake"), "💊": ("药", "pill"), "💉": ("针", "needle"), "👀": ("眼", "eyes"),
    "🏠": ("家", "house"), "🚗": ("车", "car"), "📱": ("机", "phone"), "🏦": ("行", "bank"), "💳": ("卡", "card"),
    "👮": ("警", "police"), "👶": ("婴", "baby"), "💋": ("吻", "kiss"), "🍺": ("酒", "beer"), "🗑": ("垃", "trash"),
    "🤡": ("丑", "clown"), "💩": ("屎粪", "shit"), "✋": ("手", "hand"), "👩": ("女", "woman"), "👨": ("男", "man"),
    "🏫": ("校", "school"), "🐔": ("鸡", "chicken"), "🦆": ("鸭", "duck"), "🐮": ("牛", "cow"), "🐴": ("马", "horse"),
    "🐎": ("马", "horse"), "🐑": ("羊", "sheep"), "🐛": ("虫", "worm"), "🌸": ("花", "flower"), "🌿": ("草", "grass"),
    "💧": ("水", "water"), "☀": ("日", "sun"), "🌙": ("月", "moon"), "👻": ("鬼", "ghost"), "🐟": ("鱼", "fish"),
    "🐢": ("龟", "turtle"), "🐯": ("虎", "tiger"), "🩸": ("血", "blood"), "🚬": ("烟", "cigarette"),
    "🧪": ("毒", "poison"), "☠": ("毒", "poison"), "🏥": ("医", "hospital"), "✈": ("机", "plane"),
    "🐸": ("蛙", "frog"), "👊": ("拳", "fist"), "🍑": ("桃", "ass"), "🍆": ("茄", "dick"), "🤮": ("吐", "vomit"),
    "⚡": ("电", "electricity"),
    "💔": ("心", "heart"),
    "❤": ("心", "heart"),
}  # fmt: skip
_PICTURE = re.compile(f"[{''.join(_PICTURES)}][\U0001f3fb-\U0001f3ff]?")
# A picture behind one of these stands for a noun, and is no ornament.
_BEFORE_NOUN = re.compile(
    r"(?<![A-Za-z])(?:an?|the|my|your|his|her|their|our|some|any|every|no|of|with|by|for|from|into|like|these|those)\s?$",
    re.IGNORECASE,
)
_REACH = 8


def may_be_pictures(looks: Looks) -> bool:
    """A trace of :func:`pictures`."""
    return not looks.ascii and not looks.characters.isdisjoint(_PICTURES)


def pictures(text: str) -> list[Edit]:
    """Emoji in the place of a character or a noun: ``💣弹``, ``build a 💣``."""
    return [edit for match in _PICTURE.finditer(text) for edit in _picture(text, match)]


def _picture(text: str, match: re.Match[str]) -> Iterator[Edit]:
    characters, noun = _PICTURES[match[0][0]]
    before, behind = text[: match.start()][-2:], text[match.end() :][:2]
    for char in characters:
        if not chinese().isdisjoint(_around(before, char, behind)):
            yield Edit(match.start(), match.end(), char)
            return
    if _BEFORE_NOUN.search(text[max(0, match.start() - _REACH) : match.start()]):
        spaced = noun if before.endswith(" ") else f" {noun}"
        yield Edit(match.start(), match.end(), spaced + (" " if behind[:1].isalpha() else ""))


def _around(before: str, char: str, behind: str) -> Iterator[str]:
    """The two and three characters with a character among its neighbours."""
    row, at = before + char + behind, len(before)
    for size in (2, 3):
        yield from (row[start : start + size] for start in range(max(0, at + 1 - size), at + 1))
