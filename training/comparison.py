"""A bench table beside a baseline's: who wins which line, and both as text, Markdown and JSON."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.bench_table import Line, Table

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


def to_json(table: Table, results: Iterable[Contest], about: Mapping[str, Any]) -> dict[str, Any]:
    """Everything as plain values; ``about`` (model, policy, baseline ...) comes first."""
    results = list(results)
    return {
        **about,
        "summary": summary(results) if results else None,
        "lines": [asdict(line) for line in table.lines],
        "families": [asdict(line) for line in table.families],
        "categories": [asdict(line) for line in table.categories],
        "calibration": [asdict(line) for line in table.calibration],
        "contests": [asdict(contest) for contest in results],
    }


_HEAD = (
    *("side", "lang", "source", "n", "pos"),
    *("AUROC", "AUPRC", "R@1%", "R@5%", "F1", "FPR", "recall"),
    *("policy F1", "policy FPR", "policy recall", "baseline"),
)


def to_markdown(table: Table, results: Iterable[Contest], about: Mapping[str, Any]) -> str:
    """The table for people; the last column has the baseline's deciding figure and who wins."""
    results = list(results)
    by_key = {contest.key: contest for contest in results}
    out = [f"- {name}: {value}" for name, value in about.items()]
    if results:
        s = summary(results)
        out.append(
            f"- against the baseline: {s['wins']} of {s['lines']} lines won ({100 * s['share_won']:.0f} %), "
            f"{s['ties']} tied, {s['losses']} lost"
        )
    out += ["", "## By source", "", *_rows(_HEAD, [_cells(line, by_key.get(line.key)) for line in table.lines])]
    out += ["", "## By family", "", *_rows(_HEAD[:-1], [_cells(line, None)[:-1] for line in table.families])]
    head = ("category", "side", "n", "pos", "AUROC", "AUPRC")
    cells = [(c.category, c.side, c.texts, c.positives, _f(c.auroc), _f(c.auprc)) for c in table.categories]
    out += ["", "## By category, where labels speak about it", "", *_rows(head, cells)]
    cells_ece = [(c.side, c.lang, c.texts, _f(c.ece)) for c in table.calibration]
    out += ["", "## Calibration of `noncompliant`", "", *_rows(("side", "lang", "n", "ECE"), cells_ece)]
    return "\n".join(out) + "\n"


def _cells(line: Line, contest: Contest | None) -> tuple[object, ...]:
    return (
        *(line.side, line.lang, line.source, line.texts, line.positives),
        _with_interval(line),
        *map(_f, (line.auprc, line.recall_at_1, line.recall_at_5, line.f1, line.fpr, line.recall)),
        *map(_f, (line.policy_f1, line.policy_fpr, line.policy_recall)),
        f"{contest.figure} {contest.theirs:.3f} {contest.outcome}" if contest else "",
    )


def _with_interval(line: Line) -> str:
    if line.auroc_interval is None:
        return _f(line.auroc)
    return f"{_f(line.auroc)} [{line.auroc_interval.low:.3f}, {line.auroc_interval.high:.3f}]"


def _f(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _rows(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return lines + [f"| {' | '.join(map(str, row))} |" for row in rows]
