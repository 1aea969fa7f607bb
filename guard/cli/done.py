"""Which rows an earlier run has written, so that a second run over the same output goes on where it ended."""

from __future__ import annotations

import hashlib
import json
from array import array
from dataclasses import dataclass
from pathlib import Path

from guard.errors import InvalidInput
from guard.records import SCHEMA, hash_text
from guard.types import Action

# How every line that a Record writes begins: what tells a torn record from somebody's notes.
_BEGINNING = f'{{"schema": {SCHEMA}, "id": '.encode()
_FIRST_SLOTS = 1024


class IdSet:
    """A set of ids in 16 to 32 bytes each, however long they are. Not thread-safe.

    Open addressing over 64-bit hashes: a million ids take 16 MB where a set of strings takes 150. Two
    different ids collide with a probability of about n * n / 2 ** 65: one in 37 million for a million ids.
    """

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * _FIRST_SLOTS))
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __contains__(self, row_id: str) -> bool:
        key = _key(row_id)
        return self._slots[self._slot(key)] == key

    def add(self, row_id: str) -> bool:
        """Add an id; False if it was in already."""
        key = _key(row_id)
        slot = self._slot(key)
        if self._slots[slot] == key:
            return False
        self._slots[slot] = key
        self._size += 1
        if self._size * 2 > len(self._slots):
            self._grow()
        return True

    def _slot(self, key: int) -> int:
        """Where a key stands, or the free slot where it would."""
        mask = len(self._slots) - 1
        slot = key & mask
        while self._slots[slot] not in (0, key):
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        old = self._slots
        self._slots = array("Q", bytes(8 * 2 * len(old)))
        for key in old:
            if key:
                self._slots[self._slot(key)] = key


def _key(row_id: str) -> int:
    """A 64-bit hash that is never 0, which marks a free slot."""
    return int.from_bytes(hashlib.blake2b(row_id.encode(), digest_size=8).digest(), "big") or 1


@dataclass(frozen=True, slots=True)
class Done:
    """What an earlier run has written.

    Attributes:
        ids: The ids of its records.
        texts: Each id with the hash of its text.
        whole: Bytes of its whole lines: less than the file's size if its last line is torn.
        decided_by: The policies and models of its records.
        not_allowed: Its records whose text must not be passed on as it is.
    """

    ids: IdSet
    texts: IdSet
    whole: int
    decided_by: frozenset[tuple[str, str]] = frozenset()
    not_allowed: int = 0

    def has(self, row_id: str, text: str) -> bool:
        """True if the row is done.

        Raises:
            InvalidInput: The id is done with another text, which must not count for this one: most likely rows
                were added or taken out before it and their numbers stand for ids.
        """
        if row_id not in self.ids:
            return False
        if _with_text(row_id, hash_text(text)) in self.texts:
            return True
        reason = f"{row_id[:60]!r} is in the output with another text"
        raise InvalidInput.of("id", reason, "give another --output, or the row an id of its own")


def read_done(output: Path) -> Done:
    """What is done in a file of records; nothing if there is no such file.

    Args:
        output: A file that an earlier run may have written.

    Raises:
        InvalidInput: It is not a file of records, so it must not be written to.
    """
    ids, texts = IdSet(), IdSet()
    whole = not_allowed = 0
    decided_by: set[tuple[str, str]] = set()
    if not output.exists():
        return Done(ids, texts, whole)
    with output.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            torn = not line.endswith(b"\n")
            if torn and (line.startswith(_BEGINNING) or _BEGINNING.startswith(line)):
                break
            record = _record(line)
            if torn or record is None:
                reason = f"{output}:{number}: not a record of schema {SCHEMA}"
                raise InvalidInput.of("--output", reason, "give another file; this one was left as it is")
            row_id = str(record["id"])
            ids.add(row_id)
            texts.add(_with_text(row_id, str(record.get("text_hash"))))
            decided_by.add((str(record.get("policy")), str(record.get("model"))))
            not_allowed += record.get("action") != Action.ALLOW
            whole += len(line)
    return Done(ids, texts, whole, frozenset(decided_by), not_allowed)


def _with_text(row_id: str, text_hash: str) -> str:
    return f"{text_hash} {row_id}"


def _record(line: bytes) -> dict[str, object] | None:
    """As much of a record as is needed here; a whole reading would take ten times as long."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or value.get("schema") != SCHEMA or not isinstance(value.get("id"), str):
        return None
    return value
