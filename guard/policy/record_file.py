"""A file of records: read line by line, checked as a whole, and what is left out told.

Every policy tool reads through here, so that a broken line, a duplicate id, records of several models and a
last line that is cut off mean the same to all of them. A million records take no more memory than their ids.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Generic, Protocol, TypeVar

from guard.errors import InvalidInput, Violation
from guard.records import Record

_SHOWN_LINES = 20
_SHOWN_MODELS = 5
_SHOWN_ID = 60
_CURE_MODELS = "write a file a model: the same score means something else on each"
_CURE_FILE = "give a file that `guard screen --input ... --output FILE` wrote"


class Identified(Protocol):
    """As much of a record as the file as a whole is checked by."""

    @property
    def id(self) -> str:
        """Unique in the file."""
        ...

    @property
    def model(self) -> str:
        """``name@revision``."""
        ...


R = TypeVar("R", bound=Identified)


class RecordFile(Generic[R]):
    """Reads one file of records. To be iterated once; not thread-safe.

    Attributes:
        model: The one model of its records; known at the end.
    """

    def __init__(
        self,
        path: Path,
        lines: BinaryIO,
        notes: list[str],
        parse: Callable[[str], R],
        *,
        several_models: str = _CURE_MODELS,
    ) -> None:
        """Take an open file; nothing is read yet.

        Args:
            path: Its name, for notes and errors.
            lines: Its bytes.
            notes: Takes a line for what is left out.
            parse: Reads one line; raises InvalidInput with all that is wrong with it.
            several_models: What to do about a file with records of several models.
        """
        self.model = ""
        self._path = path
        self._lines = lines
        self._notes = notes
        self._parse = parse
        self._several_models = several_models
        self._broken = 0
        self._violations: list[Violation] = []

    def records(self) -> Iterator[tuple[int, R]]:
        """Offset and record of every sound line.

        Raises:
            InvalidInput: At the end, with what is wrong in the whole file: broken lines (counted, the first ones
                named), duplicate ids, no record, records of several models.
        """
        ids: set[str] = set()
        models: Counter[str] = Counter()
        offset = 0
        for number, line in enumerate(self._lines, start=1):
            start, offset = offset, offset + len(line)
            if line.isspace():
                continue
            try:
                record = self._read(line)
                if record.id in ids:
                    raise InvalidInput.of("id", f"duplicate {record.id[:_SHOWN_ID]!r}", "keep one record an id")
            except InvalidInput as error:
                self._complain(number, line, error)
                continue
            ids.add(record.id)
            models[record.model] += 1
            yield start, record
        self._check(models)
        (self.model,) = models

    def _read(self, line: bytes) -> R:
        try:
            return self._parse(line.decode())
        except UnicodeDecodeError:
            raise InvalidInput.of("record", "invalid UTF-8", "save the file as UTF-8") from None

    def _complain(self, number: int, line: bytes, error: InvalidInput) -> None:
        if not line.endswith(b"\n") and not _is_json(line):
            self._notes.append(f"left out: the last line of {self._path}, which is cut off")
            return
        self._broken += 1
        if self._broken <= _SHOWN_LINES:
            where = f"{self._path}:{number}"
            self._violations += [Violation(f"{where}: {v.field}", v.reason, v.cure) for v in error.violations]

    def _check(self, models: Counter[str]) -> None:
        found = list(self._violations)
        if self._broken > _SHOWN_LINES:
            reason = f"{self._broken - _SHOWN_LINES} more broken lines"
            found.append(Violation(str(self._path), reason, "mend or remove them"))
        if not models and not found:
            found.append(Violation(str(self._path), "no record in it", _CURE_FILE))
        if len(models) > 1:
            named = ", ".join(f"{model} ({count})" for model, count in models.most_common(_SHOWN_MODELS))
            reason = f"records of {len(models)} models: {named}{', ...' * (len(models) > _SHOWN_MODELS)}"
            found.append(Violation(f"{self._path}: model", reason, self._several_models))
        if found:
            raise InvalidInput(found)


def read_records(path: Path, notes: list[str]) -> Iterator[Record]:
    """The records of one model in a file, in order.

    Args:
        path: JSON Lines.
        notes: Takes a line for what is left out; complete when the last record was given.

    Raises:
        InvalidInput: As :meth:`RecordFile.records`.
        OSError: The file cannot be read.
    """
    with path.open("rb") as lines:
        for _, record in RecordFile(path, lines, notes, Record.from_json).records():
            yield record


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True
