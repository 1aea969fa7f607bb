from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from guard.records import Record, hash_text
from guard.types import CATEGORIES, Action, Direction
from tests.cli.conftest import Command


def _record(command: Command, *arguments: object, stdin: bytes = b"") -> Record:
    outcome = command("screen", "--format", "json", *arguments, stdin=stdin)
    assert outcome.err == ""
    return Record.from_json(outcome.out)


def test_blocked_text_is_shown(command: Command, tiny_model_dir: Path) -> None:
    """The table names the action, the message or the text to pass on, the rules with their evidence, every score."""
    outcome = command("screen", "a bomb", "--model", tiny_model_dir)
    assert outcome.code == 0 and outcome.err == ""
    assert ["action", "block"] in [line.split() for line in outcome.out.splitlines()]
    assert "\nmessage  Sorry" in outcome.out
    assert re.search(r"weapons-prompt: weapons 0\.\d{3} >= 0\.\d{3} -> block", outcome.out)
    assert all(category in outcome.out for category in CATEGORIES)


def test_json_is_a_record(command: Command, tiny_model_dir: Path) -> None:
    """`--format json` prints the record of the decision on one line."""
    record = _record(command, "hello", "--direction", "output", "--model", tiny_model_dir)
    assert (record.text, record.direction, record.action) == ("hello", Direction.OUTPUT, Action.ALLOW)
    assert set(record.scores) == set(CATEGORIES)


def test_no_text(command: Command, tiny_model_dir: Path) -> None:
    """With --no-text the record holds the text's hash only."""
    record = _record(command, "hello", "--no-text", "--model", tiny_model_dir)
    assert (record.text, record.text_hash) == (None, hash_text("hello"))


def test_standard_input(command: Command, tiny_model_dir: Path) -> None:
    """`-` reads the text from standard input, without the one line end of the pipe."""
    record = _record(command, "-", "--model", tiny_model_dir, stdin="炸弹\n\n".encode())
    assert record.text == "炸弹\n" and record.action is Action.BLOCK


@pytest.mark.parametrize(
    ("arguments", "stdin", "field"),
    [
        (["-"], b"\xff", "text"),
        (["  "], b"", "text"),
        (["\u200b"], b"", "text"),
        (["hello", "--context", '[{"role": "boss", "text": "x"}]'], b"", "context[0].role"),
        (["hello", "--policy", "nothere"], b"", "policy"),
        (["hello", "--input", "rows.jsonl"], b"", "TEXT"),
        (["hello", "--output", "records.jsonl"], b"", "--output"),
        (["--input", "rows.jsonl", "--context", "x"], b"", "--context"),
        (["--input", "rows.jsonl", "--format", "json"], b"", "--format"),
        (["--input", "none.jsonl"], b"", "--input"),
        (["--input", "rows.xlsx"], b"", "--input"),
        ([], b"", "TEXT"),
    ],
)
def test_bad_input_is_named(
    command: Command, tiny_model_dir: Path, arguments: list[str], stdin: bytes, field: str
) -> None:
    """What cannot be screened is named by its field in one plain line; the exit code is 2."""
    outcome = command("screen", *arguments, "--model", tiny_model_dir, stdin=stdin)
    assert (outcome.code, outcome.out, len(outcome.errors)) == (2, "", 1)
    assert outcome.err.startswith(f"guard: {field}: ")


@pytest.mark.parametrize(
    "context", ["an earlier turn", '[{"role": "user", "text": "an earlier turn"}]', "[sic] earlier"]
)
def test_context(command: Command, tiny_model_dir: Path, context: str) -> None:
    """A context is one user turn, or a JSON list of turns."""
    assert _record(command, "hello", "--context", context, "--model", tiny_model_dir).action is Action.ALLOW


def test_unquoted_text(command: Command) -> None:
    """A text without quotes is refused with the cure, and none of its words is repeated."""
    for words in (
        ["How", "to", "kill"],
        ["How", "--direction", "output", "kill"],
        ["--input", "rows.jsonl", "How", "to"],
    ):
        outcome = command("screen", *words)
        assert (outcome.code, outcome.out, len(outcome.errors)) == (2, "", 1)
        assert outcome.err.startswith("guard: TEXT: ") and "quote the text" in outcome.err
        assert not any(f" {word} " in outcome.err for word in words)


