"""The processes that are measured, each on the core that it is given: sidecars, and what stands beside them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent.parent
_READY = "guard ready on "
# A process that does not end when it is asked to is ended.
_PATIENCE = 30


@dataclass(frozen=True, slots=True)
class Cores:
    """Who computes where."""

    client: int
    server: int

    @classmethod
    def here(cls) -> Cores:
        """The first two cores that this process may use.

        Raises:
            SystemExit: There is one only.
        """
        found = sorted(os.sched_getaffinity(0))
        if len(found) < 2:
            sys.exit("the client and the server need a core each: this process may use one only")
        return cls(*found[:2])


@contextmanager
def pinned(cores: Sequence[int]) -> Iterator[None]:
    """What is started inside runs on these cores: a process inherits them from the thread that starts it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process holds: resident bytes now and at most so far, threads, open files."""

    resident: int
    peak: int
    threads: int
    files: int


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A started sidecar.

    Attributes:
        address: Where it listens.
        model: The identity of its model.
        process: Its process.
    """

    address: str
    model: str
    process: subprocess.Popen[str]

    def usage(self) -> Usage:
        """What its process holds now."""
        folder = Path("/proc") / str(self.process.pid)
        lines = (line.split(":", 1) for line in (folder / "status").read_text("ascii").splitlines())
        status = {name: value.split() for name, value in lines}
        return Usage(
            resident=int(status["VmRSS"][0]) * 1024,
            peak=int(status["VmHWM"][0]) * 1024,
            threads=int(status["Threads"][0]),
            files=len(list((folder / "fd").iterdir())),
        )

    def end(self) -> int:
        """SIGTERM; the exit status."""
        self.process.terminate()
        return self.process.wait(_PATIENCE)


@contextmanager
def sidecar(cores: Sequence[int], **options: object) -> Iterator[Sidecar]:
    """Start a sidecar on a free port, wait until it is ready, and end it afterwards.

    Args:
        cores: What it may use.
        options: Settings; one that is None keeps its default.

    Raises:
        SystemExit: It does not start; the end of its log is shown.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("GUARD_")}
    settings = {"listen": "127.0.0.1:0", **{name: value for name, value in options.items() if value is not None}}
    env |= {f"GUARD_{name.upper()}": str(value) for name, value in settings.items()} | {"PYTHONPATH": str(_ROOT)}
    # A pipe that nobody reads would stop a server that has much to say.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        with pinned(cores):
            process = subprocess.Popen(
                [sys.executable, "-m", "guard", "serve"], env=env, stdout=subprocess.PIPE, stderr=log, text=True
            )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.startswith(_READY):
                log.seek(0)
                sys.exit(f"the sidecar did not start:\n{log.read()[-2000:]}")
            address, loaded = line.removeprefix(_READY).split(" ", 1)
            yield Sidecar(address, loaded.split()[1].rstrip(","), process)
        finally:
            _end(process)


class Peer:
    """A process of ``tests.bench.peers``, which does what it is asked and says how long each text took."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def times(self, texts: Sequence[str], batch: int = 1) -> list[float]:
        """Have texts scored, so many in a call.

        Returns:
            Milliseconds of each call, one after the other.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"texts": texts, "batch": batch}) + "\n")
        self._process.stdin.flush()
        times: list[float] = json.loads(self._process.stdout.readline())
        return times


@contextmanager
def peer(cores: Sequence[int], kind: str, artifact: Path) -> Iterator[Peer | None]:
    """Start a peer; None if its libraries are not installed."""
    command = [sys.executable, "-m", "tests.bench.peers", kind, str(artifact)]
    with pinned(cores):
        process = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Peer(process) if process.stdout.readline() == "ready\n" else None
    finally:
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.communicate(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
