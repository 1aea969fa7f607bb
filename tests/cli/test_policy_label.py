"""``guard policy label``: judged at a terminal or through a pipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command, Outcome
from tests.policy.build import file_of, record_of

_POLICY = """\
version: 1
name: mine
rules:
  - {id: hate, category: hate, threshold: 0.5, action: block}
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A policy file."""
    path = tmp_path / "mine.yaml"
    path.write_text(_POLICY)
    return path


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Four records; by their distance from 0.5 they come as c, b, a, d."""
    scores = {"a": 0.3, "b": 0.6, "c": 0.5, "d": 0.9}
    rows = [record_of(name, {"hate": score}, text=f"text {name}\n\x1b[31m二") for name, score in scores.items()]
    return file_of(tmp_path / "records.jsonl", *rows)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Where the judged ones go; not there yet."""
    return tmp_path / "judged.jsonl"


def _label(command: Command, policy: Path, records: Path, output: Path, keys: str, *more: str) -> Outcome:
    return command("policy", "label", policy, "--records", records, "--output", output, *more, stdin=keys.encode())


def _judged(output: Path) -> list[tuple[str, Any, Any]]:
    rows = map(json.loads, output.read_text().splitlines())
    return [(row["id"], row["label"], row["categories"]) for row in rows]


def test_judging(command: Command, policy: Path, records: Path, output: Path) -> None:
    """The most doubtful first; what was answered is written, what is shown cannot drive the terminal."""
    outcome = _label(command, policy, records, output, "y\nhate\nwhat\nn\ns\n")
    assert (outcome.code, outcome.err) == (0, "")
    assert _judged(output) == [
        ("c", "compliant", []),
        ("b", "noncompliant", ["hate"]),
        ("a", "noncompliant", None),
    ]
    assert "1 of 4: prompt, en, hate hate 0.500, threshold 0.5" in outcome.out
    assert "    text c\n    \\x1b[31m二\n" in outcome.out
    assert "'what' is no answer (" in outcome.out
    assert outcome.out.endswith("judged 3: 1 compliant, 2 noncompliant; 1 left\n")


def test_it_goes_on_where_it_stopped(command: Command, policy: Path, records: Path, output: Path) -> None:
    """The end of the input ends it; a second run asks for the others, after a line that was torn."""
    _label(command, policy, records, output, "y\nn\n")
    whole = output.read_bytes()
    output.write_bytes(whole + b'{"schema": 1, "id": "a", "te')
    outcome = _label(command, policy, records, output, "q\n")
    assert f"guard: {output}: its last line was torn; cut off, to be asked again" in outcome.err
    assert output.read_bytes() == whole
    assert "1 of 2: " in outcome.out and "text a" in outcome.out
    assert outcome.out.endswith("judged 0, 2 before: 0 compliant, 0 noncompliant; 2 left\n")
    assert _label(command, policy, records, output, "y\ny\n").code == 0
    done = _label(command, policy, records, output, "y\n")
    assert [row[0] for row in _judged(output)] == ["c", "b", "a", "d"]
    assert done.out.endswith("judged 0, 4 before: 0 compliant, 0 noncompliant; 0 left\n")


def test_taking_back(command: Command, policy: Path, records: Path, output: Path) -> None:
    """The last answer of this run is asked for again, also across one that was skipped."""
    outcome = _label(command, policy, records, output, "b\ny\ns\nb\nn\n?\nq\n")
    assert _judged(output) == [("c", "noncompliant", None)]
    assert "there is no answer of this run to take back" in outcome.out and "1 hate" in outcome.out


def test_what_is_written_can_be_measured(command: Command, policy: Path, records: Path, output: Path) -> None:
    """What was judged is read by eval."""
    _label(command, policy, records, output, "y\nhate\ny\nhate\n")
    outcome = command("policy", "eval", policy, "--records", output)
    assert outcome.code == 0 and "records  4 labelled" in outcome.out


def test_limit_and_rule(command: Command, policy: Path, records: Path, output: Path) -> None:
    """So many and no more; a rule that there is not is refused with the closest."""
    assert _label(command, policy, records, output, "y\n" * 9, "--limit", "2", "--rule", "hate").code == 0
    assert len(_judged(output)) == 2
    wrong = _label(command, policy, records, output, "", "--rule", "hat")
    assert (wrong.code, wrong.err) == (2, "guard: --rule: the policy has no rule 'hat' (did you mean hate?)\n")


def test_records_without_texts(command: Command, policy: Path, records: Path, output: Path) -> None:
    """Nobody can judge a hash: refused with the cure; where only some have none the others are asked."""
    bare = file_of(records.with_name("bare.jsonl"), record_of("a", {"hate": 0.5}))
    outcome = _label(command, policy, bare, output, "y\n")
    assert (outcome.code, output.exists()) == (2, False)
    assert outcome.err == (
        f"guard: {bare}: text: none of 1 records has its text "
        "(screen the rows again without --no-text, and label those)\n"
    )
    bare.write_text(bare.read_text() + record_of("b", {"hate": 0.5}, text="t").to_json() + "\n")
    some = _label(command, policy, bare, output, "y\n")
    assert (some.code, some.err) == (0, "guard: not asked: 1 records have no text\n")


def test_files_that_cannot_be_used(command: Command, policy: Path, records: Path, output: Path) -> None:
    """No records, the same file twice, an output of other things or of another model: refused, nothing written."""
    assert _label(command, policy, records.with_name("none"), output, "").code == 2
    assert "is the file of records" in _label(command, policy, records, records, "y\n").err
    notes = output.with_name("notes.txt")
    notes.write_text("mine\n")
    assert _label(command, policy, records, notes, "y\n").code == 2 and notes.read_text() == "mine\n"
    other = file_of(output, record_of("x", {"hate": 0.5}, model="n@0123456789ab"))
    outcome = _label(command, policy, records, other, "y\n")
    assert (outcome.code, "has records of n@0123456789ab" in outcome.err) == (2, True)
