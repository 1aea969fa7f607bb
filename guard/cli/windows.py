"""Rows through a guard in windows: bounded in size, a few at once, and out again in their order.

A window is one call: large enough to be scored in batches, small enough for any message and for memory to
stay flat however long the file is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from guard.cli.input_row import InputRow
from guard.errors import GuardError, InvalidInput
from guard.sdk.protocols import AnyGuard
from guard.types import Content, Decision

_WINDOW_ROWS = 64
_WINDOW_BYTES = 1024 * 1024
#: Rows of a window that need no screening are nearly free.
_WINDOW_STEPS = 1024
#: Upper bounds on what a message adds to the strings of a content, and to each of its turns and tags.
_CONTENT_FRAMING = 64
_PART_FRAMING = 32


@dataclass(frozen=True, slots=True)
class Step:
    """A row on its way: to be screened, or broken, or with neither because it was done before."""

    number: int
    position: int
    row: InputRow | None = None
    error: InvalidInput | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """A row and what came of it: a decision, why it failed, or nothing where nothing was asked."""

    step: Step
    result: Decision | GuardError | None


def message_bytes(content: Content) -> int:
    """Upper bound on what the content takes in a message."""
    parts = [turn.text for turn in content.context]
    parts += [string for tag in content.tags.items() for string in tag]
    strings = (content.text, content.policy, content.request_id, *parts)
    return _CONTENT_FRAMING + _PART_FRAMING * len(parts) + sum(len(string.encode()) for string in strings)


def windows(steps: Iterable[Step], max_bytes: int) -> Iterator[list[Step]]:
    """Windows of bounded size; rows that need no screening travel in order with the others.

    Args:
        steps: The rows.
        max_bytes: Bytes of a message; a single row above the windows' own bound has a window of its own.
    """
    max_bytes = min(max_bytes, _WINDOW_BYTES)
    window: list[Step] = []
    rows = filled = 0
    for step in steps:
        size = 0 if step.row is None else message_bytes(step.row.content)
        full = rows == _WINDOW_ROWS or filled + size > max_bytes or len(window) == _WINDOW_STEPS
        if window and full:
            yield window
            window, rows, filled = [], 0, 0
        window.append(step)
        rows += step.row is not None
        filled += size
    if window:
        yield window


def decide_in_order(guard: AnyGuard, windows: Iterable[list[Step]], jobs: int) -> Iterator[list[Decided]]:
    """Decide windows, at most ``jobs`` at once and one more waiting, and give them back in their order."""
    waiting: deque[Future[list[Decided]]] = deque()
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="screen")
    try:
        for window in windows:
            waiting.append(pool.submit(_decide, guard, window))
            if len(waiting) > jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _decide(guard: AnyGuard, window: list[Step]) -> list[Decided]:
    contents = [step.row.content for step in window if step.row is not None]
    results = iter(guard.screen_batch(contents) if contents else ())
    return [Decided(step, next(results) if step.row is not None else None) for step in window]