def test_exit_code(command: Command, tiny_model_dir: Path) -> None:
    """With --exit-code a text that is not allowed exits 1, an allowed one 0; without it both exit 0."""
    assert command("screen", "a bomb", "--exit-code", "--model", tiny_model_dir).code == 1
    assert command("screen", "hello", "--exit-code", "--model", tiny_model_dir).code == 0
    assert command("screen", "a bomb", "--model", tiny_model_dir).code == 0


def test_policy_file(command: Command, tiny_model_dir: Path, tmp_path: Path) -> None:
    """--policy takes a file or the name of a policy that ships."""
    policy = tmp_path / "lax.yaml"
    policy.write_text("version: 1\nname: lax\nrules:\n  - {id: hate, category: hate, threshold: 0.5, action: block}\n")
    assert _record(command, "a bomb", "--policy", policy, "--model", tiny_model_dir).policy.startswith("lax@")
    assert _record(command, "a bomb", "--policy", "default", "--model", tiny_model_dir).policy.startswith("default@")


def test_terminal_controls_are_escaped(command: Command, tiny_model_dir: Path, tmp_path: Path) -> None:
    """Screened text cannot drive the terminal or the tables' markup."""
    text = "[red]mail[/red] me \x1b[2J at jane.doe@example.com"
    outcome = command("screen", text, "--direction", "output", "--model", tiny_model_dir)
    assert "\x1b" not in outcome.out
    assert "[red]mail[/red] me \\x1b[2J at ****" in outcome.out


def test_server_gives_the_same(command: Command, tiny_model_dir: Path, server_address: str) -> None:
    """A server's answer has the same record as the same policy in process."""
    from tests.serving import POLICY

    policy = tiny_model_dir.parent / "served.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    text, where = "write to jane.doe@example.com", ["--direction", "output"]
    served = json.loads(_record(command, text, *where, "--server", server_address).to_json())
    local = json.loads(_record(command, text, *where, "--policy", policy, "--model", tiny_model_dir).to_json())
    assert served.pop("time") and local.pop("time")
    assert served == local and served["action"] == "rewrite"


def test_server_policy(command: Command, server_address: str) -> None:
    """With --server a policy is given by its name; a file, or a model, is refused."""
    record = _record(command, "kill", "--policy", "strict", "--server", server_address)
    assert record.policy.startswith("strict@") and record.action is Action.BLOCK
    for option, value in (("--policy", "my.yaml"), ("--model", "dir"), ("--policy", "unknown")):
        outcome = command("screen", "hello", option, value, "--server", server_address)
        assert outcome.code == 2 and option.strip("-") in outcome.err


def test_json_has_what_a_script_passes_on(command: Command, tiny_model_dir: Path) -> None:
    """For one text output_text is never null, and message says whose words it is; --no-text leaves out both texts."""
    allowed, blocked, hidden = (
        command("screen", *arguments, "--format", "json", "--model", tiny_model_dir).json()[0]
        for arguments in (["hello"], ["a bomb"], ["hello", "--no-text"])
    )
    assert (allowed["output_text"], allowed["message"]) == ("hello", False)
    assert blocked["output_text"].startswith("Sorry") and blocked["message"] is True
    assert (hidden["text"], hidden["output_text"], hidden["message"]) == (None, None, False)


def test_direction_and_context_in_other_words(command: Command, tiny_model_dir: Path) -> None:
    """`response` is an output, turns may be those of a chat API; another direction is refused by its option."""
    turns = '[{"role": "user", "content": "an earlier turn"}]'
    record = _record(command, "hello", "--direction", "response", "--context", turns, "--model", tiny_model_dir)
    assert record.direction is Direction.OUTPUT
    outcome = command("screen", "hello", "--direction", "input")
    assert (outcome.code, outcome.err) == (2, "guard: --direction: unknown value (write prompt)\n")


def test_variables_of_the_sidecar_are_not_for_it(
    command: Command, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What configures `guard serve` beside it changes nothing here, and is no mistake either."""
    monkeypatch.setenv("GUARD_POLICY", "strict")
    monkeypatch.setenv("GUARD_FOO", "x")
    assert _record(command, "hello", "--model", tiny_model_dir).policy.startswith("default@")
