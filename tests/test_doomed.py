"""Sentences of a stream that are to go: where they end by now, and what two rewritings did together."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.doomed import together, without
from guard.placeholders import Numbers
from guard.rewrite import Edit, Rewritten, rewrite
from guard.sentences import sentences
from guard.types import Operator, Rewrite, Span

_TEXTS = st.lists(
    st.sampled_from(["Hello world. ", "你好。", "How is it? ", "a\n", "Dr. Who ", "!", " ", "no end "]), max_size=8
).map("".join)


def _put_together(text: str, done: tuple[Rewrite, ...]) -> str:
    out, at = "", 0
    for one in done:
        out += text[at : one.span.start] + one.replacement
        at = one.span.end
    return out + text[at:]


@pytest.mark.parametrize(
    ("operator", "replacement", "left"),
    [
        (Operator.DROP_SENTENCE, "", "Hello. Bye."),
        (Operator.DROP_SENTENCE, "[...] ", "Hello. [...] Bye."),
        (Operator.MASK, "*****", "Hello. " + "*" * 14 + "Bye."),
        (Operator.MASK, "###", "Hello. ###Bye."),
        (Operator.REPLACE, "<HATE_1>", "Hello. <HATE_1>Bye."),
    ],
)
def test_a_sentence_goes_up_to_its_end(operator: Operator, replacement: str, left: str) -> None:
    """What was decided when a part of the sentence was there is done to all of it."""
    done = Rewrite(Span(7, 12), operator, "hate", replacement)
    assert without("Hello. A bad thing . Bye.", [done], Numbers()).text == left


@given(_TEXTS, st.data())
def test_two_rewritings_are_told_as_one(text: str, data: st.DataObject) -> None:
    """What both did to the text is what the one told of both does, in order and without an overlap."""
    first = _dropped(text, data)
    then = _dropped(first.text, data)
    done = together(first, then.rewrites)
    assert _put_together(text, done) == then.text
    assert all(one.span.end <= other.span.start for one, other in pairwise(done))


def _dropped(text: str, data: st.DataObject) -> Rewritten:
    places = [Span(*place) for place in sentences(text)]
    chosen = data.draw(st.lists(st.sampled_from(places), unique=True)) if places else []
    return rewrite(text, [Edit(span, Operator.DROP_SENTENCE, "hate") for span in chosen], Numbers())
