"""Waiting for what comes about by itself, without saying when."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")

# Far beyond what anything takes: it only ends a test that would hang.
_AT_MOST = 60.0


def until(found: Callable[[], _T]) -> _T:
    """Call again and again until the answer is true; the answer."""
    ends = time.monotonic() + _AT_MOST
    while True:
        answer = found()
        if answer:
            return answer
        assert time.monotonic() < ends, "it never came about"
        time.sleep(0.02)
