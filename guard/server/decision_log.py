"""The decision log: one record for every decision, written beside the requests and never in their way.

A record takes microseconds to make and waits in a bounded buffer for a thread that writes it. Where the disk is slower
than the traffic records are dropped, and counted. Texts are named by an HMAC under the deployment's key: a plain hash
of a short text can be guessed by hashing guesses.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from threading import Condition, Thread

from guard.errors import InvalidInput, Unavailable, place_of
from guard.records import Record
from guard.server.log_file import LogFile, LogTarget, StandardOutput
from guard.server.settings import KEY_VARIABLE, Settings
from guard.types import Content, Decision

_log = logging.getLogger(__name__)

_LEAST_KEY = 16
_STANDARD_OUTPUT = "-"
# Records that are written at once, and characters in them after which no further one is taken.
_BATCH = 256
_BATCH_HELD = 1024 * 1024
# Characters in all that waiting records may hold; without texts they hold next to none.
_MOST_HELD = 32 * 1024 * 1024
# A text with more characters is not kept whoever asks for it: it would crowd out thousands of others.
_LONGEST_KEPT = 1024 * 1024


class Mark:
    """What the log knows of a text, taken piece by piece: its HMAC, its length, and itself if texts are kept."""

    def __init__(self, key: bytes, *, keep_text: bool) -> None:
        self.characters = 0
        self._mac = hmac.new(key, digestmod=hashlib.sha256)
        self._parts: list[str] | None = [] if keep_text else None

    def add(self, text: str) -> None:
        """The next piece of the text."""
        self.characters += len(text)
        self._mac.update(text.encode("utf-8", "surrogatepass"))
        if self.characters > _LONGEST_KEPT:
            self._parts = None
        if self._parts is not None:
            self._parts.append(text)

    @property
    def hash(self) -> str:
        """HMAC-SHA-256 of the text's UTF-8, in hex."""
        return self._mac.hexdigest()

    @property
    def text(self) -> str | None:
        """The text; None if it is not kept."""
        return None if self._parts is None else "".join(self._parts)


class DecisionLog:
    """A log of decisions. Its methods never wait and never fail; its thread lives until :meth:`close`.

    Attributes:
        keeps_text: True if records carry texts.
    """

    def __init__(self, target: LogTarget, key: bytes, *, keep_text: bool = False, buffer: int = 10_000) -> None:
        """Begin to log.

        Args:
            target: Takes the lines.
            key: The deployment's key, at least 16 bytes. Records of one key can be compared.
            keep_text: Records carry the texts, too.
            buffer: Records that may wait to be written.
        """
        self.keeps_text = keep_text
        self._target = target
        self._key = key
        self._key_id = hmac.digest(key, b"guard decision log key", "sha256").hex()[:8]
        self._run_id = secrets.token_hex(6)
        self._most = buffer
        self._made = self._written = self._dropped = self._held = 0
        self._waiting: deque[Record] = deque()
        self._wake = Condition()
        self._closing = False
        self._failing = False
        self._thread = Thread(target=self._write_all, name="decision-log", daemon=True)
        self._thread.start()

    @property
    def written(self) -> int:
        """Records that were written."""
        return self._written

    @property
    def dropped(self) -> int:
        """Records that were left out: the buffer was full, or they could not be written."""
        return self._dropped

    def mark(self) -> Mark:
        """A mark for a text that is about to come."""
        return Mark(self._key, keep_text=self.keeps_text)

    def put(self, content: Content, decision: Decision, mark: Mark, passed_on: str) -> None:
        """Log a decision, or drop it if too many wait.

        Args:
            content: What was screened; its text is not looked at.
            decision: What was decided about it.
            mark: Has taken the text.
            passed_on: What was passed on instead of the text, or the text.
        """
        self._made += 1
        record = Record.of(replace(content, text=""), decision, id=f"{self._run_id}-{self._made}", keep_text=False)
        text = mark.text
        record = replace(
            record,
            text=text,
            output_text=None if text in {None, passed_on} else passed_on,
            text_hash=mark.hash,
            hash_key=self._key_id,
            characters=mark.characters,
        )
        with self._wake:
            if self._closing or len(self._waiting) >= self._most or self._held >= _MOST_HELD:
                self._dropped += 1
                return
            self._held += _size(record)
            self._waiting.append(record)
            self._wake.notify()

    def close(self, timeout: float) -> None:
        """Write what waits and end.

        Args:
            timeout: Seconds that writing may take; what is left then counts as dropped.
        """
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(timeout)
        with self._wake:
            self._dropped += len(self._waiting)
            self._waiting.clear()
        if self._dropped:
            _log.warning("decision log: %d records were dropped, %d written", self._dropped, self._written)

    def _write_all(self) -> None:
        while batch := self._take():
            for model, records in groupby(batch, lambda record: record.model):
                self._write(model, [line for line in map(self._line, records) if line])
        self._target.close()

    def _line(self, record: Record) -> bytes:
        """The record's line; none, and it counts as dropped, where there is a defect."""
        try:
            return record.to_json().encode("utf-8", "surrogatepass") + b"\n"
        except Exception as error:  # it must not cost the records that follow
            _log.error("decision log: a record was dropped: %s", place_of(error))
            self._drop(1)
            return b""

    def _write(self, model: str, lines: Sequence[bytes]) -> None:
        while lines:
            try:
                written = self._target.write(model, lines)
            except Exception as error:
                self._fail(error)
                self._drop(len(lines))
                return
            self._failing = False
            self._written += written
            lines = lines[written:]

    def _fail(self, error: Exception) -> None:
        """Say once why nothing can be written."""
        if not self._failing:
            reason = error.strerror if isinstance(error, OSError) else place_of(error)
            _log.error("decision log: %s (records are dropped until it can be written)", reason)
        self._failing = True

    def _drop(self, records: int) -> None:
        with self._wake:
            self._dropped += records

    def _take(self) -> list[Record]:
        """The next records, waited for; none if there will be none."""
        with self._wake:
            self._wake.wait_for(lambda: self._waiting or self._closing)
            batch: list[Record] = []
            size = 0
            while self._waiting and len(batch) < _BATCH and size < _BATCH_HELD:
                batch.append(self._waiting.popleft())
                size += _size(batch[-1])
            self._held -= size
            return batch


