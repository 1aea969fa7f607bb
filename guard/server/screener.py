"""Screenings side by side on an event loop: let in, prepared, scored by the batcher, decided.

No thread waits for a text. Short texts are prepared and decided on the loop itself, in well under a millisecond; long
ones in a small pool, so that the loop stays free for health and for new calls. What is scored goes to the batcher, and
the loop hears of it when it is done: two changes of thread a text, whatever its company.

A deadline is kept in three places. At the door a call is refused that would probably not be done in time, before any
work. In the queue the batcher drops what is late. And a call that was let in and is late all the same is decided here,
a little before its caller gives up: the engine gets no scores, and the policy's ``on_error`` decides.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Generic, TypeVar

from guard.classifier.batcher import Batcher, QueueLoad
from guard.classifier.cache import ScoreCache
from guard.engine import Engine, Steps
from guard.errors import GuardError
from guard.llm import NoAnswer
from guard.server.scoring import Asked, Scorer
from guard.types import Content, Decision

_T = TypeVar("_T")

# Characters and texts that are prepared on the loop; more take milliseconds.
_SHORT = 2048
_FEW = 8

# An answer has to reach its caller before the deadline: this share of the time is left for it, and at most so much.
_WAY_BACK = 0.1
_LONGEST_WAY_BACK = 0.05

# Bytes of UTF-8 a token, on average in both languages; the template has three tokens.
_BYTES_A_TOKEN = 5
_TEMPLATE_TOKENS = 3


@dataclass(frozen=True, slots=True)
class Load:
    """What a server's queue and cache hold now, and what they counted since its start.

    Attributes:
        queue: The queue in front of the model.
        cache_hits: Texts whose scores were known.
        cache_misses: Texts whose scores were not, where there is a cache.
        degraded: Texts and slices that were not scored, because something broke or their time was over.
    """

    queue: QueueLoad
    cache_hits: int
    cache_misses: int
    degraded: int


class Screener:
    """Takes screenings through their steps. Belongs to one event loop; batcher and pool are its owner's."""

    def __init__(
        self,
        batcher: Batcher,
        pool: Executor,
        *,
        cache: ScoreCache | None = None,
        timeout: float = math.inf,
        asking: Executor | None = None,
    ) -> None:
        """Connect what it works with.

        Args:
            batcher: Scores.
            pool: Its threads prepare and decide long texts.
            cache: Remembers scores; None for none.
            timeout: Seconds that a call may take that brings no deadline, and every slice of a stream.
            asking: Its threads wait for language models that rewrite; those of the pool if it is None.
        """
        self._asking = asking or pool
        self._batcher = batcher
        self._pool = pool
        self._cache = cache
        self._timeout = timeout
        self._scorer = Scorer(batcher, cache)
        self._degraded = 0

    @property
    def load(self) -> Load:
        """The queue and the cache now. Thread-safe."""
        cache = self._cache
        return Load(
            queue=self._batcher.load,
            cache_hits=0 if cache is None else cache.hits,
            cache_misses=0 if cache is None else cache.misses,
            degraded=self._degraded,
        )

    def expires(self, remaining: float | None) -> float:
        """When a call's answer is due, on the clock of :func:`time.monotonic`.

        Args:
            remaining: Seconds until its caller gives up; None if it waits for ever.
        """
        if remaining is None:
            return time.monotonic() + self._timeout
        return time.monotonic() + remaining - min(_LONGEST_WAY_BACK, _WAY_BACK * max(remaining, 0.0))

    async def screen(self, engine: Engine, contents: Sequence[Content], expires: float) -> list[Decision | GuardError]:
        """Decide about the texts of one call; as :meth:`guard.engine.Engine.screen_batch`.

        Args:
            engine: Decides.
            contents: The texts.
            expires: What :meth:`expires` gave.

        Raises:
            Overloaded: The call is refused at the door; it says when to retry.
            DeadlineExceeded: Its deadline was over before it began.
        """
        work = _Work(engine, engine.screening(contents), expires, _is_long(contents))
        tokens, chunks = _estimate(engine, contents)
        with self._batcher.reserved(tokens, chunks, expires):
            step = await self._step(work)
        if isinstance(step, Asked) and len(step.chunks) > chunks:
            # More rounds of the queue than its bytes let expect: now that they are known, better refused than late.
            with self._batcher.reserved(sum(len(chunk.input_ids) for chunk in step.chunks), len(step.chunks), expires):
                pass
        return await self._go_on(work, step)

    async def run(self, engine: Engine, steps: Steps[_T], *, characters: int, expires: float) -> _T:
        """Take one screening through its steps; a slice of a stream waits and is never refused.

        Args:
            engine: Whose steps they are.
            steps: The screening.
            characters: About how much text it is.
            expires: Until when it may take; the timeout of a slice holds, too.
        """
        expires = min(expires, time.monotonic() + self._timeout)
        work = _Work(engine, steps, expires, characters > _SHORT)
        return await self._go_on(work, await self._step(work))

    def admit(self, tokens: int, expires: float) -> None:
        """Let a stream in, or not, by its first slice.

        Raises:
            Overloaded: A slice would not be scored in time.
            DeadlineExceeded: The deadline is over.
        """
        with self._batcher.reserved(tokens, 1, min(expires, time.monotonic() + self._timeout)):
            pass

    async def _go_on(self, work: _Work[_T], step: Asked | _Decided[_T]) -> _T:
        while isinstance(step, Asked):
            asked = step
            await self._scorer.score(work.engine.classifier, asked, work.expires)
            if asked.asks:
                await self._ask(work, asked)
            step = await self._step(work, asked)
            self._degraded += asked.failed
        return step.value

    async def _step(self, work: _Work[_T], asked: Asked | None = None) -> Asked | _Decided[_T]:
        """Answer what was asked and take the next step, on the loop or in the pool."""
        if not work.long:
            return self._take(work, asked)
        began = time.perf_counter_ns()
        loop = asyncio.get_running_loop()
        # A caller that leaves before a thread is free costs nothing.
        return await loop.run_in_executor(self._pool, self._take_in_pool, work, asked, began)

    def _take_in_pool(self, work: _Work[_T], asked: Asked | None, began: int) -> Asked | _Decided[_T]:
        waited = (time.perf_counter_ns() - began) // 1000
        step = self._take(work, asked)
        if isinstance(step, Asked):
            step.waited = waited
        return step

    def _take(self, work: _Work[_T], asked: Asked | None) -> Asked | _Decided[_T]:
        classifier = work.engine.classifier
        try:
            queries = next(work.steps) if asked is None else work.steps.send(self._scorer.answers(classifier, asked))
        except StopIteration as end:
            return _Decided(end.value)
        return self._scorer.read(classifier, queries)

    async def _ask(self, work: _Work[_T], asked: Asked) -> None:
        """Wait for language models, as long as the call may take."""
        loop = asyncio.get_running_loop()
        waiting = [loop.run_in_executor(self._asking, work.engine.rewrite, ask) for ask in asked.asks]
        left = max(0.0, work.expires - time.monotonic())
        try:
            await asyncio.wait(waiting, timeout=None if left == math.inf else left)
            for reply in waiting:
                try:
                    asked.replies.append(reply.result() if reply.done() else NoAnswer("no answer in time"))
                except Exception as error:  # the next harder operator decides
                    asked.replies.append(error)
        finally:
            for reply in waiting:
                reply.cancel()


