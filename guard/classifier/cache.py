"""Scores of texts that were scored before.

Scores and never decisions, so that a new policy decides at once; and never texts: a key is a digest under a random key
of the process, from which nobody can tell, or guess, which text it was. The model's revision is part of the key, so a
new model finds nothing of the old one's.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from dataclasses import replace
from typing import TypeAlias

from guard.classifier.classifier import Query, Scored
from guard.types import Timings

#: Digest of a query and of the model's revision.
Key: TypeAlias = bytes

# Scores stand in memory token by token; a longer text is rarely asked again, and would take the place of many.
_MOST_TOKENS = 256


class ScoreCache:
    """The most recently used scores. Thread-safe.

    Attributes:
        hits: Queries that were found.
        misses: Queries that were not.
    """

    def __init__(self, entries: int) -> None:
        """Begin empty.

        Args:
            entries: Texts that are remembered, at least 1. One takes some 10 kB; texts of more than 256 tokens are not
                remembered.
        """
        self.hits = self.misses = 0
        self._entries = entries
        self._secret = secrets.token_bytes(32)
        self._scored: OrderedDict[Key, Scored] = OrderedDict()
        self._lock = threading.Lock()

    def key(self, query: Query, revision: str) -> Key:
        """What a query is remembered by: its text, direction and context, and the revision of the model."""
        parts = [revision, query.direction.value, query.text]
        for turn in query.context:
            parts += (turn.role.value, turn.text)
        digest = hashlib.blake2b(key=self._secret, digest_size=16)
        for part in parts:
            # Lone surrogates are part of what the normaliser may leave. Lengths keep the parts apart.
            raw = part.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(8, "big"))
            digest.update(raw)
        return digest.digest()

    def get(self, key: Key) -> Scored | None:
        """The scores behind a key, without the time that they once took."""
        with self._lock:
            found = self._scored.get(key)
            if found is None:
                self.misses += 1
                return None
            self.hits += 1
            self._scored.move_to_end(key)
            return found

    def put(self, key: Key, scored: Scored) -> None:
        """Remember scores; what was asked least recently makes room."""
        if scored.tokens > _MOST_TOKENS:
            return
        with self._lock:
            self._scored[key] = replace(scored, timings=Timings())
            self._scored.move_to_end(key)
            if len(self._scored) > self._entries:
                self._scored.popitem(last=False)

    def __len__(self) -> int:
        return len(self._scored)
