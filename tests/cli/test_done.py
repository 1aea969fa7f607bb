from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.cli.done import IdSet, read_done
from guard.errors import InvalidInput
from guard.records import Record
from guard.types import Action, Content, Decision

_CONTENT = Content("hello")
_DECISION = Decision(Action.ALLOW, "hello", (), {"hate": 0.1}, (), "p@1", "m@1", 1, 1, "en")


def _line(row_id: str) -> bytes:
    return Record.of(_CONTENT, _DECISION, id=row_id).to_json().encode() + b"\n"


@given(st.lists(st.text(max_size=3)))
def test_id_set_is_a_set(ids: list[str]) -> None:
    """An IdSet holds what was added, says what was new, and counts each id once."""
    compact, plain = IdSet(), set[str]()
    for row_id in ids:
        assert (row_id in compact) == (row_id in plain)
        assert compact.add(row_id) == (row_id not in plain)
        plain.add(row_id)
    assert len(compact) == len(plain)
    assert all(row_id in compact for row_id in plain)


def test_id_set_grows() -> None:
    """Growing keeps every id and takes at most 32 bytes each."""
    ids = IdSet()
    for number in range(5000):
        assert ids.add(f"row-{number}")
    assert all(f"row-{number}" in ids for number in range(5000)) and "row-5000" not in ids
    assert sys.getsizeof(ids._slots) <= 5000 * 33


def test_nothing_done(tmp_path: Path) -> None:
    """Without a file, or with an empty one, nothing is done."""
    path = tmp_path / "records.jsonl"
    assert len(read_done(path).ids) == 0
    path.touch()
    assert (len(read_done(path).ids), read_done(path).whole) == (0, 0)


def test_done(tmp_path: Path) -> None:
    """The ids of whole records are done, and it is known who decided them."""
    path = tmp_path / "records.jsonl"
    path.write_bytes(_line("a") + _line("b"))
    done = read_done(path)
    assert "a" in done.ids and "b" in done.ids and len(done.ids) == 2
    assert done.whole == path.stat().st_size
    assert done.decided_by == {("p@1", "m@1")}


def test_findings_of_before(tmp_path: Path) -> None:
    """Records of blocked and rewritten texts are counted, those of allowed ones are not."""
    path = tmp_path / "records.jsonl"
    decisions = [_DECISION, replace(_DECISION, action=Action.BLOCK), replace(_DECISION, action=Action.REWRITE)]
    lines = [Record.of(_CONTENT, decision, id=str(n)).to_json() for n, decision in enumerate(decisions)]
    path.write_text("".join(f"{line}\n" for line in lines))
    assert read_done(path).not_allowed == 2


def test_done_with_its_text(tmp_path: Path) -> None:
    """A row is done if its record is of the same text; an id with another text is refused, not taken as done."""
    path = tmp_path / "records.jsonl"
    path.write_bytes(_line("a"))
    done = read_done(path)
    assert done.has("a", "hello") and not done.has("b", "hello")
    with pytest.raises(InvalidInput, match="id: 'a' is in the output with another text") as refused:
        done.has("a", "private words")
    assert "private" not in str(refused.value)


@pytest.mark.parametrize("kept", [1, 5, 20, 100, -1])
def test_torn_last_line(tmp_path: Path, kept: int) -> None:
    """A last line without its end is torn, wherever it was cut, and does not count."""
    path = tmp_path / "records.jsonl"
    path.write_bytes(_line("a") + _line("b")[:kept])
    done = read_done(path)
    assert done.whole == len(_line("a"))
    assert "a" in done.ids and "b" not in done.ids


@pytest.mark.parametrize(
    "foreign",
    [b"notes", b"notes\n", b'{"text": "a row"}\n', b'{"schema": 2, "id": "a"}\n', b"\n", b"[" * 100_000 + b"\n"],
)
def test_foreign_file(tmp_path: Path, foreign: bytes) -> None:
    """A file with anything but records is refused with the line, before anything is written to it."""
    path = tmp_path / "records.jsonl"
    path.write_bytes(_line("a") + foreign)
    with pytest.raises(InvalidInput, match=r"records\.jsonl:2: not a record"):
        read_done(path)
