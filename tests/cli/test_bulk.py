from __future__ import annotations

import csv
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guard.cli.bulk import BulkOptions, screen_file
from guard.errors import InvalidInput, Unavailable
from guard.records import Record, hash_text, read
from guard.sdk.fake import FakeGuard
from guard.types import Action, Content, Direction
from tests.cli.conftest import Command


class _Nothing(list[Content]):
    """A fake's memory that keeps nothing, where memory is measured."""

    def append(self, content: Content) -> None:
        """Forget it."""


RowsFile = Callable[..., Path]

_ROWS: list[dict[str, Any]] = [
    {"id": "a", "text": "hello world", "side": "prompt", "label": "compliant", "about": ["all"], "note": "kept"},
    {"id": "b", "text": "a bomb", "side": "prompt", "label": "noncompliant", "categories": ["weapons"]},
    {"id": "c", "text": "call 13912345678", "side": "response"},
]
_ACTIONS = [Action.ALLOW, Action.BLOCK, Action.REWRITE]


def _options(rows: Path, output: Path, *, jobs: int = 2) -> BulkOptions:
    return BulkOptions(rows, output, (), "prompt", "", keep_text=True, jobs=jobs)


def _without_time(records: list[Record]) -> list[dict[str, object]]:
    return [{k: v for k, v in json.loads(record.to_json()).items() if k != "time"} for record in records]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Where records go."""
    return tmp_path / "records.jsonl"


def test_records(command: Command, tiny_model_dir: Path, rows_file: RowsFile, output: Path) -> None:
    """Every row becomes a record in order, with its truth and its unknown keys; a pipe sees nothing else."""
    outcome = command(
        "screen", "--input", rows_file(*_ROWS), "--output", output, "--map", "side=direction", "--model", tiny_model_dir
    )
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    first, second, third = records = list(read(output))
    assert [record.id for record in records] == ["a", "b", "c"]
    assert [record.action for record in records] == _ACTIONS
    assert (first.label, first.about, first.extra, first.output_text) == ("compliant", ("all",), {"note": "kept"}, None)
    assert (second.label, second.categories) == ("noncompliant", ("weapons",))
    assert (third.direction, third.text, third.output_text) == (
        Direction.OUTPUT, "call 13912345678", "call ***********",
    )  # fmt: skip


def test_formats_agree(command: Command, tiny_model_dir: Path, rows_file: RowsFile, tmp_path: Path) -> None:
    """The same rows as JSON Lines, CSV and Parquet give the same records."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{k: row.get(k) for k in ("id", "text", "side", "label", "categories")} for row in _ROWS]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "categories": ",".join(row["categories"] or [])} for row in rows)
    results = []
    for path in (rows_file(*rows), tmp_path / "rows.csv", tmp_path / "rows.parquet"):
        target = path.with_suffix(path.suffix + ".out")
        done = command(
            "screen", "--input", path, "--output", target, "--map", "side=direction", "--model", tiny_model_dir
        )
        assert done.code == 0
        results.append(_without_time(list(read(target))))
    assert results[0] == results[1] == results[2]
    assert [row["action"] for row in results[0]] == ["allow", "block", "rewrite"]


def test_standard_streams(command: Command, tiny_model_dir: Path) -> None:
    """Rows come from standard input and records go to standard output where no file is named."""
    lines = "\n".join(json.dumps(row) for row in _ROWS).encode()
    outcome = command("screen", "--input", "-", "--model", tiny_model_dir, stdin=lines)
    assert [row["id"] for row in outcome.json()] == ["a", "b", "c"]


def test_server_gives_the_same(command: Command, rows_file: RowsFile, server_address: str, output: Path) -> None:
    """Rows are screened by a server as well, in order, by the policy that is named."""
    rows = rows_file(*({"text": text} for text in ("hello", "kill", "bomb")))
    done = command("screen", "--input", rows, "--output", output, "--server", server_address, "--policy", "strict")
    assert done.code == 0 and done.err == ""
    assert [record.action for record in read(output)] == [Action.ALLOW, Action.BLOCK, Action.ALLOW]
    unknown = command("screen", "--input", rows, "--server", server_address, "--policy", "none")
    assert unknown.code == 2 and unknown.err.startswith("guard: policy: ") and "default, strict" in unknown.err


