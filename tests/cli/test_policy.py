from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command

_ROOT = Path(__file__).resolve().parents[2]
_POLICY = """\
version: 1
name: mine
rules:
  - {id: weapons, category: weapons, threshold: 0.5, action: block}
"""
_CASES = """\
cases:
  - {name: by scores, scores: {weapons: 0.9}, expect: {action: block}}
  - {name: by text, text: a bomb, expect: {action: EXPECTED}}
"""


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    """A policy with its cases beside it."""
    path = tmp_path / "mine.yaml"
    path.write_text(_POLICY)
    (tmp_path / "mine_test.yaml").write_text(_CASES.replace("EXPECTED", "block"))
    return path


def test_all_pass(command: Command, tiny_model_dir: Path, policy_file: Path) -> None:
    """`guard policy test` runs the cases beside a policy and exits 0 when all pass."""
    outcome = command("policy", "test", policy_file, "--model", tiny_model_dir)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines()[-1] == "2 passed, 0 failed"
    assert command("policy", "test", policy_file.with_name("mine_test.yaml"), "--model", tiny_model_dir) == outcome


def test_another_model_warns(tiny_model_dir: Path, policy_file: Path) -> None:
    """Whatever loads a model beside a policy of another says so on standard error, and goes on."""
    policy_file.write_text("calibrated_for: big@0123456789ab\n" + _POLICY)
    for command in (("policy", "test", policy_file), ("screen", "hello", "--policy", policy_file)):
        line = [sys.executable, "-m", "guard", *map(str, command), "--model", str(tiny_model_dir)]
        done = subprocess.run(line, capture_output=True, text=True, check=True, cwd=_ROOT)
        (warning,) = done.stderr.splitlines()
        assert warning.startswith("policy mine@") and "big@0123456789ab" in warning and "tiny@" in warning


def test_failure(command: Command, tiny_model_dir: Path, policy_file: Path) -> None:
    """A failed case is shown with its place and the exit code is 1."""
    cases = policy_file.with_name("mine_test.yaml")
    cases.write_text(_CASES.replace("EXPECTED", "allow"))
    outcome = command("policy", "test", policy_file, "--model", tiny_model_dir)
    assert outcome.code == 1
    assert "FAIL  by text" in outcome.out and f"{cases}:3:" in outcome.out


def test_scores_only(command: Command, policy_file: Path, tmp_path: Path) -> None:
    """With --scores-only no model is needed; cases with a text are skipped and counted."""
    outcome = command("policy", "test", policy_file, "--scores-only", "--model", tmp_path / "none")
    assert outcome.code == 0
    assert "1 passed, 0 failed, 1 skipped" in outcome.out


def test_shipped(command: Command) -> None:
    """A policy that ships is tested by its name; a name that there is not is refused with those that there are."""
    outcome = command("policy", "test", "default", "--scores-only")
    assert (outcome.code, outcome.err) == (0, "")
    assert ", 0 failed" in outcome.out.splitlines()[-1]
    unknown = command("policy", "test", "defualt")
    assert unknown.code == 2 and unknown.err.startswith("guard: policy: no such policy: defualt (")
    assert "default" in unknown.err.partition("(")[2]


def test_no_cases(command: Command, policy_file: Path) -> None:
    """A policy without cases is answered with the name of the file to write and where its form is described."""
    cases = policy_file.with_name("mine_test.yaml")
    cases.unlink()
    outcome = command("policy", "test", policy_file)
    assert (outcome.code, len(outcome.errors)) == (2, 1)
    assert outcome.err.startswith(f"{cases}:1:1: ")
    assert "write mine_test.yaml, see policies/README.md" in outcome.err


def test_mistakes(command: Command, policy_file: Path) -> None:
    """A policy or a case file with mistakes is refused with their places; the exit code is 2."""
    policy_file.with_name("mine_test.yaml").write_text("cases:\n  - {name: a, expect: {action: block}}\n")
    outcome = command("policy", "test", policy_file)
    assert outcome.code == 2 and "mine_test.yaml:2:" in outcome.err
    assert command("policy", "test", policy_file.with_name("none.yaml")).code == 2


def test_coverage_and_junit(command: Command, policy_file: Path, tmp_path: Path) -> None:
    """--min-coverage fails where too few rules fire in a case, and names them; --junit writes the results."""
    policy_file.write_text(_POLICY + "  - {id: hate, category: hate, threshold: 0.5, action: block}\n")
    xml = tmp_path / "junit.xml"
    run = ("policy", "test", policy_file, "--scores-only", "--junit", xml, "--min-coverage")
    outcome = command(*run, "0.5")
    assert (outcome.code, outcome.out.splitlines()[-1]) == (
        0,
        "1 of 2 rules covered (50.0%, at least 50.0%); no case fires hate",
    )
    assert command(*run, "0.6").code == 1
    assert 'failures="1"' in xml.read_text() and "no case fires hate" in xml.read_text()
    wrong = command(*run, "90")
    assert (wrong.code, wrong.err.partition(" (")[0]) == (2, "guard: --min-coverage: out of range")
