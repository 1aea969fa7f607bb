"""The closest legal name to a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``did you mean X?`` for the closest of the known names; empty if none is close.

    Args:
        name: What was written.
        known: What would have been legal.
    """
    found = closest(name, known)
    return "" if found is None else f"did you mean {found}?"


def closest(name: str, known: Iterable[str]) -> str | None:
    """The closest of the known names; None if none is close."""
    plain = {_plain(candidate): candidate for candidate in known}
    close = difflib.get_close_matches(_plain(name[:100]), plain, n=1)
    return plain[close[0]] if close else None


def _plain(name: str) -> str:
    return name.lower().replace("-", "_").replace(" ", "_")
