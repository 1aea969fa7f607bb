"""``guard policy eval``, ``tune`` and ``replay`` from the command line: what is shown, written and refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from guard.classifier.artifact import DEFAULT_MODEL_DIR, read_artifact
from guard.records import Record
from guard.types import Action
from tests.cli.conftest import Command
from tests.policy.build import file_of, record_of

_POLICY = """\
version: 1
name: mine
rules:
  - {id: hate, category: hate, threshold: 0.50, action: block}  # as it was
  - id: weapons
    category: weapons
    threshold: .5
    action: block
"""
Write = Callable[..., Path]


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A policy file."""
    path = tmp_path / "mine.yaml"
    path.write_text(_POLICY)
    return path


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """A hundred labelled records of the installed model: hate scores of compliant texts reach up to 0.79."""
    model = read_artifact(DEFAULT_MODEL_DIR).identity
    rows = [record_of(f"g{i}", {"hate": i / 100}, label="compliant", model=model) for i in range(80)]
    bad: dict[str, Any] = {"label": "noncompliant", "categories": ("hate",), "model": model}
    rows += [record_of(f"b{i}", {"hate": (70 + i) / 100}, **bad) for i in range(20)]
    return file_of(tmp_path / "labelled.jsonl", *rows)


def test_eval(command: Command, policy: Path, records: Path) -> None:
    """A table for people; every number, with its interval, as one line for programs."""
    outcome = command("policy", "eval", policy, "--records", records)
    assert outcome.code == 0
    assert "records  100 labelled" in outcome.out
    row = next(line.split() for line in outcome.out.splitlines() if line.startswith("hate"))
    assert row[:5] == ["hate", "20", "20", "80", "30"]
    (found,) = command("policy", "eval", policy, "--records", records, "--format", "json").json()
    hate, weapons = found["rules"]
    assert hate["measures"]["recall"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert hate["measures"]["fpr"]["value"] == 0.375
    assert hate["ranking"]["recall_at_1"]["value"] == 0.5
    assert hate["slices"][0]["key"] == "direction"
    assert weapons["measures"]["recall"] == {"value": None, "low": None, "high": None}
    assert outcome.errors == [f"guard: {note}" for note in found["notes"]]
    assert "these rules: weapons" in outcome.err


def test_eval_of_one_rule(command: Command, policy: Path, records: Path) -> None:
    """Its slices and its calibration; a rule that is not there is refused with the closest name."""
    outcome = command("policy", "eval", policy, "--records", records, "--rule", "hate")
    assert outcome.code == 0
    assert outcome.out.startswith("rule  hate: hate >= 0.5 -> block\n")
    assert "language en" in outcome.out and "0.7 to 0.8" in outcome.out
    wrong = command("policy", "eval", policy, "--records", records, "--rule", "hat")
    assert (wrong.code, wrong.err) == (2, "guard: --rule: the policy has no rule 'hat' (did you mean hate?)\n")


def test_records_of_another_model_warn(command: Command, policy: Path, tmp_path: Path, tiny_model_dir: Path) -> None:
    """One revision that is not the installed one is measured, with a word; --model names another one."""
    tiny = read_artifact(tiny_model_dir).identity
    path = file_of(tmp_path / "r.jsonl", record_of("a", {"hate": 0.5, "weapons": 0.5}, label="compliant", model=tiny))
    outcome = command("policy", "eval", policy, "--records", path)
    assert outcome.code == 0
    assert f"guard: the scores are of {tiny}, the model here is guard-" in outcome.err
    assert command("policy", "eval", policy, "--records", path, "--model", tiny_model_dir).err == ""


def test_tune_shows_and_writes_nothing_of_its_own(command: Command, policy: Path, records: Path) -> None:
    """Without --write the file stays; what is left alone says why."""
    outcome = command("policy", "tune", policy, "--records", records, "--max-fpr", "0.05", "--min-records", "5")
    assert outcome.code == 0
    assert policy.read_text() == _POLICY
    assert "records  70 to choose on, 30 held out" in outcome.out
    assert "goal     FPR of 5 % at most, then the highest recall; for the whole policy" in outcome.out
    assert "left alone: weapons: no record has a score or a detection for it" in outcome.err


def test_tune_writes_the_thresholds_and_nothing_else(command: Command, policy: Path, records: Path) -> None:
    """Comments and layout survive; a second run finds nothing to change."""
    arguments = ("policy", "tune", policy, "--records", records, "--max-fpr", "0", "--holdout", "0", "--write")
    outcome = command(*arguments)
    assert outcome.code == 0 and outcome.out.endswith(f"wrote 1 thresholds to {policy}\n")
    assert policy.read_text() == _POLICY.replace(
        "0.50, action: block}  # as it was", "0.80, action: block}  # as it was"
    )
    again = command(*arguments)
    assert again.code == 0 and again.out.endswith(f"left {policy} as it was\n")


def test_tune_for_programs(command: Command, policy: Path, records: Path) -> None:
    """Goal, thresholds, measures before and after with intervals, on what was held out."""
    goal = ("--cost", "fp=1, fn=5", "--min-records", "5", "--format", "json", "--write")
    (found,) = command("policy", "tune", policy, "--records", records, *goal).json()
    assert found["goal"] == {"aim": "cost", "bound": 0.0, "fp": 1.0, "fn": 5.0}
    assert (found["met"], found["written"], found["holdout"]) == (True, True, 0.3)
    (part,) = found["parts"]
    rule = part["rules"][0]
    assert (rule["id"], rule["old"], rule["left_alone"], rule["positives"], rule["negatives"]) == (
        "hate",
        0.5,
        "",
        14,
        56,
    )
    assert f"threshold: {rule['new']:.2f}, action" in policy.read_text()
    assert set(part["directions"][0]["held_out"]["after"]["recall"]) == {"value", "low", "high"}


def test_a_goal_that_cannot_be_met(command: Command, policy: Path, records: Path) -> None:
    """Exit code 1, the best that can is shown, and nothing is written."""
    path = records.with_name("more.jsonl")
    model = read_artifact(DEFAULT_MODEL_DIR).identity
    sure = [record_of(f"s{i}", {"hate": 1.0}, label="compliant", model=model) for i in range(10)]
    path.write_text(records.read_text() + "".join(f"{record.to_json()}\n" for record in sure))
    outcome = command(
        *("policy", "tune", policy, "--records", path, "--max-fpr", "0.01", "--min-records", "5", "--write")
    )
    assert outcome.code == 1
    assert "guard: the goal cannot be met in direction prompt; this comes nearest" in outcome.err
    assert outcome.out.endswith(f"left {policy} as it was\n") and policy.read_text() == _POLICY


def test_by_language(command: Command, policy: Path, records: Path) -> None:
    """A table a language; two thresholds for one rule are not written."""
    lines = records.read_text().splitlines()
    other = [json.loads(line) for line in lines]
    chinese = [{**r, "id": f"zh-{r['id']}", "lang": "zh", "scores": {"hate": r["scores"]["hate"] / 2}} for r in other]
    both = records.with_name("both.jsonl")
    both.write_text("".join(line + "\n" for line in (*lines, *map(json.dumps, chinese))))
    goal = ("--max-fpr", "0.1", "--min-records", "5", "--by", "language")
    outcome = command("policy", "tune", policy, "--records", both, *goal)
    assert outcome.code == 0
    assert [line for line in outcome.out.splitlines() if line.startswith("language")] == ["language en", "language zh"]
    refused = command("policy", "tune", policy, "--records", both, *goal, "--write")
    assert (refused.code, policy.read_text()) == (2, _POLICY)
    assert "guard: --write: one threshold cannot be two: hate (" in refused.err


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ([], "--max-fpr: no goal"),
        (["--max-fpr", "0.1", "--min-recall", "0.9"], "--max-fpr: more than one goal: --max-fpr, --min-recall"),
        (["--max-fpr", "1.5"], "--max-fpr: out of range"),
        (["--max-fpr", "nan"], "--max-fpr: out of range"),
        (["--min-recall", "-1"], "--min-recall: out of range"),
        (["--cost", "fp=1"], "--cost: not the cost"),
        (["--cost", "fp=1,fn=x"], "--cost: not the cost"),
        (["--cost", "fp=0,fn=0"], "--cost: not the cost"),
        (["--cost", "fp=1,fn=2,fp=3"], "--cost: not the cost"),
        (["--max-fpr", "0.1", "--holdout", "1"], "--holdout: out of range"),
    ],
)
def test_usage(command: Command, policy: Path, records: Path, arguments: list[str], field: str) -> None:
    """Goals that are none are refused with what to give."""
    outcome = command("policy", "tune", policy, "--records", records, *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"guard: {field}")


