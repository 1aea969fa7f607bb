"""The Record: what one decided text looks like on its line, and how a bad line is refused."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import InvalidInput
from guard.records import Annotation, Place, Record, hash_text, read
from guard.types import CATEGORIES, Action, Content, Decision, Detection, Direction, FiredRule, Operator, Rewrite, Span

_FIELDS = [
    "schema", "id", "request_id", "time", "direction", "lang", "action", "text", "output_text", "text_hash", "tokens",
    "chunks", "rules", "scores", "detections", "policy", "model", "degraded", "tags", "label", "categories", "about",
    "extra", "transforms", "rewrites", "message",
]  # fmt: skip

_CONTENT = Content("call 139 now", direction=Direction.OUTPUT, request_id="r-1", tags={"tenant": "a"})
_DECISION = Decision(
    action=Action.REWRITE,
    output_text="call *** now",
    rules=(FiredRule("phone-output", "pii.phone", 0.9, 0.5, Action.REWRITE),),
    scores=dict.fromkeys(CATEGORIES, 0.01),
    detections=(Detection("pii.phone", Span(5, 8), 0.9, "phone"),),
    rewrites=(Rewrite(Span(5, 8), Operator.MASK, "pii.phone", "***"),),
    policy="default@0123456789ab",
    model="tiny@abc",
    chunks=1,
    tokens=3,
    language="en",
)
_WHEN = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)


def _record() -> Record:
    annotation = Annotation("noncompliant", ("privacy",), ("all",), {"source": "mine", "deep": {"k": [1, None]}})
    return Record.of(_CONTENT, _DECISION, id="7", time=_WHEN, annotation=annotation)


def _changed(**changes: object) -> str:
    return json.dumps({**json.loads(_record().to_json()), **changes})


def _fields_of(line: str) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        Record.from_json(line)
    return [violation.field for violation in caught.value.violations]


def test_fields() -> None:
    """A record's line has exactly the fields of schema 1, in their documented order."""
    assert list(json.loads(_record().to_json())) == _FIELDS


def test_round_trip() -> None:
    """What was written is read back equal."""
    assert Record.from_json(_record().to_json()) == _record()


@given(text=st.text(st.characters(exclude_categories=["Cs"])), note=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_stays_one_line(text: str, note: str) -> None:
    """Any text, line ends included, becomes one line and comes back unchanged."""
    record = replace(_record(), text=text, extra={"note": note})
    line = record.to_json()
    assert "\n" not in line and "\r" not in line
    assert Record.from_json(line) == record


def test_chinese_is_readable() -> None:
    """Characters beyond ASCII stand as they are."""
    assert "我爱北京" in replace(_record(), text="我爱北京").to_json()


def test_time_is_utc() -> None:
    """The time is written in UTC with a Z."""
    assert json.loads(_record().to_json())["time"] == "2026-01-31T12:00:00.123456Z"


def test_hash() -> None:
    """The text is named by the SHA-256 of its UTF-8."""
    assert (
        Record.of(replace(_CONTENT, text="炸"), _DECISION, id="7").text_hash
        == hashlib.sha256("炸".encode()).hexdigest()
    )


def test_without_text() -> None:
    """Without texts a record keeps neither the original nor what it was rewritten to, but its hash."""
    record = Record.of(_CONTENT, _DECISION, id="7", keep_text=False)
    assert (record.text, record.output_text) == (None, None)
    assert record.text_hash == hash_text(_CONTENT.text)
    assert "139" not in record.to_json()


def test_unchanged_output_is_null() -> None:
    """Where the text was passed on unchanged, output_text is null."""
    allowed = replace(_DECISION, action=Action.ALLOW, output_text=_CONTENT.text)
    assert Record.of(_CONTENT, allowed, id="7").output_text is None
    assert _record().output_text == "call *** now"


def test_detections_have_no_text() -> None:
    """A detection says where and what, never the matched text."""
    detections = json.loads(_record().to_json())["detections"]
    assert detections == [{"category": "pii.phone", "start": 5, "end": 8, "score": 0.9, "source": "phone"}]


def test_unknown_schema_is_refused() -> None:
    """A record of another schema, or of none, is refused by that field."""
    assert _fields_of(_changed(schema=2)) == ["schema"]
    assert _fields_of("{}") == ["schema"]


def test_later_fields_are_ignored() -> None:
    """A field that this version does not know is ignored."""
    assert Record.from_json(_changed(invented_later=1)) == _record()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": ""}, "id"),
        ({"time": "yesterday"}, "time"),
        ({"time": "2026-01-31T12:00:00"}, "time"),
        ({"direction": "sideways"}, "direction"),
        ({"action": "deny"}, "action"),
        ({"text": 3}, "text"),
        ({"text_hash": "abc"}, "text_hash"),
        ({"tokens": -1}, "tokens"),
        ({"chunks": True}, "chunks"),
        ({"rules": {}}, "rules"),
        ({"rules": [{"id": "a"}]}, "rules[0].category"),
        ({"scores": {"hate": 1.5}}, "scores.hate"),
        ({"scores": {"hate": float("nan")}}, "scores.hate"),
        ({"detections": [{"category": "pii", "start": 5, "end": 2, "score": 1, "source": "x"}]}, "detections[0].end"),
        ({"degraded": "no"}, "degraded"),
        ({"tags": {"tenant": 1}}, "tags.tenant"),
        ({"label": "bad"}, "label"),
        ({"categories": "hate"}, "categories"),
        ({"extra": None}, "extra"),
    ],
)
def test_broken_field_is_named(changes: dict[str, object], field: str) -> None:
    """A broken field is refused by its name."""
    assert field in _fields_of(_changed(**changes))


