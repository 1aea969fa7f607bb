"""Screenings side by side on an event loop: let in, prepared, scored by the batcher, decided.

No thread waits for a text. Short texts are prepared and decided on the loop itself, in well under a millisecond; long
ones in a small pool, so that the loop stays free for health and for new calls. What is scored goes to the batcher, and
the loop hears of it when it is done: two changes of thread a text, whatever its company.

A deadline is kept in three places. At the door a call is refused that would probably not be done in time, before any
work. In the queue the batcher drops what is late. And a call that was let in and is late all the same, because it waits
for scores or for a thread, is decided here, a little before its caller gives up: by the policy's ``on_error``.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from guard.classifier.batcher import Batcher, QueueLoad
from guard.classifier.cache import ScoreCache
from guard.engine import Engine, Opening, Steps
from guard.errors import DeadlineExceeded, GuardError, Overloaded
from guard.llm import NoAnswer
from guard.server.scoring import Asked, Scorer
from guard.types import Content, Decision

_T = TypeVar("_T")

# Characters, texts and turns that are prepared on the loop; more take milliseconds.
_SHORT = 2048
_FEW = 8
_FEW_TURNS = 32

# Seconds that a step waits for a thread whose call is late already: in most cases one is free.
_PATIENCE = 0.02

# An answer has to reach its caller before the deadline: this share of the time is left for it, and at most so much.
_WAY_BACK = 0.1
_LONGEST_WAY_BACK = 0.05

# Seconds after which a stream that found no thread may try again.
_RETRY = 1.0

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
        late = partial(self._unscreened, engine, contents)
        work = _Work(engine, engine.screening(contents), expires, _is_long(contents), late)
        tokens, chunks = _estimate(engine, contents)
        with self._batcher.reserved(tokens, chunks, expires):
            step = await self._step(work)
        if isinstance(step, Asked) and len(step.chunks) > chunks:
            # More rounds of the queue than its bytes let expect: now that they are known, better refused than late.
            tokens = sum(len(chunk.input_ids) for chunk in step.chunks)
            # It was let in: if its time is over meanwhile, on_error decides.
            with suppress(DeadlineExceeded), self._batcher.reserved(tokens, len(step.chunks), expires):
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

    async def open(self, engine: Engine, content: Content, expires: float) -> Opening:
        """Check what a stream begins with; as :meth:`guard.engine.Engine.open`.

        Raises:
            InvalidInput: Every broken field is named.
            Overloaded: No thread was free to read a long context in time.
        """
        if not _is_long([content]):
            return engine.open(content)
        opened = await self._in_pool(lambda: engine.open(content), min(expires, time.monotonic() + self._timeout))
        if not opened.done() or opened.cancelled():
            opened.cancel()
            raise Overloaded("no thread is free to read the context (retry later)", retry_after=_RETRY)
        return opened.result()

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
        step = await self._in_pool(partial(self._take_in_pool, work, asked, began), work.expires)
        if step.done() and not step.cancelled():
            return step.result()
        if work.late:
            # What a thread may still be at is dropped with its result.
            step.cancel()
            return _Decided(work.late())
        # A slice is small: one that found no thread is taken here, and one that is at work will be done soon.
        return self._take(work, asked) if step.cancelled() else await step

    async def _in_pool(self, work: Callable[[], _T], expires: float) -> asyncio.Future[_T]:
        """Have a thread do it, and wait until it is due.

        Returns:
            What is done by then; cancelled if no thread was free; still at work if it takes longer.
        """
        queued = self._pool.submit(work)
        future = asyncio.wrap_future(queued)
        left = max(_PATIENCE, expires - time.monotonic())
        try:
            await asyncio.wait({future}, timeout=None if left == math.inf else left)
        except asyncio.CancelledError:
            # A caller that leaves before a thread is free costs nothing.
            future.cancel()
            raise
        if not future.done() and queued.cancel():
            future.cancel()
        return future

    def _unscreened(self, engine: Engine, contents: Sequence[Content]) -> list[Decision | GuardError]:
        self._degraded += len(contents)
        return engine.unscreened(contents)

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
    """A screening on its way.

    Attributes:
        engine: Whose steps they are.
        steps: The screening.
        expires: Until when it may take, on the clock of :func:`time.monotonic`.
        long: Whether its steps take milliseconds.
        late: What becomes of it if no thread takes a step in time; None if the steps are small and can say so.
    """

    engine: Engine
    steps: Steps[_T]
    expires: float
    long: bool
    late: Callable[[], _T] | None = None


@dataclass(frozen=True, slots=True)
class _Decided(Generic[_T]):
    """What the last step returned."""

    value: _T


def _is_long(contents: Sequence[Content]) -> bool:
    if len(contents) > _FEW or sum(len(content.context) for content in contents) > _FEW_TURNS:
        return True
    characters = sum(len(content.text) + sum(len(turn.text) for turn in content.context) for content in contents)
    return characters > _SHORT


def _estimate(engine: Engine, contents: Sequence[Content]) -> tuple[int, int]:
    """About how many tokens, and chunks, a call is; nothing of a text that will be refused for its length."""
    tokens = chunks = 0
    limits = engine.classifier.artifact.limits
    for content in contents:
        if len(content.text) <= engine.max_characters:
            text = len(content.text.encode("utf-8", "surrogatepass")) // _BYTES_A_TOKEN
            pieces = max(1, math.ceil((text - limits.overlap) / (limits.chunk - limits.overlap)))
            # Older turns are not read: every one takes a token at least.
            newest = content.context[max(0, len(content.context) - limits.context) :]
            context = sum(len(turn.text.encode("utf-8", "surrogatepass")) for turn in newest)
            beside = _TEMPLATE_TOKENS + min(limits.context, context // _BYTES_A_TOKEN)
            tokens += min(text, limits.max_text) + pieces * beside + (pieces - 1) * limits.overlap
            chunks += pieces
    return tokens, chunks
