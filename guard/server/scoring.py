"""Scores for the queries of screenings that wait side by side on an event loop: remembered ones, or from the batcher.

Reading a text and pooling its scores may happen in any thread; waiting happens on the loop. The loop is woken once for
all calls that a batch has ended.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from guard.classifier.batcher import Batcher, Outcome, PendingCall
from guard.classifier.cache import Key, ScoreCache
from guard.classifier.chunker import Chunk
from guard.classifier.classifier import Classifier, Query, Reading, Scored
from guard.errors import DeadlineExceeded, InvalidInput
from guard.llm import Ask


@dataclass(slots=True)
class Asked:
    """What a step of a screening wants to know.

    Attributes:
        known: Of every query its scores, the reason that there are none, or what is run for it.
        chunks: What is run, of all queries.
        call: Where the chunks wait.
        waited: Microseconds that the step has waited for a thread.
        failed: Queries that got no scores, which is no mistake of the caller.
        asks: What language models are asked; a step asks for this or for scores.
        replies: What they said.
    """

    known: list[Scored | Exception | _Run] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    call: PendingCall | None = None
    waited: int = 0
    failed: int = 0
    asks: list[Ask] = field(default_factory=list)
    replies: list[str | Exception] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Run:
    """A query that is run: its chunks begin at an index of those that were asked for together."""

    reading: Reading
    first: int
    key: Key | None


class Scorer:
    """Answers queries by a batcher. :meth:`score` belongs to one event loop, the rest is thread-safe."""

    def __init__(self, batcher: Batcher, cache: ScoreCache | None) -> None:
        self._batcher = batcher
        self._cache = cache
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over: deque[asyncio.Future[None]] = deque()
        self._told = False

    def read(self, classifier: Classifier, queries: Sequence[Query | Ask]) -> Asked:
        """Look up what is known, and tokenise the rest."""
        asked = Asked()
        for query in queries:
            if isinstance(query, Ask):
                asked.asks.append(query)
                continue
            try:
                known: Scored | Exception | _Run = self._read(classifier, query, asked)
            except Exception as error:  # one text must not cost the others theirs; the engine tells what it was
                known = error
            asked.known.append(known)
        return asked

    async def score(self, classifier: Classifier, asked: Asked, expires: float) -> None:
        """Have the chunks run; those that were not run in time have no outcome then. Cancelled, they are not run."""
        if not asked.chunks:
            return
        self._loop = loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()
        asked.call = call = self._batcher.submit(
            classifier.session, asked.chunks, expires=expires, done=partial(self._tell, over)
        )
        timer = loop.call_at(expires, _set, over) if expires < math.inf else None
        try:
            await over
        finally:
            if timer:
                timer.cancel()
            self._batcher.cancel(call)

    def answers(self, classifier: Classifier, asked: Asked) -> list[Scored | str | Exception]:
        """What the engine is told, query by query; remembers what was new."""
        found = [self._answer(classifier, asked, known) for known in asked.known]
        # A language model that did not answer is no failure of the guard.
        asked.failed = sum(isinstance(answer, Exception) and not isinstance(answer, InvalidInput) for answer in found)
        return [*found, *asked.replies]

    def _read(self, classifier: Classifier, query: Query, asked: Asked) -> Scored | _Run:
        key = None
        if self._cache is not None:
            key = self._cache.key(query, classifier.artifact.revision)
            scored = self._cache.get(key)
            if scored is not None:
                return scored
        reading = classifier.read(query)
        run = _Run(reading, len(asked.chunks), key)
        asked.chunks += reading.chunks
        return run

    def _answer(self, classifier: Classifier, asked: Asked, known: Scored | Exception | _Run) -> Scored | Exception:
        if not isinstance(known, _Run):
            return known
        assert asked.call is not None
        outcomes = asked.call.outcomes[known.first : known.first + len(known.reading.chunks)]
        try:
            scored = _pooled(classifier, known.reading, outcomes, asked.call.submitted, asked.waited)
        except Exception as error:
            return error
        if self._cache is not None and known.key is not None:
            self._cache.put(known.key, scored)
        return scored

    def _tell(self, over: asyncio.Future[None]) -> None:
        """A call is over, says a thread of the batcher."""
        self._over.append(over)
        if not self._told and self._loop is not None:
            self._told = True
            with suppress(RuntimeError):  # the loop has ended, nobody waits any more
                self._loop.call_soon_threadsafe(self._hear)

    def _hear(self) -> None:
        # Before the queue is read: what comes while it is read is either read, too, or told again.
        self._told = False
        while self._over:
            _set(self._over.popleft())


def _pooled(
    classifier: Classifier, reading: Reading, outcomes: Sequence[Outcome | None], submitted: float, waited: int
) -> Scored:
    ran = [outcome for outcome in outcomes if outcome is not None]
    if len(ran) < len(outcomes):
        raise DeadlineExceeded("the text was not scored in time (give the call more time, or the guard more cores)")
    raw = []
    for outcome in ran:
        if isinstance(outcome.raw, Exception):
            raise outcome.raw
        raw.append(outcome.raw)
    began = min(outcome.began for outcome in ran)
    ended = max(outcome.ended for outcome in ran)
    queue, infer = int((began - submitted) * 1e6) + waited, int((ended - began) * 1e6)
    return classifier.pool(reading, raw, queue=queue, infer=infer)


def _set(over: asyncio.Future[None]) -> None:
    if not over.done():
        over.set_result(None)
