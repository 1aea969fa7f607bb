from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.rewrite import MASK, mask
from guard.types import Span


@st.composite
def _text_and_spans(draw: st.DrawFn) -> tuple[str, list[Span]]:
    text = draw(st.text(max_size=60))
    border = st.integers(0, len(text))
    pairs = draw(st.lists(st.tuples(border, border), max_size=8))
    return text, [Span(min(pair), max(pair)) for pair in pairs]


@given(_text_and_spans())
def test_exactly_the_spans_are_masked(case: tuple[str, list[Span]]) -> None:
    """Every code point inside of a span becomes an asterisk, every other one stays, and so does the length."""
    text, spans = case
    masked = mask(text, spans)
    assert len(masked) == len(text)
    for index, (before, after) in enumerate(zip(text, masked, strict=True)):
        inside = any(span.start <= index < span.end for span in spans)
        assert after == (MASK if inside else before)


@given(_text_and_spans())
def test_order_and_repetition_of_spans_do_not_matter(case: tuple[str, list[Span]]) -> None:
    """Spans may come in any order and more than once."""
    text, spans = case
    assert mask(text, [*reversed(spans), *spans]) == mask(text, spans)


@given(_text_and_spans())
def test_masking_twice_is_masking_once(case: tuple[str, list[Span]]) -> None:
    """A masked text masked at the same spans stays as it is."""
    text, spans = case
    once = mask(text, spans)
    assert mask(once, spans) == once


def test_characters_beyond_the_basic_plane_count_as_one() -> None:
    """Offsets are code points: an emoji in front shifts nothing."""
    assert mask("😀138", [Span(1, 4)]) == "😀***"


def test_no_span_leaves_the_text() -> None:
    """Without spans, or with empty ones only, the text comes back as it was."""
    assert mask("text", []) == "text"
    assert mask("text", [Span(2, 2), Span(4, 4)]) == "text"


@pytest.mark.parametrize("span", [Span(-1, 2), Span(0, 5), Span(3, 2)])
def test_a_span_outside_of_the_text_is_refused(span: Span) -> None:
    """A span that the text does not have is a ValueError and never a silent half mask."""
    with pytest.raises(ValueError, match="outside"):
        mask("text", [span])
