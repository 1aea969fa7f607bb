"""The guard over gRPC."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import grpc

from guard import wire
from guard.address import callable_address
from guard.content import make_content
from guard.sdk.credentials import Credentials
from guard.sdk.deltas import Deltas, check_deltas
from guard.sdk.items import Context, Item, Result, merge_results, read_items, sound_items
from guard.sdk.stream import Event, GuardStream, OnBlock, opening_content
from guard.sdk.stream_calls import stream_events
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
    closed_error,
    typed_error,
)
from guard.types import DEFAULT_ADDRESS, Decision, Info
from guard.v1 import guard_pb2 as pb

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")


class GuardClient:
    """A client of a sidecar. Thread-safe; keeps one connection until :meth:`close`.

    Use it as a context manager, or close it. Make it after a process has forked, not before.
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
        self._closed = False
        options, credentials = channel_options(retries), self._credentials.channel()
        if credentials is None:
            self._channel = grpc.insecure_channel(self._address, options=options)
        else:
            self._channel = grpc.secure_channel(self._address, credentials, options=options)
        self._screen = self._channel.unary_unary(
            SCREEN, pb.ScreenRequest.SerializeToString, pb.ScreenResponse.FromString
        )
        self._screen_batch = self._channel.unary_unary(
            SCREEN_BATCH, pb.ScreenBatchRequest.SerializeToString, pb.ScreenBatchResponse.FromString
        )
        self._screen_stream = self._channel.stream_stream(
            SCREEN_STREAM, pb.ScreenStreamRequest.SerializeToString, pb.ScreenStreamResponse.FromString
        )
        self._get_info = self._channel.unary_unary(
            GET_INFO, pb.GetInfoRequest.SerializeToString, pb.GetInfoResponse.FromString
        )

    def screen(
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
        """Screen one text.

        Args:
            text: What to screen.
            direction: ``prompt`` (towards the model) or ``output`` (from it), which may be called ``response``.
            context: What came before: one user turn as a string, or turns, oldest first, each a ``Turn`` or a
                mapping with ``role`` and ``text`` or, as chat APIs have it, ``content``. For an output the prompt it
                answers.
            policy: Name of a policy that the server has loaded; its default if not given.
            tags: Free labels: tenant, route ...
            origin: ``user``, ``tool`` or ``document``.
            request_id: Returned unchanged.
            timeout: Seconds for this call; the client's if not given.

        Returns:
            The decision. Pass on its ``output_text`` and nothing else; the message of a block, or of a rewrite by
            template, is for the person to read: where a prompt was screened do not send it to the model.

        Raises:
            InvalidInput: The arguments break the contract; every broken field is named.
            Unavailable: No server answers.
            DeadlineExceeded: No answer in time; the text counts as unscreened.
            Overloaded: The server has too much to do; ``retry_after`` says for how long.
        """
        content = make_content(text, direction, context, policy, tags, origin, request_id)
        request = pb.ScreenRequest(content=wire.content_to_proto(content))
        return wire.decision_from_proto(self._call(self._screen, request, timeout).decision)

    def screen_batch(
        self,
        items: Iterable[Item],
        direction: str = "prompt",
        policy: str | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        timeout: float | None = None,
    ) -> list[Result]:
        """Screen up to 256 texts in one call.

        Args:
            items: Each a text, a ``Content``, or a mapping with ``text`` and any other argument of
                :meth:`screen`.
            direction: For the items that do not bring their own; so are policy and tags.
            policy: See :meth:`screen`.
            tags: See :meth:`screen`.
            timeout: Seconds for the whole call; the client's if not given.

        Returns:
            One decision per item, in order; for an item that failed alone, its error.

        Raises:
            GuardError: The call as a whole failed, as in :meth:`screen`.
        """
        contents = read_items(items, direction=direction, policy=policy, tags=tags)
        sound = sound_items(contents)
        results: list[Result] = []
        if sound:
            results = batch_results(self._call(self._screen_batch, batch_request(sound), timeout))
        return merge_results(contents, results)

    def screen_stream(
        self,
        deltas: Deltas,
        direction: str = "output",
        context: Context | None = None,
        policy: str | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        origin: str = "user",
        request_id: str = "",
        on_block: OnBlock = "message",
        timeout: float | None = None,
    ) -> GuardStream:
        """Screen a text while it is written, and get what may be shown of it.

        Args:
            deltas: The text as the model writes it: strings, or the chunks of an OpenAI chat completion. Only text is
                passed on: a chunk that calls a tool yields nothing.
            direction: ``output`` (from the model) or ``prompt``.
            context: As in :meth:`screen`; for an output the prompt it answers.
            policy: Name of a policy that the server has loaded; its default if not given.
            tags: Free labels: tenant, route ...
            origin: ``user``, ``tool`` or ``document``.
            request_id: Returned unchanged.
            on_block: How a stream ends whose text must not be shown: ``message`` yields the policy's message as the
                last piece, ``raise`` raises ``Blocked``.
            timeout: Seconds for the whole stream; no limit if not given.

        Returns:
            An iterator of the pieces that may be shown; when it has ended, ``stream.decision`` is the decision. The
            pieces of an allowed stream joined are the text; those of a stopped one are its beginning.

        Raises:
            InvalidInput: The arguments break the contract. What only the server knows (a policy's name) and what is
                wrong with a delta is raised while iterating, as are the errors of :meth:`screen` and of the deltas
                themselves; nothing that is held is yielded then.
        """
        check_deltas(deltas)
        checked_timeout(timeout)
        content = opening_content(direction, context, policy, tags, origin, request_id)
        return GuardStream(self._stream(wire.opening_to_proto(content), deltas, timeout), on_block)

    def info(self, *, timeout: float | None = None) -> Info:
        """What the server has loaded: versions, model, policies, limits.

        Raises:
            GuardError: The call failed, as in :meth:`screen`.
        """
        return wire.info_from_proto(self._call(self._get_info, pb.GetInfoRequest(), timeout))

    def close(self) -> None:
        """Close the connection; calls in flight fail."""
        self._closed = True
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _stream(self, opening: pb.StreamOpen, deltas: Deltas, timeout: float | None) -> Generator[Event, None, None]:
        if self._closed:
            raise closed_error()
        method = partial(self._screen_stream, metadata=self._credentials.metadata())
        yield from stream_events(method, opening, deltas, timeout, self._address, lambda: self._closed)

    def _call(
        self,
        method: grpc.UnaryUnaryMultiCallable[_Request, _Response],
        request: _Request,
        timeout: float | None,
    ) -> _Response:
        if self._closed:
            raise closed_error()
        seconds = self._timeout if timeout is None else checked_timeout(timeout)
        try:
            return method(request, timeout=seconds, metadata=self._credentials.metadata())
        except grpc.RpcError as error:
            raise typed_error(error, self._address, seconds, closed=self._closed) from None
