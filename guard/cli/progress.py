"""Progress over a file of rows on a terminal: share, rows, rate, time left. In a pipe it says nothing."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class RowProgress:
    """A progress line on standard error while the context is open. Not thread-safe."""

    def __init__(self, total: int) -> None:
        """Begin at nothing.

        Args:
            total: Where the end of the file lies, in the unit of the positions; 0 if unknown.
        """
        console = Console(stderr=True)
        self._progress = Progress(
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%" if total else ""),
            TextColumn("{task.fields[rows]} rows, {task.fields[rate]:.1f}/s"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("rows", total=total or None, rows=0, rate=0.0)
        self._rows = 0
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(self, rows: int, position: int) -> None:
        """Go on by some rows, to a position of the file."""
        self._rows += rows
        rate = self._rows / max(time.monotonic() - self._began, 1e-9)
        self._progress.update(self._task, completed=position, rows=self._rows, rate=rate)