def open_log(settings: Settings) -> DecisionLog | None:
    """The decision log that the settings ask for, if they do.

    Raises:
        InvalidInput: The key cannot be read, or is too short.
        Unavailable: The file cannot be written.
    """
    path = settings.decision_log
    if path is None:
        return None
    key = _key(settings)
    target: LogTarget = StandardOutput()
    if str(path) != _STANDARD_OUTPUT:
        try:
            target = LogFile(path, max_bytes=settings.decision_log_max_bytes, files=settings.decision_log_files)
        except BlockingIOError:
            cure = "give every guard a file of its own"
            raise Unavailable(f"decision_log: {path} is written by another process ({cure})") from None
        except OSError as error:
            raise Unavailable(
                f"decision_log: {path} cannot be written: {error.strerror} (create its directory, or log elsewhere)"
            ) from None
    return DecisionLog(target, key, keep_text=settings.decision_log_text, buffer=settings.decision_log_buffer)


def _key(settings: Settings) -> bytes:
    path = settings.decision_log_key_file
    if path is not None:
        field = "decision_log_key_file"
        try:
            key = path.read_bytes().strip()
        except OSError as error:
            reason = f"{path} cannot be read: {error.strerror}"
            raise InvalidInput.of(field, reason, "check the path and its permissions") from None
    else:
        field, key = KEY_VARIABLE, os.environ.get(KEY_VARIABLE, "").strip().encode("utf-8", "surrogateescape")
        if not key:
            cure = f"give decision_log_key_file or {KEY_VARIABLE}"
            _log.warning("decision log: a key for this run alone, texts of two runs cannot be compared (%s)", cure)
            return secrets.token_bytes(32)
    if len(key) < _LEAST_KEY:
        reason = f"{len(key)} bytes, a key has at least {_LEAST_KEY}"
        raise InvalidInput.of(field, reason, "such as the output of `openssl rand -hex 32`")
    return key


def _size(record: Record) -> int:
    """Characters that a caller can make a record hold."""
    tags = sum(len(name) + len(value) for name, value in record.tags.items())
    return len(record.text or "") + len(record.output_text or "") + len(record.request_id) + tags
