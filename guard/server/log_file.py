"""Where the lines of the decision log go: a file that is rotated, or standard output."""

from __future__ import annotations

import errno
import json
import logging
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from guard.server.lock import lock, stands_at

_log = logging.getLogger(__name__)

_STANDARD_OUTPUT = 1
_BLOCK = 64 * 1024
_LONGEST_LINE = 8 * 1024 * 1024


class LogTarget(Protocol):
    """Takes lines, in one thread."""

    def write(self, model: str, lines: Sequence[bytes]) -> int:
        """Take lines of records of a model, at least one.

        Returns:
            How many of them, from the first on, were written; at least one.

        Raises:
            OSError: Not even the first can be written; a later one may be.
        """
        ...

    def close(self) -> None:
        """Nothing more will be written."""
        ...


class StandardOutput:
    """Lines on standard output. Past Python's own buffer, whose lock would keep the process from ending."""

    def write(self, model: str, lines: Sequence[bytes]) -> int:
        """Write the lines."""
        data = b"".join(lines)
        while data:
            data = data[os.write(_STANDARD_OUTPUT, data) :]
        return len(lines)

    def close(self) -> None:
        """Not ours to close."""


class LogFile:
    """A file, FILE, with older ones beside it: FILE.1 is the newest of them.

    It is rotated where the next line would make it too large, and where the model changes: scores of two models do
    not belong into one file. Where it cannot be rotated it grows. Lines are appended to whatever the file holds by
    then, so somebody else may empty it; and where it was moved away or deleted a new one is begun.

    Every line of every file is a record: a line that was cut off, by a full disk or when a process was killed, is
    removed. So a file has one writer, who holds its lock.
    """

    def __init__(self, path: Path, *, max_bytes: int, files: int) -> None:
        """Open the file for appending, readable for its owner alone.

        Args:
            path: The file; its directory must be there.
            max_bytes: Its size at most, but for a single line that is larger.
            files: Files in all, the current one included; at least 1.

        Raises:
            BlockingIOError: Another process writes it.
            OSError: It cannot be opened.
        """
        self._path = path
        self._max_bytes = max_bytes
        self._files = files
        self._model = ""
        self._limit = max_bytes
        self._stuck = False
        self._file: int | None = None
        self._current()

    def write(self, model: str, lines: Sequence[bytes]) -> int:
        """Append the lines that have room, into the next file if need be; see :class:`LogTarget`."""
        file = self._current()
        used = os.fstat(file).st_size
        if used and (used + len(lines[0]) > self._limit or model != self._model):
            self._rotate(used)
            file = self._current()
            used = os.fstat(file).st_size
        self._model = model
        written = self._append(file, lines[: _fitting(lines, self._limit - used)])
        if self._file == file and not os.fstat(file).st_nlink and not stands_at(file, self._path):
            # Deleted meanwhile: nobody can read them, so they were not written.
            return self.write(model, lines)
        return written

    def close(self) -> None:
        """Close the file; another process may write it then."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _current(self) -> int:
        """The file at the path; opened anew if it is not the one that is open."""
        if self._file is not None and not stands_at(self._file, self._path):
            self.close()
        if self._file is None:
            self._file = self._open()
        return self._file

    def _open(self) -> int:
        while True:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                regular = stat.S_ISREG(os.fstat(file).st_mode)  # a device is everybody's
                if regular and not lock(file, self._path):
                    raise BlockingIOError(errno.EWOULDBLOCK, "another process writes it")
                if stands_at(file, self._path):
                    end = _end_of_lines(file)
                    if end < os.fstat(file).st_size:
                        os.ftruncate(file, end)
                    self._model, self._limit = _last_model(file, end), self._max_bytes
                    return file
            except BaseException:
                os.close(file)
                raise
            os.close(file)  # moved away in this moment

    def _append(self, file: int, lines: Sequence[bytes]) -> int:
        """Append lines, in one write unless it is cut short; how many are there as a whole."""
        data = memoryview(b"".join(lines))
        done = 0
        try:
            while done < len(data):
                done += os.write(file, data[done:])
        except OSError:
            self.close()
            with suppress(OSError):  # else the next lines try it again
                self._current()  # which removes a line that was cut off
            if done < len(lines[0]):
                raise
        return _fitting(lines, done)

    def _rotate(self, used: int) -> None:
        """Begin the next file; where that cannot be, go on in this one until it has grown by as much again."""
        try:
            self._move_on()
        except OSError as error:
            if not self._stuck:
                _log.error(
                    "decision log: %s cannot be rotated: %s (it grows until its directory lets it)",
                    self._path,
                    error.strerror,
                )
            self._stuck = True
            self._limit = used + self._max_bytes
        else:
            self._stuck = False

    def _move_on(self) -> None:
        file = self._current()
        if self._files == 1:
            os.ftruncate(file, 0)
            self._limit = self._max_bytes
            return
        # Up to the first number that is free, so that what fails and is tried again does not push files out.
        oldest = next((k for k in range(1, self._files) if not os.path.lexists(self._numbered(k))), self._files - 1)
        for number in range(oldest, 0, -1):
            self._numbered(number - 1).replace(self._numbered(number))
        try:
            self._file = self._open()
        except OSError:
            if not os.path.lexists(self._path):
                self._numbered(1).replace(self._path)
            raise
        os.close(file)

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path


def _fitting(lines: Sequence[bytes], room: int) -> int:
    """How many of the lines, from the first on, have room; at least one."""
    for count, line in enumerate(lines):
        room -= len(line)
        if room < 0:
            return max(1, count)
    return len(lines)


def _end_of_lines(file: int) -> int:
    """Where the last whole line ends."""
    at = os.lseek(file, 0, os.SEEK_END)
    while at > 0:
        start = max(0, at - _BLOCK)
        found = os.pread(file, at - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        at = start
    return 0


def _last_model(file: int, end: int) -> str:
    """The model of the last record; empty if there is none that can be read."""
    start = max(0, end - _LONGEST_LINE)
    last = os.pread(file, end - start, start).removesuffix(b"\n").rpartition(b"\n")[2]
    try:
        model = json.loads(last)["model"]
    except (ValueError, LookupError, TypeError):
        return ""
    return model if isinstance(model, str) else ""
