"""Who is told of what a server decides and refuses: its metrics, and its decision log if it has one.

One seam, so that answering knows neither: it tells the observer, which never fails and never waits.
"""

from __future__ import annotations

from guard.errors import GuardError
from guard.server.decision_log import DecisionLog, Mark
from guard.server.metrics import Metrics
from guard.types import Content, Decision


class Observer:
    """Passes on what happens. Belongs to one event loop."""

    def __init__(self, metrics: Metrics, log: DecisionLog | None) -> None:
        self._metrics = metrics
        self._log = log

    def decided(self, content: Content, decision: Decision) -> None:
        """A text was decided and is about to be answered."""
        self._metrics.decided(content.direction, decision)
        if self._log is not None:
            mark = self._log.mark()
            mark.add(content.text)
            self._log.put(content, decision, mark, decision.output_text)

    def refused(self, error: GuardError) -> None:
        """A call, or one item of a batch, failed."""
        self._metrics.refused(error)

    def stream(self) -> StreamObserver:
        """An observer for a stream that begins."""
        return StreamObserver(self._metrics, self._log)


class StreamObserver:
    """The same for one stream, whose text comes and leaves in pieces. Lives as long as the stream."""

    def __init__(self, metrics: Metrics, log: DecisionLog | None) -> None:
        self._metrics = metrics
        self._log = log
        self._mark: Mark | None = log.mark() if log else None
        self._released: list[str] = []

    def received(self, text: str) -> None:
        """The next of its text has come."""
        if self._mark is not None:
            self._mark.add(text)

    def released(self, text: str) -> None:
        """Something is about to be passed on."""
        if self._log is not None and self._log.keeps_text:
            self._released.append(text)

    def decided(self, content: Content, decision: Decision) -> None:
        """The stream has ended with this decision."""
        self._metrics.decided(content.direction, decision)
        if self._log is not None and self._mark is not None:
            self._log.put(content, decision, self._mark, "".join((*self._released, decision.output_text)))
