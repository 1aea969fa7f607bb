"""A bench table as a JSON document, and that document as Markdown.

The Markdown is made from the document alone: what people read cannot say anything else than what programs read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from training.bench.comparison import Contest, System, side_by_side, summary
from training.bench.table import Table
from training.bench.targets import Reached, measure

#: The column of the measured model.
OURS = "this model"


def to_json(
    table: Table,
    results: Iterable[Contest],
    about: Mapping[str, Any],
    systems: Sequence[System] = (),
    *,
    title: str = OURS,
) -> dict[str, Any]:
    """Everything as plain values; ``about`` (model, policy, texts ...) comes first.

    Args:
        table: Our table.
        results: Its lines against a baseline's.
        about: What was measured.
        systems: Columns before ours in the comparisons.
        title: Heads our column.
    """
    results = list(results)
    document: dict[str, Any] = {
        **about,
        "unseen": None if table.unseen is None else list(table.unseen),
        "summary": summary(results) if results else None,
        "lines": [asdict(line) for line in table.lines],
        "families": [asdict(line) for line in table.families],
        "categories": [asdict(line) for line in table.categories],
        "calibration": [asdict(line) for line in table.calibration],
        "lengths": [asdict(line) for line in table.lengths],
        "contests": [asdict(contest) for contest in results],
    }
    document["targets"] = [reached.to_json() for reached in measure(document)]
    columns = [*systems, System.of_table(title, document)]
    document["systems"] = [_system(system) for system in columns]
    document["comparisons"] = {
        "families": [asdict(row) for row in side_by_side(document["families"], columns)],
        "lines": [asdict(row) for row in side_by_side(document["lines"], columns)],
    }
    return document


def _system(system: System) -> dict[str, Any]:
    """What identifies a column, and how it does on the targets."""
    targets: list[Reached] = measure(system.table) if system.table else []
    return {
        "name": system.name,
        "model": system.table.get("model", ""),
        "policy": system.table.get("policy", ""),
        "targets": [{"policy": reached.policy, "point": reached.point} for reached in targets],
    }


_HEAD = (
    *("side", "lang", "source", "n", "pos"),
    *("AUROC", "AUPRC", "R@1%", "R@5%", "F1", "FPR", "recall"),
    *("policy F1", "policy FPR", "policy recall", "baseline"),
)
_RATES = (
    *("auprc", "recall_at_1", "recall_at_5", "f1", "fpr", "recall"),
    *("policy_f1", "policy_fpr", "policy_recall"),
)


def to_markdown(document: Mapping[str, Any]) -> str:
    """The document for people; in the table by source the last column has the baseline's deciding figure."""
    out = [f"- {name}: {document[name]}" for name in ("model", "policy", "texts") if name in document]
    if document["unseen"] is not None:
        out.append(f"- sources that the model was not trained on: {', '.join(document['unseen'])}")
    if document["summary"]:
        s = document["summary"]
        out.append(
            f"- against the baseline: {s['wins']} of {s['lines']} lines won ({100 * s['share_won']:.0f} %), "
            f"{s['ties']} tied, {s['losses']} lost"
        )
    contests = {tuple(contest["key"]): contest for contest in document["contests"]}
    out += ["", "## Targets", "", *_targets(document)]
    out += ["", "## Families side by side", "", *_comparisons(document, "families")]
    out += ["", "## Sources side by side", "", *_comparisons(document, "lines")]
    out += ["", "## By source", "", *_rows(_HEAD, [_cells(line, contests) for line in document["lines"]])]
    out += ["", "## By family", "", *_rows(_HEAD[:-1], [_cells(line, {})[:-1] for line in document["families"]])]
    head = ("side", "lang", "tokens", "compliant texts", "false alarms", "FPR")
    out += ["", "## False alarms of the policy by length", "", *_rows(head, map(_length, document["lengths"]))]
    head = ("category", "side", "n", "pos", "AUROC", "AUPRC")
    cells = [
        (c["category"], c["side"], c["texts"], c["positives"], _f(c["auroc"]), _f(c["auprc"]))
        for c in document["categories"]
    ]
    out += ["", "## By category, where labels speak about it", "", *_rows(head, cells)]
    cells_ece = [(c["side"], c["lang"], c["texts"], _f(c["ece"])) for c in document["calibration"]]
    out += ["", "## Calibration of `noncompliant`", "", *_rows(("side", "lang", "n", "ECE"), cells_ece)]
    return "\n".join(out) + "\n"


