"""Addresses of a guard: ``HOST:PORT`` or ``unix:PATH``, read before gRPC sees them.

gRPC takes almost any text for a name and only says later, in its own words, that nothing is there.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from guard.errors import InvalidInput

_UNIX = "unix:"
_MAX_UNIX_PATH = 107  # sockaddr_un holds 108 bytes with the final zero
_MAX_PORT = 65535
_CURE = "HOST:PORT, [IPV6]:PORT or unix:PATH"
#: What a URL, or a sentence, has and the name of a host has not.
_NOT_IN_HOSTS = "/@ "


@dataclass(frozen=True, slots=True)
class Address:
    """One place to listen at or to call: a host with a port, or the path of a unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def parse(cls, text: str, field: str = "listen", *, least_port: int = 0) -> Address:
        """Read ``127.0.0.1:50061``, ``[::1]:50061``, ``localhost:0`` (any free port) or ``unix:/run/guard.sock``.

        Args:
            text: The address.
            field: What an error calls it.
            least_port: 0 where a port of 0 takes a free one; 1 where it means nothing.

        Raises:
            InvalidInput: None of these.
        """
        if text.startswith(_UNIX):
            return cls._parse_unix(text, field)
        host, colon, port = text.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        bare = host[1:-1] if bracketed else host
        strange = any(mark in bare for mark in _NOT_IN_HOSTS) or not text.isprintable()
        if not colon or not bare or strange or (":" in bare and not bracketed):
            raise InvalidInput.of(field, f"no address: {text!r}", _CURE)
        # Of a few digits: int() refuses thousands of them in its own words.
        number = int(port) if port.isascii() and port.isdigit() and len(port) <= len(str(_MAX_PORT)) else -1
        if not least_port <= number <= _MAX_PORT:
            cure = f"HOST:PORT, the port {least_port} to {_MAX_PORT}" + "; 0 takes a free one" * (not least_port)
            raise InvalidInput.of(field, f"no port: {text!r}", cure)
        return cls(host=bare, port=number)

    @classmethod
    def _parse_unix(cls, text: str, field: str) -> Address:
        path = text.removeprefix(_UNIX)
        if not path or not text.isprintable() or len(os.fsencode(path)) > _MAX_UNIX_PATH:
            cure = f"1 to {_MAX_UNIX_PATH} bytes, such as unix:/run/guard.sock"
            raise InvalidInput.of(field, f"no path for a socket: {text!r}", cure)
        return cls(path=path)

    def __str__(self) -> str:
        if self.path:
            return f"{_UNIX}{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def with_port(self, port: int) -> Address:
        """The same address with the port that was really bound."""
        return self if self.path else replace(self, port=port)


def callable_address(address: object, field: str = "address") -> str:
    """An address that a client can call, as it was given.

    Args:
        address: What a caller or a command line gave for it.
        field: What an error calls it.

    Raises:
        InvalidInput: Not ``HOST:PORT`` with a port of 1 to 65535 and not ``unix:PATH``.
    """
    if not isinstance(address, str):
        raise InvalidInput.of(field, f"no address: a {type(address).__name__}", _CURE)
    Address.parse(address, field, least_port=1)
    return address
