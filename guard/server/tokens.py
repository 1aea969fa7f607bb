"""Bearer tokens: who may call, where the operator has said so. Health answers everybody, and nothing else does."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import grpc
from grpc_status import rpc_status

from guard.errors import InvalidInput, Unauthenticated, Violation
from guard.server.observer import Observer
from guard.status import call_status

_LEAST = 16
_OPEN = "/grpc.health.v1.Health/"
_HEADER = "authorization"
_SCHEME = "bearer "

_Handler: TypeAlias = "grpc.RpcMethodHandler[object, object]"


class Tokens:
    """The tokens that are good now. Replaced as a whole; any thread may ask."""

    def __init__(self, digests: tuple[bytes, ...]) -> None:
        """Hold what :func:`read_tokens` gave."""
        self._digests = digests

    def replace(self, digests: tuple[bytes, ...]) -> None:
        """From now on these are good, and no others."""
        self._digests = digests

    def good(self, header: str) -> bool:
        """True if an ``authorization`` header carries one of the tokens; takes the same time for any wrong one."""
        scheme, token = header[: len(_SCHEME)], header[len(_SCHEME) :]
        digest = _digest(token.strip())
        found = False
        for known in self._digests:
            found |= hmac.compare_digest(digest, known)
        return found and scheme.lower() == _SCHEME


def read_tokens(path: Path) -> tuple[bytes, ...]:
    """The digests of a file's tokens: one a line, so that an old and a new one are good while they are exchanged.

    Blank lines and those that begin with ``#`` are left out.

    Raises:
        InvalidInput: It cannot be read or holds no token; every broken line is named, never shown.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        reason = f"{path} cannot be read: {error.strerror}"
        raise InvalidInput.of("token_file", reason, "check the path and its permissions") from None
    except UnicodeDecodeError:
        raise InvalidInput.of("token_file", f"{path} is no text", "write one token a line") from None
    tokens: list[str] = []
    found: list[Violation] = []
    for number, line in enumerate(lines, start=1):
        token = line.strip()
        if not token or token.startswith("#"):
            continue
        tokens.append(token)
        if len(token) < _LEAST or not token.isascii() or not token.isprintable() or " " in token:
            cure = "such as the output of `openssl rand -hex 32`"
            reason = f"{path}:{number}: no token of at least {_LEAST} letters, digits and signs of ASCII"
            found.append(Violation("token_file", reason, cure))
    if not tokens:
        found.append(Violation("token_file", f"{path}: no token in it", "write one token a line"))
    if found:
        raise InvalidInput(found)
    return tuple(map(_digest, tokens))


class TokenGate(grpc.aio.ServerInterceptor):
    """Lets a call pass whose token is good, and any call of health."""

    def __init__(self, tokens: Tokens, observer: Observer) -> None:
        self._tokens = tokens
        self._observer = observer

    async def intercept_service(  # type: ignore[override]  # the stubs lack None, which is what an unknown method gives
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler | None:
        """The method, or in its place one that refuses; before a byte of the request is read."""
        if handler_call_details.method.startswith(_OPEN):
            return await continuation(handler_call_details)
        headers = [value for name, value in handler_call_details.invocation_metadata if name == _HEADER]
        if len(headers) == 1 and self._tokens.good(_text(headers[0])):
            return await continuation(handler_call_details)
        reason = "the token is not one of this guard's" if headers else "the call carries no token"
        return self._refusal(Unauthenticated(f"{reason} (give the client a token of the server's token_file)"))

    def _refusal(self, error: Unauthenticated) -> _Handler:
        self._observer.refused(error)

        async def refuse(_: object, context: grpc.aio.ServicerContext[object, object]) -> None:
            await context.abort_with_status(rpc_status.to_status(call_status(error)))

        # Fits every kind of method, because it reads nothing.
        return grpc.stream_stream_rpc_method_handler(refuse)


def _text(header: str | bytes) -> str:
    return header if isinstance(header, str) else header.decode("ascii", "replace")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
