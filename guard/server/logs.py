"""Logs of a served guard: one line an event on standard error, as text or as JSON. Screened text is never in it."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from guard.errors import place_of


class _Formatter(logging.Formatter):
    """A line of text; of an exception its type and place alone, because its message may quote the text."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        message = record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            message = f"{message}: {place_of(error)}"
        return self.line(record, message.replace("\n", " "))

    def line(self, record: logging.LogRecord, message: str) -> str:
        """The line for a record and its finished message."""
        return f"{self.formatTime(record)} {record.levelname} {record.name}: {message}"


class _JsonFormatter(_Formatter):
    """The same as one JSON object a line: time (UTC), level, logger and message."""

    def line(self, record: logging.LogRecord, message: str) -> str:
        """The line for a record and its finished message."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message,
        }
        return json.dumps(entry, ensure_ascii=False)


def configure_logs(level: str, form: str) -> None:
    """Send the logs of the process to standard error.

    Args:
        level: The least level that is logged: debug, info, warning or error.
        form: text or json.
    """
    stream = logging.StreamHandler()
    stream.setFormatter(_JsonFormatter() if form == "json" else _Formatter())
    logging.basicConfig(level=level.upper(), handlers=[stream], force=True)
