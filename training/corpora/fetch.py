"""Public repositories, pinned by commit: download once, check that it is that commit, take the named files.

A repository comes as GitHub's archive of one commit. Such an archive states its full commit in its header,
which is compared with the pin, so a branch or a tag of the same name is not taken for it. Fetched files lie in
a cache directory and are not fetched again; nothing of a corpus is ever part of this project.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import ClassVar

from guard.errors import GuardError

#: Where archives come from: ``BASE/OWNER/NAME/tar.gz/COMMIT``.
BASE = "https://codeload.github.com"
_TIMEOUT_SECONDS = 60


class FetchError(GuardError):
    """A repository could not be fetched, is not the pinned commit, or lacks a file."""

    code: ClassVar[str] = "UNAVAILABLE"
    http_status: ClassVar[int] = 503


@dataclass(frozen=True, slots=True)
class Repository:
    """A GitHub repository at one commit; an abbreviated commit needs at least 8 hex digits."""

    name: str
    commit: str

    @property
    def directory(self) -> str:
        """Its name in the cache."""
        return f"{self.name.replace('/', '--')}-{self.commit}"


def fetch(repository: Repository, patterns: Sequence[str], cache: Path, *, base: str = BASE) -> Mapping[str, Path]:
    """The files of a repository that match, from the cache or the network.

    Args:
        repository: Which, at which commit.
        patterns: Paths in the repository; ``*`` matches any characters.
        cache: Holds archives and files of all corpora.
        base: Where archives come from; ``file://`` works.

    Returns:
        Path in the repository -> local file, in order of the pattern and then of the name.

    Raises:
        FetchError: Not reachable, another commit, or a pattern that matches nothing.
    """
    archive = cache / f"{repository.directory}.tar.gz"
    if not archive.exists():
        _download(f"{base}/{repository.name}/tar.gz/{repository.commit}", archive)
    files = _extract(archive, repository, patterns, cache / repository.directory)
    ordered: dict[str, Path] = {}
    for pattern in patterns:
        matching = sorted(name for name in files if fnmatchcase(name, pattern))
        if not matching:
            raise FetchError(f"{repository.name}@{repository.commit}: no file matches {pattern} (the pin is wrong)")
        ordered |= {name: files[name] for name in matching}
    return ordered


def _download(url: str, target: Path) -> None:
    """Download to a temporary name first: an interrupted download leaves nothing that looks complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".part")
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response, partial.open("wb") as out:
            shutil.copyfileobj(response, out)
    except (urllib.error.URLError, OSError) as error:
        partial.unlink(missing_ok=True)
        reason = getattr(error, "reason", error)
        raise FetchError(f"{url}: {reason} (check the network, or put the archive at {target})") from None
    os.replace(partial, target)


def _extract(archive: Path, repository: Repository, patterns: Sequence[str], target: Path) -> dict[str, Path]:
    """Write the matching regular files; the archive's own top directory is left off."""
    found: dict[str, Path] = {}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            stated = tar.pax_headers.get("comment", "")
            if not stated.startswith(repository.commit):
                what = f"is of commit {stated[:12]}" if stated else "states no commit"
                raise FetchError(f"{archive}: {what}, pinned is {repository.commit} (delete it and fetch again)")
            for member in tar:
                name = str(PurePosixPath(*PurePosixPath(member.name).parts[1:]))
                if not member.isfile() or ".." in name or not any(fnmatchcase(name, p) for p in patterns):
                    continue
                local = target / name
                source = tar.extractfile(member)
                if source is not None and not (local.exists() and local.stat().st_size == member.size):
                    local.parent.mkdir(parents=True, exist_ok=True)
                    with local.open("wb") as out:
                        shutil.copyfileobj(source, out)
                found[name] = local
    except (tarfile.TarError, EOFError, OSError) as error:
        raise FetchError(f"{archive}: not a whole tar.gz archive: {error} (delete it and fetch again)") from None
    return found
