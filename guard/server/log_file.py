"""Where the lines of the decision log go: a file that is rotated, or standard output."""

from __future__ import annotations

import json
import os
from io import FileIO
from pathlib import Path
from typing import Protocol

_STANDARD_OUTPUT = 1
_BLOCK = 64 * 1024
_LONGEST_LINE = 8 * 1024 * 1024


class LogTarget(Protocol):
    """Takes lines, in one thread; :meth:`reopen` may come from another one."""

    def write(self, model: str, line: bytes) -> None:
        """Take the line of a record of a model.

        Raises:
            OSError: It cannot be written; a later one may be.
        """
        ...

    def reopen(self) -> None:
        """Open anew before the next line."""
        ...

    def close(self) -> None:
        """Nothing more will be written."""
        ...


class StandardOutput:
    """Lines on standard output. Past Python's own buffer, whose lock would keep the process from ending."""

    def write(self, model: str, line: bytes) -> None:
        """Write the line."""
        while line:
            line = line[os.write(_STANDARD_OUTPUT, line) :]

    def reopen(self) -> None:
        """Nothing to open."""

    def close(self) -> None:
        """Not ours to close."""


class LogFile:
    """A file, FILE, with older ones beside it: FILE.1 is the newest of them.

    It is rotated where the next line would make it too large, and where the model changes: scores of two models do
    not belong into one file. A last line that was cut off when a process was killed is removed, so that every line of
    every file is a record.
    """

    def __init__(self, path: Path, *, max_bytes: int, files: int) -> None:
        """Open the file for appending, readable for its owner alone.

        Args:
            path: The file; its directory must be there.
            max_bytes: Its size at most, but for a single line that is larger.
            files: Files in all, the current one included; at least 1.

        Raises:
            OSError: It cannot be opened.
        """
        self._path = path
        self._max_bytes = max_bytes
        self._files = files
        self._model = ""
        self._again = False
        self._file: FileIO | None = self._open()

    def write(self, model: str, line: bytes) -> None:
        """Write the line, into the next file if need be."""
        if self._again:
            self.close()
            self._again = False
        file = self._file = self._file or self._open()
        used = file.tell()
        if used and (used + len(line) > self._max_bytes or model != self._model):
            file = self._rotate()
        self._model = model
        try:
            while line:
                line = line[file.write(line) :]
        except OSError:
            self.close()  # the next line opens it again, and cuts off what was written of this one
            raise

    def reopen(self) -> None:
        """Open the path anew before the next line."""
        self._again = True

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> FileIO:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        file = os.fdopen(descriptor, "r+b", buffering=0)
        end = _end_of_lines(file)
        file.truncate(end)
        self._model = _last_model(file, end)
        file.seek(end)
        return file

    def _rotate(self) -> FileIO:
        self.close()
        for number in range(self._files - 1, 0, -1):
            older = self._numbered(number - 1)
            if older.exists():
                older.replace(self._numbered(number))
        if self._files == 1:
            self._path.unlink(missing_ok=True)
        self._file = self._open()
        return self._file

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path


def _end_of_lines(file: FileIO) -> int:
    """Where the last whole line ends."""
    at = file.seek(0, os.SEEK_END)
    while at > 0:
        start = max(0, at - _BLOCK)
        file.seek(start)
        found = file.read(at - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        at = start
    return 0


def _last_model(file: FileIO, end: int) -> str:
    """The model of the last record; empty if there is none that can be read."""
    start = max(0, end - _LONGEST_LINE)
    file.seek(start)
    last = file.read(end - start).removesuffix(b"\n").rpartition(b"\n")[2]
    try:
        model = json.loads(last)["model"]
    except (ValueError, LookupError, TypeError):
        return ""
    return model if isinstance(model, str) else ""
