from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.placeholders import Numbers
from guard.rewrite import HARDER, MASK, Edit, Rewritten, merged, rewrite
from guard.types import Operator, Span

_PLACED = (Operator.PARTIAL, Operator.REPLACE, Operator.MASK, Operator.DROP_SENTENCE)


@st.composite
def _text_and_edits(draw: st.DrawFn) -> tuple[str, list[Edit]]:
    text = draw(st.text(max_size=60))
    border = st.integers(0, len(text))
    pairs = st.tuples(border, border).map(lambda pair: Span(min(pair), max(pair)))
    text_of = st.sampled_from([None, "", "***"])
    edit = st.builds(Edit, pairs, st.sampled_from(_PLACED), st.sampled_from(["pii.phone", "hate"]), text_of)
    return text, draw(st.lists(edit, max_size=8))


def _rewrite(text: str, *edits: Edit) -> str:
    return rewrite(text, edits, Numbers()).text


def _edit(start: int, end: int, operator: Operator, text: str | None = None, keep: int = 4) -> Edit:
    return Edit(Span(start, end), operator, "pii.phone", text, keep)


def _put_together(text: str, done: Rewritten) -> str:
    out, at = "", 0
    for one in done.rewrites:
        out += text[at : one.span.start] + one.replacement
        at = one.span.end
    return out + text[at:]


@given(_text_and_edits())
def test_what_was_done_makes_the_new_text_of_the_old(case: tuple[str, list[Edit]]) -> None:
    """Every replacement in the place of its span gives the new text, so all else stays byte for byte."""
    text, edits = case
    done = rewrite(text, edits, Numbers())
    assert _put_together(text, done) == done.text
    covered = {at for edit in edits for at in range(edit.span.start, edit.span.end)}
    assert {at for one in done.rewrites for at in range(one.span.start, one.span.end)} == covered
    assert all(a.span.end <= b.span.start for a, b in zip(done.rewrites, done.rewrites[1:], strict=False))


@given(_text_and_edits())
def test_the_order_of_edits_decides_nothing(case: tuple[str, list[Edit]]) -> None:
    """Edits may come in any order and more than once."""
    text, edits = case
    assert merged([*reversed(edits), *edits], len(text)) == merged(edits, len(text))


@given(_text_and_edits(), st.data())
def test_places_of_the_new_text_lead_back(case: tuple[str, list[Edit]], data: st.DataObject) -> None:
    """A range of the new text leads to a range of the original whose version holds it."""
    text, edits = case
    done = rewrite(text, edits, Numbers())
    start = data.draw(st.integers(0, len(done.text)))
    end = data.draw(st.integers(start, len(done.text)))
    back = done.original(Span(start, end))
    assert 0 <= back.start <= back.end <= len(text)
    if start < end:
        inside = [one for one in done.rewrites if back.start <= one.span.start and one.span.end <= back.end]
        torn = [one for one in done.rewrites if one.span.start < back.start < one.span.end]
        assert not torn
        part = Rewritten("", tuple(inside))
        assert done.text[start:end] in _put_together(text, part)


@given(_text_and_edits(), st.data())
def test_a_border_moves_with_its_text(case: tuple[str, list[Edit]], data: st.DataObject) -> None:
    """Up to a border outside of all edits, new and old text belong together."""
    text, edits = case
    done = rewrite(text, edits, Numbers())
    at = data.draw(st.integers(0, len(text)))
    if not any(one.span.start < at < one.span.end for one in done.rewrites):
        before = Rewritten("", tuple(one for one in done.rewrites if one.span.end <= at))
        assert done.text[: done.moved(at)] == _put_together(text[:at], before)


@pytest.mark.parametrize(
    ("operator", "text", "keep", "expected"),
    [
        (Operator.MASK, None, 4, "call ************* now"),
        (Operator.MASK, "***", 4, "call *** now"),
        (Operator.PARTIAL, None, 4, "call *********8000 now"),
        (Operator.PARTIAL, None, 16, "call *******3 8000 now"),
        (Operator.REPLACE, None, 4, "call <PHONE_1> now"),
        (Operator.DROP_SENTENCE, None, 4, "call  now"),
        (Operator.DROP_SENTENCE, "[...]", 4, "call [...] now"),
    ],
)
def test_every_operator_does_what_it_says(operator: Operator, text: str | None, keep: int, expected: str) -> None:
    """Mask covers, partial leaves an end of at most half, replace names, drop_sentence takes away."""
    assert _rewrite("call 138 0013 8000 now", _edit(5, 18, operator, text, keep)) == expected


def test_the_hardest_operator_takes_what_overlaps() -> None:
    """Where a place overlaps another, nothing of either stays that one of them hides."""
    edits = (_edit(2, 6, Operator.PARTIAL), _edit(4, 8, Operator.MASK), _edit(8, 9, Operator.REPLACE))
    assert _rewrite("0123456789", *edits) == "01******<PHONE_1>9"


def test_a_value_has_one_number() -> None:
    """The same digits have the same number however they are written; other values and other kinds have their own."""
    text = "13800138000, 138-0013-8000, １３８００１３８０００, 13912345678, a@b.cn"
    places = [(0, 11), (13, 26), (28, 39), (41, 52)]
    edits = [_edit(*place, Operator.REPLACE) for place in places]
    edits.append(Edit(Span(54, 60), Operator.REPLACE, "pii.email"))
    assert _rewrite(text, *edits) == "<PHONE_1>, <PHONE_1>, <PHONE_1>, <PHONE_2>, <EMAIL_1>"


def test_a_number_that_stands_in_the_text_is_taken() -> None:
    """A placeholder that somebody wrote, or that the context has, is never given to another value."""
    numbers = Numbers(["as <PHONE_1> said", "<EMAIL_7>"])
    assert [numbers.name("pii.phone", value) for value in ("1", "2", "1")] == ["<PHONE_2>", "<PHONE_3>", "<PHONE_2>"]
    assert numbers.name("pii.email", "a@b.cn") == "<EMAIL_1>"


def test_hardening_ends_at_dropping() -> None:
    """Every operator on places has a harder one, until the sentence goes."""
    for start in (Operator.PARTIAL, Operator.REPLACE, Operator.MASK, Operator.LLM):
        operator, steps = start, 0
        while operator in HARDER:
            operator, steps = HARDER[operator], steps + 1
        assert operator is Operator.DROP_SENTENCE and steps <= 2


def test_characters_beyond_the_basic_plane_count_as_one() -> None:
    """Offsets are code points: an emoji in front shifts nothing."""
    assert _rewrite("😀138", _edit(1, 4, Operator.MASK)) == "😀" + 3 * MASK


def test_no_place_leaves_the_text() -> None:
    """Without edits, or with empty ones only, the text comes back as it was."""
    assert _rewrite("text") == "text"
    assert _rewrite("text", _edit(2, 2, Operator.MASK), _edit(4, 4, Operator.REPLACE)) == "text"


@pytest.mark.parametrize("span", [Span(-1, 2), Span(0, 5), Span(3, 2)])
def test_a_place_outside_of_the_text_is_refused(span: Span) -> None:
    """A place that the text does not have is a ValueError and never half a rewrite."""
    with pytest.raises(ValueError, match="outside"):
        rewrite("text", [Edit(span, Operator.MASK, "pii")], Numbers())
