"""``guard policy shadow-report`` and ``promote`` from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.policy.load import load_policy
from guard.types import Action, FiredRule
from tests.cli.conftest import Command
from tests.policy.build import file_of, record_of

_POLICY = """\
version: 1
name: mine
rules:
  - {id: hate, category: hate, threshold: 0.5, action: block, shadow: true}  # since May
  - {id: crime, category: crime, threshold: 0.5, action: block}
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A policy file with a rule in shadow."""
    path = tmp_path / "mine.yaml"
    path.write_text(_POLICY)
    return path


@pytest.fixture
def log(policy: Path, tmp_path: Path) -> Path:
    """Three decisions of it; the rule fired in two of them."""
    fired = (FiredRule("hate", "hate", 0.9, 0.5, Action.BLOCK, shadow=True),)
    identity = load_policy(policy).identity
    rows = [
        record_of("a", {"hate": 0.9}, rules=fired, policy=identity, text="[bold]\x1b"),
        record_of("b", {"hate": 0.9}, rules=fired, policy=identity, label="compliant"),
        record_of("c", {"hate": 0.1}, policy=identity),
    ]
    return file_of(tmp_path / "log.jsonl", *rows)


def test_report(command: Command, policy: Path, log: Path) -> None:
    """Counts and examples for people, everything for programs."""
    outcome = command("policy", "shadow-report", "--log", log)
    assert (outcome.code, outcome.err) == (0, "")
    assert f"policy   {load_policy(policy).identity}: 3 decisions, 2 would have been stronger" in outcome.out
    assert ["hate", "block", "2", "2", "66.67%", "1", "0"] in [line.split() for line in outcome.out.splitlines()]
    assert "[bold]\\x1b" in outcome.out and "\x1b" not in outcome.out
    (found,) = command("policy", "shadow-report", "--log", log, "--policy", policy, "--format", "json").json()
    assert [rule["id"] for rule in found["policies"][0]["rules"]] == ["hate"]
    assert found["policies"][0]["actions"][2] == {"action": "block", "logged": 0, "then": 2}


def test_logs_that_cannot_be_used(command: Command, log: Path, tmp_path: Path) -> None:
    """No file, an empty one, records of two models: refused as everywhere."""
    assert command("policy", "shadow-report", "--log", tmp_path / "none.jsonl").code == 2
    empty = file_of(tmp_path / "empty.jsonl")
    assert "no record in it" in command("policy", "shadow-report", "--log", empty).err
    log.write_text(log.read_text() + record_of("d", {}, model="n@0123456789ab").to_json() + "\n")
    outcome = command("policy", "shadow-report", "--log", log)
    assert (outcome.code, "records of 2 models" in outcome.err) == (2, True)


def test_promote(command: Command, policy: Path) -> None:
    """The rule acts, the comment stays; a second time there is nothing to do."""
    outcome = command("policy", "promote", policy, "hate")
    assert (outcome.code, outcome.out, outcome.err) == (0, f"hate: acts from now on ({policy})\n", "")
    assert policy.read_text() == _POLICY.replace("shadow: true", "shadow: false")
    again = command("policy", "promote", policy, "hate", "crime")
    assert again.out.splitlines() == [f"{name}: was not in shadow ({policy})" for name in ("hate", "crime")]


def test_promote_what_cannot_be(command: Command, policy: Path) -> None:
    """Unknown rules, policies that ship, values of another file: refused with the cure, and nothing is written."""
    unknown = command("policy", "promote", policy, "hate", "haet")
    assert (unknown.code, unknown.err) == (2, "guard: RULE: the policy has no rule 'haet' (did you mean hate?)\n")
    assert command("policy", "promote", "default", "pii-prompt").err.startswith(
        "guard: POLICY: default is a policy that"
    )
    own = policy.with_name("own.yaml")
    own.write_text("version: 1\nname: own\nextends: mine.yaml\n")
    outcome = command("policy", "promote", own, "hate")
    assert outcome.code == 2
    assert f"the shadow of hate stands in {policy}:4 (promote it there" in outcome.err
    assert policy.read_text() == _POLICY


def test_promote_in_a_policy_in_shadow(command: Command, policy: Path) -> None:
    """The file is changed, and that nothing acts yet is told."""
    policy.write_text(_POLICY + "mode: shadow\n")
    outcome = command("policy", "promote", policy, "hate")
    assert outcome.code == 0 and "shadow: false" in policy.read_text()
    assert "is in mode: shadow, so no rule of it acts (write mode: enforce)" in outcome.err