def test_a_policy_that_ships_is_not_written(command: Command, records: Path) -> None:
    """The cure is a copy."""
    outcome = command("policy", "tune", "default", "--records", records, "--max-fpr", "0.1", "--write")
    assert outcome.code == 2
    assert outcome.err.startswith("guard: --write: default is a policy that ships (copy it: cp ")


@pytest.mark.parametrize("name", ["eval", "tune"])
def test_broken_records(command: Command, policy: Path, tmp_path: Path, name: str) -> None:
    """Named with their places; nothing is measured, and the exit code is 2."""
    good = record_of("a", {"hate": 0.4}, label="compliant")
    nan = json.dumps({**json.loads(good.to_json()), "id": "b", "scores": {"hate": float("nan")}}) + "\n"
    path = file_of(tmp_path / "r.jsonl", good, good, nan, replace(good, id="c", model="n@0123456789ab"))
    goal = ["--max-fpr", "0.1"] * (name == "tune")
    outcome = command("policy", name, policy, "--records", path, *goal)
    assert (outcome.code, outcome.out) == (2, "")
    assert [line.partition(" (")[0] for line in outcome.errors] == [
        f"guard: {path}:2: id: duplicate 'a'",
        f"guard: {path}:3: scores.hate: not a number in [0, 1]",
        f"guard: {path}: model: records of 2 models: m@0123456789ab",
    ]
    path.write_text("")
    empty = command("policy", name, policy, "--records", path, *goal)
    assert (empty.code, "no record in it" in empty.err) == (2, True)
    missing = command("policy", name, policy, "--records", tmp_path / "none.jsonl", *goal)
    assert (missing.code, len(missing.errors)) == (2, 1)


