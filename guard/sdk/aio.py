"""The guard over gRPC, for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import grpc

from guard import wire
from guard.address import callable_address
from guard.content import make_content
from guard.sdk.credentials import Credentials
from guard.sdk.deltas import AsyncDeltas, check_deltas
from guard.sdk.items import Context, Item, Result, merge_results, read_items, sound_items
from guard.sdk.stream import AsyncGuardStream, Event, OnBlock, opening_content
from guard.sdk.stream_calls import async_stream_events
from guard.sdk.timeouts import checked_timeout
from guard.sdk.transport import (
    DEFAULT_RETRIES,
    DEFAULT_TIMEOUT,
    GET_INFO,
    SCREEN,
    SCREEN_BATCH,
    SCREEN_STREAM,
    batch_request,
    batch_results,
    channel_options,
    closed_during_call,
    closed_error,
    task_cancelled,
    typed_error,
)
from guard.types import DEFAULT_ADDRESS, Decision, Info
from guard.v1 import guard_pb2 as pb

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")


class AsyncGuardClient:
    """An asyncio client of a sidecar. Belongs to the event loop of its first call.

    Use it as an asynchronous context manager, or close it. A cancelled call is cancelled at the server, too.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        retries: int = DEFAULT_RETRIES,
        tls: bool | None = None,
        ca: str | Path | None = None,
        cert: str | Path | None = None,
        key: str | Path | None = None,
        token: str | Path | None = None,
        allow_insecure_token: bool | None = None,
    ) -> None:
        """Prepare a client; it connects with the first call.

        Args:
            address: ``HOST:PORT`` or ``unix:PATH``.
            timeout: Seconds that a call may take, its retries included; above 0.
            retries: How often a call is repeated that found no server, or one that was ending, 0 to 4. Nothing else
                is repeated, and no stream that has begun to come back.
            tls: Encrypt; implied by ``ca``, ``cert`` and ``key``.
            ca: File of the server's authorities in PEM; public ones if not given.
            cert: File of the client's certificate, where the server asks for one; with ``key``.
            key: File of its private key.
            token: What the server's ``token_file`` has, or a ``Path`` of a file with it, which may be renewed.
            allow_insecure_token: Send the token without TLS to another machine, too; else that is refused.

        What is not given of the last six is taken from the environment, see :mod:`guard.sdk.credentials`.

        Raises:
            InvalidInput: The address, the timeout or the number of retries is none; a file cannot be read; or the token
                would be sent where others can read it.
        """
        self._address = callable_address(address)
        self._credentials = Credentials.of(
            self._address,
            tls=tls,
            ca=ca,
            cert=cert,
            key=key,
            token=token,
            allow_insecure_token=allow_insecure_token,
        )
        self._timeout = checked_timeout(timeout)
        self._options = channel_options(retries)
        self._channel: grpc.aio.Channel | None = None
        self._closed = False

    async def screen(
        self,
        text: str,
        direction: str = "prompt",
        context: Context | None = None,
        policy: str | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        origin: str = "user",
        request_id: str = "",
        timeout: float | None = None,
    ) -> Decision:
        """Screen one text; arguments and errors as in :meth:`guard.GuardClient.screen`."""
        content = make_content(text, direction, context, policy, tags, origin, request_id)
        request = pb.ScreenRequest(content=wire.content_to_proto(content))
        method = self._open().unary_unary(SCREEN, pb.ScreenRequest.SerializeToString, pb.ScreenResponse.FromString)
        return wire.decision_from_proto((await self._call(method, request, timeout)).decision)

    async def screen_batch(
        self,
        items: Iterable[Item],
        direction: str = "prompt",
        policy: str | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        timeout: float | None = None,
    ) -> list[Result]:
        """Screen up to 256 texts in one call; as :meth:`guard.GuardClient.screen_batch`."""
        contents = read_items(items, direction=direction, policy=policy, tags=tags)
        sound = sound_items(contents)
        results: list[Result] = []
        if sound:
            method = self._open().unary_unary(
                SCREEN_BATCH, pb.ScreenBatchRequest.SerializeToString, pb.ScreenBatchResponse.FromString
            )
            results = batch_results(await self._call(method, batch_request(sound), timeout))
        return merge_results(contents, results)

    def screen_stream(
        self,
        deltas: AsyncDeltas,
        direction: str = "output",
        context: Context | None = None,
        policy: str | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        origin: str = "user",
        request_id: str = "",
        on_block: OnBlock = "message",
        timeout: float | None = None,
    ) -> AsyncGuardStream:
        """Screen a text while it is written; arguments and errors as in :meth:`guard.GuardClient.screen_stream`.

        ``deltas`` may be an asynchronous iterator. An ordinary one is taken, too, but blocks the loop while it waits.
        """
        check_deltas(deltas)
        checked_timeout(timeout)
        content = opening_content(direction, context, policy, tags, origin, request_id)
        return AsyncGuardStream(self._stream(wire.opening_to_proto(content), deltas, timeout), on_block)

    async def info(self, *, timeout: float | None = None) -> Info:
        """What the server has loaded: versions, model, policies, limits."""
        method = self._open().unary_unary(GET_INFO, pb.GetInfoRequest.SerializeToString, pb.GetInfoResponse.FromString)
        return wire.info_from_proto(await self._call(method, pb.GetInfoRequest(), timeout))

    async def close(self) -> None:
        """Close the connection; calls in flight fail."""
        self._closed = True
        if self._channel is not None:
            await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _open(self) -> grpc.aio.Channel:
        """The channel, made inside of the running loop because it belongs to one."""
        if self._closed:
            raise closed_error()
        if self._channel is None:
            credentials = self._credentials.channel()
            if credentials is None:
                self._channel = grpc.aio.insecure_channel(self._address, options=self._options)
            else:
                self._channel = grpc.aio.secure_channel(self._address, credentials, options=self._options)
        return self._channel

    async def _stream(
        self, opening: pb.StreamOpen, deltas: AsyncDeltas, timeout: float | None
    ) -> AsyncGenerator[Event, None]:
        method = self._open().stream_stream(
            SCREEN_STREAM, pb.ScreenStreamRequest.SerializeToString, pb.ScreenStreamResponse.FromString
        )
        called = partial(method, metadata=self._credentials.metadata())
        events = async_stream_events(called, opening, deltas, timeout, self._address, lambda: self._closed)
        async with aclosing(events):
            async for event in events:
                yield event

    async def _call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[_Request, _Response],
        request: _Request,
        timeout: float | None,
    ) -> _Response:
        seconds = self._timeout if timeout is None else checked_timeout(timeout)
        try:
            return await method(request, timeout=seconds, metadata=self._credentials.metadata())
        except grpc.RpcError as error:
            raise typed_error(error, self._address, seconds, closed=self._closed) from None
        except asyncio.CancelledError:
            # gRPC cancels what is in flight when the channel closes, as if the caller had.
            if self._closed and not task_cancelled():
                raise closed_during_call() from None
            raise
