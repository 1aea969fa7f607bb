"""Placeholders: hidden before a model reads them, restored in its answer, and kept by nobody but the caller."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard import Guard, Placeholders, restore, restore_stream

_POLICY = """\
version: 1
name: default
message: {en: "Not here."}
rules:
  - {id: weapons, category: weapons, threshold: 0.5, action: block}
  - {id: pii, category: pii, threshold: 0.5, action: rewrite, rewrite: replace}
"""


@pytest.fixture(scope="module")
def guard(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Guard:
    """A guard whose policy hides personal data."""
    file = tmp_path_factory.mktemp("policy") / "default.yaml"
    file.write_text(_POLICY, encoding="utf-8")
    return Guard(tiny_model_dir, file)


def test_a_value_comes_back(guard: Guard) -> None:
    """What was hidden in a prompt is restored in the answer, as it was written."""
    hidden, text = Placeholders(), "Call 138 0013 8000 or a@example.com."
    sent = hidden.hide(text, guard.screen(text))
    assert sent == "Call <PHONE_1> or <EMAIL_1>."
    assert dict(hidden) == {"<PHONE_1>": "138 0013 8000", "<EMAIL_1>": "a@example.com"}
    assert restore("I called <PHONE_1>, not <PHONE_2>.", hidden) == "I called 138 0013 8000, not <PHONE_2>."


def test_a_conversation_keeps_its_names(guard: Guard) -> None:
    """Each text is numbered from one by the guard; the conversation has one number a value."""
    hidden = Placeholders()
    texts = ["Call 13800138000.", "Or 13912345678.", "138-0013-8000 again", "and <PHONE_3>, or 13700000001"]
    sent = [hidden.hide(text, guard.screen(text)) for text in texts]
    assert sent == ["Call <PHONE_1>.", "Or <PHONE_2>.", "<PHONE_1> again", "and <PHONE_3>, or <PHONE_4>"]
    assert hidden["<PHONE_1>"] == "13800138000"


def test_what_was_not_rewritten_is_sent_as_decided(guard: Guard) -> None:
    """An allowed text goes on as it is, of a blocked one the message."""
    hidden = Placeholders()
    assert hidden.hide("hello", guard.screen("hello")) == "hello"
    assert hidden.hide("a bomb", guard.screen("a bomb")) == "Not here."
    assert len(hidden) == 0


def test_a_printed_mapping_shows_no_values(guard: Guard) -> None:
    """What gets into a log by accident are the names."""
    hidden = Placeholders()
    hidden.hide("13800138000", guard.screen("13800138000"))
    assert repr(hidden) == "Placeholders(<PHONE_1>)"


_VALUES = {"<PHONE_1>": "138", "<PHONE_12>": "<PHONE_1>", "<EMAIL_1>": "a@b"}


_PARTS = st.sampled_from(["<PHONE_1>", "<PHONE_12>", "<EMAIL_1>", "<", ">", "<PHONE_", "a", "<b>", "1"])


@given(st.lists(_PARTS, max_size=9), st.lists(st.integers(0, 60), max_size=9))
def test_pieces_of_an_answer_are_restored_as_the_whole(parts: list[str], borders: Sequence[int]) -> None:
    """Wherever the pieces end, a placeholder comes back whole."""
    text = "".join(parts)
    cuts = sorted({0, len(text), *(border for border in borders if border < len(text))})
    pieces = [text[a:b] for a, b in pairwise(cuts)]
    assert "".join(restore_stream(pieces, _VALUES)) == restore(text, _VALUES)
