from __future__ import annotations

from pathlib import Path

from guard.types import CATEGORIES
from guard.version import __version__
from tests.cli.conftest import Command


def test_table(command: Command, tiny_model_dir: Path) -> None:
    """`guard info` names version, model, categories, unsupported ones, policies and limits."""
    outcome = command("info", "--model", tiny_model_dir)
    assert outcome.code == 0
    for expected in (__version__, "tiny@", "unsupported", "default@", "(default)", "tokens a text"):
        assert expected in outcome.out
    flat = " ".join(outcome.out.split())
    assert ", ".join(CATEGORIES) in flat


def test_json(command: Command, tiny_model_dir: Path) -> None:
    """`--format json` prints the same on one line."""
    [info] = command("info", "--model", tiny_model_dir, "--format", "json").json()
    assert info["model"]["categories"] == list(CATEGORIES)
    assert info["policies"][0]["default"] is True


def test_server(command: Command, server_address: str) -> None:
    """With --server it is the server that answers."""
    [info] = command("info", "--server", server_address, "--format", "json").json()
    assert [policy["name"] for policy in info["policies"]] == ["default", "strict"]
