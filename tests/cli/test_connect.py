"""What the commands show a sidecar that asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.cli.conftest import Command
from tests.serving import sidecar, write_policies

_TOKEN = "token-of-the-test-1"


def test_a_secured_sidecar_is_asked(
    command: Command, tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`guard screen` and `guard info` show certificate and token, of options or of variables; without, exit code 2."""
    authority = Authority(tmp_path / "authority")
    server, mine = authority.issue("server"), authority.issue("client")
    token = tmp_path / "token"
    token.write_text(_TOKEN)
    options = {"tls_cert": server.cert, "tls_key": server.key, "tls_client_ca": authority.ca, "token_file": token}
    with sidecar(tiny_model_dir, write_policies(tmp_path / "policies"), **options) as running:
        tls = ("--server", running.address, "--ca", authority.ca, "--cert", mine.cert, "--key", mine.key)
        assert (
            command("screen", "hello", *tls, "--token-file", token, "--format", "json").json()[0]["action"] == "allow"
        )
        assert command("info", *tls, "--token-file", token).code == 0
        refused = command("info", *tls)
        assert (refused.code, refused.err.split(" (")[0]) == (2, "guard: the call carries no token")
        monkeypatch.setenv("GUARD_CLIENT_TOKEN", _TOKEN)
        rows = tmp_path / "rows.jsonl"
        rows.write_text('{"text": "hello"}\n')
        assert command("screen", "--input", rows, *tls).json()[0]["action"] == "allow"
        plain = command("info", "--server", running.address)
        assert plain.code == 3
        assert "it may speak TLS, or ask for a certificate" in plain.err


def test_options_for_a_server_need_one(command: Command, tiny_model_dir: Path, tmp_path: Path) -> None:
    """What is meant for a server is a mistake without one."""
    outcome = command("screen", "hello", "--model", tiny_model_dir, "--token-file", tmp_path / "t")
    assert (outcome.code, outcome.errors) == (
        2,
        ["guard: --server: missing beside options that are for it (give --server, or leave out --tls, --ca, --cert, "
         "--key and --token-file)"],
    )  # fmt: skip
