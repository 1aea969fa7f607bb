"""Locks on files: of two processes that want the same place, the second is told so.

A lock is the kernel's (flock) and belongs to an open file, so that it ends with its process, however that ends: a file
that a dead process left behind is free.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from contextlib import suppress
from pathlib import Path

from guard.address import Address
from guard.server.address import in_use, refusal

_log = logging.getLogger(__name__)


def lock(file: int, path: Path) -> bool:
    """Lock an open file until it is closed.

    Args:
        file: Its descriptor.
        path: Its name, for the log.

    Returns:
        False if another open file has the lock. A file system without locks gives it to everybody, and the log says so.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
            return False
        _log.warning("%s cannot be locked: %s (see that no other guard uses it)", path, error.strerror)
    return True


def stands_at(file: int, path: Path) -> bool:
    """True if an open file is the one at a path: nobody has deleted, moved or replaced it."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False


class SocketLock:
    """One server's claim to the path of a unix socket, from before it listens until :meth:`release`.

    Whether somebody listens cannot be asked and answered in one step with listening: two servers that start together
    would both find the place free, and gRPC lets the second take it away from the first. The lock is on a file of its
    own, PATH.lock, because gRPC replaces the socket.
    """

    def __init__(self, address: Address, mode: int) -> None:
        """Take the place.

        Args:
            address: Of a unix socket.
            mode: File mode of the lock; the socket's.

        Raises:
            Unavailable: Another server has it, or the file cannot be made.
        """
        self._path = Path(f"{address.path}.lock")
        try:
            while True:
                file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
                if not lock(file, self._path):
                    os.close(file)
                    raise in_use(address)
                if stands_at(file, self._path):
                    break
                os.close(file)  # its last owner has just removed it
        except OSError as error:
            raise refusal(address, error, of=self._path) from None
        with suppress(OSError):  # another user's, who left it behind: its mode is as good
            os.fchmod(file, mode)
        self._file = file

    def release(self) -> None:
        """Give the place back; the server must have stopped."""
        with suppress(OSError):
            self._path.unlink()
        os.close(self._file)
