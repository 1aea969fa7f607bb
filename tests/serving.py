"""A real sidecar in a process of its own, for the tests of the server and of the clients."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_SERVE = "from guard.server.process import serve; from guard.server.settings import Settings; serve(Settings.load())"
_READY = "guard ready on "

POLICY = """\
version: 1
name: default
message: {en: "Not here.", zh: "不行。"}
rules:
  - {id: weapons, direction: both, category: weapons, threshold: 0.5, action: block}
  - {id: violence, direction: prompt, category: violence, threshold: 0.5, action: block, shadow: true}
  - {id: distress, direction: prompt, category: self_harm, threshold: 0.5, action: rewrite, rewrite: template,
     message: {en: "Please talk to somebody.", zh: "请找人谈谈。"}}
  - {id: email, direction: output, category: pii.email, threshold: 0.5, action: rewrite, rewrite: mask}
"""

STRICT_POLICY = """\
version: 1
name: strict
message: {en: "Not here.", zh: "不行。"}
rules:
  - {id: violence, direction: both, category: violence, threshold: 0.5, action: block}
"""


def write_policies(directory: Path) -> Path:
    """A directory with the policies ``default`` and ``strict``."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "default.yaml").write_text(POLICY, encoding="utf-8")
    (directory / "strict.yaml").write_text(STRICT_POLICY, encoding="utf-8")
    return directory


@dataclass
class Sidecar:
    """A started sidecar: its process and its ready lines."""

    process: subprocess.Popen[str]
    ready: list[str]

    @property
    def addresses(self) -> list[str]:
        """The addresses of the ready lines."""
        return [line.removeprefix(_READY).split(" ", 1)[0] for line in self.ready]

    @property
    def address(self) -> str:
        """The first address."""
        return self.addresses[0]

    def logged(self, words: str) -> str:
        """The next line of its log that holds these words; waited for."""
        assert self.process.stderr is not None
        return next(line for line in self.process.stderr if words in line)

    def terminate(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit status."""
        self.process.send_signal(number)
        return self.process.wait(60)


@contextmanager
def sidecar(model: Path, policy: Path, *listen: str, **options: object) -> Iterator[Sidecar]:
    """Start a sidecar and wait until it is ready; it is ended afterwards at the latest.

    Args:
        model: An artifact directory.
        policy: A policy file or a directory.
        listen: Addresses; a free port of the loopback interface if none is given.
        options: Further settings, given as environment variables.
    """
    addresses = listen or ("127.0.0.1:0",)
    process = start(model, policy, *addresses, **options)
    try:
        assert process.stdout is not None
        ready = [process.stdout.readline().strip() for _ in addresses]
        assert all(line.startswith(_READY) for line in ready), (ready, process.stderr and process.stderr.read())
        yield Sidecar(process, ready)
    finally:
        process.kill()
        process.communicate()


def start(model: Path, policy: Path, *listen: str, **options: object) -> subprocess.Popen[str]:
    """The process of a sidecar, without waiting for anything."""
    settings = {"listen": ",".join(listen), "model": model, "policy": policy, **options}
    env = {name: value for name, value in os.environ.items() if not name.startswith("GUARD_")}
    env |= {f"GUARD_{name.upper()}": str(value) for name, value in settings.items()} | {"PYTHONPATH": str(_ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", _SERVE], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
