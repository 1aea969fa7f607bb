from __future__ import annotations

from collections.abc import Mapping

import pytest

from guard.cli.input_row import InputRow, RowParser, parse_context, parse_map
from guard.cli.rows import RawRow, RowFile
from guard.errors import InvalidInput
from guard.types import Direction, Role, Turn


def _parser(*, cells: bool = False, mapped: Mapping[str, str] | None = None, direction: str = "prompt") -> RowParser:
    file = RowFile("rows", 0, None, cells, iter(()))
    return RowParser(file, mapped or {}, direction=direction, policy="")


def _parse(values: Mapping[str, object], *, cells: bool = False, mapped: Mapping[str, str] | None = None) -> InputRow:
    return _parser(cells=cells, mapped=mapped).parse(RawRow(7, 0, values))


def _fields(values: Mapping[str, object], *, cells: bool = False) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        _parse(values, cells=cells)
    return [violation.field for violation in caught.value.violations]


def test_whole_row() -> None:
    """Every field goes to its place; unknown keys go to extra as they are."""
    row = _parse(
        {
            "id": 12,
            "text": "t",
            "direction": "output",
            "context": [{"role": "system", "text": "s"}, {"role": "user", "text": "u"}],
            "label": "noncompliant",
            "categories": ["hate", "other"],
            "about": ["all"],
            "tags": {"tenant": "a"},
            "source": {"deep": [1]},
        }
    )
    assert row.id == "12"
    assert (row.content.text, row.content.direction) == ("t", Direction.OUTPUT)
    assert row.content.context == (Turn(Role.SYSTEM, "s"), Turn(Role.USER, "u"))
    assert row.content.tags == {"tenant": "a"}
    truth = row.annotation
    assert (truth.label, truth.categories, truth.about) == ("noncompliant", ("hate", "other"), ("all",))
    assert truth.extra == {"source": {"deep": [1]}}


def test_text_alone() -> None:
    """A text alone is enough: the line number is its id, prompt its direction, nothing is known of its truth."""
    row = _parse({"text": "t"})
    assert (row.id, row.content.direction, row.content.context) == ("7", Direction.PROMPT, ())
    assert (row.annotation.label, row.annotation.categories, row.annotation.about) == (None, None, None)
    assert row == _parse(dict.fromkeys(("id", "direction", "context", "label", "tags")) | {"text": "t"})


def test_default_direction() -> None:
    """--direction holds for the rows that have none."""
    parser = _parser(direction="output")
    assert parser.parse(RawRow(1, 0, {"text": "t"})).content.direction is Direction.OUTPUT
    assert parser.parse(RawRow(2, 0, {"text": "t", "direction": "prompt"})).content.direction is Direction.PROMPT


@pytest.mark.parametrize(("word", "direction"), [("response", Direction.OUTPUT), ("content", Direction.PROMPT)])
def test_direction_aliases(word: str, direction: Direction) -> None:
    """The corpora's words for a direction are understood and kept in extra under their column's name."""
    row = _parse({"text": "t", "side": word}, mapped={"direction": "side"})
    assert row.content.direction is direction
    assert row.annotation.extra == {"side": word}
    assert _parse({"text": "t", "direction": word}).annotation.extra == {"direction": word}


def test_ambiguous_label() -> None:
    """An ambiguous label is no label; the word is kept in extra."""
    annotation = _parse({"text": "t", "label": "ambiguous"}).annotation
    assert (annotation.label, annotation.extra) == (None, {"label": "ambiguous"})


def test_mapped_columns() -> None:
    """A mapped column wins over the field's own name, which holds where a row lacks the column."""
    mapped = {"text": "prompt", "direction": "side"}
    row = _parse({"prompt": "p", "text": "t", "side": "output"}, mapped=mapped)
    assert (row.content.text, row.content.direction) == ("p", Direction.OUTPUT)
    assert row.annotation.extra == {"text": "t"}
    row = _parse({"text": "t", "direction": "output"}, mapped=mapped)
    assert (row.content.text, row.content.direction, row.annotation.extra) == ("t", Direction.OUTPUT, {})


