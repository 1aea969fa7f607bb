"""A bench table beside other systems': who wins which line, and the same measures in one row."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.bench.table import UNSEEN, Line

_LINE = re.compile(r"(?P<side>\w+)\s+(?P<lang>\w+)\s+(?P<source>\S+)\s+n=\s*(?P<n>\d+)\s+(?P<figures>.+)")
_FIGURE = re.compile(r"(\w+)=([0-9.]+)")
# Figures of a baseline file -> attributes of a Line.
_NAMES = {"AUROC": "auroc", "AUPRC": "auprc", "F1": "f1", "FPR": "fpr", "R": "recall", "recall": "recall"}
#: Figures where less is better.
_LOWER = frozenset({"fpr"})


@dataclass(frozen=True, slots=True)
class BaselineLine:
    """One line of another system's table: its figures by the names of :class:`Line`'s attributes."""

    texts: int
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Contest:
    """One line on which both systems have the figure that decides it.

    Attributes:
        key: (side, lang, source).
        figure: auroc for two classes, recall or fpr for one.
        ours: Our figure, rounded as the baseline's.
        theirs: The baseline's.
        outcome: ``win``, ``tie`` or ``loss``.
    """

    key: tuple[str, str, str]
    figure: str
    ours: float
    theirs: float
    outcome: str


def read_baseline(path: Path) -> dict[tuple[str, str, str], BaselineLine]:
    """A table of ``side lang source n= N NAME=VALUE ...`` lines; other lines are comments.

    Raises:
        ValueError: The file has no such line.
    """
    lines: dict[tuple[str, str, str], BaselineLine] = {}
    for text in path.read_text(encoding="utf-8").splitlines():
        match = _LINE.fullmatch(text.strip())
        if match:
            figures = {_NAMES[name]: float(v) for name, v in _FIGURE.findall(match["figures"]) if name in _NAMES}
            lines[match["side"], match["lang"], match["source"]] = BaselineLine(int(match["n"]), figures)
    if not lines:
        raise ValueError(f"{path}: no line of the form `side lang source n= N NAME=VALUE`")
    return lines


def deciding_figure(line: Line) -> str:
    """What a line is won by: AUROC of both classes, recall of violations only, false alarms of benign only."""
    if line.auroc is not None:
        return "auroc"
    return "recall" if line.positives else "fpr"


def contests(lines: Iterable[Line], baseline: Mapping[tuple[str, str, str], BaselineLine]) -> list[Contest]:
    """Compare every line that the baseline has too."""
    out: list[Contest] = []
    for line in lines:
        other = baseline.get(line.key)
        figure = deciding_figure(line)
        value = getattr(line, figure)
        if other is None or value is None or figure not in other.figures:
            continue
        # Both to three digits: 0.0004 against a printed 0.000 is no loss.
        ours, theirs = round(float(value), 3), other.figures[figure]
        better = ours < theirs if figure in _LOWER else ours > theirs
        outcome = "tie" if ours == theirs else "win" if better else "loss"
        out.append(Contest(line.key, figure, ours, theirs, outcome))
    return out


def summary(results: Iterable[Contest]) -> dict[str, float]:
    """Counts of wins, ties and losses, and the share of lines won."""
    counts = {"win": 0, "tie": 0, "loss": 0}
    for contest in results:
        counts[contest.outcome] += 1
    total = sum(counts.values())
    return {
        "lines": total,
        "wins": counts["win"],
        "ties": counts["tie"],
        "losses": counts["loss"],
        "share_won": counts["win"] / total if total else float("nan"),
        "share_not_lost": (counts["win"] + counts["tie"]) / total if total else float("nan"),
    }


@dataclass(frozen=True, slots=True)
class System:
    """Another system's figures, to stand in a column beside ours.

    Attributes:
        name: Heads the column.
        lines: (side, lang, source) -> its figures, by the names of :class:`Line`'s attributes, and ``texts``.
        unseen: The sources over which its lines ``*unseen`` go; None if it has none.
        table: The whole ``table.json``; empty if the system has none.
    """

    name: str
    lines: Mapping[tuple[str, str, str], Mapping[str, Any]]
    unseen: tuple[str, ...] | None = None
    table: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_table(cls, name: str, table: Mapping[str, Any]) -> System:
        """The system of a ``table.json``."""
        lines = {(x["side"], x["lang"], x["source"]): x for x in (*table["lines"], *table["families"])}
        unseen = table.get("unseen")
        return cls(name, lines, None if unseen is None else tuple(unseen), table)

    @classmethod
    def of_baseline(cls, name: str, baseline: Mapping[tuple[str, str, str], BaselineLine]) -> System:
        """The system of a baseline file."""
        return cls(name, {key: {**line.figures, "texts": line.texts} for key, line in baseline.items()})


def read_system(named: str) -> System:
    """The system of ``NAME=PATH``; the path is a ``table.json`` of this program, or its directory.

    Raises:
        ValueError: Not of that form, or no such table.
    """
    name, separator, place = named.partition("=")
    if not (name and separator and place):
        raise ValueError(f"{named}: not NAME=PATH of a table.json")
    path = Path(place) / "table.json" if Path(place).is_dir() else Path(place)
    try:
        return System.of_table(name, json.loads(path.read_text(encoding="utf-8")))
    except (AttributeError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: not a table.json of training.evaluate: {error!r}") from None


#: Measures of a line over several sources, and what they are called.
FAMILY_MEASURES: Mapping[str, str] = {
    "policy_f1": "F1, policy",
    "policy_recall": "recall, policy",
    "policy_fpr": "FPR, policy",
    "auprc": "AUPRC",
    "auroc": "AUROC",
    "recall_at_1": "recall at 1 % FPR",
    "recall_at_5": "recall at 5 % FPR",
}
# Of a line of one class.
_ONE_CLASS: Mapping[str, Mapping[str, str]] = {
    "recall": {"recall": "recall, family's 5 % point", "policy_recall": "recall, policy"},
    "fpr": {"fpr": "FPR, family's 5 % point", "policy_fpr": "FPR, policy"},
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One value of one system.

    Attributes:
        value: 0..1.
        interval: Lower and upper end, or None.
        texts: Number of texts that it goes over.
    """

    value: float
    interval: tuple[float, float] | None
    texts: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """One measure of one line, over all systems.

    Attributes:
        key: (side, lang, source).
        texts: Of ours.
        positives: Of ours.
        measure: Name of :class:`Line`'s attribute.
        title: What people call it.
        figures: One a system, in their order; None where it has none.
    """

    key: tuple[str, str, str]
    texts: int
    positives: int
    measure: str
    title: str
    figures: tuple[Figure | None, ...]


