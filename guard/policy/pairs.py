"""Records to compare, from files: every one with its partner, and all that cannot be compared told.

Files are read line by line, so that a million records take no more memory than their ids.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from guard.errors import InvalidInput, Violation
from guard.records import Record

_SHOWN_LINES = 20
_SHOWN_MODELS = 5
_SHOWN_ID = 60
_CURE_FILE = "give a file that `guard screen --input ... --output FILE` wrote"


@dataclass(frozen=True, slots=True)
class Pair:
    """One text's records from before and after a change; twice the same one where only the policy changed."""

    old: Record
    new: Record


class Pairs:
    """The pairs of one file, or of two that are joined by id. To be iterated once; not thread-safe.

    Attributes:
        notes: What was left out and why, one line each; complete when the last pair was given.
    """

    def __init__(self, old: Path, new: Path | None = None) -> None:
        """Name the files; nothing is read yet.

        Args:
            old: Records of one model, in JSON Lines.
            new: Records of the same texts, of one model too; None pairs every record of ``old`` with itself.
        """
        self.notes: list[str] = []
        self._old = old
        self._new = new

    def __iter__(self) -> Iterator[Pair]:
        """The pairs, in the order of the new file.

        Raises:
            InvalidInput: A file has no record, broken lines, duplicate ids or records of several models, or
                the two have no id in common; all broken lines are counted and the first ones named.
            OSError: A file cannot be read.
        """
        if self._new is None:
            with self._old.open("rb") as lines:
                for _, record in _Reader(self._old, lines, self.notes).records():
                    yield Pair(record, record)
        else:
            with self._old.open("rb") as old, self._new.open("rb") as new:
                yield from self._joined(old, _Reader(self._new, new, self.notes), self._new)

    def _joined(self, old: BinaryIO, new: _Reader, new_path: Path) -> Iterator[Pair]:
        if not old.seekable():
            raise InvalidInput.of("--old", "cannot be read twice", "give a file, not a pipe")
        first = _Reader(self._old, old, self.notes)
        places = {record.id: offset for offset, record in first.records()}
        joined, alone, changed = 0, _Left(), _Left()
        for _, record in new.records():
            place = places.pop(record.id, None)
            if place is None:
                alone.add(record.id)
                continue
            old.seek(place)
            partner = Record.from_json(old.readline().decode())
            if (partner.text_hash, partner.direction) != (record.text_hash, record.direction):
                changed.add(record.id)
                continue
            joined += 1
            yield Pair(partner, record)
        if not joined:
            reason = f"no record of {new_path} has its id and its text"
            raise InvalidInput.of(str(self._old), reason, "screen the same rows, with their ids, with both models")
        if first.model == new.model:
            self.notes.append(f"both files are of model {new.model}")
        absent = _Left(len(places), next(iter(places), ""))
        self._leave_out(alone, f"stand in {new_path} only")
        self._leave_out(absent, f"stand in {self._old} only")
        self._leave_out(changed, "have another text or direction in the other file")

    def _leave_out(self, left: _Left, why: str) -> None:
        if left.count:
            self.notes.append(f"left out: {left.count} ids {why}, such as {left.example[:_SHOWN_ID]!r}")


@dataclass(slots=True)
class _Left:
    """Records that are left out: how many, and the first one's id."""

    count: int = 0
    example: str = ""

    def add(self, record_id: str) -> None:
        self.example = self.example or record_id
        self.count += 1


class _Reader:
    """Reads a file of records and checks what holds for the file as a whole.

    Attributes:
        model: The one model of its records; known at the end.
    """

    def __init__(self, path: Path, lines: BinaryIO, notes: list[str]) -> None:
        self.model = ""
        self._path = path
        self._lines = lines
        self._notes = notes
        self._broken = 0
        self._violations: list[Violation] = []

    def records(self) -> Iterator[tuple[int, Record]]:
        """Offset and record of every sound line.

        Raises:
            InvalidInput: At the end, with what is wrong in the whole file.
        """
        ids: set[str] = set()
        models: Counter[str] = Counter()
        offset = 0
        for number, line in enumerate(self._lines, start=1):
            start, offset = offset, offset + len(line)
            if line.isspace():
                continue
            try:
                record = _parse(line)
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
            cure = "write a file a model, and compare two of them with --old and --new"
            found.append(Violation(f"{self._path}: model", reason, cure))
        if found:
            raise InvalidInput(found)


def _parse(line: bytes) -> Record:
    try:
        return Record.from_json(line.decode())
    except UnicodeDecodeError:
        raise InvalidInput.of("record", "invalid UTF-8", "save the file as UTF-8") from None


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True
