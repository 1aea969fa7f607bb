"""The one shape of a training or benchmark text, and what its label teaches.

Every reader and fetcher ends in :class:`Row`; every stage of the training begins with it. What a label
says is narrower than it looks: a corpus about hate that calls a text compliant says only that hate is
absent. :func:`targets_of` is the single place that turns a row into numbers and masks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from guard.errors import GuardError
from guard.types import CATEGORIES, NONCOMPLIANT, Direction, Role, Turn

COMPLIANT = "compliant"
AMBIGUOUS = "ambiguous"
#: Legal values of :attr:`Row.label`.
LABELS: tuple[str, ...] = (COMPLIANT, NONCOMPLIANT, AMBIGUOUS)
#: Legal values of :attr:`Row.side`.
SIDES: tuple[str, ...] = ("prompt", "response", "content")
#: Legal values of :attr:`Row.licence_class`; weights that are given away must not see ``restricted``.
LICENCE_CLASSES: tuple[str, ...] = ("permissive", "sharealike", "restricted")
#: In ``categories``: noncompliant in a way that has no name here, or whose category is unknown.
OTHER = "other"
#: In ``about``: the label speaks about every category.
ALL = "all"
#: Category names a row may carry.
ROW_CATEGORIES: frozenset[str] = (frozenset(CATEGORIES) - {NONCOMPLIANT}) | {OTHER}

#: At most so many problems stand in one message: a file with a wrong column has one in every row.
_MAX_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class RowProblem:
    """One mistake in a corpus file. ``row`` counts from 1; 0 means the file as a whole."""

    file: str
    row: int
    column: str
    reason: str
    cure: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.row}" if self.row else self.file
        return f"{place}: {self.column}: {self.reason} ({self.cure})"


class CorpusError(GuardError):
    """A corpus cannot be used; ``problems`` names file, row and column of each mistake, never the text."""

    code: ClassVar[str] = "INVALID_ARGUMENT"
    http_status: ClassVar[int] = 400

    def __init__(self, problems: Iterable[RowProblem]) -> None:
        self.problems = tuple(problems)
        shown = [str(p) for p in self.problems[:_MAX_PROBLEMS]]
        if len(self.problems) > _MAX_PROBLEMS:
            shown.append(f"... and {len(self.problems) - _MAX_PROBLEMS} more")
        super().__init__("\n".join(shown))

    @classmethod
    def of(cls, file: str, row: int, column: str, reason: str, cure: str) -> CorpusError:
        """An error with a single problem."""
        return cls((RowProblem(file, row, column, reason, cure),))


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled text.

    Attributes:
        id: Unique over everything that is read together.
        source: The corpus.
        lang: ``en``, ``zh`` or another ISO 639-1 code.
        side: ``prompt`` (a request to an LLM), ``response`` (an answer) or ``content`` (a person's post).
        text: The text, original and unnormalised, never blank.
        context: What came before, oldest first.
        label: ``compliant``, ``noncompliant`` or ``ambiguous`` (the label does not decide).
        categories: In which ways a noncompliant text is so; ``other`` where there is no name for it.
        about: Which categories the label speaks about; ``("all",)`` for all of them.
        licence_class: ``permissive``, ``sharealike`` or ``restricted``.
        label_basis: How the label came to be (human, design, annotated, translated, model ...); may be empty.
        planted: Where the harm stands, as [start, end) code points of ``text``; empty where nobody knows.
    """

    id: str
    source: str
    lang: str
    side: str
    text: str
    context: tuple[Turn, ...] = ()
    label: str = AMBIGUOUS
    categories: tuple[str, ...] = ()
    about: tuple[str, ...] = (ALL,)
    licence_class: str = "restricted"
    label_basis: str = ""
    planted: tuple[tuple[int, int], ...] = ()

    @property
    def about_all(self) -> bool:
        """True if the label speaks about every category."""
        return ALL in self.about

    @property
    def request(self) -> str:
        """The last user turn of the context, or the text itself where it is a request; "" if neither."""
        if self.side == "prompt":
            return self.text
        return next((turn.text for turn in reversed(self.context) if turn.role is Role.USER), "")


@dataclass(frozen=True, slots=True)
class Targets:
    """What a row teaches, per category in the order of :data:`guard.types.CATEGORIES`.

    Attributes:
        values: 0 or 1; meaningless (0) where the mask is False.
        mask: True where the row speaks: only there may it enter a loss or a metric.
    """

    values: tuple[float, ...]
    mask: tuple[bool, ...]