def test_bad_rows(command: Command, tiny_model_dir: Path, rows_file: RowsFile, output: Path) -> None:
    """A bad row is one line on standard error with file, line, field, reason and cure; all others are written."""
    rows = rows_file(
        {"text": "one"},
        "not json",
        {"text": " "},
        b"\xff",
        {"text": "two", "direction": "sideways", "label": "odd"},
        {"text": "hello " * 40_000},
        {"text": "three"},
    )
    outcome = command("screen", "--input", rows, "--output", output, "--model", tiny_model_dir)
    assert outcome.code == 2 and outcome.out == ""
    assert [record.id for record in read(output)] == ["1", "7"]
    assert [line.split(": ")[:2] for line in outcome.errors] == [
        [f"{rows}:2", "row"],
        [f"{rows}:3", "text"],
        [f"{rows}:4", "row"],
        [f"{rows}:5", "label"],
        [f"{rows}:6", "text"],
    ]
    assert "; direction: " in outcome.errors[3]
    assert all(line.endswith(")") for line in outcome.errors)


def test_duplicate_ids(command: Command, tiny_model_dir: Path, rows_file: RowsFile, output: Path) -> None:
    """An id that came before is named with its line and not screened again; a line number can collide, too."""
    rows = rows_file({"id": "a", "text": "x"}, {"id": "a", "text": "y"}, {"id": "4", "text": "z"}, {"text": "u"})
    outcome = command("screen", "--input", rows, "--output", output, "--model", tiny_model_dir)
    assert outcome.code == 2
    assert [record.text for record in read(output)] == ["x", "z"]
    assert [line.split(" (")[0] for line in outcome.errors] == [
        f"{rows}:2: id: duplicate 'a'",
        f"{rows}:4: id: duplicate '4'",
    ]


def test_second_run_does_nothing(command: Command, tiny_model_dir: Path, rows_file: RowsFile, output: Path) -> None:
    """A second run over the same output changes nothing; a row that is new is added."""
    arguments = ["screen", "--output", output, "--model", tiny_model_dir, "--input"]
    assert command(*arguments, rows_file(*_ROWS)).code == 0
    before = output.read_bytes()
    again = command(*arguments, rows_file(*_ROWS))
    assert (again.code, again.err, output.read_bytes()) == (0, "", before)
    command(*arguments, rows_file(*_ROWS, {"text": "new"}))
    assert output.read_bytes().startswith(before)
    assert [record.id for record in read(output)] == ["a", "b", "c", "4"]


def test_changed_row_is_not_done(command: Command, tiny_model_dir: Path, rows_file: RowsFile, output: Path) -> None:
    """A row whose id, or line, was done with another text is a bad row: it does not pass for screened."""
    arguments = ["screen", "--output", output, "--model", tiny_model_dir, "--input"]
    command(*arguments, rows_file({"text": "one"}, {"text": "two"}))
    before = output.read_bytes()
    rows = rows_file({"text": "new"}, {"text": "two"})
    outcome = command(*arguments, rows)
    assert (outcome.code, output.read_bytes()) == (2, before)
    assert [line.split(" (")[0] for line in outcome.errors] == [f"{rows}:1: id: '1' is in the output with another text"]


def test_no_column_of_texts(command: Command, tiny_model_dir: Path, tmp_path: Path) -> None:
    """A file whose header has no text column is refused at once, with the columns that it has."""
    rows = tmp_path / "rows.csv"
    rows.write_text("id,body\n1,hello\n2,world\n")
    arguments = ["screen", "--input", rows, "--model", tiny_model_dir]
    outcome = command(*arguments)
    assert (outcome.code, outcome.out, len(outcome.errors)) == (2, "", 1)
    assert outcome.err.startswith("guard: --input: no column 'text' (") and "id, body" in outcome.err
    assert command(*arguments, "--map", "body=text").code == 0


