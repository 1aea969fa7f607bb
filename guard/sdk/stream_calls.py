"""One ScreenStream call of a client: deltas are sent and answers read side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from contextlib import aclosing
from typing import Any, TypeAlias, TypeVar

import grpc

from guard import wire
from guard.sdk.deltas import AsyncDeltas, Deltas, read_async_deltas, read_deltas
from guard.sdk.stream import Event, undecided
from guard.sdk.transport import closed_during_call, task_cancelled, typed_error
from guard.v1 import guard_pb2 as pb

# What grpc.aio says where a message meets a call that has ended, and seconds that the server's reason is waited for.
_LOST_RACE = "Internal error from Core"
_SETTLED = 1.0

_T = TypeVar("_T")
_AioCall: TypeAlias = "grpc.aio.StreamStreamCall[Any, pb.ScreenStreamResponse]"


def stream_events(
    method: Any,
    opening: pb.StreamOpen,
    deltas: Deltas,
    timeout: float | None,
    address: str,
    closed: Callable[[], bool],
) -> Generator[Event, None, None]:
    """Screen a stream over a synchronous channel.

    Args:
        method: The channel's method; called with the first event that is asked for.
        opening: What the stream begins with.
        deltas: Read in a thread of gRPC's.
        timeout: Seconds for the whole stream.
        address: For errors.
        closed: Whether the client was closed meanwhile.

    Raises:
        GuardError: The call failed.
        Exception: What the deltas raised.
    """
    sender = _Sender(opening, deltas)
    call = method(sender.requests(), timeout=timeout)
    sender.abort = call.cancel
    if sender.failure is not None:
        call.cancel()  # it was faster than the line above
    try:
        for response in call:
            if response.WhichOneof("event") == "decision":
                if sender.failure is not None and not response.decision.message:
                    raise sender.failure
                yield wire.decision_from_proto(response.decision)
                return
            yield response.released.text
        raise undecided()
    except grpc.RpcError as error:
        if sender.failure is not None:
            raise sender.failure from None
        raise typed_error(error, address, timeout, closed=closed()) from None
    finally:
        sender.stopped = True
        call.cancel()


class _Sender:
    """What one stream sends. Its requests are taken by gRPC in a thread of its own.

    Attributes:
        failure: What the deltas raised.
        stopped: Set when nothing more is to be sent.
        abort: Ends the call; a failure must not look like the end of the text.
    """

    def __init__(self, opening: pb.StreamOpen, deltas: Deltas) -> None:
        self.failure: Exception | None = None
        self.stopped = False
        self.abort: Callable[[], object] = lambda: None
        self._opening = opening
        self._deltas = deltas

    def requests(self) -> Iterator[pb.ScreenStreamRequest]:
        yield pb.ScreenStreamRequest(open=self._opening)
        texts = read_deltas(self._deltas)
        try:
            for text in texts:
                if self.stopped:
                    return
                yield pb.ScreenStreamRequest(delta=pb.StreamDelta(text=text))
        except Exception as error:  # the caller's own code: it belongs to whoever iterates over the pieces
            self.failure = error
            self.abort()
            return
        finally:
            texts.close()
        yield pb.ScreenStreamRequest(close=pb.StreamClose())


async def async_stream_events(
    method: Any,
    opening: pb.StreamOpen,
    deltas: AsyncDeltas,
    timeout: float | None,
    address: str,
    closed: Callable[[], bool],
) -> AsyncGenerator[Event, None]:
    """As :func:`stream_events`, over an asynchronous channel; the deltas are read in a task of their own."""
    call: _AioCall = method(timeout=timeout)
    status = _Status(call)
    sending = asyncio.ensure_future(_send(call, opening, deltas))
    # A failure of the deltas ends the call; it must not look like the end of the text.
    sending.add_done_callback(lambda task: call.cancel() if _failure(task) else None)
    try:
        async for response in call:
            if response.WhichOneof("event") == "decision":
                yield wire.decision_from_proto(response.decision)
                return
            yield response.released.text
        raise undecided()
    except (grpc.RpcError, asyncio.CancelledError) as error:
        if failure := _failure(sending):
            raise failure from None
        if isinstance(error, grpc.aio.AioRpcError):
            raise typed_error(await status.error(error), address, timeout, closed=closed()) from None
        if closed() and not task_cancelled():
            raise closed_during_call() from None
        raise
    finally:
        call.cancel()
        sending.cancel()
        await asyncio.wait({sending})


async def _send(call: _AioCall, opening: pb.StreamOpen, deltas: AsyncDeltas) -> None:
    """Send a stream; a call that is over ends it, and says why where its answer is read."""
    if not await _written(call, pb.ScreenStreamRequest(open=opening)):
        return
    async with aclosing(read_async_deltas(deltas)) as texts:
        async for text in texts:
            if not await _written(call, pb.ScreenStreamRequest(delta=pb.StreamDelta(text=text))):
                return
    if await _written(call, pb.ScreenStreamRequest(close=pb.StreamClose())):
        await call.done_writing()


async def _written(call: _AioCall, request: pb.ScreenStreamRequest) -> bool:
    """Send one message; False if the call is over."""
    try:
        await call.write(request)
    except (grpc.RpcError, asyncio.InvalidStateError):
        return False
    return True


def _failure(sending: asyncio.Future[None]) -> BaseException | None:
    """What the deltas raised, if they did."""
    return sending.exception() if sending.done() and not sending.cancelled() else None


class _Status:
    """The status with which the server has ended a call.

    Where a message meets a call that has just ended, grpc.aio puts a status of its own in the place of the server's, or
    before it.
    """

    def __init__(self, call: _AioCall) -> None:
        self._found: asyncio.Future[grpc.aio.AioRpcError] = asyncio.get_running_loop().create_future()
        call.add_done_callback(self._note)

    def _note(self, call: Any) -> None:
        details = _at_once(call.details())
        if details != _LOST_RACE and not self._found.done():
            code, trailing = _at_once(call.code()), _at_once(call.trailing_metadata())
            self._found.set_result(grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details))

    async def error(self, error: grpc.aio.AioRpcError) -> grpc.aio.AioRpcError:
        """The server's status as an error; the given one if there is none."""
        if error.details() == _LOST_RACE:
            await asyncio.wait({self._found}, timeout=_SETTLED)
            return self._found.result() if self._found.done() else error
        return error


def _at_once(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """The result of a coroutine that need not wait: the status of a call that has one."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        found: _T = done.value
        return found
    raise RuntimeError("it waits")