def test_unseen_columns() -> None:
    """Mapped columns that no row has had are refused by name with those that there are; one row is enough."""
    parser = _parser(mapped={"direction": "side", "text": "t"})
    parser.check_columns()
    parser.parse(RawRow(1, 0, {"t": "x", "sdie": "output"}))
    with pytest.raises(InvalidInput) as refused:
        parser.check_columns()
    (violation,) = refused.value.violations
    assert (violation.field, "'side'" in violation.reason, "sdie, t" in violation.cure) == ("--map", True, True)
    parser.parse(RawRow(2, 0, {"t": "x", "side": "output"}))
    parser.check_columns()


def test_parse_map() -> None:
    """--map names a column and a field; the last equals sign divides them."""
    assert parse_map(["side=direction", "a=b=text"], None) == {"direction": "side", "text": "a=b"}


@pytest.mark.parametrize("pairs", [["side"], ["=text"], ["side=direktion"], ["a=text", "b=text"], ["missing=text"]])
def test_bad_map(pairs: list[str]) -> None:
    """A --map that is no pair, or names an unknown field or column, is refused."""
    with pytest.raises(InvalidInput, match="--map"):
        parse_map(pairs, ("side", "a", "b"))


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({}, ["text"]),
        ({"text": None}, ["text"]),
        ({"text": 3}, ["text"]),
        ({"text": " \u200b"}, ["text"]),
        ({"text": "\ud800"}, ["text"]),
        ({"text": "t", "direction": "sideways"}, ["direction"]),
        ({"text": "t", "context": {"role": "user"}}, ["context"]),
        ({"text": "t", "context": ["x"]}, ["context[0]"]),
        ({"text": "t", "context": [{"role": "user", "text": "a"}, {"role": "x", "text": "a"}]}, ["context[1].role"]),
        ({"text": "t", "id": ""}, ["id"]),
        ({"text": "t", "id": 1.5}, ["id"]),
        ({"text": "t", "id": True}, ["id"]),
        ({"text": "t", "id": "\ud800"}, ["id"]),
        ({"text": "t", "label": "bad"}, ["label"]),
        ({"text": "t", "label": ["compliant"]}, ["label"]),
        ({"text": "t", "categories": "hate"}, ["categories"]),
        ({"text": "t", "categories": ["hats"]}, ["categories"]),
        ({"text": "t", "categories": ["all"]}, ["categories"]),
        ({"text": "t", "about": ["everything"]}, ["about"]),
        ({"text": "t", "tags": {"a": 1}}, ["tags.a"]),
        ({"text": "t", "note": ["\ud800"]}, ["note"]),
        ({"id": "", "direction": "x", "label": "x"}, ["id", "label", "text"]),
    ],
)
def test_broken_fields_are_all_named(values: dict[str, object], fields: list[str]) -> None:
    """A broken row is refused with every broken field by name."""
    assert _fields(values) == fields


def test_cells() -> None:
    """In a CSV cell a list stands as names or JSON, turns and tags as JSON; an empty cell is nothing."""
    values = {
        "text": "t",
        "direction": "",
        "id": "",
        "context": '[{"role": "user", "text": "u"}]',
        "categories": "hate, violence",
        "about": '["all"]',
        "tags": '{"tenant": "a"}',
    }
    row = _parse(values, cells=True)
    assert (row.id, row.content.direction) == ("7", Direction.PROMPT)
    assert row.content.context == (Turn(Role.USER, "u"),)
    assert row.content.tags == {"tenant": "a"}
    assert (row.annotation.categories, row.annotation.about) == (("hate", "violence"), ("all",))
    assert _fields({"text": "t", "tags": "{"}, cells=True) == ["tags"]
    assert _fields({"text": ""}, cells=True) == ["text"]


def test_context_of_a_string() -> None:
    """A context string is one user turn unless it begins as a JSON list of turns."""
    for text in ("[1, 2", "[1]", "[sic] it is", '{"role": "user"}'):
        assert parse_context(text) == text
    assert parse_context(' [{"role": "user", "text": "a"}]') == [{"role": "user", "text": "a"}]
    assert parse_context("[ ]") == []


@pytest.mark.parametrize("broken", ['[{"role": "user", "text": "a"}', "[{role: user}]", '[{"a": ' * 100_000])
def test_broken_list_of_turns_is_no_turn(broken: str) -> None:
    """A list of turns with a mistake in its JSON is refused, never read as what a user said."""
    with pytest.raises(InvalidInput) as refused:
        parse_context(broken)
    assert [violation.field for violation in refused.value.violations] == ["context"]
    assert _fields({"text": " ", "context": broken}, cells=True) == ["context", "text"]