def side_by_side(lines: Iterable[Mapping[str, Any]], systems: Sequence[System]) -> list[Comparison]:
    """The measures that matter of each line, over all systems.

    Args:
        lines: Of our ``table.json``: what is compared.
        systems: The columns, ours among them, so that it is read as the others are.
    """
    unseen = {system.unseen for system in systems if system.unseen is not None}
    out: list[Comparison] = []
    for line in lines:
        key = (line["side"], line["lang"], line["source"])
        for measure, title in _measures(line).items():
            if line.get(measure) is None:
                continue
            # Lines over different sets of unseen sources are different lines.
            usable = key[2] != UNSEEN or len(unseen) == 1
            figures = tuple(
                _figure(system, key, measure) if usable or system is systems[-1] else None for system in systems
            )
            out.append(Comparison(key, line["texts"], line["positives"], measure, title, figures))
    return out


def _measures(line: Mapping[str, Any]) -> Mapping[str, str]:
    if line["positives"] in (0, line["texts"]):
        return _ONE_CLASS["recall" if line["positives"] else "fpr"]
    if line["source"].startswith("*"):
        return FAMILY_MEASURES
    return {"auroc": "AUROC"}


def _figure(system: System, key: tuple[str, str, str], measure: str) -> Figure | None:
    line = system.lines.get(key, {})
    value = line.get(measure)
    if value is None:
        return None
    interval = line.get(f"{measure}_interval")
    ends = None if interval is None else (float(interval["low"]), float(interval["high"]))
    return Figure(float(value), ends, int(line["texts"]))
