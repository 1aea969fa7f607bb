"""One ScreenStream call: events in, released text and a decision out.

The event loop reads and counts, the screener has slices scored beside everybody else's texts. While a slice is
screened nothing more is read, so a caller that is faster than the model is held back by the transport and not kept in
memory; a large delta is taken in pieces, with the others' turns in between. A stream is refused when it opens or not at
all: a slice waits, and what is too late is decided by ``on_error``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress

from guard import wire
from guard.engine import Engine
from guard.errors import DeadlineExceeded, InvalidInput
from guard.server.decode import decode_event
from guard.server.observer import StreamObserver
from guard.server.screener import Screener
from guard.stream import Screening, in_pieces
from guard.v1 import guard_pb2 as pb

# Seconds that a caller has to notice a decision that came before it had said all.
_LINGER = 2.0


class StreamCall:
    """The answer to one call. Belongs to one event loop and ends with its call."""

    def __init__(
        self,
        engine: Engine,
        screener: Screener,
        events: AsyncIterator[bytes],
        check_size: Callable[[str, bytes], None],
        observer: StreamObserver,
        *,
        expires: float,
        timeout: float,
        open_timeout: float,
    ) -> None:
        """Take a call.

        Args:
            engine: Decides.
            screener: Has slices scored.
            events: The caller's messages; their end is a half-close.
            check_size: Raises where a message has too many bytes.
            observer: Told of the text and of the decision.
            expires: When the caller gives up, on the clock of :func:`time.monotonic`; what is late is decided by
                ``on_error``.
            timeout: Seconds that the stream may take in all.
            open_timeout: Seconds that its opening may take to come.
        """
        self._engine = engine
        self._screener = screener
        self._expires = expires
        self._events = events
        self._check_size = check_size
        self._observer = observer
        self._timeout = timeout
        self._open_timeout = open_timeout
        self._ends = asyncio.get_running_loop().time() + timeout
        self._coming: asyncio.Future[bytes | None] | None = None
        self._said_all = False
        self._max_hold = 0.0

    async def answer(self) -> AsyncGenerator[pb.ScreenStreamResponse, None]:
        """Every message for the caller; the last one is the decision.

        Raises:
            InvalidInput: An event breaks the contract; its field is named. What is held does not leave.
            Overloaded: The stream is refused when it opens.
            DeadlineExceeded: Its deadline was over before it began, its opening did not come, or its time is over. What
                is held does not leave.
        """
        try:
            screening = await self._open()
            while screening.decision is None:
                for piece in in_pieces(await self._take(screening)):
                    await self._push(screening, piece)
                    while screening.due:
                        self._check_time()
                        text = await self._screener.run(
                            self._engine, screening.advancing(), characters=screening.held, expires=self._expires
                        )
                        if text:
                            self._observer.released(text)
                            yield pb.ScreenStreamResponse(released=pb.StreamReleased(text=text))
                    if screening.decision:
                        break
            self._observer.decided(screening.content, screening.decision)
            yield pb.ScreenStreamResponse(decision=wire.decision_to_proto(screening.decision))
            if not self._said_all:
                await self._linger()
        finally:
            # A caller that left: nothing of its stream is read or screened any more.
            if self._coming is not None:
                self._coming.cancel()

    async def _open(self) -> Screening:
        self._coming = asyncio.ensure_future(self._next())
        await self._wait(self._open_timeout)
        if not self._coming.done():
            raise DeadlineExceeded(f"no opening came within {self._open_timeout:g} s (send it at once)")
        raw, self._coming = self._coming.result(), None
        if raw is None:
            raise InvalidInput.of("open", "missing", "send it first")
        self._check_size("open", raw)
        event = decode_event(raw)
        if event.WhichOneof("event") != "open":
            raise InvalidInput.of("open", "missing", "send it before anything else")
        content = wire.opening_from_proto(event.open)
        opening = await self._screener.open(self._engine, content, self._expires)
        sizes = opening.policy.streaming
        self._screener.admit(sizes.context + sizes.step + sizes.lookahead, self._expires)
        self._max_hold = sizes.max_hold
        return Screening(self._engine, opening)

    async def _take(self, screening: Screening) -> str:
        """Wait for the caller's next event, or for its pause; the text of a delta, empty for anything else."""
        if self._coming is None:
            self._coming = asyncio.ensure_future(self._next())
        await self._wait(self._max_hold if screening.stalled else None)
        if not self._coming.done():
            screening.pause()
            return ""
        raw, self._coming = self._coming.result(), None
        if raw is None:
            self._said_all = True
            screening.close()
            return ""
        self._check_size("delta", raw)
        event = decode_event(raw)
        match event.WhichOneof("event"):
            case "close":
                self._said_all = True
                screening.close()
                return ""
            case "delta":
                return event.delta.text
            case _:
                raise InvalidInput.of("open", "sent twice", "open another stream")

    async def _push(self, screening: Screening, piece: str) -> None:
        """Count the next piece of a delta; between two of them others have their turn, and a cancellation, too."""
        if piece:
            await asyncio.sleep(0)
            self._check_time()
            self._observer.received(piece)
            screening.push(piece)

    async def _linger(self) -> None:
        """Take what a caller sends that does not know the decision yet.

        A caller whose message meets a call that has ended may be told of that before it reads what it was sent last:
        grpc.aio then loses the decision.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER):
                while self._coming is None or await self._coming is not None:
                    self._coming = asyncio.ensure_future(self._next())

    async def _wait(self, seconds: float | None) -> None:
        """Wait for what is coming, at most so long.

        Raises:
            DeadlineExceeded: Not beyond the stream's end.
        """
        assert self._coming is not None
        left = self._ends - asyncio.get_running_loop().time()
        await asyncio.wait({self._coming}, timeout=max(0.0, left if seconds is None else min(left, seconds)))
        self._check_time(over=not self._coming.done() and (seconds is None or left <= seconds))

    def _check_time(self, *, over: bool = False) -> None:
        if over or asyncio.get_running_loop().time() >= self._ends:
            cure = "end it earlier, or raise stream_timeout"
            raise DeadlineExceeded(f"the stream took {self._timeout:g} s, what is held is unscreened ({cure})")

    async def _next(self) -> bytes | None:
        return await anext(self._events, None)
