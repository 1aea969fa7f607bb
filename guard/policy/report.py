"""A report on a policy: everything that a page shows, as values. Immutable.

Of a rule not its scores but its counts between neighbouring thresholds are kept. From these follow its curves, its
histogram and what it does at each of the thresholds, exactly, and a million records take no more room than a hundred.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from guard.policy.measures import Calibration, Estimate

#: What stands in a table; None where a figure is not defined.
Cell: TypeAlias = str | int | float | Estimate | None


class Kind(StrEnum):
    """What a column holds, and so how it is set and sorted."""

    TEXT = "text"
    RULE = "rule"
    COUNT = "count"
    SCORE = "score"
    RATE = "rate"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    name: str
    kind: Kind = Kind.TEXT


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        title: Its heading.
        note: One or two sentences on how to read it; may be empty.
        columns: Their names and kinds.
        rows: A cell a column.
    """

    title: str
    note: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of the report's head."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A threshold worth showing: the one in the policy, or one that is proposed."""

    name: str
    threshold: float


@dataclass(frozen=True, slots=True)
class Counts:
    """Records by score: entry ``i`` counts those from threshold ``i`` of the grid up to the next one.

    Records without a score are in none of the entries.

    Attributes:
        positives: In the rule's category.
        negatives: Not in it.
        unknown: Their labels do not say.
        decisive: No other rule asks for as strong an action, so here the decision is this rule's.
        alone_positives: Noncompliant texts that no other rule stops.
        alone_negatives: Compliant texts that no other rule stops.
    """

    positives: tuple[int, ...]
    negatives: tuple[int, ...]
    unknown: tuple[int, ...]
    decisive: tuple[int, ...]
    alone_positives: tuple[int, ...]
    alone_negatives: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Whole:
    """The whole policy against the label, and how much of it the other rules do.

    Attributes:
        positives: Noncompliant texts.
        negatives: Compliant ones.
        found: Noncompliant texts that another rule stops.
        alarms: Compliant texts that another rule stops.
    """

    positives: int
    negatives: int
    found: int
    alarms: int


@dataclass(frozen=True, slots=True)
class Sample:
    """A text whose score is near a threshold.

    Attributes:
        id: The record's.
        score: The rule's score of it.
        truth: 1 in the rule's category, 0 not in it, -1 unknown.
        language: ``zh``, ``en`` or ``other``.
        text: Its beginning.
    """

    id: str
    score: float
    truth: int
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class RuleReport:
    """One rule.

    Attributes:
        id: The rule's.
        category: What it looks at.
        direction: ``prompt``, ``output`` or ``both``.
        action: What it asks for.
        shadow: True if it does not act.
        marks: Its thresholds, the one that flips are counted against first; at least one.
        positives: Records in its category, those without a score included.
        negatives: Records not in it.
        unknown: Records of its direction whose labels do not say.
        counts: All of these by score.
        whole: None for a rule that does not act.
        auprc: Area under its precision-recall curve.
        calibration: Whether its score is a probability.
        slices: The rule in parts, at the policy's threshold; None without labels.
        samples: Texts around its marks, the highest score first; empty if the records have no texts.
    """

    id: str
    category: str
    direction: str
    action: str
    shadow: bool
    marks: tuple[Mark, ...]
    positives: int
    negatives: int
    unknown: int
    counts: Counts
    whole: Whole | None
    auprc: Estimate
    calibration: Calibration
    slices: Table | None
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A report.

    Attributes:
        title: Its heading.
        facts: What it is about.
        notes: What was left out or may mislead.
        tables: What the command says.
        grid: Thresholds, ascending, from 0 to 1: every one on which a slider can stand.
        rules: In the policy's order.
        slices: The whole policy in parts; None without labels.
    """

    title: str
    facts: tuple[Fact, ...]
    notes: tuple[str, ...]
    tables: tuple[Table, ...]
    grid: tuple[float, ...]
    rules: tuple[RuleReport, ...]
    slices: Table | None
