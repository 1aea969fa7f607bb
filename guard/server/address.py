"""Whether a server can listen at an address.

gRPC says only that it failed to bind, and it takes a socket file away from a server that lives; so whether the
place is free is asked here first, and the answer names what to do.
"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import closing
from pathlib import Path

from guard.address import Address
from guard.errors import Unavailable


def check_free(address: Address, option: str = "--listen") -> None:
    """See that a server can listen here.

    Args:
        address: Where.
        option: What an error calls it.

    Raises:
        Unavailable: The address is in use, not of this machine, or not permitted.
    """
    if address.path:
        _check_path_free(address, option)
    else:
        _check_port_free(address, option)


def _check_port_free(address: Address, option: str) -> None:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise Unavailable(f"{address}: {error.strerror} (listen on an address of this machine)") from None
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
                raise refusal(address, error, option) from None


def _check_path_free(address: Address, option: str) -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        try:
            probe.connect(address.path)
        except ConnectionRefusedError:
            if Path(address.path).is_socket():
                return  # a dead server left it behind; gRPC replaces it
            raise Unavailable(
                f"{address}: a file that is no socket stands there (remove it, or listen elsewhere)"
            ) from None
        except FileNotFoundError:
            directory = Path(address.path).absolute().parent
            if directory.is_dir() and os.access(directory, os.W_OK):
                return
            raise Unavailable(f"{address}: cannot write to {directory} (create it, or listen elsewhere)") from None
        except OSError as error:
            raise refusal(address, error, option) from None
    raise in_use(address, option)


def in_use(address: Address, option: str = "--listen") -> Unavailable:
    """The error of an address at which another server listens."""
    return Unavailable(f"{address} is already in use (stop what listens there, or give {option} another address)")


def refusal(address: Address, error: OSError, option: str = "--listen", *, of: Path | None = None) -> Unavailable:
    """The error of an address at which a server cannot listen, or of a file that it needs for that."""
    if error.errno == errno.EADDRINUSE:
        return in_use(address, option)
    reason = os.strerror(error.errno) if error.errno else str(error)
    return Unavailable(f"{address}: {f'{of}: ' if of else ''}{reason} (give {option} another address)")
