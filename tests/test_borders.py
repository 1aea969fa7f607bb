from __future__ import annotations

import pytest

from guard.borders import in_word, is_chinese, last_border, pieces, torn
from guard.classifier.wordpiece import WordPiece
from guard.normalize import normalize

_CHARACTERS = [chr(code) for code in range(0x30000) if not 0xD800 <= code < 0xE000]
# Simplified into blocks that came after the tokenizer's; with one of them a count may be one off.
_RARE = "僤繐菕譅鋂鑀𪈼"
_WORDS = WordPiece({"[UNK]": 0, "a": 1, "b": 2})


def _separates(char: str) -> bool:
    """True if the tokenizer leaves both neighbours of a character alone."""
    ids = _WORDS.encode(normalize(f"a{char}b").text).ids
    return len(ids) > 1 and (ids[0], ids[-1]) == (1, 2)


def test_every_border_is_one_to_the_tokenizer() -> None:
    """Text is only taken apart for counting where its tokens do not depend on each other."""
    for char in _CHARACTERS:
        if last_border(f"a{char}b") and char not in _RARE:
            assert _separates(char), hex(ord(char))


def test_ordinary_punctuation_and_chinese_are_borders() -> None:
    """What stands between words and clauses of either language lets the text before it be counted."""
    for char in " \n\t,.;:!?()[]'\"-/@#，。、；：！？（）“”《》…—汉":
        assert last_border(f"ab{char}") == 2


def test_chinese_is_what_the_tokenizer_takes_for_it() -> None:
    """Both know the same characters, so that words are told at the same places."""
    for char in _CHARACTERS:
        alone = normalize(char).text == char and len(_WORDS.encode(f"汉{char}汉").ids) == 3
        if is_chinese(char) and normalize(char).text == char:
            assert alone, hex(ord(char))


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("e\u0301", 1), ("\r\n", 1), ("\U0001f468\u200d\U0001f469", 1), ("\U0001f468\u200d\U0001f469", 2),
        ("\U0001f44d\U0001f3fd", 1), ("\U0001f1e9\U0001f1ea", 1), ("\u2764\ufe0f", 1), ("#\ufe0f\u20e3", 1),
        ("\u1112\u1161", 1), ("\u0e01\u0e34", 1),
    ],
)  # fmt: skip
def test_what_a_reader_sees_as_one_is_not_torn(text: str, at: int) -> None:
    """Marks, joiners, variants, skin tones, flags, syllables and CRLF stay with what they belong to."""
    assert torn(text, at)


@pytest.mark.parametrize("text", ["ab", "你好", "\n\r", "a\U0001f468", "\U0001f468\U0001f469", "\u200b a"])
def test_characters_of_their_own_may_part(text: str) -> None:
    """Between two characters there may be a border."""
    assert not torn(text, 1)


def test_the_second_flag_may_part_from_the_first() -> None:
    """Two flags are four characters, and there is one border between them."""
    flags = "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7"
    assert [torn(flags, at) for at in (1, 2, 3)] == [True, False, True]


def test_endless_words_are_counted_in_pieces() -> None:
    """What has no border is taken in pieces of one size, the same whether it came at once or not."""
    text = "a " + "x" * 300 + " b"
    assert list(map(len, pieces(text))) == [2 + 128, 128, 44 + 2]
    assert "".join(pieces(text)) == text
    assert pieces("plain text") == ["plain text"]


def test_a_piece_of_a_word_continues_it() -> None:
    """A token inside a word continues it; a Chinese character begins one."""
    assert in_word("unbelievable", 2)
    assert not in_word("a b", 2)
    assert not in_word("天安", 1)
