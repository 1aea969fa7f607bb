"""Where a server listens: ``HOST:PORT`` or ``unix:PATH``, checked before gRPC sees it.

gRPC says only that it failed to bind, and it takes a socket file away from a server that lives; so whether the
place is free is asked here first, and the answer names what to do.
"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from guard.errors import InvalidInput, Unavailable

_UNIX = "unix:"
_MAX_UNIX_PATH = 107  # sockaddr_un holds 108 bytes with the final zero


@dataclass(frozen=True, slots=True)
class Address:
    """One place to listen at: a host with a port, or the path of a unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``127.0.0.1:50061``, ``[::1]:50061``, ``localhost:0`` (any free port) or ``unix:/run/guard.sock``.

        Raises:
            InvalidInput: None of these; the field is ``listen``.
        """
        if text.startswith(_UNIX):
            return cls._parse_unix(text)
        host, colon, port = text.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        if not colon or not host or (":" in host and not bracketed):
            raise InvalidInput.of("listen", f"no address: {text!r}", "HOST:PORT, [IPV6]:PORT or unix:PATH")
        if not (port.isascii() and port.isdigit() and int(port) <= 65535):
            raise InvalidInput.of("listen", f"no port: {text!r}", "0 to 65535; 0 takes a free one")
        return cls(host=host[1:-1] if bracketed else host, port=int(port))

    @classmethod
    def _parse_unix(cls, text: str) -> Address:
        path = text.removeprefix(_UNIX)
        if not path or len(os.fsencode(path)) > _MAX_UNIX_PATH:
            cure = f"1 to {_MAX_UNIX_PATH} bytes, such as unix:/run/guard.sock"
            raise InvalidInput.of("listen", f"no path for a socket: {text!r}", cure)
        return cls(path=path)

    def __str__(self) -> str:
        if self.path:
            return f"{_UNIX}{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def with_port(self, port: int) -> Address:
        """The same address with the port that was really bound."""
        return self if self.path else replace(self, port=port)

    def check_free(self) -> None:
        """See that a server can listen here.

        Raises:
            Unavailable: The address is in use, not of this machine, or not permitted.
        """
        if self.path:
            self._check_path_free()
        else:
            self._check_port_free()

    def _check_port_free(self) -> None:
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except socket.gaierror as error:
            raise Unavailable(f"{self}: {error.strerror} (listen on an address of this machine)") from None
        for family, kind, protocol, _, place in found:
            try:
                probe = socket.socket(family, kind, protocol)
            except OSError:
                continue  # an address family that the machine lacks: gRPC leaves it out too
            with closing(probe):
                # As gRPC does: a port whose last server has just ended is free.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(place)
                    probe.listen(1)
                except OSError as error:
                    raise self._refusal(error) from None

    def _check_path_free(self) -> None:
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
            try:
                probe.connect(self.path)
            except ConnectionRefusedError:
                if Path(self.path).is_socket():
                    return  # a dead server left it behind; gRPC replaces it
                raise Unavailable(
                    f"{self}: a file that is no socket stands there (remove it, or listen elsewhere)"
                ) from None
            except FileNotFoundError:
                directory = Path(self.path).absolute().parent
                if directory.is_dir() and os.access(directory, os.W_OK):
                    return
                raise Unavailable(f"{self}: cannot write to {directory} (create it, or listen elsewhere)") from None
            except OSError as error:
                raise self._refusal(error) from None
        raise self._refusal(OSError(errno.EADDRINUSE, ""))

    def _refusal(self, error: OSError) -> Unavailable:
        if error.errno == errno.EADDRINUSE:
            return Unavailable(f"{self} is already in use (stop what listens there, or give --listen another address)")
        reason = os.strerror(error.errno) if error.errno else str(error)
        return Unavailable(f"{self}: {reason} (give --listen another address)")