def test_replay(command: Command, policy: Path, tmp_path: Path) -> None:
    """Actions, changes, rules and hours; --exit-code makes a change a finding."""
    log: list[Record | str] = [
        record_of("a", {"hate": 0.9, "weapons": 0.1}, action=Action.BLOCK),
        record_of("b\x1b[31m", {"hate": 0.6, "weapons": 0.1}, text="[bold]red\x07"),
        record_of("c", {"hate": 0.1}),
        '{"schema": 1,',
    ]
    path = file_of(tmp_path / "decisions.jsonl", *log)
    outcome = command("policy", "replay", policy, "--log", path)
    assert outcome.code == 0
    assert "records  3, 1 changed, 1 undecidable without the text" in outcome.out
    assert "allow -> block        1" in outcome.out and "2026-01-01T00:00Z" in outcome.out
    assert "\x1b" not in outcome.out and "[bold]red\\x07" in outcome.out
    assert outcome.errors == [f"guard: left out: the last line of {path}, which is cut off"]
    assert command("policy", "replay", policy, "--log", path, "--exit-code").code == 1
    (found,) = command("policy", "replay", policy, "--log", path, "--format", "json").json()
    assert found["changes"] == [{"logged": "allow", "now": "block", "records": 1}]
    assert [(rule["id"], rule["undecidable"]) for rule in found["rules"]] == [("hate", 0), ("weapons", 1)]
    assert found["notes"] == [f"left out: the last line of {path}, which is cut off"]


def test_replay_of_a_broken_log(command: Command, policy: Path, tmp_path: Path) -> None:
    """Refused with its lines, as records are everywhere."""
    path = file_of(tmp_path / "decisions.jsonl", record_of("a", {"hate": 0.9}), "{}\n")
    outcome = command("policy", "replay", policy, "--log", path)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"guard: {path}:2: schema: ")
