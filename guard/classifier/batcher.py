"""One queue in front of the model, and one thread a core that runs what stands in it.

The threads are a thin shell around :class:`guard.classifier.schedule.Schedule`, which says what is run next and who is
let in. All of them share one session: a session computes in the thread that calls it.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from guard.classifier.chunker import Chunk
from guard.classifier.schedule import Batch, Call, Cause, Refusal, Schedule
from guard.classifier.session import Raw, Session
from guard.errors import DeadlineExceeded, InternalError, Overloaded, place_of
from guard.types import MAX_BATCH_TOKENS, MAX_QUEUE_TOKENS

_log = logging.getLogger(__name__)

# Steps of niceness of the threads that compute. On a core that they share with the thread that answers, a call is else
# refused, or a health check answered, when the scheduler's turn comes; more steps were measured to give little, and
# would cost the model its share of a machine where others compute, too.
_NICER = 2

# A run that hangs cannot be ended; the process may, because the threads are daemons.
_PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the run of one chunk went: what the graph said, or what broke; begin and end on the batcher's clock."""

    raw: Raw | Exception
    began: float
    ended: float


class PendingCall(Call):
    """Chunks on their way through the queue; made by :meth:`Batcher.submit`.

    Attributes:
        outcomes: One per chunk; None as long as a chunk was not run, which it never is once the call is over.
        submitted: When it came, on the batcher's clock.
    """

    __slots__ = ("chunks", "done", "missing", "outcomes", "session", "submitted")

    def __init__(
        self,
        session: Session,
        chunks: Sequence[Chunk],
        *,
        expires: float,
        group: Hashable | None,
        done: Callable[[], None],
        submitted: float,
    ) -> None:
        super().__init__([len(chunk.input_ids) for chunk in chunks], expires=expires, group=group)
        self.session = session
        self.chunks = tuple(chunks)
        self.outcomes: list[Outcome | None] = [None] * len(chunks)
        self.missing = len(chunks)
        self.done: Callable[[], None] | None = done
        self.submitted = submitted


@dataclass(frozen=True, slots=True)
class QueueLoad:
    """A batcher at one moment. What is counted begins with it and never falls.

    Attributes:
        tokens: Tokens that wait, those that were promised a place included.
        running: Tokens that are being run.
        runs: Batches that were run.
        chunks: Chunks in them.
        batch_tokens: Tokens in them, padding not counted.
        padding_tokens: Tokens that were run to fill batches up.
        rejected: Calls that did not reach the model, by :class:`~guard.classifier.schedule.Cause`.
    """

    tokens: int
    running: int
    runs: int
    chunks: int
    batch_tokens: int
    padding_tokens: int
    rejected: Mapping[str, int]


