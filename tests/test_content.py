from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.content import MAX_CONTEXT_CHARACTERS, MAX_CONTEXT_TURNS, MAX_TAGS, is_blank, make_content, violations
from guard.errors import InvalidInput
from guard.types import Content, Direction, Origin, Role, Turn

_make = cast(Any, make_content)


def _fields(**values: object) -> list[str]:
    """The fields that a refusal names."""
    with pytest.raises(InvalidInput) as refused:
        _make(**{"text": "hello", **values})
    assert all(violation.reason and violation.cure for violation in refused.value.violations)
    return [violation.field for violation in refused.value.violations]


def test_a_text_alone_is_a_prompt_of_a_user() -> None:
    """Everything but the text has a default."""
    assert make_content("hello") == Content("hello", Direction.PROMPT, (), Origin.USER, "", "", {})


def test_every_value_arrives() -> None:
    """Plain values become their types and nothing is lost."""
    content = make_content(
        "text",
        direction="output",
        context=[{"role": "system", "text": "be kind"}, Turn(Role.USER, "hi"), {"role": "assistant", "text": "ho"}],
        policy="strict",
        tags={"tenant": "a"},
        origin="tool",
        request_id="r1",
    )
    turns = (Turn(Role.SYSTEM, "be kind"), Turn(Role.USER, "hi"), Turn(Role.ASSISTANT, "ho"))
    assert content == Content("text", Direction.OUTPUT, turns, Origin.TOOL, "strict", "r1", {"tenant": "a"})


def test_turns_as_chat_apis_have_them() -> None:
    """A turn may say `content` for `text`, and every role of such an API is known or named with its cure."""
    roles = ("system", "user", "assistant", "tool")
    turns = [{"role": role, "content": "a"} for role in roles]
    assert make_content("text", context=turns).context == tuple(Turn(Role(role), "a") for role in roles)
    nothing = {"role": "assistant", "content": "a", "refusal": None, "text": None}
    assert make_content("text", context=[nothing]).context == (Turn(Role.ASSISTANT, "a"),)
    with pytest.raises(InvalidInput, match=r"context\[0\].role: unknown value \(write system\)"):
        make_content("text", context=[{"role": "developer", "content": "a"}])


def test_other_words_for_directions() -> None:
    """What rows may call a direction everybody may; for other words the error names the right one."""
    assert make_content("text", "response").direction is Direction.OUTPUT
    assert make_content("text", "content").direction is Direction.PROMPT
    with pytest.raises(InvalidInput, match=r"direction: unknown value \(write prompt\)"):
        make_content("text", "input")


def test_a_string_of_context_is_one_user_turn() -> None:
    """Context may be the prompt that an output answers, as a string."""
    assert make_content("text", context="the prompt").context == (Turn(Role.USER, "the prompt"),)


def test_blank_turns_are_left_out() -> None:
    """A turn without text says nothing and is dropped."""
    assert make_content("text", context=" \n").context == ()
    turns = [Turn(Role.USER, ""), Turn(Role.USER, "a"), Turn(Role.ASSISTANT, "\t")]
    assert make_content("text", context=turns).context == (Turn(Role.USER, "a"),)


@pytest.mark.parametrize(
    "text", ["", " ", "\n\t　\u00a0", "\u200b\u200d\ufeff", " \u2060 \u202e\n", "\u3164", "\u200b" * 500]
)
def test_a_blank_text_is_refused(text: str) -> None:
    """Empty, white and invisible texts are refused: there is nothing to screen."""
    assert is_blank(text)
    assert _fields(text=text) == ["text"]


