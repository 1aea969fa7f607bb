from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from guard.server.logs import configure_logs


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """The test run's own logging stays as it was."""
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    root.handlers.clear()
    yield
    root.handlers[:] = kept
    root.setLevel(level)


def _log_failure() -> None:
    try:
        raise ValueError("private words")
    except ValueError:
        logging.getLogger("library").exception("a call\nfailed")


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    """An event is one line; of an exception it has the type and the place, never the message."""
    configure_logs("info", "text")
    _log_failure()
    logging.getLogger("library").debug("too little")
    (line,) = capsys.readouterr().err.splitlines()
    assert " ERROR library: a call failed: ValueError at test_logs.py:" in line
    assert "private" not in line


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON an event is one object with time, level, logger and message."""
    configure_logs("info", "json")
    _log_failure()
    event = json.loads(capsys.readouterr().err)
    assert (event["level"], event["logger"]) == ("error", "library")
    assert event["message"].startswith("a call failed: ValueError at test_logs.py:")
    assert event["time"].endswith("+00:00") and "private" not in str(event)
