from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from guard.policy.load import SHIPPED_DIR, policy_files
from tests.cli.conftest import Command
from tests.policy.build import record_of
from tests.readme import abridged, comparable, runner, steps

_POLICY = """\
version: 1
name: mine
rules:
  - {id: hate, category: hate, threshold: 0.5, action: block}
"""
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file of records: each an id and its score of hate, with other fields by name."""

    def call(name: str, *records: tuple[str, float], **fields: object) -> Path:
        path = tmp_path / name
        made = [record_of(record_id, {"hate": score}, **fields) for record_id, score in records]
        path.write_text("".join(json.dumps(json.loads(record.to_json())) + "\n" for record in made))
        return path

    return call


@pytest.fixture
def policies(tmp_path: Path) -> tuple[Path, Path]:
    """A policy and a stricter one."""
    paths = tmp_path / "mine.yaml", tmp_path / "next.yaml"
    paths[0].write_text(_POLICY)
    paths[1].write_text(_POLICY.replace("0.5", "0.3"))
    return paths


def test_the_reference() -> None:
    """The commands of policies/README.md print what it shows."""
    lines = (SHIPPED_DIR / "README.md").read_text(encoding="utf-8").split("\n")
    shown, found = [], []
    with runner() as running:
        for step in steps(lines):
            output = running.run(step)
            if step.kind != "file":
                shown += [f"{step.name}:", *comparable(step.shown)]
                found += [f"{step.name}:", *comparable(abridged(output, step.shown))]
    assert found == shown
    commands = [step for step in steps(lines) if step.kind == "command"]
    assert any("guard policy diff" in step.source for step in commands)
    assert sum(step.section.endswith("in ten commands") for step in commands) == 10


def test_the_reference_shows_no_revision_of_what_ships() -> None:
    """Printed revisions of models and shipped policies would be old with the next one."""
    text = (SHIPPED_DIR / "README.md").read_text(encoding="utf-8")
    shipped = "|".join(["guard-minilm-zh-en", *(file.stem for file in policy_files(SHIPPED_DIR))])
    assert re.findall(rf"\b(?:{shipped})@[0-9a-f]{{12}}", text) == []


def test_two_policies(command: Command, policies: tuple[Path, Path], write: Write) -> None:
    """Both policies decide the same records; what flips is counted and named."""
    records = write("r.jsonl", ("a", 0.4), ("b", 0.9), label="noncompliant")
    outcome = command("policy", "diff", *policies, "--records", records)
    assert (outcome.code, outcome.err) == (0, "")
    assert "records  2 compared, 1 decided alike, 1 flipped; 2 labelled" in outcome.out
    assert "allow -> block  gain    a" in outcome.out and "0.400" in outcome.out
    assert command("policy", "diff", *policies, "--records", records, "--exit-code").code == 1
    alike = command("policy", "diff", policies[0], policies[0], "--records", records, "--exit-code")
    assert (alike.code, alike.out.splitlines()[-1]) == (
        0,
        "records  2 compared, 2 decided alike, 0 flipped; 2 labelled",
    )


def test_two_models(command: Command, policies: tuple[Path, Path], write: Write) -> None:
    """One policy decides the records of two models, joined by id; what has no partner is counted, not used."""
    old = write("old.jsonl", ("a", 0.4), ("b", 0.9), ("c", 0.9), model="one@000000000000")
    new = write("new.jsonl", ("d", 0.9), ("b", 0.1), ("a", 0.6), model="two@000000000000")
    outcome = command("policy", "diff", policies[0], "--old", old, "--new", new, "--format", "json")
    (found,) = outcome.json()
    assert outcome.code == 0
    assert (found["old"]["model"], found["new"]["model"]) == ("one@000000000000", "two@000000000000")
    assert found["total"] == {
        "records": 2, "stopped_old": 1, "stopped_new": 1, "stricter": 1, "looser": 1, "labelled": 0, "gains": 0,
        "losses": 0, "p": 1.0,
    }  # fmt: skip
    assert [(e["id"], e["old_score"], e["new_score"]) for e in found["examples"]] == [("a", 0.4, 0.6), ("b", 0.9, 0.1)]
    assert found["notes"] == [
        f"left out: 1 ids stand in {new} only, such as 'd'",
        f"left out: 1 ids stand in {old} only, such as 'c'",
    ]
    assert outcome.errors == [f"guard: {note}" for note in found["notes"]]


def test_two_models_with_a_policy_each(command: Command, policies: tuple[Path, Path], write: Write) -> None:
    """A new model with thresholds of its own is compared together with them."""
    old = write("old.jsonl", ("a", 0.4), model="one@000000000000")
    new = write("new.jsonl", ("a", 0.4), model="two@000000000000")
    (found,) = command("policy", "diff", *policies, "--old", old, "--new", new, "--format", "json").json()
    assert found["flips"] == [{"old": "allow", "new": "block", "records": 1, "compliant": 0, "noncompliant": 0}]


def test_another_model_warns(command: Command, policies: tuple[Path, Path], write: Write) -> None:
    """Records of another model than the thresholds were set on are compared, with a word about it."""
    policies[0].write_text(_POLICY + "calibrated_for: mine@0123456789ab\n")
    records = write("r.jsonl", ("a", 0.4), model="other@0123456789ab")
    outcome = command("policy", "diff", *policies, "--records", records)
    (line,) = outcome.errors
    assert outcome.code == 0
    assert line.startswith("guard: policy mine@") and "mine@0123456789ab, the scores are of other@" in line


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["A"], "--records"),
        (["A", "B"], "--records"),
        (["A", "--records", "R"], "NEW"),
        (["A", "B", "--records", "R", "--old", "R"], "--records"),
        (["A", "--old", "R"], "--new"),
        (["A", "--new", "R"], "--old"),
    ],
)
def test_usage(command: Command, policies: tuple[Path, Path], write: Write, arguments: list[str], field: str) -> None:
    """Options that make no comparison are refused with what to give."""
    names = {"A": policies[0], "B": policies[1], "R": write("r.jsonl", ("a", 0.4))}
    outcome = command("policy", "diff", *(names.get(argument, argument) for argument in arguments))
    assert (outcome.code, outcome.out, len(outcome.errors)) == (2, "", 1)
    assert outcome.err.startswith(f"guard: {field}: ")


def test_broken_records(command: Command, policies: tuple[Path, Path], write: Write, tmp_path: Path) -> None:
    """Broken lines are named with their places on standard error; nothing is compared, and the exit code is 2."""
    records = write("r.jsonl", ("a", 0.4), ("a", 0.4))
    nan = json.dumps({**json.loads(record_of("b", {"hate": 0.5}).to_json()), "scores": {"hate": float("nan")}})
    records.write_text(records.read_text() + nan + "\n")
    outcome = command("policy", "diff", *policies, "--records", records)
    assert (outcome.code, outcome.out) == (2, "")
    assert [line.partition(" (")[0] for line in outcome.errors] == [
        f"guard: {records}:2: id: duplicate 'a'",
        f"guard: {records}:3: scores.hate: not a number in [0, 1]",
    ]
    missing = command("policy", "diff", *policies, "--records", tmp_path / "none.jsonl")
    assert (missing.code, len(missing.errors)) == (2, 1)


def test_hostile_texts(command: Command, policies: tuple[Path, Path], write: Write) -> None:
    """Ids and texts of records are shown on one line, without control characters; JSON carries them escaped."""
    records = write("r.jsonl", ("a\x1b[31m\ud83d", 0.4), text="[bold]red\x07\nhot")
    outcome = command("policy", "diff", *policies, "--records", records)
    assert outcome.code == 0 and "\x1b" not in outcome.out and "\x07" not in outcome.out
    assert "[bold]red\\x07 hot" in outcome.out
    (found,) = command("policy", "diff", *policies, "--records", records, "--format", "json").json()
    assert found["examples"][0]["id"] == "a\x1b[31m\ud83d"
