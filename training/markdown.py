"""Markdown for people who read it in a terminal: tables whose columns are aligned, figures of one form."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

# A wider column is not filled up: one long cell would push the others off the screen.
_WIDEST = 34
_LINE = 120
_NUMBER = re.compile(r"[-+±]?[\d.,%/ \[\]-]+")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; columns of figures are aligned to the right, a ``|`` within a cell becomes ``/``."""
    cells = [[str(cell).replace("|", "/").replace("\n", " ") for cell in row] for row in rows]
    columns = list(zip(head, *cells, strict=True))
    widths = [min(_WIDEST, max(3, *map(width, column))) for column in columns]
    figures = [any(column[1:]) and all(_NUMBER.fullmatch(c) for c in column[1:] if c) for column in columns]
    rule = [("-" * (w - 1) + ":" if right else "-" * w) for w, right in zip(widths, figures, strict=True)]
    lines = [head, rule, *cells]
    return "\n".join(
        "| " + " | ".join(_pad(c, w, right) for c, w, right in zip(line, widths, figures, strict=True)) + " |"
        for line in lines
    )


def width(text: str) -> int:
    """Columns that a text takes in a terminal; a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _pad(cell: str, columns: int, right: bool) -> str:
    space = " " * max(0, columns - width(cell))
    return space + cell if right else cell + space


def rate(value: float | None, digits: int = 3) -> str:
    """A rate; empty where there is none."""
    return "" if value is None else f"{value:.{digits}f}"


def with_interval(value: float | None, interval: Mapping[str, float] | None) -> str:
    """A rate and its interval, if it has one."""
    if value is None or interval is None:
        return rate(value)
    return f"{value:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]"


def yes(reached: bool | None) -> str:
    """Whether something is reached; empty where that was not measured."""
    return "" if reached is None else "yes" if reached else "no"


def sections(*parts: str) -> str:
    """Parts with an empty line between them; empty ones are left out, long paragraphs get lines."""
    return "\n\n".join(_lines(part) for part in parts if part)


def _lines(part: str) -> str:
    prose = "\n" not in part and not part.startswith(("#", "|", "- ", "```"))
    return wrapped(part) if prose and width(part) > _LINE else part


def wrapped(text: str, first: str = "", others: str = "") -> str:
    """A long paragraph in lines; words are never broken.

    Args:
        text: The paragraph.
        first: Begins the first line.
        others: Begins the others.
    """
    return textwrap.fill(
        text, _LINE, initial_indent=first, subsequent_indent=others, break_long_words=False, break_on_hyphens=False
    )
