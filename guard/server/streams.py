"""One ScreenStream call: events in, released text and a decision out.

The event loop reads and counts, the screener has slices scored beside everybody else's texts. While a slice is
screened nothing more is read, so a caller that is faster than the model is held back by the transport and not kept in
memory. A stream is refused when it opens or not at all: a slice waits, and what is too late is decided by ``on_error``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import TypeVar

from guard import wire
from guard.engine import Engine
from guard.errors import InvalidInput
from guard.server.decode import decode_event
from guard.server.screener import Screener
from guard.stream import Screening
from guard.v1 import guard_pb2 as pb

_T = TypeVar("_T")

# A delta of more characters is counted in the pool: it takes milliseconds.
_LARGE = 2048

# Seconds that a caller has to notice a decision that came before it had said all.
_LINGER = 2.0


class StreamCall:
    """The answer to one call. Belongs to one event loop and ends with its call."""

    def __init__(
        self,
        engine: Engine,
        screener: Screener,
        pool: Executor,
        events: AsyncIterator[bytes],
        check_size: Callable[[str, bytes], None],
        expires: float,
    ) -> None:
        """Take a call.

        Args:
            engine: Decides.
            screener: Has slices scored.
            pool: Its threads count large deltas.
            events: The caller's messages; their end is a half-close.
            check_size: Raises where a message has too many bytes.
            expires: When the last answer is due, on the clock of :func:`time.monotonic`.
        """
        self._engine = engine
        self._screener = screener
        self._expires = expires
        self._pool = pool
        self._events = events
        self._check_size = check_size
        self._coming: asyncio.Future[bytes | None] | None = None
        self._said_all = False
        self._max_hold = 0.0

    async def answer(self) -> AsyncGenerator[pb.ScreenStreamResponse, None]:
        """Every message for the caller; the last one is the decision.

        Raises:
            InvalidInput: An event breaks the contract; its field is named. What is held does not leave.
            Overloaded: The stream is refused when it opens.
            DeadlineExceeded: Its deadline was over before it began.
        """
        try:
            screening = await self._open()
            while screening.decision is None:
                await self._take(screening)
                while screening.due:
                    text = await self._screener.run(
                        self._engine, screening.advancing(), characters=screening.held, expires=self._expires
                    )
                    if text:
                        yield pb.ScreenStreamResponse(released=pb.StreamReleased(text=text))
            yield pb.ScreenStreamResponse(decision=wire.decision_to_proto(screening.decision))
            if not self._said_all:
                await self._linger()
        finally:
            # A caller that left: nothing of its stream is read or screened any more.
            if self._coming is not None:
                self._coming.cancel()

    async def _open(self) -> Screening:
        raw = await anext(self._events, None)
        if raw is None:
            raise InvalidInput.of("open", "missing", "send it first")
        self._check_size("open", raw)
        event = decode_event(raw)
        if event.WhichOneof("event") != "open":
            raise InvalidInput.of("open", "missing", "send it before anything else")
        content = wire.opening_from_proto(event.open)
        opening = await self._in_pool(lambda: self._engine.open(content))
        sizes = opening.policy.streaming
        self._screener.admit(sizes.context + sizes.step + sizes.lookahead, self._expires)
        self._max_hold = sizes.max_hold
        return Screening(self._engine, opening)

    async def _take(self, screening: Screening) -> None:
        """Wait for the caller's next event, or for its pause, and count it."""
        if self._coming is None:
            self._coming = asyncio.ensure_future(self._next())
        await asyncio.wait({self._coming}, timeout=self._max_hold if screening.stalled else None)
        if not self._coming.done():
            screening.pause()
            return
        raw, self._coming = self._coming.result(), None
        if raw is None:
            self._said_all = True
            screening.close()
            return
        self._check_size("delta", raw)
        event = decode_event(raw)
        match event.WhichOneof("event"):
            case "close":
                self._said_all = True
                screening.close()
            case "delta" if len(event.delta.text) > _LARGE:
                await self._in_pool(lambda: screening.push(event.delta.text))
            case "delta":
                screening.push(event.delta.text)
            case _:
                raise InvalidInput.of("open", "sent twice", "open another stream")

    async def _linger(self) -> None:
        """Take what a caller sends that does not know the decision yet.

        A caller whose message meets a call that has ended may be told of that before it reads what it was sent last:
        grpc.aio then loses the decision.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER):
                while self._coming is None or await self._coming is not None:
                    self._coming = asyncio.ensure_future(self._next())

    async def _next(self) -> bytes | None:
        return await anext(self._events, None)

    async def _in_pool(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)