def test_errors_are_one_line(command: Command, tiny_model_dir: Path, rows_file: RowsFile) -> None:
    """Names in a row cannot break a message into lines or drive the terminal."""
    outcome = command(
        "screen", "--input", rows_file({"text": "a", "tags": {"x\n\x1b[2J": 1}}), "--model", tiny_model_dir
    )
    assert outcome.code == 2 and len(outcome.errors) == 1 and "\x1b" not in outcome.err


def test_torn_output(command: Command, tiny_model_dir: Path, rows_file: RowsFile, output: Path) -> None:
    """A half-written last line of the output is cut off, said, and screened again."""
    arguments = ["screen", "--input", rows_file(*_ROWS), "--output", output, "--model", tiny_model_dir]
    command(*arguments)
    whole = list(read(output))
    output.write_bytes(output.read_bytes()[:-40])
    outcome = command(*arguments)
    assert outcome.code == 0
    assert len(outcome.errors) == 1 and str(output) in outcome.err and "torn" in outcome.err
    assert _without_time(list(read(output))) == _without_time(whole)


def test_foreign_output(command: Command, tiny_model_dir: Path, rows_file: RowsFile, tmp_path: Path) -> None:
    """An output that holds anything but records, or is the input, is refused and left as it is."""
    rows = rows_file(*_ROWS)
    notes = tmp_path / "notes.txt"
    notes.write_text("my notes")
    for target in (notes, rows, tmp_path):
        before = target.read_bytes() if target.is_file() else None
        outcome = command("screen", "--input", rows, "--output", target, "--model", tiny_model_dir)
        assert (outcome.code, len(outcome.errors)) == (2, 1) and "--output" in outcome.err
        assert target.is_dir() or target.read_bytes() == before


def test_output_has_one_writer(rows_file: RowsFile, output: Path) -> None:
    """While one run writes to an output another one is refused; afterwards it goes on."""
    rows = rows_file(*_ROWS)
    refusals: list[str] = []

    def meanwhile(_content: Content) -> str:
        with pytest.raises(InvalidInput) as refused:
            screen_file(FakeGuard(), _options(rows, output))
        refusals.append(str(refused.value))
        return "allow"

    assert screen_file(FakeGuard(meanwhile), _options(rows, output, jobs=1)).written == len(_ROWS)
    assert len(refusals) == len(_ROWS)
    assert all("--output: another command is writing to" in refusal for refusal in refusals)
    assert screen_file(FakeGuard(), _options(rows, output)).skipped == len(_ROWS)


def test_other_policy_is_refused(command: Command, tiny_model_dir: Path, rows_file: RowsFile, output: Path) -> None:
    """An output with records of another policy or model is refused with a cure, before a row is screened."""
    policy = output.with_name("lax.yaml")
    policy.write_text("version: 1\nname: lax\nrules:\n  - {id: hate, category: hate, threshold: 0.5, action: block}\n")
    command("screen", "--input", rows_file(*_ROWS[:1]), "--output", output, "--model", tiny_model_dir)
    arguments = ["screen", "--input", rows_file(*_ROWS), "--output", output, "--model", tiny_model_dir]
    with output.open("ab") as torn:
        torn.write(b'{"schema": ')
    before = output.read_bytes()
    outcome = command(*arguments, "--policy", policy)
    assert (outcome.code, len(outcome.errors), output.read_bytes()) == (2, 1, before)
    assert "another policy or model" in outcome.err and "(give another --output, or remove the file)" in outcome.err
    output.unlink()
    assert command(*arguments, "--policy", policy).code == 0


def test_failure_keeps_what_is_done(rows_file: RowsFile, output: Path) -> None:
    """When the guard fails, what came before the failure is written, and a second run goes on from there."""
    rows = rows_file(*({"text": f"row {n}"} for n in range(200)))
    with pytest.raises(Unavailable):
        screen_file(FakeGuard({"row 150": Unavailable("gone")}), _options(rows, output))
    assert [record.id for record in read(output)] == [str(n) for n in range(1, 151)]
    asked = FakeGuard()
    counts = screen_file(asked, _options(rows, output))
    assert (counts.written, counts.skipped, len(asked.calls)) == (50, 150, 50)
    assert [record.id for record in read(output)] == [str(n) for n in range(1, 201)]


