"""Records to compare, from files: every one with its partner, and all that cannot be compared told.

Files are read line by line, so that a million records take no more memory than their ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from guard.errors import InvalidInput
from guard.policy.record_file import RecordFile
from guard.records import Record

_SHOWN_ID = 60
_CURE_MODELS = "write a file a model, and compare two of them with --old and --new"


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
                for _, record in self._file(self._old, lines).records():
                    yield Pair(record, record)
        else:
            with self._old.open("rb") as old, self._new.open("rb") as new:
                yield from self._joined(old, self._file(self._new, new), self._new)

    def _file(self, path: Path, lines: BinaryIO) -> RecordFile[Record]:
        return RecordFile(path, lines, self.notes, Record.from_json, several_models=_CURE_MODELS)

    def _joined(self, old: BinaryIO, new: RecordFile[Record], new_path: Path) -> Iterator[Pair]:
        if not old.seekable():
            raise InvalidInput.of("--old", "cannot be read twice", "give a file, not a pipe")
        first = self._file(self._old, old)
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
