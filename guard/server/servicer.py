"""guard.v1.GuardService over an engine: decode, have the screener decide, encode.

The event loop stays free for health and for new calls: see ``guard/server/screener.py``. Requests arrive as bytes and
are decoded here, so every way in which they can be broken ends in one place: an answer with a code of its own and
google.rpc.BadRequest, never an exception's text.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace

import grpc
from google.protobuf.message import Message
from grpc_status import rpc_status

from guard import wire
from guard.engine import Engine
from guard.errors import GuardError, InternalError, InvalidInput, Overloaded, Unavailable, place_of
from guard.server.decode import decode_content, decode_contents
from guard.server.live import Live
from guard.server.observer import Observer
from guard.server.screener import Screener
from guard.server.streams import StreamCall
from guard.status import call_status, item_status
from guard.types import Content, Decision, Limits
from guard.v1 import guard_pb2 as pb

#: Full name of the service, as health and reflection know it.
SERVICE = pb.DESCRIPTOR.services_by_name["GuardService"].full_name

_log = logging.getLogger(__name__)

# Seconds after which a stream may try again that found as many open as may be.
_RETRY = 1.0

# Seconds beyond a stream's time in which its caller may take what was written for it.
_UNREAD = 2.0


class GuardServicer:
    """The service's methods. Belongs to one event loop; an engine is shared with the pool's threads."""

    def __init__(
        self,
        live: Live,
        screener: Screener,
        observer: Observer,
        *,
        max_message_bytes: int,
        max_streams: int,
        stream_timeout: float,
        open_timeout: float,
    ) -> None:
        """Serve the current engine.

        Args:
            live: Holds the engine; a call keeps the one that it begins with.
            screener: Decides.
            observer: Told of every decision and every refusal.
            max_message_bytes: Limit on one message.
            max_streams: Streams that may be open at once.
            stream_timeout: Seconds that a stream may take in all.
            open_timeout: Seconds that a stream's opening may take to come.
        """
        self._live = live
        self._screener = screener
        self._observer = observer
        self._max_message_bytes = max_message_bytes
        self._max_streams = max_streams
        self._stream_timeout = stream_timeout
        self._open_timeout = open_timeout
        self._streams = 0
        self._draining = False
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def limits(self, engine: Engine) -> Limits:
        """What one call may carry: the engine's limits with the server's bound on a message."""
        return replace(engine.info().limits, max_message_bytes=self._max_message_bytes)

    def rpcs(self) -> grpc.GenericRpcHandler:
        """The service for a server. Requests stay bytes, so that their decoding can fail with a clear answer."""
        methods: dict[str, Callable[[Engine, bytes, float | None], Awaitable[Message]]] = {
            "Screen": self.screen,
            "ScreenBatch": self.screen_batch,
            "GetInfo": self.get_info,
        }
        by_name = {name: self._rpc(name, method) for name, method in methods.items()}
        by_name["ScreenStream"] = self._stream_rpc("ScreenStream", self.screen_stream)
        return grpc.method_handlers_generic_handler(SERVICE, by_name)

    @property
    def in_flight(self) -> int:
        """Calls that are being answered, open streams among them."""
        return self._in_flight

    @property
    def streams(self) -> int:
        """Streams that are open."""
        return self._streams

    def drain(self) -> None:
        """Refuse whatever begins from now on; what is in flight goes on."""
        self._draining = True

    async def idle(self) -> None:
        """Wait until no call is in flight."""
        await self._idle.wait()

    async def screen(self, engine: Engine, raw: bytes, remaining: float | None = None) -> pb.ScreenResponse:
        """Screen one text.

        Args:
            engine: Decides.
            raw: A ScreenRequest.
            remaining: Seconds until the caller gives up; None if it never does.

        Raises:
            InvalidInput: Every broken field is named.
            Overloaded: The answer would come too late.
            DeadlineExceeded: The caller has given up already.
        """
        self._check_size("content", raw)
        content = wire.content_from_proto(decode_content(raw))
        (result,) = await self._screener.screen(engine, [content], self._screener.expires(remaining))
        if isinstance(result, GuardError):
            raise result
        self._observer.decided(content, result)
        return pb.ScreenResponse(decision=wire.decision_to_proto(result))

    async def screen_batch(self, engine: Engine, raw: bytes, remaining: float | None = None) -> pb.ScreenBatchResponse:
        """Screen several texts; a broken item fails alone, with a status of its own.

        Raises:
            InvalidInput: The batch as a whole is too large; the field is ``contents``.
            Overloaded: The answer would come too late; the whole batch is refused.
            DeadlineExceeded: The caller has given up already.
        """
        expires = self._screener.expires(remaining)
        self._check_size("contents", raw)
        items = []
        for item in decode_contents(raw, self.limits(engine).max_batch_items):
            items.append(_read(item))
            # An item may have many turns: others have their turn between two of them.
            await asyncio.sleep(0)
        sound = [item for item in items if isinstance(item, Content)]
        found = await self._screener.screen(engine, sound, expires)
        for content, result in zip(sound, found, strict=True):
            if isinstance(result, Decision):
                self._observer.decided(content, result)
        decided = iter(found)
        results = [item if isinstance(item, InvalidInput) else next(decided) for item in items]
        for result in results:
            if isinstance(result, GuardError):
                self._observer.refused(result)
        return pb.ScreenBatchResponse(results=map(_result, results))

    async def screen_stream(
        self, engine: Engine, events: AsyncIterator[bytes], remaining: float | None = None
    ) -> AsyncGenerator[pb.ScreenStreamResponse, None]:
        """Screen a stream while it is written; what comes back was screened, and the last message is the decision.

        Raises:
            InvalidInput: An event breaks the contract; its field is named.
            Overloaded: Too many streams are open, or a slice would be late; a stream that was let in waits instead.
            DeadlineExceeded: The caller has given up already, or the stream took longer than one may; what is held
                does not leave.
        """
        if self._streams >= self._max_streams:
            full = f"{self._streams} streams are open, as many as may be (retry later, or raise max_streams)"
            raise Overloaded(full, retry_after=_RETRY)
        call = StreamCall(
            engine,
            self._screener,
            events,
            self._check_size,
            self._observer.stream(),
            expires=math.inf if remaining is None else self._screener.expires(remaining),
            timeout=self._stream_timeout,
            open_timeout=self._open_timeout,
        )
        self._streams += 1
        try:
            async with aclosing(call.answer()) as messages:
                async for message in messages:
                    yield message
        finally:
            self._streams -= 1

    async def get_info(self, engine: Engine, _raw: bytes, _remaining: float | None = None) -> pb.GetInfoResponse:
        """Say what is loaded."""
        return wire.info_to_proto(replace(engine.info(), limits=self.limits(engine)))

    def _check_size(self, field: str, raw: bytes) -> None:
        if len(raw) > self._max_message_bytes:
            reason = f"{len(raw)} bytes, the limit is {self._max_message_bytes}"
            raise InvalidInput.of(field, reason, "send less at once, or raise --max-message-bytes")

    @contextmanager
    def _counted(self) -> Iterator[Engine]:
        """Count a call and give it the engine that it keeps."""
        self._in_flight += 1
        self._idle.clear()
        try:
            with self._live.use() as engine:
                yield engine
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    def _rpc(
        self, name: str, method: Callable[[Engine, bytes, float | None], Awaitable[Message]]
    ) -> grpc.RpcMethodHandler[bytes, Message]:
        async def answer(raw: bytes, context: grpc.aio.ServicerContext[bytes, Message]) -> Message:
            if self._draining:
                return await context.abort_with_status(rpc_status.to_status(call_status(_ending())))
            with self._counted() as engine:
                try:
                    return await method(engine, raw, context.time_remaining())
                except Exception as error:  # a defect, too, must reach the caller with a code of its own
                    failure = self._failure(name, error)
                return await context.abort_with_status(rpc_status.to_status(call_status(failure)))

        return grpc.unary_unary_rpc_method_handler(answer, response_serializer=_serialize)

    def _stream_rpc(
        self,
        name: str,
        method: Callable[[Engine, AsyncIterator[bytes], float | None], AsyncGenerator[Message, None]],
    ) -> grpc.RpcMethodHandler[bytes, Message]:
        async def answer(events: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, Message]) -> None:
            ends = asyncio.get_running_loop().time() + self._stream_timeout
            if self._draining:
                await context.abort_with_status(rpc_status.to_status(call_status(_ending())))
            with self._counted() as engine:
                try:
                    # Closed at once, also where the caller left: a stream holds a read that is under way.
                    async with aclosing(method(engine, events, context.time_remaining())) as messages:
                        async for message in messages:
                            await _taken(context.write(message), ends)
                    return
                except Exception as error:  # as above
                    failure = self._failure(name, error)
                await _taken(context.abort_with_status(rpc_status.to_status(call_status(failure))), 0)

        return grpc.stream_stream_rpc_method_handler(answer, response_serializer=_serialize)

    def _failure(self, name: str, error: Exception) -> GuardError:
        """What a caller is told. An exception's message may hold the text: the log gets its type and place only."""
        if not isinstance(error, GuardError):
            _log.error("%s failed: %s", name, place_of(error))
            error = InternalError("the guard failed on this request, its text is unscreened (see its log)")
        self._observer.refused(error)
        return error


async def _taken(writing: Awaitable[None], ends: float) -> None:
    """Wait until a caller takes what is written for it, as long as its stream may take and a little longer.

    Raises:
        CancelledError: It did not. gRPC then resets the call; a status would wait behind what is not taken.
    """
    until = max(ends, asyncio.get_running_loop().time()) + _UNREAD
    try:
        async with asyncio.timeout_at(until):
            await writing
    except TimeoutError:
        raise asyncio.CancelledError from None


def _read(item: pb.Content | InvalidInput) -> Content | InvalidInput:
    if isinstance(item, InvalidInput):
        return item
    try:
        return wire.content_from_proto(item)
    except InvalidInput as error:
        return error


def _result(result: Decision | GuardError) -> pb.ScreenBatchResult:
    if isinstance(result, GuardError):
        return pb.ScreenBatchResult(status=item_status(result))
    return pb.ScreenBatchResult(status=pb.Status(), decision=wire.decision_to_proto(result))


def _ending() -> Unavailable:
    return Unavailable("the guard is ending (ask another one, or retry)")


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()
