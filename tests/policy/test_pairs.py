"""Files of records to compare: joined, checked as a whole, and what is left out told."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from guard.errors import InvalidInput
from guard.policy.pairs import Pairs
from guard.records import Record
from guard.types import Direction
from tests.policy.build import record_of

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write records, or lines as they are, to a file."""

    def call(name: str, *lines: Record | str) -> Path:
        path = tmp_path / name
        written = [f"{line.to_json()}\n" if isinstance(line, Record) else line for line in lines]
        path.write_bytes("".join(written).encode())
        return path

    return call


def _record(record_id: str, **fields: Any) -> Record:
    return record_of(record_id, {"hate": 0.5}, **fields)


def _refused(pairs: Pairs) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        list(pairs)
    return [str(violation) for violation in caught.value.violations]


def test_a_file_alone_pairs_every_record_with_itself(write: Write) -> None:
    """Blank lines are no records; order is the file's."""
    records = [_record("b"), _record("a")]
    pairs = Pairs(write("r", records[0], "\n", records[1]))
    assert [(pair.old, pair.new) for pair in pairs] == [(record, record) for record in records]
    assert pairs.notes == []


def test_two_files_are_joined_by_id_in_the_order_of_the_new_one(write: Write) -> None:
    """Order does not matter, and texts of many bytes do not shift the place of a record."""
    old = [_record("a", text="炸弹 é"), _record("b", text="x")]
    new = [replace(record, model="n@0123456789ab") for record in reversed(old)]
    pairs = Pairs(write("old", old[0], "\n", old[1]), write("new", *new))
    assert [(pair.old, pair.new) for pair in pairs] == list(zip(reversed(old), new, strict=True))
    assert pairs.notes == []


def test_what_has_no_partner_is_counted_and_left_out(write: Write) -> None:
    """Ids in one file only, and ids whose text or direction is another, are noted with an example."""
    output = {"direction": Direction.OUTPUT, "model": "n@0123456789ab"}
    prompt = {"model": "n@0123456789ab"}
    old = write("old", *map(_record, "abcde"))
    new = write(
        "new",
        _record("a", **prompt),
        _record("b", text="other", **prompt),
        _record("c", **output),
        _record("f", **prompt),
    )
    pairs = Pairs(old, new)
    assert [pair.new.id for pair in pairs] == ["a"]
    assert pairs.notes == [
        f"left out: 1 ids stand in {new} only, such as 'f'",
        f"left out: 2 ids stand in {old} only, such as 'd'",
        "left out: 2 ids have another text or direction in the other file, such as 'b'",
    ]


def test_two_files_without_a_common_text_are_refused(write: Write) -> None:
    """Nothing to compare is a mistake with a cure, not a comparison without flips."""
    (line,) = _refused(Pairs(write("old", _record("a")), write("new", _record("b"))))
    assert "no record of" in line and "screen the same rows, with their ids" in line


def test_two_files_of_one_model_are_noted(write: Write) -> None:
    """The same file twice, for instance, compares nothing that was meant."""
    pairs = Pairs(write("old", _record("a")), write("new", _record("a")))
    assert len(list(pairs)) == 1
    assert pairs.notes == ["both files are of model m@0123456789ab"]


def test_several_models_in_one_file_are_refused(write: Write) -> None:
    """Scores of two models are on two scales; the models are named with their counts."""
    file = write("r", _record("a"), _record("b"), _record("c", model="n@0123456789ab"))
    (line,) = _refused(Pairs(file))
    assert f"{file}: model: records of 2 models: m@0123456789ab (2), n@0123456789ab (1) (" in line
    assert "--old and --new" in line


def test_every_broken_line_is_counted_and_the_first_are_named(write: Write) -> None:
    """Duplicates, NaN and what is no record: each with its line, up to twenty, then how many more."""
    broken = ["{}\n"] * 25
    file = write("r", _record("a"), _record("a"), *broken)
    lines = _refused(Pairs(file))
    assert lines[0] == f"{file}:2: id: duplicate 'a' (keep one record an id)"
    assert lines[1].startswith(f"{file}:3: schema: ")
    assert len(lines) == 21 and lines[-1] == f"{file}: 6 more broken lines (mend or remove them)"


def test_bytes_that_are_no_text_are_refused(write: Write, tmp_path: Path) -> None:
    """A line in another encoding is named."""
    file = write("r", _record("a"))
    file.write_bytes(file.read_bytes() + b"\xff\n")
    assert _refused(Pairs(file)) == [f"{file}:2: record: invalid UTF-8 (save the file as UTF-8)"]


def test_a_last_line_that_is_cut_off_is_left_out_with_a_note(write: Write) -> None:
    """A file that is still being written can be compared; a whole last line needs no line end."""
    whole = _record("b", text="好").to_json()
    for cut in (len(whole.encode()) // 2, whole.encode().index("好".encode()) + 1):
        file = write("r", _record("a"))
        file.write_bytes(file.read_bytes() + whole.encode()[:cut])
        pairs = Pairs(file)
        assert [pair.new.id for pair in pairs] == ["a"]
        assert pairs.notes == [f"left out: the last line of {file}, which is cut off"]
    assert len(list(Pairs(write("r", _record("a"), whole)))) == 2


@pytest.mark.parametrize("lines", [[], ["\n", " \n"]])
def test_a_file_without_records_is_refused(write: Write, lines: list[str]) -> None:
    """An empty file is not a comparison without flips."""
    file = write("r", *lines)
    assert _refused(Pairs(file))[0].startswith(f"{file}: no record in it (")


def test_an_old_file_that_cannot_be_read_twice_is_refused(write: Write, tmp_path: Path) -> None:
    """Records are looked up in the old file, which a pipe does not allow."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text(""))
    writer.start()
    assert _refused(Pairs(pipe, write("new", _record("a")))) == [
        "--old: cannot be read twice (give a file, not a pipe)"
    ]
    writer.join()
