"""The command line under test: arguments in, exit code and what was printed out."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from guard.cli.main import run
from tests.serving import sidecar, write_policies

_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Outcome:
    """What a command line came to."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """The lines on standard error."""
        return self.err.splitlines()

    def json(self) -> list[dict[str, Any]]:
        """The lines on standard output, decoded."""
        return [json.loads(line) for line in self.out.splitlines()]


Command: TypeAlias = Callable[..., Outcome]


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command line in this process; ``stdin`` is what it reads."""

    def call(*arguments: object, stdin: bytes = b"") -> Outcome:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        sys.stdout.flush()
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def any_model_policy(tmp_path: Path) -> Path:
    """The default policy without the name of the model that it was calibrated for: no warning beside the tiny one."""
    path = tmp_path / "any_model.yaml"
    lines = (_ROOT / "policies" / "default.yaml").read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(x for x in lines if not x.startswith("calibrated_for:")), encoding="utf-8")
    return path


@pytest.fixture
def rows_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a JSON Lines file of rows; a string or bytes is a line as it is."""

    def write(*rows: object, name: str = "rows.jsonl") -> Path:
        path = tmp_path / name
        with path.open("wb") as file:
            for row in rows:
                line = row if isinstance(row, bytes) else row if isinstance(row, str) else json.dumps(row)
                file.write((line if isinstance(line, bytes) else line.encode()) + b"\n")
        return path

    return write


@pytest.fixture(scope="session")
def server_address(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A sidecar with the tiny model and the policies ``default`` and ``strict``."""
    policies = write_policies(tmp_path_factory.mktemp("served") / "policies")
    with sidecar(tiny_model_dir, policies) as running:
        yield running.address