def _targets(document: Mapping[str, Any]) -> list[str]:
    """Per target every system's two columns; the other systems' as ``policy / 5 % point``."""
    others = [system for system in document["systems"][:-1] if system["targets"]]
    head = (
        *("", "bench", "side", "lang", "measure", "target", "n-gram", *(system["name"] for system in others)),
        *("policy", "reached", "5 % point", "reached", "trained on"),
    )
    rows = []
    for number, t in enumerate(document["targets"]):
        sign = "<=" if t["measure"] in ("fpr", "losses") else ">="
        rows.append(
            (
                *(t["kind"], t["name"], t["side"], t["lang"], t["measure"], f"{sign} {t['border']:g}"),
                "" if t["ngram"] is None else f"{t['ngram']:.2f}",
                *(_pair(system["targets"][number]) for system in others),
                *(_value(t["policy"]), _yes(t["policy_reached"]), _value(t["point"]), _yes(t["point_reached"])),
                ", ".join(t["seen"] or ()),
            )
        )
    counts = [
        f"{kind}: {_count(document, kind, 'policy_reached')} as the policy decides, "
        f"{_count(document, kind, 'point_reached')} at 5 % false alarms"
        for kind in ("must", "reach")
    ]
    return ["Reached of those measured. " + "; ".join(counts) + ".", "", *_rows(head, rows)]


def _count(document: Mapping[str, Any], kind: str, column: str) -> str:
    measured = [t[column] for t in document["targets"] if t["kind"] == kind and t[column] is not None]
    return f"{sum(measured)} of {len(measured)}"


def _pair(values: Mapping[str, float | None]) -> str:
    policy, point = _value(values["policy"]), _value(values["point"])
    return policy if policy == point else " / ".join((policy or "-", point or "-"))


def _value(value: float | None) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, int) else f"{value:.3f}"


def _yes(reached: bool | None) -> str:
    return "" if reached is None else "yes" if reached else "no"


def _comparisons(document: Mapping[str, Any], which: str) -> list[str]:
    head = ("side", "lang", "source", "n", "pos", "measure", *(system["name"] for system in document["systems"]))
    rows = [
        (*row["key"], row["texts"], row["positives"], row["title"], *(_figure(f, row["texts"]) for f in row["figures"]))
        for row in document["comparisons"][which]
    ]
    return _rows(head, rows)


def _figure(figure: Mapping[str, Any] | None, texts: int) -> str:
    """Value and interval; how many texts it goes over where that is not as many as ours."""
    if figure is None:
        return ""
    interval = "" if figure["interval"] is None else " [{:.3f}, {:.3f}]".format(*figure["interval"])
    return f"{figure['value']:.3f}{interval}" + ("" if figure["texts"] == texts else f" (n={figure['texts']})")


def _cells(line: Mapping[str, Any], contests: Mapping[Any, Mapping[str, Any]]) -> tuple[object, ...]:
    contest = contests.get((line["side"], line["lang"], line["source"]))
    return (
        *(line["side"], line["lang"], line["source"], line["texts"], line["positives"]),
        _with_interval(line),
        *(_f(line[rate]) for rate in _RATES),
        f"{contest['figure']} {contest['theirs']:.3f} {contest['outcome']}" if contest else "",
    )


def _with_interval(line: Mapping[str, Any]) -> str:
    interval = line["auroc_interval"]
    if interval is None:
        return _f(line["auroc"])
    return f"{_f(line['auroc'])} [{interval['low']:.3f}, {interval['high']:.3f}]"


def _length(line: Mapping[str, Any]) -> tuple[object, ...]:
    tokens = f"{line['shortest']}-{line['longest']}" if line["longest"] else f">{line['shortest'] - 1}"
    rate = line["alarms"] / line["texts"]
    return line["side"], line["lang"], tokens, line["texts"], line["alarms"], _f(rate)


def _f(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _rows(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return lines + [f"| {' | '.join(map(str, row))} |" for row in rows]
