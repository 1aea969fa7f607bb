from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.sentences import sentences


@pytest.mark.parametrize(
    "pieces",
    [
        [
            "The kite is red. ",
            "It flies at 3.5 metres! ",
            "Is the wind strong?\n",
            "We had tea (and cake.) ",
            "It rained.",
        ],
        ["你好！", "今天天气不错。", "风大吗？", "“我们喝茶吧。”", "他说……好的"],
        ["First a kite.\n2. ", "Then a ball."],
        ["Dr. Lee met J. Smith at St. Mary's. ", "They left, e.g. by train, early. ", "Fine."],
        ["See http://example.com/a?b=c&d=e for more. ", "Or v1.2.3."],
        ["Really?! ", "Yes... ", "OK"],
        ["ａｂ．　", "ｃｄ！"],
        [],
    ],
)
def test_sentences_end_where_people_end_them(pieces: list[str]) -> None:
    """Marks of both scripts end a sentence; dots in numbers, names and addresses do not; an item's number is none."""
    text = "".join(pieces)
    assert [text[start:end] for start, end in sentences(text)] == pieces


@given(st.text(alphabet='ab1 .!?。？\n"”\u0301\u200d😀J', max_size=40))
def test_sentences_are_the_text(text: str) -> None:
    """Every character is in exactly one sentence, in order."""
    found = sentences(text)
    assert "".join(text[start:end] for start, end in found) == text
    assert all(start < end for start, end in found)