@pytest.mark.parametrize("text", ["a", " . ", "\u200b" * 500 + "x", "　" * 100 + "中", "😀", "0"])
def test_a_visible_character_is_enough(text: str) -> None:
    """One visible character anywhere makes a text."""
    assert not is_blank(text)
    assert make_content(text).text == text


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({"text": None}, ["text"]),
        ({"text": 5}, ["text"]),
        ({"text": "a\ud800"}, ["text"]),
        ({"direction": "sideways"}, ["direction"]),
        ({"direction": 1}, ["direction"]),
        ({"origin": "robot"}, ["origin"]),
        ({"policy": "a\udfff"}, ["policy"]),
        ({"policy": 1}, ["policy"]),
        ({"request_id": "\ud800"}, ["request_id"]),
        ({"tags": {"tenant": 1}}, ["tags.tenant"]),
        ({"tags": {"tenant": "\ud800"}}, ["tags.tenant"]),
        ({"tags": {1: "a"}}, ["tags"]),
        ({"tags": {"\ud800": "a"}}, ["tags"]),
        ({"tags": ["a"]}, ["tags"]),
        ({"context": 3}, ["context"]),
        ({"context": b"bytes"}, ["context"]),
        ({"context": {"role": "user", "text": "a"}}, ["context"]),
        ({"context": "\ud800"}, ["context[0].text"]),
        ({"context": ["a string"]}, ["context[0]"]),
        ({"context": [{"role": "user", "text": "a"}, {"role": "judge", "text": "b"}]}, ["context[1].role"]),
        ({"context": [{"text": "a"}]}, ["context[0].role"]),
        ({"context": [{"role": "user"}]}, ["context[0].text"]),
        ({"context": [{"role": "user", "text": " "}, {"role": "user", "text": "a\ud800"}]}, ["context[1].text"]),
        ({"context": [{"role": "user", "text": ["a"]}]}, ["context[0].text"]),
        ({"context": [{}]}, ["context[0].role", "context[0].text"]),
        ({"context": [{"role": "user", "content": "a", "text": "b"}]}, ["context[0].content"]),
        ({"context": [{"role": "assistant", "content": None}]}, ["context[0].text"]),
        ({"context": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}, ["context[0].content"]),
        ({"context": [{"role": "user", "txt": "a"}]}, ["context[0].txt", "context[0].text"]),
        ({"context": [{"role": "tool", "content": "a", "tool_call_id": "x"}]}, ["context[0].tool_call_id"]),
    ],
)
def test_a_broken_field_is_named(values: dict[str, object], fields: list[str]) -> None:
    """Each mistake names its field, with the caller's index, and says what to do."""
    assert _fields(**values) == fields


def test_all_mistakes_are_named_at_once() -> None:
    """Several mistakes are one refusal with all of them."""
    found = _fields(text=" ", direction="up", origin="x", context=[{"role": "y", "text": "\ud800"}], tags={"a": 1})
    assert sorted(found) == ["context[0].role", "context[0].text", "direction", "origin", "tags.a", "text"]


def test_too_much_context_names_the_turn() -> None:
    """The turn with which the context passes its limit is named, once."""
    half = "x" * (MAX_CONTEXT_CHARACTERS // 2)
    turns = [{"role": "user", "text": half}] * 4
    assert _fields(context=turns) == ["context[2].text"]
    assert len(make_content("text", context=turns[:2]).context) == 2


def test_too_many_turns_and_tags_are_refused() -> None:
    """Turns and tags are counted before one is looked at: a refusal names the field, its count and its limit."""
    turns = [{"role": "judge"}] * (MAX_CONTEXT_TURNS + 1)
    tags = {str(i): "x" for i in range(MAX_TAGS + 1)}
    with pytest.raises(InvalidInput) as refused:
        make_content("text", context=turns, tags=tags)
    assert [(found.field, found.reason) for found in refused.value.violations] == [
        ("context", "1025 turns, the limit is 1024"),
        ("tags", "65 tags, the limit is 64"),
    ]
    content = Content("text", context=(Turn(cast(Role, "judge"), ""),) * 2000, tags={**tags, "\ud800": "x"})
    assert [violation.field for violation in violations(content)] == ["context", "tags"]
    sound = make_content("text", context=[Turn(Role.USER, "a")] * MAX_CONTEXT_TURNS, tags=dict(list(tags.items())[1:]))
    assert (len(sound.context), len(sound.tags)) == (MAX_CONTEXT_TURNS, MAX_TAGS)


def test_an_endless_context_is_not_read_to_its_end() -> None:
    """Of turns without a length as many are taken as show that there are too many."""
    taken = 0

    def turns() -> Iterator[Turn]:
        nonlocal taken
        while True:
            taken += 1
            yield Turn(Role.USER, "a")

    with pytest.raises(InvalidInput, match="context: 1025 turns or more, the limit is 1024"):
        make_content("text", context=cast(Sequence[Turn], turns()))
    assert taken == MAX_CONTEXT_TURNS + 1


def test_content_of_plain_strings_is_refused() -> None:
    """Content that was built past the constructor with strings for members is refused, not misread."""
    content = Content("text", direction=cast(Direction, "output"), context=(Turn(cast(Role, "assistant"), "a"),))
    assert [violation.field for violation in violations(content)] == ["direction", "context[0].role"]


@given(st.text())
def test_no_message_quotes_the_text(text: str) -> None:
    """A refusal never carries the screened text."""
    marked = "\ud800" + text + "SECRET"
    with pytest.raises(InvalidInput) as refused:
        make_content(marked, context=[{"role": "user", "text": marked}])
    assert "SECRET" not in str(refused.value)
