"""Signals to a sidecar that is still starting. Without these, Python's own ways would end it as if it had failed.

The module loads nothing, so that it can come first.
"""

from __future__ import annotations

import os
import signal
from types import FrameType


def hold_signals() -> None:
    """From now on SIGTERM ends the process with status 0, and SIGHUP waits for :func:`release_reload`.

    For the main thread of a process that is about to serve. Threads that it starts meanwhile leave SIGHUP to it.
    """
    signal.signal(signal.SIGTERM, _end)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})


def release_reload() -> None:
    """Let SIGHUP through: one that came meanwhile comes now."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


def _end(_number: int, _frame: FrameType | None) -> None:
    # Nothing is open yet that would have to be closed, and an exception might be caught on its way.
    os._exit(0)
