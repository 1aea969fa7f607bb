"""Chinese characters in disguise: symbols between them, pictures in their place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from guard.unmask.edits import Edit
from guard.unmask.looks import Looks
from guard.unmask.words import HAN, chinese, joints

# Between two Chinese characters these stand for nothing; the signs of formulas, tables and names may.
_NOTHING = "*_^#@$%★☆❤♥●○◆◇■□▲△▼▽♠♣♦✿❀✦✧\u2600-\u27bf\U0001f300-\U0001faff"
_ENUMERATION = "、"
_PUNCTUATION = "，。；：！？,.;:!?()[]{}<>（）【】《》“”‘’\"'"
_RUN = re.compile(f"[{HAN}](?:[^{HAN}\\n]{{1,2}}[{HAN}])+")
_TRACE = re.compile(f"[{HAN}](?=[{_NOTHING}]{{1,2}}[{HAN}]|[^{HAN}\\n]{{1,2}}[{HAN}][^{HAN}\\n]{{1,2}}[{HAN}])")
_SIGN = re.compile(f"[{_NOTHING}]+")
_GAP = re.compile(f"[^{HAN}]+")


def may_be_symbols(looks: Looks) -> bool:
    """A trace of :func:`symbols`."""
    return not looks.ascii and bool(_TRACE.search(looks.text))


def symbols(text: str) -> list[Edit]:
    """Signs between the characters of words, ``敏*感*词``.

    Signs that mean nothing there, or any between characters that belong together.
    """
    edits: list[Edit] = []
    for match in _RUN.finditer(text):
        gaps = list(_GAP.finditer(match[0]))
        before, behind = text[: match.start()][-1:], text[match.end() :][:1]
        if _is_split(match[0], gaps, before, behind):
            edits += [Edit(match.start() + gap.start(), match.start() + gap.end(), "") for gap in gaps]
    return edits


def _is_split(run: str, gaps: list[re.Match[str]], before: str, behind: str) -> bool:
    joined = before + _GAP.sub("", run) + behind
    places = tuple(range(1 + len(before), 1 + len(before) + len(gaps)))
    together = joints(joined, places)
    signs = {gap[0] for gap in gaps}
    if all(map(_SIGN.fullmatch, signs)):
        return together > 0 or len(gaps) > 1
    if len(gaps) < 2 or _ENUMERATION in signs:
        return False
    if any(char in _PUNCTUATION or char.isalnum() for sign in signs for char in sign):
        return len(signs) == 1 and len(gaps) > 2 and 2 * together >= len(gaps)
    return together > 0


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
    "🐸": ("蛙", "frog"), "👊": ("拳", "fist"), "🍑": ("桃", "ass"), "🍆": ("茄", "dick"), "🤮": ("吐", "vomit"), "⚡": ("电", "electricity"),
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
