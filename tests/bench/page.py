"""Measured tables on the pages that show them: between ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose first column is text and whose others are figures."""
    rule = ("---", *("---:" for _ in head[1:]))
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def write_between(page: Path, name: str, text: str) -> None:
    """Put a text between the page's two markers of a name.

    Raises:
        ValueError: The page has no such markers.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, behind = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{page}: no place for the table (write {begin} and {end} where it belongs)")
    page.write_text(f"{before}{begin}\n{text}\n{end}{behind}", encoding="utf-8")
