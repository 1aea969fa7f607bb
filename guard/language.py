"""Which language a text is in, as far as policies and messages need to know: Chinese, English or another.

Scripts decide first; among Latin letters a few function words tell English from its neighbours. A language
model would be right more often on three words and cost more than the classifier's tokeniser.
"""

from __future__ import annotations

import re

ZH = "zh"
EN = "en"
OTHER = "other"

# A text says which language it is long before its end.
_SAMPLE = 4096
# A Chinese character carries about as much as three Latin letters.
_HAN_WEIGHT = 3

_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_KANA_HANGUL = re.compile("[\u3041-\u30ff\u31f0-\u31ff\u1100-\u11ff\uac00-\ud7af]")
_LATIN = re.compile("[A-Za-z\u00c0-\u024f\u1e00-\u1eff]")
_ACCENTED = re.compile("[\u00c0-\u024f\u1e00-\u1eff]")
_LETTER = re.compile(r"[^\W\d_]")
_SPANISH = re.compile("[¿¡]")
_WORD = re.compile("[a-z\u00df-\u024f']+")

# Function words that are frequent in their language and rare in running English.
_FOREIGN_WORDS = (
    "el los las una unos que por para con pero como está del y le les des est dans pour avec sur une qui pas ne et "
    "der das und ist nicht ein eine mit für auf sich zu von ich il che di non per sono gli um uma não os em het een "
    "van niet zijn och att det som är dla nie się jest na za ve bir için"
)
_FOREIGN = frozenset(_FOREIGN_WORDS.split())
_ENGLISH_WORDS = (
    "the of and to a in is that it you i for on with as are be this was have not or at by from your my we can do what "
    "how they he she will if but me all an about there their would so no out up when who make his her just"
)
_ENGLISH = frozenset(_ENGLISH_WORDS.split())


def language_of(text: str) -> str:
    """The main language of a text.

    Args:
        text: Any text; the first 4096 code points decide.

    Returns:
        ``zh`` (traditional included), ``en``, or ``other`` for every other language and for texts
        without a letter.
    """
    sample = text[:_SAMPLE]
    if sample.isascii():
        # Its words decide; nothing else has to be counted.
        return _of_words(sample) if _LATIN.search(sample) else OTHER
    letters = len(_LETTER.findall(sample))
    if letters == 0:
        return OTHER
    latin = len(_LATIN.findall(sample))
    han = len(_HAN.findall(sample))
    syllables = len(_KANA_HANGUL.findall(sample))
    foreign = letters - latin - han
    if syllables * 5 > han + syllables or foreign > han * _HAN_WEIGHT + latin:
        return OTHER
    if han * _HAN_WEIGHT >= latin:
        return ZH
    return _latin_language(sample, latin)


def _latin_language(sample: str, latin: int) -> str:
    if len(_ACCENTED.findall(sample)) * 12 > latin or _SPANISH.search(sample):
        return OTHER
    return _of_words(sample)


def _of_words(sample: str) -> str:
    words = _WORD.findall(sample.lower())
    foreign = sum(word in _FOREIGN for word in words)
    english = sum(word in _ENGLISH for word in words)
    return OTHER if foreign >= 2 and foreign > english else EN