def targets_of(row: Row) -> Targets:
    """Values and masks of one row.

    ``noncompliant`` is 1 for a noncompliant row and 0 for a compliant one whose label speaks about
    everything; a compliant row of limited ``about`` leaves it open. Categories that a noncompliant row
    names are 1; its other categories are 0 only where the label speaks about all and names its
    categories completely: ``other`` among them means that some are unknown, so they stay open.
    """
    known: dict[str, float] = {}
    if row.label == COMPLIANT:
        known = dict.fromkeys(CATEGORIES if row.about_all else row.about, 0.0)
    elif row.label == NONCOMPLIANT:
        named = [c for c in row.categories if c != OTHER]
        if row.about_all and named and OTHER not in row.categories:
            known = dict.fromkeys(CATEGORIES, 0.0)
        known |= dict.fromkeys(named, 1.0)
        known[NONCOMPLIANT] = 1.0
    return Targets(
        values=tuple(known.get(c, 0.0) for c in CATEGORIES),
        mask=tuple(c in known for c in CATEGORIES),
    )


def directions_of(row: Row, training: bool) -> tuple[Direction, ...]:
    """Which directions a row stands for: a person's post trains both and is evaluated as a prompt."""
    if row.side == "response":
        return (Direction.OUTPUT,)
    if row.side == "content" and training:
        return (Direction.PROMPT, Direction.OUTPUT)
    return (Direction.PROMPT,)


_SPEAKER = re.compile(r"(?:\A|\n\n)\s*(Human|Assistant):[ \t]*")
_ROLES = {"Human": Role.USER, "Assistant": Role.ASSISTANT}


def parse_context(context: str | None) -> tuple[Turn, ...]:
    """Turns of a context string: ``Human: ...`` / ``Assistant: ...`` transcripts, else one user turn.

    Args:
        context: As the corpora have it; None or blank means no context. Blank turns are left out.
    """
    if context is None or not context.strip():
        return ()
    context = context.strip()
    if not context.startswith("Human:") and not context.startswith("Assistant:"):
        return (Turn(Role.USER, context),)
    pieces = _SPEAKER.split(context)[1:]
    turns = zip(pieces[::2], pieces[1::2], strict=True)
    return tuple(Turn(_ROLES[speaker], text.strip()) for speaker, text in turns if text.strip())


@dataclass(frozen=True, slots=True)
class RowCheck:
    """Checks rows of one reading: the values of each and that no id comes twice. Not thread-safe."""

    seen: dict[str, str] = field(default_factory=dict)

    def problems(self, row: Row, file: str, number: int) -> list[RowProblem]:
        """What is wrong with a row; remembers its id.

        Args:
            row: The row as read.
            file: Named in the problems.
            number: The row's number in the file, from 1.
        """
        found: list[RowProblem] = []

        def complain(column: str, reason: str, cure: str) -> None:
            found.append(RowProblem(file, number, column, reason, cure))

        if not row.id:
            complain("id", "empty", "give every row an id of its own")
        elif row.id in self.seen:
            complain("id", f"duplicate of {self.seen[row.id]}", "give every row an id of its own")
        else:
            self.seen[row.id] = f"{file}:{number}"
        if not row.text.strip():
            complain("text", "empty", "drop the row")
        for column, value, legal in _legal_values(row):
            if value not in legal:
                complain(column, f"unknown value {value!r}", f"one of {', '.join(sorted(legal))}")
        if not row.about:
            complain("about", "empty", f"say [{ALL!r}] or the categories the label speaks about")
        if row.label == NONCOMPLIANT and not row.categories:
            complain("categories", "empty for a noncompliant row", f"say [{OTHER!r}] where it is unknown")
        if row.label == COMPLIANT and row.categories:
            complain("categories", "not empty for a compliant row", "say what is absent in about")
        return found


def _legal_values(row: Row) -> Iterable[tuple[str, str, Iterable[str]]]:
    """(column, value, legal values) of everything with a fixed vocabulary."""
    yield "side", row.side, SIDES
    yield "label", row.label, LABELS
    yield "licence_class", row.licence_class, LICENCE_CLASSES
    for category in row.categories:
        yield "categories", category, ROW_CATEGORIES
    for category in row.about:
        yield "about", category, (ROW_CATEGORIES - {OTHER}) | {ALL}


def count_by_source(rows: Iterable[Row]) -> Mapping[str, int]:
    """Rows per source, in order of first appearance."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.source] = counts.get(row.source, 0) + 1
    return counts
