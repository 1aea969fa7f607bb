from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.normalize import Normalized, normalize, steps
from guard.types import Span

_ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
_BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f"
_FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\ufe0f\ufe00\U000e0100\U000e0041\x00\x07\x7f\x85"
_INVISIBLE = _ZERO_WIDTH + _BIDI + _FILLERS

# What reaches the interesting branches: compositions, expansions, widths, jamo, marks, traditional characters.
_INTERESTING = (
    "aZ09 \t\n,.éÅｅ９　！①㈱㍿ﬁﬃĲ½²ﷺ가ᄀ힣ｶﾞﾟが\u0301\u0316\u0323\u09be\u09c7愛門麼繁體字乾隆頭髮我爱北京天安门😀👨"
)
_TEXT = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from(_INTERESTING + _INVISIBLE)))


def _is_han(char: str) -> bool:
    return "\u2e80" <= char <= "\u2fdf" or "\u3400" <= char <= "\u9fff" or char >= "\U00020000"


def _visible(char: str) -> bool:
    """An independent reading of which characters can be seen."""
    if char in "\t\n\r":
        return True
    return unicodedata.category(char) not in {"Cc", "Cf"} and char not in _INVISIBLE and not _selector(char)


def _selector(char: str) -> bool:
    return "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef" or "\u180b" <= char <= "\u180f"


def _spans(normalized: Normalized) -> list[Span]:
    return [normalized.original_span(i, i + 1) for i in range(len(normalized.text))]


@given(_TEXT)
def test_every_character_knows_its_source(text: str) -> None:
    """Spans of single characters lie in the original, in order, and overlap only if they are the same."""
    spans = _spans(normalize(text))
    for span in spans:
        assert 0 <= span.start < span.end <= len(text)
    for left, right in pairwise(spans):
        assert left == right or left.end <= right.start


@given(_TEXT)
def test_only_invisible_characters_have_no_place(text: str) -> None:
    """A character of the original that no span covers is invisible."""
    covered = {i for span in _spans(normalize(text)) for i in range(span.start, span.end)}
    assert [char for i, char in enumerate(text) if i not in covered and _visible(char)] == []


@given(_TEXT)
def test_a_source_normalises_to_its_character(text: str) -> None:
    """Cut out of the original and normalised alone, the source of a character contains the character."""
    normalized = normalize(text)
    for char, span in zip(normalized.text, _spans(normalized), strict=True):
        # A phrase rule for traditional characters may read more than the source alone.
        assert _is_han(char) or char in normalize(text[span.start : span.end]).text


@given(_TEXT, st.data())
def test_a_span_joins_the_spans_of_its_characters(text: str, data: st.DataObject) -> None:
    """The span of a range reaches from the start of its first source to the end of its last."""
    normalized = normalize(text)
    start = data.draw(st.integers(0, len(normalized.text)))
    end = data.draw(st.integers(start, len(normalized.text)))
    span = normalized.original_span(start, end)
    assert 0 <= span.start <= span.end <= len(text)
    if start < end:
        spans = _spans(normalized)[start:end]
        assert span == Span(spans[0].start, max(s.end for s in spans))
    else:
        assert span.start == span.end


@given(_TEXT)
def test_nfkc_agrees_with_the_standard_on_the_visible_text(text: str) -> None:
    """The result is NFKC of what is visible, but for Chinese characters, which are simplified one to one."""
    expected = unicodedata.normalize("NFKC", "".join(filter(_visible, text)))
    found = normalize(text).text
    assert len(found) == len(expected)
    assert all(a == b or (_is_han(a) and _is_han(b)) for a, b in zip(found, expected, strict=True))


@given(_TEXT, st.lists(st.tuples(st.integers(0, 200), st.sampled_from(_INVISIBLE)), max_size=10))
def test_invisible_characters_change_nothing(text: str, noise: list[tuple[int, str]]) -> None:
    """Invisible characters anywhere in a text leave its normalised form as it is."""
    noisy = text
    for place, char in noise:
        at = place % (len(noisy) + 1)
        noisy = noisy[:at] + char + noisy[at:]
    assert normalize(noisy).text == normalize(text).text


@given(_TEXT)
def test_a_second_time_changes_nothing(text: str) -> None:
    """Normalised text is its own normal form."""
    once = normalize(text).text
    assert normalize(once).text == once