class Batcher:
    """The queue with its threads. Thread-safe; threads start with it and end with :meth:`close`.

    Calls of several sessions may wait at once, as during a change of the model; a run is of one session.
    """

    def __init__(
        self,
        *,
        workers: int,
        max_batch_tokens: int = MAX_BATCH_TOKENS,
        max_queue_tokens: int = MAX_QUEUE_TOKENS,
        batching: bool = True,
        observe: Callable[[int, int], None] | None = None,
    ) -> None:
        """Start the threads.

        Args:
            workers: Threads that run the model, and so batches at once; one a core is fastest.
            max_batch_tokens: Tokens of a batch, padding included; a longer chunk runs alone.
            max_queue_tokens: Tokens that may wait; above, :meth:`reserved` refuses.
            batching: Whether chunks share runs where their session allows it.
            observe: Told of every batch after its run, in the thread that ran it: its chunks, and their tokens
                without padding. It must not wait; if it fails, that is logged.
        """
        self._batching = batching
        self._observe = observe
        self._schedule: Schedule[PendingCall] = Schedule(
            workers=workers, max_batch_tokens=max_batch_tokens, max_queue_tokens=max_queue_tokens
        )
        self._changed = threading.Condition()
        self._closed = False
        self._runs = self._chunks = self._batch_tokens = self._padding_tokens = 0
        self._rejected: Counter[str] = Counter({cause.value: 0 for cause in Cause})
        self._threads = [threading.Thread(target=self._work, name=f"infer-{i}", daemon=True) for i in range(workers)]
        for thread in self._threads:
            thread.start()

    @property
    def load(self) -> QueueLoad:
        """What waits and runs now, and what was counted so far."""
        with self._changed:
            return QueueLoad(
                tokens=self._schedule.tokens + self._schedule.reserved,
                running=self._schedule.running,
                runs=self._runs,
                chunks=self._chunks,
                batch_tokens=self._batch_tokens,
                padding_tokens=self._padding_tokens,
                rejected=dict(self._rejected),
            )

    @contextmanager
    def reserved(self, tokens: int, chunks: int, expires: float) -> Iterator[None]:
        """Let a call in, or refuse it at the door, before any work is done for it.

        It has its place while the block lasts, in which it is prepared; :meth:`submit` follows.

        Args:
            tokens: Its tokens, as far as they are known.
            chunks: Pieces that it will be cut into.
            expires: Its deadline on the clock of :func:`time.monotonic`.

        Raises:
            DeadlineExceeded: The deadline is over.
            Overloaded: The queue is full, or the call would probably not be done in time.
        """
        remaining = expires - time.monotonic()
        with self._changed:
            if remaining <= 0:
                self._rejected[Cause.EXPIRED] += 1
                raise DeadlineExceeded("the deadline was over before the text was read (give the call more time)")
            refusal = self._schedule.refusal(tokens, chunks, remaining)
            if refusal:
                self._rejected[refusal.cause] += 1
                raise _overloaded(refusal, remaining)
            self._schedule.reserved += tokens
        try:
            yield
        finally:
            with self._changed:
                self._schedule.reserved -= tokens

    def submit(
        self, session: Session, chunks: Sequence[Chunk], *, expires: float, done: Callable[[], None]
    ) -> PendingCall:
        """Let chunks wait for their run; never refused.

        Args:
            session: Runs them.
            chunks: At least one. Those of a call wait in one place of the queue.
            expires: Until when somebody waits for them, on the clock of :func:`time.monotonic`; what was not begun by
                then is not run.
            done: Called once when no outcome will be added any more, in a thread of the batcher or in this one. It
                must neither wait nor fail.
        """
        group = session if self._batching and session.shared else None
        call = PendingCall(session, chunks, expires=expires, group=group, done=done, submitted=time.monotonic())
        with self._changed:
            closed = self._closed
            if not closed:
                self._schedule.add(call)
                self._changed.notify(len(chunks))
        if closed:
            _tell([call])
        return call

    def cancel(self, call: PendingCall) -> None:
        """Nobody waits for the call any more: what was not begun is not run. Nothing happens if it is over."""
        with self._changed:
            call.done = None
            if self._schedule.remove(call):
                late = call.expires <= time.monotonic()
                self._rejected[Cause.EXPIRED if late else Cause.CANCELLED] += 1

    def close(self) -> None:
        """End the threads; a call that still waits is over, without outcomes. A run that hangs is left alone."""
        with self._changed:
            self._closed = True
            waiting = self._schedule.clear()
            self._changed.notify_all()
        _tell(waiting)
        until = time.monotonic() + _PATIENCE
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        _give_way()
        while (batch := self._next()) is not None:
            began = time.monotonic()
            results = _run(batch)
            self._deliver(batch, results, began)
            # Not kept while nothing comes: a replaced model would stay in memory.
            del batch, results

    def _next(self) -> Batch[PendingCall] | None:
        """Wait for work; None once the batcher is closed."""
        while True:
            with self._changed:
                late = self._schedule.expire(time.monotonic())
                self._rejected[Cause.EXPIRED] += len(late)
                batch = self._schedule.take()
                if not (late or batch or self._closed):
                    self._changed.wait()
                closed = self._closed
            _tell(late)
            if batch or closed:
                return batch

    def _deliver(self, batch: Batch[PendingCall], results: Sequence[Raw | Exception], began: float) -> None:
        ended = time.monotonic()
        over = []
        with self._changed:
            self._schedule.finished(batch, ended - began)
            self._runs += 1
            self._chunks += len(batch.pieces)
            self._batch_tokens += batch.tokens
            self._padding_tokens += batch.padding
            for piece, result in zip(batch.pieces, results, strict=True):
                piece.call.outcomes[piece.index] = Outcome(result, began, ended)
                piece.call.missing -= 1
                if not piece.call.missing:
                    over.append(piece.call)
        _tell(over)
        if self._observe:
            try:
                self._observe(len(batch.pieces), batch.tokens)
            except Exception as error:  # a thread less would be worse than a batch that was not counted
                _log.error("a batch was not observed: %s", place_of(error))


def _tell(calls: Sequence[PendingCall]) -> None:
    """Say that calls are over; without the lock, which others wait for."""
    for call in calls:
        done, call.done = call.done, None
        if done:
            done()


def _run(batch: Batch[PendingCall]) -> Sequence[Raw | Exception]:
    chunks = [piece.call.chunks[piece.index] for piece in batch.pieces]
    session = batch.pieces[0].call.session
    try:
        results: list[Raw | Exception] = [*session.run(chunks)]
        if len(results) != len(chunks):
            raise InternalError(f"{len(results)} results of {len(chunks)} chunks (the texts count as unscreened)")
        return results
    except Exception as error:  # whatever broke is the answer of the one chunk; the policy's on_error decides
        if len(chunks) == 1:
            return [error]
    # One chunk may have broken the batch: the others must not pay for it.
    return [result for piece in batch.pieces for result in _run(Batch((piece,)))]


def _overloaded(refusal: Refusal, remaining: float) -> Overloaded:
    if refusal.cause is Cause.FULL:
        what = "too much waits already"
    else:
        what = f"an answer would take about {refusal.wait:.1f} s, {remaining:.1f} s are left"
    cure = f"retry after {refusal.retry:g} s, or give the guard more cores"
    return Overloaded(f"{what} ({cure})", retry_after=refusal.retry)


def _give_way() -> None:
    """Lower the priority of the calling thread; where threads have none of their own, nothing happens."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICER)
