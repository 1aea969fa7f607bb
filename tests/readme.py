"""Runs the README: its files are written, its commands and programs are run, and their output is compared.

- A ``console`` block holds commands after ``$ `` and the output of each; ``...`` as its last line stands for the rest.
- A ``python`` block is a program; a ``text`` block right behind it is its output.
- A block behind ``<!-- file: NAME -->`` is a file in the directory where all of this runs.

``python -m tests.readme`` writes the outputs, and the table of the server's options, into the README as they are now.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from guard.server.settings import Settings

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"

_PORT = "50061"
_FENCE = re.compile(r"^```(\w*)$")
_FILE = re.compile(r"^<!-- file: (\S+) -->$")
_REST = "..."
# What `make demo` runs, after the environment is set up; the environment here is that of the tests.
_MADE = {"make demo": "guard demo"}


@dataclass(frozen=True, slots=True)
class Step:
    """Something that the README shows: run, or written as a file.

    Attributes:
        kind: ``command``, ``program`` or ``file``.
        source: The command line, the program or the file's contents.
        name: A file's name, or the README's line for people.
        shown: The output as the README shows it.
        first: Index of the README line where the output begins; 0 if no output is shown.
        section: The heading it stands under.
    """

    kind: str
    source: str
    name: str
    shown: list[str] = field(default_factory=list)
    first: int = 0
    section: str = ""


def steps(lines: list[str]) -> Iterator[Step]:
    """The steps of a README, in order."""
    at, file, section = 0, None, ""
    while at < len(lines):
        if lines[at].startswith("## "):
            section = lines[at][3:]
        named, fence = _FILE.match(lines[at]), _FENCE.match(lines[at])
        if named:
            file = named[1]
        if not fence:
            at += 1
            continue
        end = lines.index("```", at + 1)
        body, where = lines[at + 1 : end], f"line {at + 1}"
        if fence[1] == "console":
            yield from _commands(body, at + 1, section)
        elif fence[1] == "python":
            shown_at = end + 2
            has_output = lines[shown_at : shown_at + 1] == ["```text"]
            shown = lines[shown_at + 1 : lines.index("```", shown_at + 1)] if has_output else []
            yield Step("program", "\n".join(body), where, shown, shown_at + 1 if has_output else 0, section)
        elif file is not None:
            yield Step("file", "\n".join(body) + "\n", file, section=section)
        file, at = None, end + 1


def _commands(body: list[str], first: int, section: str) -> Iterator[Step]:
    starts = [i for i, line in enumerate(body) if line.startswith("$ ")]
    for start, end in zip(starts, [*starts[1:], len(body)], strict=True):
        place = first + start + 1
        yield Step("command", body[start][2:], f"line {place}", body[start + 1 : end], place, section)


class Runner:
    """A directory, a free port and the processes that were left running. Use :func:`runner`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port = _free_port()
        clean = {name: value for name, value in os.environ.items() if not name.startswith("GUARD_")}
        path = os.pathsep.join([str(Path(sys.executable).parent), clean["PATH"]])
        # Whatever directory a command runs in, it uses this checkout.
        self._environment = {**clean, "PATH": path, "PYTHONPATH": str(ROOT)}
        self._running: list[subprocess.Popen[str]] = []

    def run(self, step: Step) -> list[str]:
        """Run one step.

        Returns:
            Lines of output, standard error included; of a command in the background the first one.
        """
        if step.kind == "file":
            (self._directory / step.name).write_text(step.source, encoding="utf-8")
            return []
        source = step.source.replace(_PORT, str(self._port))
        if step.kind == "program":
            return self._output([sys.executable, "-c", source])
        source = _MADE.get(source, source).replace("training/runs/", f"{ROOT}/training/runs/")
        if source.endswith("&"):
            return self._start(source.removesuffix("&"))
        return self._output(["bash", "-c", source])

    def _output(self, command: list[str]) -> list[str]:
        done = subprocess.run(
            command,
            cwd=self._directory,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return self._lines(done.stdout)

    def _start(self, command: str) -> list[str]:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self._directory,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._running.append(process)
        return self._lines(process.stdout.readline() if process.stdout else "")

    def _lines(self, output: str) -> list[str]:
        return [line.rstrip() for line in output.replace(str(self._port), _PORT).splitlines()]

    def stop(self) -> None:
        """End what was left running."""
        for process in self._running:
            process.send_signal(signal.SIGTERM)
            process.communicate()


@contextmanager
def runner() -> Iterator[Runner]:
    """A runner in a directory of its own, which ends with all that it started."""
    with tempfile.TemporaryDirectory() as directory:
        running = Runner(Path(directory))
        try:
            yield running
        finally:
            running.stop()


def compare(section: str | None = None, without: str = "") -> tuple[list[str], list[str]]:
    """Run the README, or one section of it.

    Args:
        section: The heading of the section; all of them if not given.
        without: The heading of a section to leave out.

    Returns:
        What the README shows and what was found, as comparable lines.
    """
    shown, found = [], []
    with runner() as running:
        for step in steps(README.read_text(encoding="utf-8").split("\n")):
            if step.section == without or section not in {None, step.section}:
                continue
            output = running.run(step)
            if step.kind != "file":
                shown += [f"{step.name}:", *comparable(step.shown)]
                found += [f"{step.name}:", *comparable(abridged(output, step.shown))]
    return shown, found


def abridged(found: list[str], shown: list[str]) -> list[str]:
    """The output as the README shows it: cut where it says ``...``."""
    return [*found[: len(shown) - 1], _REST] if shown[-1:] == [_REST] else found


def comparable(lines: list[str]) -> list[str]:
    """Lines without what may differ between two good runs: ports, revisions, times, tokens, figures, widths."""
    out = []
    for line in lines:
        text = re.sub(r"@[0-9a-f]{12}\b", "@revision", line)
        text = re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", text)
        text = re.sub(r"\b\d{4}-\d\d-\d\dT[\d:]+Z", "TIME", text)
        # How many tokens a text has is the model's affair.
        text = re.sub(r"\b\d+ tokens?\b", "TOKENS", text)
        # Which category is the highest of a harmless text is decided in the last digits, and by the kind of CPU.
        text = re.sub(r"(✓ allow) +\w+", r"\1", text)
        text = re.sub(r"\b\d+\.\d+\b", "0.0", text)
        out.append(" ".join(re.sub(r"▬+", "", text).split()))
    return out


def options_table() -> list[str]:
    """The options of ``guard serve`` as a table: names, defaults and what they are for, from the settings."""
    rows = ["| option | default | |", "| --- | --- | --- |"]
    for name, field_ in Settings.model_fields.items():
        default = "one a core" if field_.default_factory else field_.default
        if isinstance(default, tuple):
            default = ", ".join(default)
        shown = "" if default is None else str(default).lower() if isinstance(default, bool) else f"{default}"
        rows.append(f"| `--{name.replace('_', '-')}` | {shown} | {field_.description} |")
    return rows


def shown_options(lines: list[str]) -> slice:
    """Where the table of the options stands."""
    return slice(lines.index("<!-- options: begin -->") + 1, lines.index("<!-- options: end -->"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _write() -> None:
    lines = README.read_text(encoding="utf-8").split("\n")
    with runner() as running:
        done = [(step, running.run(step)) for step in steps(lines)]
    for step, found in reversed(done):
        if step.first:
            lines[step.first : step.first + len(step.shown)] = abridged(found, step.shown)
    lines[shown_options(lines)] = options_table()
    README.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    _write()