@given(st.text(st.characters(max_codepoint=0x7E, min_codepoint=0x20)))
def test_printable_ascii_is_left_alone(text: str) -> None:
    """Printable ASCII comes back as it is, with the identity as its mapping."""
    normalized = normalize(text)
    assert normalized.text == text
    assert normalized.starts is None
    assert normalized.original_span(0, len(text)) == Span(0, len(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("１３８－ＡＢＣ", "138-ABC"),
        ("b\u200bo\u200dm\u2060b", "bomb"),
        ("\u202edrow", "drow"),
        ("繁體中文，頭髮與發展", "繁体中文,头发与发展"),
        ("ﬁne", "fine"),
        ("e\u0301", "é"),
        ("ｶﾞ", "ガ"),
        ("한", "한"),
        ("㍿", "株式会社"),
        ("line\none\ttab", "line\none\ttab"),
        ("Keep CASE", "Keep CASE"),
        ("\u200b\u200d\ufeff", ""),
        ("", ""),
    ],
)
def test_folds(text: str, expected: str) -> None:
    """Widths, invisible characters, ligatures, compositions and traditional characters are folded; case is kept."""
    assert normalize(text).text == expected


def test_a_span_of_folded_text_cuts_the_original_exactly() -> None:
    """Characters that were removed inside a range belong to its span, those beside it do not."""
    text = "\u200b電話\u200b１３８\u200b００\u200b!"
    normalized = normalize(text)
    at = normalized.text.index("13800")
    span = normalized.original_span(at, at + 5)
    assert text[span.start : span.end] == "１３８\u200b００"


def test_an_expansion_maps_back_as_a_whole() -> None:
    """Each character that one character expanded to has that one as its source."""
    normalized = normalize("a㍿b")
    assert _spans(normalized) == [Span(0, 1), *[Span(1, 2)] * 4, Span(2, 3)]


def test_an_empty_range_has_an_empty_span() -> None:
    """An empty range maps to an empty span, also at the very end."""
    normalized = normalize("\u200bé\u200b")
    assert normalized.original_span(0, 0) == Span(1, 1)
    assert normalized.original_span(1, 1) == Span(3, 3)


@pytest.mark.parametrize(("start", "end"), [(-1, 0), (1, 0), (0, 4)])
def test_a_span_outside_is_refused(start: int, end: int) -> None:
    """A range outside of the normalised text is a ValueError."""
    with pytest.raises(ValueError, match="outside"):
        normalize("abc").original_span(start, end)


def test_composing_characters_never_begin_a_segment() -> None:
    """Every second half of a canonical composition composes with its first half."""
    for code in range(0x110000):
        char = chr(code)
        parts = unicodedata.decomposition(char).split()
        if len(parts) != 2 or parts[0].startswith("<") or unicodedata.normalize("NFC", char) != char:
            continue
        first, second = (chr(int(part, 16)) for part in parts)
        assert normalize(first + second + "\u200b").text == unicodedata.normalize("NFKC", char)


@settings(max_examples=20)
@given(st.integers(20, 80))
def test_a_long_run_of_marks_keeps_every_mark(length: int) -> None:
    """A run of combining marks longer than any script's is cut into pieces and loses none of them."""
    text = "a" + "\u0316\u0327" * length
    normalized = normalize(text + "\u200b")
    assert sorted(normalized.text) == sorted(text)
    assert normalized.original_span(0, len(normalized.text)) == Span(0, len(text))


def test_marks_are_sorted_within_short_pieces_only() -> None:
    """Ten thousand marks in a row are not sorted as one run, which would cost the square of their number."""
    text = "a" + "\u0301\u0316" * 5000
    assert "\u0301" in normalize(text).text[:40]


def test_steps_name_what_was_changed_and_where() -> None:
    """Invisible characters, folded forms and traditional characters, each at its place of the original."""
    text = "a\u200b\u200bb ｆｕ 國語 ﬁ"
    found = {step.name: [(c.span.start, c.span.end, c.before, c.after) for c in step.changes] for step in steps(text)}
    assert found == {
        "removed": [(1, 3, "\u200b\u200b", "")],
        "folded": [(5, 7, "ｆｕ", "fu"), (11, 12, "ﬁ", "fi")],
        "simplified": [(8, 10, "國語", "国语")],
    }
    assert steps("plain text, 简体") == ()


@given(st.text(alphabet="aＡ國国\u200b é\u0301ﬁ1\r\u00ad㎏", max_size=40))
def test_texts_without_steps_are_as_they_were(text: str) -> None:
    """What has no step is unchanged, and what was changed has one; no step changes nothing."""
    found = steps(text)
    assert found or normalize(text).text == text
    assert all(change.before != change.after for step in found for change in step.changes)