def test_missing_fields_are_all_named() -> None:
    """Every missing field is named at once; what may be null may be missing."""
    named = _fields_of('{"schema": 1}')
    may_be_null = {"text", "output_text", "label", "categories", "about", "transforms", "rewrites", "message"}
    assert set(named) == set(_FIELDS) - may_be_null - {"schema"}


def test_transforms_are_kept_and_may_be_missing() -> None:
    """A record says which disguises were undone; one that is older than the field is read as if none was."""
    record = Record.of(_CONTENT, replace(_DECISION, transforms=("base64", "leet")), id="7", time=_WHEN)
    assert Record.from_json(record.to_json()).transforms == ("base64", "leet")
    older = json.loads(record.to_json())
    del older["transforms"]
    assert Record.from_json(json.dumps(older)).transforms == ()
    assert _fields_of(_changed(transforms=[1])) == ["transforms"]


def test_a_record_says_where_and_how_a_text_was_rewritten() -> None:
    """Places survive the line, what stood and stands there is in the texts alone; an older record has none."""
    record = Record.of(_CONTENT, _DECISION, id="7", time=_WHEN, keep_text=False)
    assert "139" not in record.to_json() and "***" not in record.to_json()
    assert Record.from_json(record.to_json()).rewrites == (Place(Span(5, 8), Operator.MASK, "pii.phone"),)
    older = json.loads(record.to_json())
    del older["rewrites"]
    assert Record.from_json(json.dumps(older)).rewrites == ()
    place = {"operator": "mask", "category": "pii", "start": 1, "end": 2}
    assert _fields_of(_changed(rewrites=[{**place, "operator": "erase"}])) == ["rewrites[0].operator"]
    assert _fields_of(_changed(rewrites=[{**place, "end": 0}])) == ["rewrites[0].end"]


@pytest.mark.parametrize("line", ["", "[]", "{", '"text"', "null", "[" * 100_000])
def test_not_an_object(line: str) -> None:
    """A line that is not a JSON object is refused."""
    assert _fields_of(line) == ["record"]


def test_errors_quote_nothing() -> None:
    """An error names fields and places and never repeats what stood there."""
    with pytest.raises(InvalidInput) as caught:
        Record.from_json(_changed(text=["secret"], id=["secret"], direction="secret"))
    assert "secret" not in str(caught.value)


def test_read(tmp_path: Path) -> None:
    """A file gives its records in order; blank lines and Unicode line separators inside texts do not matter."""
    first, second = replace(_record(), text="a\u2028b\x85c"), replace(_record(), id="8")
    path = tmp_path / "records.jsonl"
    path.write_text(f"{first.to_json()}\n\n{second.to_json()}\n", encoding="utf-8")
    assert list(read(path)) == [first, second]


@pytest.mark.parametrize(("bad", "field"), [(b"{}", "schema"), (b"\xff", "record")])
def test_read_names_the_line(tmp_path: Path, bad: bytes, field: str) -> None:
    """A bad line of a file is named with file, line and field."""
    path = tmp_path / "records.jsonl"
    path.write_bytes(_record().to_json().encode() + b"\n" + bad + b"\n")
    with pytest.raises(InvalidInput) as caught:
        list(read(path))
    assert caught.value.violations[0].field == f"{path}:2: {field}"


def test_message_says_whose_words_were_passed_on() -> None:
    """A record tells the policy's message from a rewritten text; one that is older than the field says neither."""
    assert _record().message is False
    blocked = replace(_DECISION, action=Action.BLOCK, output_text="Not here.", rewrites=(), message=True)
    assert Record.of(_CONTENT, blocked, id="7", keep_text=False).message is True
    older = {name: value for name, value in json.loads(_record().to_json()).items() if name != "message"}
    assert Record.from_json(json.dumps(older)).message is None
    assert "message" not in Record.from_json(json.dumps(older)).to_json()
    assert _fields_of(_changed(message="yes")) == ["message"]
