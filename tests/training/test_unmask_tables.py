from __future__ import annotations

from guard.unmask.words import chinese, english, lookalikes
from training import unmask_tables as tables

_LINES = [
    "\ufeff# confusables.txt",
    "0430 ;\t0061 ;\tMA\t# ( а → a ) CYRILLIC SMALL LETTER A",
    "0456 ;\t0069 ;\tMA\t# ( і → i )",
    "0406 ;\t006C ;\tMA\t# ( І → l )",
    "FF41 ;\t0061 ;\tMA\t# full width: level 1 folds it",
    "006D ;\t0072 006E ;\tMA\t# m: two letters, and ASCII",
    "4E36 ;\t005C ;\tMA\t# a stroke",
]


def test_lookalikes_come_from_confusables_and_names() -> None:
    """Single characters that level 1 keeps and that look like one Latin letter, with capital I told from l by case."""
    found = tables.lookalikes(_LINES)
    assert (found["а"], found["і"], found["І"], found["ᴋ"], found["🅺"], found["🇰"]) == ("a", "i", "I", "k", "k", "k")
    assert not {"ａ", "m", "丶"} & found.keys()
    assert found.items() <= lookalikes().items()


def test_english_is_ordered_by_the_vocabulary() -> None:
    """Plain words of the list and long ones of the vocabulary; the vocabulary's order first."""
    found = tables.english(["zebra", "the", "O'Neil", "xy", "cat"], {"the": 0, "linux": 1, "##ing": 2, "abc": 3})
    assert found[:2] == ["the", "linux"] and set(found) >= {"zebra", "cat", "a", "to"}
    assert not {"xy", "O'Neil", "abc", "##ing"} & set(found)


def test_chinese_words_are_frequent_and_short() -> None:
    """Two and three characters, each with its least frequency."""
    lines = ["炸弹 100 n", "敏感词 50 n", "老婆婆 3 n", "A座 90 n", "中华人民 900 n"]
    assert tables.chinese(lines) == ["炸弹", "敏感词"]


def test_the_committed_tables_are_whole() -> None:
    """The tables that ship hold what the transforms rely on."""
    assert {"kill", "vermin", "linux", "to", "a"} <= english().keys() and len(english()) > 50_000
    assert {"炸弹", "敏感"} <= chinese() and len(chinese()) > 40_000
