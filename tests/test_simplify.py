"""Traditional Chinese to simplified."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.simplify import TABLE, simplify

PAIRS = [line.split("\t") for line in TABLE.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("請問怎麼辦理護照", "请问怎么办理护照"),
        ("乾淨的乾隆年間", "干净的乾隆年间"),
        ("他沈默了，沈先生沒有回覆", "他沉默了，沈先生没有回复"),
        ("我爱北京天安门 and tea", "我爱北京天安门 and tea"),
        ("", ""),
    ],
)
def test_phrases_decide_before_characters(before: str, after: str) -> None:
    """A character is simplified as its phrase says, else by itself; simplified and Latin text stays."""
    assert simplify(before) == after


@given(st.lists(st.sampled_from([before for before, _ in PAIRS]) | st.text(max_size=3)))
def test_a_text_keeps_its_length(parts: list[str]) -> None:
    """Whatever is simplified, each character stands where it stood."""
    text = "".join(parts)
    assert len(simplify(text)) == len(text)


@given(st.lists(st.sampled_from([before for before, _ in PAIRS])))
def test_nothing_traditional_is_left(parts: list[str]) -> None:
    """A second pass over characters finds only what a phrase kept."""
    kept = {char for before, after in PAIRS if len(before) > 1 for char in after}
    changing = {before for before, _ in PAIRS if len(before) == 1}
    assert not (set(simplify("".join(parts))) & changing) - kept
