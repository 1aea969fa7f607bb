from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from guard.cli.connect import Connection
from guard.types import Content, Decision
from guard.version import __version__
from tests.cli.conftest import Command

_ROOT = Path(__file__).resolve().parents[2]


def _process(*arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(_ROOT)}
    return subprocess.run([sys.executable, "-m", "guard", *arguments], env=env, capture_output=True, text=True)


def test_version() -> None:
    """`guard --version` prints the version and exits 0."""
    done = _process("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"guard {__version__}\n", "")


def test_no_command(command: Command) -> None:
    """Without a command the help is shown, as bad usage."""
    outcome = command()
    assert outcome.code == 2 and outcome.out == ""
    for name in ("serve", "screen", "info", "policy", "demo"):
        assert f"  {name} " in outcome.err
    assert command("policy").code == 2


def test_help(command: Command) -> None:
    """`--help` exits 0."""
    for arguments in ([], ["screen"], ["serve"], ["info"], ["policy"], ["policy", "test"], ["demo"]):
        assert command(*arguments, "--help").code == 0


def test_bad_usage_is_one_line(command: Command) -> None:
    """An unknown option or value is named in one plain line that says where help is; the exit code is 2."""
    unknown = command("screen", "--nonsense")
    assert (unknown.code, len(unknown.errors)) == (2, 1)
    assert unknown.err.startswith("guard: ") and "--nonsense" in unknown.err and "guard screen --help" in unknown.err
    value = command("screen", "hello", "--direction", "sideways")
    assert (value.code, len(value.errors)) == (2, 1) and "--direction" in value.err
    assert command("nonsense").code == 2


def test_missing_model(command: Command, tmp_path: Path) -> None:
    """A model directory that cannot be used is named in one line; the exit code is 2."""
    outcome = command("screen", "hello", "--model", tmp_path / "none")
    assert (outcome.code, len(outcome.errors)) == (2, 1)
    assert outcome.err.startswith(f"guard: {tmp_path / 'none'}")


def test_policy_mistakes(command: Command, tiny_model_dir: Path, tmp_path: Path) -> None:
    """A policy with several mistakes is refused with all of them, one line each as file:line:column."""
    policy = tmp_path / "p.yaml"
    policy.write_text("version: 1\nname: p\nmode: enforced\nrules:\n  - {id: a, category: hats, threshold: 2}\n")
    outcome = command("screen", "hello", "--model", tiny_model_dir, "--policy", policy)
    assert outcome.code == 2 and len(outcome.errors) >= 3
    assert all(line.startswith(f"{policy}:") for line in outcome.errors)


def test_nobody_answers(command: Command) -> None:
    """A server that does not answer is said plainly; the exit code is 3."""
    outcome = command("screen", "hello", "--server", "127.0.0.1:1")
    assert (outcome.code, len(outcome.errors)) == (3, 1)
    assert "127.0.0.1:1" in outcome.err


@pytest.mark.parametrize("address", ["", "nonsense", "http://127.0.0.1:50061"])
def test_no_address_of_a_server(command: Command, address: str) -> None:
    """What is no address is bad usage with a cure, in every command that asks a server."""
    for arguments in (["screen", "hello"], ["info"]):
        outcome = command(*arguments, "--server", address)
        assert (outcome.code, len(outcome.errors)) == (2, 1)
        assert outcome.err.startswith("guard: --server: ") and "unix:PATH" in outcome.err


def test_defect_is_no_finding(command: Command, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect ends the command as unavailable, in one line that has its place and not the screened text."""

    def broken(_connection: Connection, content: Content) -> Decision:
        raise RuntimeError(f"cannot read {content.text}")

    monkeypatch.setattr(Connection, "screen", broken)
    outcome = command("screen", "private words", "--model", tiny_model_dir)
    assert (outcome.code, outcome.out, len(outcome.errors)) == (3, "", 1)
    assert "RuntimeError at test_main.py:" in outcome.err and "private" not in outcome.err


def _left_alone(*arguments: object, lines: int = 0, stderr: int = subprocess.PIPE) -> tuple[int, list[bytes]]:
    """Run a command whose output is read for so many lines only: its exit code and what it said."""
    env = {**os.environ, "PYTHONPATH": str(_ROOT)}
    command = [sys.executable, "-m", "guard", *map(str, arguments)]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=stderr) as process:
        assert process.stdout is not None
        for _ in range(lines):
            process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read() if process.stderr is not None else b""
    return process.returncode, said.splitlines()


def test_reader_of_records_gone(tiny_model_dir: Path, tmp_path: Path, any_model_policy: Path) -> None:
    """A reader who leaves a file's records early ends the command as unavailable, in one line: rows are missing."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "hello world"}\n' * 500)
    arguments = ["screen", "--model", tiny_model_dir, "--policy", any_model_policy, "--input", rows]
    code, said = _left_alone(*arguments, lines=1)
    assert (code, len(said)) == (3, 1) and b"the reader of the output left" in said[0]
    assert _left_alone(*arguments, stderr=subprocess.STDOUT)[0] == 3


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["hello"], 0),
        (["hello", "--format", "json"], 0),
        (["a bomb", "--exit-code"], 1),
    ],
)
def test_reader_of_one_answer_gone(
    tiny_model_dir: Path, any_model_policy: Path, arguments: list[str], code: int
) -> None:
    """A reader who leaves the answer about one text changes nothing: no word, and the exit code of the answer."""
    model = ["--model", tiny_model_dir, "--policy", any_model_policy]
    assert _left_alone("screen", *arguments, *model) == (code, [])