@dataclass(frozen=True, slots=True)
class _Work(Generic[_T]):
    """A screening on its way, until when it may take, and whether its steps take milliseconds."""

    engine: Engine
    steps: Steps[_T]
    expires: float
    long: bool


@dataclass(frozen=True, slots=True)
class _Decided(Generic[_T]):
    """What the last step returned."""

    value: _T


def _is_long(contents: Sequence[Content]) -> bool:
    characters = sum(len(content.text) + sum(len(turn.text) for turn in content.context) for content in contents)
    return characters > _SHORT or len(contents) > _FEW


def _estimate(engine: Engine, contents: Sequence[Content]) -> tuple[int, int]:
    """About how many tokens, and chunks, a call is; nothing of a text that will be refused for its length."""
    tokens = chunks = 0
    limits = engine.classifier.artifact.limits
    for content in contents:
        if len(content.text) <= engine.max_characters:
            text = len(content.text.encode("utf-8", "surrogatepass")) // _BYTES_A_TOKEN
            pieces = max(1, math.ceil((text - limits.overlap) / (limits.chunk - limits.overlap)))
            context = sum(len(turn.text.encode("utf-8", "surrogatepass")) for turn in content.context)
            beside = _TEMPLATE_TOKENS + min(limits.context, context // _BYTES_A_TOKEN)
            tokens += min(text, limits.max_text) + pieces * beside + (pieces - 1) * limits.overlap
            chunks += pieces
    return tokens, chunks