def test_degraded_is_said(rows_file: RowsFile, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Texts that could not be scored are counted on standard error."""
    from dataclasses import replace

    failed = replace(FakeGuard({"": "block"}).screen("x"), scores={}, degraded=True)
    screen_file(FakeGuard({"bad": failed}), _options(rows_file({"text": "bad"}, {"text": "good"}), output))
    assert "1 text" in capsys.readouterr().err
    assert [record.degraded for record in read(output)] == [True, False]


def test_exit_code(command: Command, tiny_model_dir: Path, rows_file: RowsFile) -> None:
    """With --exit-code a file with a text that is not allowed exits 1; a bad row is the graver matter."""
    arguments = ["screen", "--exit-code", "--model", tiny_model_dir, "--input"]
    assert command(*arguments, rows_file(_ROWS[0])).code == 0
    assert command(*arguments, rows_file(_ROWS[1])).code == 1
    assert command(*arguments, rows_file(_ROWS[1], "bad")).code == 2


def test_exit_code_of_a_second_run(command: Command, tiny_model_dir: Path, rows_file: RowsFile, output: Path) -> None:
    """With --exit-code a second run over the same output exits as the first: what an earlier run found counts."""
    arguments = ["screen", "--exit-code", "--output", output, "--model", tiny_model_dir, "--input"]
    assert command(*arguments, rows_file(_ROWS[0])).code == 0
    assert command(*arguments, rows_file(_ROWS[0])).code == 0
    assert [command(*arguments, rows_file(*_ROWS)).code for _ in range(2)] == [1, 1]


def test_no_text(command: Command, tiny_model_dir: Path, rows_file: RowsFile, output: Path) -> None:
    """With --no-text the records hold hashes and no text."""
    command("screen", "--no-text", "--input", rows_file(*_ROWS), "--output", output, "--model", tiny_model_dir)
    assert [record.text_hash for record in read(output)] == [hash_text(str(row["text"])) for row in _ROWS]
    assert "13912345678" not in output.read_text()


def test_mistyped_column(command: Command, tiny_model_dir: Path, rows_file: RowsFile, output: Path) -> None:
    """A mapped column that none of the first rows has is refused with those that there are, before any is screened."""
    rows = rows_file("bad", *_ROWS)
    arguments = ["screen", "--input", rows, "--output", output, "--model", tiny_model_dir, "--map"]
    outcome = command(*arguments, "sdie=direction")
    assert (outcome.code, len(outcome.errors), list(read(output))) == (2, 1, [])
    assert outcome.err.startswith("guard: --map: none of the first rows has the column 'sdie' (they have ")
    assert "side" in outcome.err
    assert command(*arguments, "side=nonsense").code == 2


def test_column_of_some_rows(command: Command, tiny_model_dir: Path, rows_file: RowsFile, output: Path) -> None:
    """A mapped column that a few of the first rows have is no mistake, and neither is a file without rows."""
    arguments = ["screen", "--output", output, "--model", tiny_model_dir, "--map", "prompt=context", "--input"]
    assert command(*arguments, rows_file({"text": "one"}, {"text": "two", "prompt": "x"}, *_ROWS)).code == 0
    assert command(*arguments, rows_file(name="none.jsonl")).code == 0


def test_memory_is_flat(rows_file: RowsFile, output: Path) -> None:
    """Ten times the rows take no more memory but for their ids."""

    def peak(count: int) -> int:
        output.unlink(missing_ok=True)
        rows = rows_file(*({"text": "word " * 50, "note": f"{n} " * 20} for n in range(count)))
        guard = FakeGuard(lambda content: "allow")
        guard.calls = _Nothing()
        tracemalloc.start()
        screen_file(guard, _options(rows, output))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    small, large = peak(400), peak(4000)
    assert large < small + 4000 * 2 * 32 + 100_000
