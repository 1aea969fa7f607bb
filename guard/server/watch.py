"""Whether files have changed, told by looking at them again and again.

A look costs microseconds, and it sees what notifications miss: the swapped symlink of a ConfigMap or Secret, a network
file system, a file that is replaced. What is still being written is not told yet: a file must have looked the same
twice, because the first half of a policy can be a policy, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

# Name -> device, inode, time of the change of contents and of the inode, size; nothing of what is not there.
_Stamp: TypeAlias = dict[str, tuple[int, ...]]


class Watch:
    """Files, and the files of directories, under observation. Not thread-safe."""

    def __init__(self, *paths: Path) -> None:
        """Take the files as they are now for known; they need not exist."""
        self._paths = paths
        self._followed: frozenset[Path] = frozenset()
        self._known = self._seen = self._stamp()

    def take(self) -> None:
        """Take the files as they are now for known; to be called before they are read."""
        self._known = self._seen = self._stamp()

    def follow(self, files: Iterable[Path]) -> None:
        """Watch these files, too, and no more those that were followed before.

        A new one counts as changed, because it was read before anybody looked at it.
        """
        files = frozenset(files).difference(self._paths)
        for file in self._followed - files:
            self._known.pop(str(file), None)
        self._followed = files

    def changed(self) -> bool:
        """True if the files are not as they were known, and have not changed since the last look either."""
        stamp = self._stamp()
        settled = stamp == self._seen
        self._seen = stamp
        return settled and stamp != self._known

    def _stamp(self) -> _Stamp:
        found = [file for path in self._paths for file in _files(path)]
        return {str(file): _look(file) for file in (*found, *self._followed)}


def _files(path: Path) -> Iterable[Path]:
    """The file itself, or what a directory holds; links are followed."""
    try:
        return sorted(path.iterdir()) if path.is_dir() else [path]
    except OSError:
        return [path]


def _look(file: Path) -> tuple[int, ...]:
    try:
        found = os.stat(file)
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size
