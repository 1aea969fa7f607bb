from __future__ import annotations

import inspect
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from guard import Unavailable
from guard.cli.serve import serve
from guard.sdk.client import GuardClient
from guard.server.settings import Settings
from tests.certificates import Authority
from tests.cli.conftest import Command

_ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def _serving(*arguments: object, **environment: str) -> Iterator[subprocess.Popen[str]]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("GUARD_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "guard", "serve", *map(str, arguments)],
        env={**env, "PYTHONPATH": str(_ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_every_setting_is_an_option() -> None:
    """`guard serve` has an option for every setting of the server, and names its environment variable."""
    options = inspect.signature(serve).parameters
    assert set(options) == set(Settings.model_fields)
    for name, option in options.items():
        assert f"[GUARD_{name.upper()}" in str(option.annotation)


def test_serves_until_sigterm(tiny_model_dir: Path, tmp_path: Path) -> None:
    """It prints a ready line for every --listen, answers at each, and exits 0 after SIGTERM."""
    unix = f"unix:{tmp_path / 'guard.sock'}"
    with _serving("--listen", "127.0.0.1:0", "--listen", unix, "--model", tiny_model_dir) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().split() for _ in range(2)]
        assert [line[:3] for line in lines] == [["guard", "ready", "on"]] * 2
        assert lines[1][3] == unix
        for line in lines:
            with GuardClient(line[3]) as client:
                assert client.screen("a bomb").action == "block"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_environment(tiny_model_dir: Path) -> None:
    """An environment variable stands in for an option that is not given."""
    with _serving(GUARD_LISTEN="127.0.0.1:0", GUARD_MODEL=str(tiny_model_dir)) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("guard ready on 127.0.0.1:")


def test_shipped_policy(tiny_model_dir: Path) -> None:
    """A policy that ships is served by its name."""
    with _serving("--listen", "127.0.0.1:0", "--policy", "default", "--model", tiny_model_dir) as process:
        assert process.stdout is not None
        assert "policies default@" in process.stdout.readline()


def test_port_taken(tiny_model_dir: Path, server_address: str, any_model_policy: Path) -> None:
    """A port that is taken is said plainly; the exit code is 3."""
    # In a process of its own: event loops of other tests may still have something to say in this one.
    with _serving("--listen", server_address, "--model", tiny_model_dir, "--policy", any_model_policy) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 3
    assert errors.startswith(f"guard: {server_address} is already in use")
    assert len(errors.splitlines()) == 1


def test_bad_options(command: Command, tiny_model_dir: Path, tmp_path: Path) -> None:
    """A broken option, model or policy is named; the exit code is 2."""
    policy = tmp_path / "p.yaml"
    policy.write_text("version: 9\n")
    for option, value, said in (
        ("--listen", "nowhere", "guard: --listen: "),
        ("--workers", "0", "guard: --workers: "),
        ("--log-level", "loud", "guard: --log-level: "),
        ("--policy", policy, f"{policy}:1:"),
        ("--policy", "defualt", "guard: policy: no such policy: defualt ("),
        ("--model", tmp_path, f"guard: {tmp_path}: "),
    ):
        outcome = command("serve", "--model", tiny_model_dir, option, value)
        assert outcome.code == 2 and outcome.err.startswith(said), outcome


def test_failed_handshakes_write_no_lines_of_their_own(tiny_model_dir: Path, tmp_path: Path) -> None:
    """What gRPC's library has to say about callers that speak no TLS stays out of the log: every line is JSON."""
    authority = Authority(tmp_path)
    pair = authority.issue("server")
    options = ["--tls-cert", pair.cert, "--tls-key", pair.key, "--tls-client-ca", authority.ca, "--log-format", "json"]
    with _serving("--listen", "127.0.0.1:0", "--model", tiny_model_dir, *options) as process:
        assert process.stdout is not None and process.stderr is not None
        address = process.stdout.readline().split()[3]
        with GuardClient(address, ca=authority.ca, retries=0) as client, pytest.raises(Unavailable):
            client.screen("hello")
        host, port = address.split(":")
        with socket.create_connection((host, int(port)), timeout=60) as caller:
            caller.sendall(b"GET / HTTP/1.1\r\n\r\n")
            with suppress(ConnectionResetError):
                while caller.recv(1024):
                    pass
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        events = [json.loads(line) for line in process.stderr]
    assert events[-1]["message"] == "stopped"


def test_several_policies_are_refused_with_the_cure(command: Command) -> None:
    """The last of several --policy must not win without a word."""
    outcome = command("serve", "--policy", "default", "--policy", "strict")
    assert outcome.code == 2 and len(outcome.errors) == 1
    assert (
        outcome.err.startswith("guard: --policy: 2 policies") and "give a directory with a file for each" in outcome.err
    )
