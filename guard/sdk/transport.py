"""What the two gRPC clients share: the channel's options, the calls, and typed errors out of statuses."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc import status_pb2

from guard import wire
from guard.errors import DeadlineExceeded, GuardError, InternalError, InvalidInput, Unavailable, error_for_code
from guard.sdk.items import Result
from guard.status import call_error, item_error
from guard.types import Content
from guard.v1 import guard_pb2 as pb

#: Seconds that a call may take unless told otherwise.
DEFAULT_TIMEOUT = 10.0

#: How often a call is repeated that found no server; screening twice changes nothing.
DEFAULT_RETRIES = 2
_MAX_RETRIES = 4  # gRPC allows five attempts

_SERVICE = pb.DESCRIPTOR.services_by_name["GuardService"].full_name
SCREEN = f"/{_SERVICE}/Screen"
SCREEN_BATCH = f"/{_SERVICE}/ScreenBatch"
SCREEN_STREAM = f"/{_SERVICE}/ScreenStream"
GET_INFO = f"/{_SERVICE}/GetInfo"

_Options: TypeAlias = Sequence[tuple[str, int | str]]


def channel_options(retries: int) -> _Options:
    """Options of a channel to a sidecar.

    What found no server is repeated, with backoff, and never beyond the call's deadline: UNAVAILABLE, and CANCELLED,
    which is how a server that is ending drops a call. gRPC repeats neither what this client has cancelled nor a stream
    that was answered already.

    Raises:
        InvalidInput: ``retries`` is not in 0..4.
    """
    if not 0 <= retries <= _MAX_RETRIES:
        raise InvalidInput.of("retries", f"{retries} is out of range", f"0 to {_MAX_RETRIES}")
    options: list[tuple[str, int | str]] = [
        ("grpc.enable_http_proxy", 0),  # a sidecar is next door
        ("grpc.max_receive_message_length", -1),
        # A repeated call only helps if the channel tries to connect again by then.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2000),
        ("grpc.enable_retries", int(retries > 0)),
    ]
    if retries:
        policy = {
            "maxAttempts": retries + 1,
            "initialBackoff": "0.2s",
            "maxBackoff": "2s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
        }
        config = {"methodConfig": [{"name": [{"service": _SERVICE}], "retryPolicy": policy}]}
        options.append(("grpc.service_config", json.dumps(config)))
    return options


def batch_request(contents: Iterable[Content]) -> pb.ScreenBatchRequest:
    """The request for several contents."""
    return pb.ScreenBatchRequest(contents=map(wire.content_to_proto, contents))


def batch_results(response: pb.ScreenBatchResponse) -> list[Result]:
    """One decision or error per content of the request."""
    return [item_error(r.status) or wire.decision_from_proto(r.decision) for r in response.results]


def typed_error(error: grpc.RpcError, address: str, timeout: float | None, *, closed: bool) -> GuardError:
    """The error of guard's tree behind a failed call, with what to do about it.

    Args:
        error: What gRPC raised.
        address: Of the server.
        timeout: Seconds that the call had.
        closed: Whether the client was closed meanwhile.
    """
    code, message = error.code(), error.details() or ""
    if code is grpc.StatusCode.UNAVAILABLE:
        return _unavailable(address, message)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        cure = "give a longer timeout, or the guard more cores"
        within = f" within {timeout:g} s" if timeout is not None else " in time"
        return DeadlineExceeded(f"{address}: no answer{within}, the text counts as unscreened ({cure})")
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return InternalError(f"{address}: no guard of this version (compare `guard --version` on both sides)")
    if code is grpc.StatusCode.CANCELLED:
        return closed_during_call() if closed else dropped_error(address)
    # gRPC's own bound on a message, far above the guard's; it has no details.
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in message:
        return InvalidInput.of("content", "far over the limit on a message's bytes", "send less at once")
    # Both clients' metadata yield pairs, whatever their types say.
    for key, value in cast("Iterable[tuple[str, str | bytes]]", error.trailing_metadata() or ()):
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            try:
                return call_error(status_pb2.Status.FromString(value))
            except DecodeError:
                break  # a proxy's doing: the code and the message are left
    return error_for_code(code.name, message)


def _unavailable(address: str, message: str) -> Unavailable:
    """What became of a connection, as far as gRPC's words tell it."""
    if failed := re.search(r"Tls handshake failed.*?(?:OPENSSL_internal:([A-Z_]+)|$)", message):
        why = (failed[1] or "the handshake failed").lower().replace("_", " ")
        return Unavailable(f"no TLS with {address}: {why} (check ca, and whether the guard there speaks TLS)")
    if "security handshaker" in message:
        return Unavailable(f"no TLS with {address}: ca, cert or key is no PEM, or no pair (check the files)")
    if "Socket closed" in message and "failed to connect" in message:
        cure = "it may speak TLS, or ask for a certificate: give ca, cert and key"
        return Unavailable(f"what listens at {address} closes the connection ({cure})")
    return Unavailable(f"no guard answers at {address} (start one with `guard serve`, or give its address)")


def dropped_error(address: str) -> Unavailable:
    """The error of a call that was cancelled, and not by its caller."""
    return Unavailable(f"the guard at {address} dropped the call, the text counts as unscreened (it is ending: retry)")


def task_cancelled() -> bool:
    """True if the running task is being cancelled, and not only what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def closed_during_call() -> Unavailable:
    """The error of a call whose client was closed before its answer."""
    return Unavailable("the client was closed during the call (make a new one)")


def closed_error() -> Unavailable:
    """The error of a call on a client that was closed."""
    return Unavailable("this client is closed (make a new one)")
