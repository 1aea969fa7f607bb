"""The part of a model card that comes from ``table.json``: families, sources, targets, lengths, categories.

A table made by an older program, or without other systems, lacks some parts; they are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from training.bench.report import OURS
from training.bench.table import BENIGN, FAMILY, UNSEEN
from training.card import text as card_text
from training.markdown import rate, sections, table, with_interval, yes

_FAMILIES: Mapping[str, str] = {FAMILY: "all", BENIGN: "sources without violations", UNSEEN: "unseen sources"}
# Marks a source that nothing was trained on.
_UNSEEN_MARK = "†"


def write(document: Mapping[str, Any]) -> str:
    """Every section of the benchmarks."""
    return sections(
        _about(document),
        _part("### Targets", _targets(document)),
        "### Families",
        _families(document["families"]),
        _part("#### Side by side", _side_by_side(document)),
        "### Sources",
        _sources(document),
        _part("#### Lines lost to the n-gram baseline", _lost(document)),
        _part("### False alarms by length", _lengths(document.get("lengths", ()))),
        "### Categories",
        "Ranking by each category's own score, over the texts whose label speaks about it.",
        table(
            ("side", "category", "texts", "positives", "AUROC", "AUPRC"),
            [
                (c["side"], c["category"], c["texts"], c["positives"], rate(c["auroc"]), rate(c.get("auprc")))
                for c in document["categories"]
            ],
        ),
        "### Calibration on benchmarks",
        "Expected calibration error of `noncompliant`. It is only reported: a benchmark's share of violations is "
        "arbitrary.",
        table(
            ("side", "lang", "texts", "ECE"),
            [(c["side"], c["lang"], c["texts"], rate(c["ece"])) for c in document["calibration"]],
        ),
    )


def family_name(source: str) -> str:
    """What people call a line over several sources."""
    return _FAMILIES.get(source, f"pool: {source.removeprefix('*')}")


def summary(document: Mapping[str, Any]) -> str:
    """Lines won against the n-gram baseline, and targets reached, in a sentence or two; empty without both."""
    parts = []
    if document.get("summary"):
        s = document["summary"]
        parts.append(
            f"Against the n-gram baseline: {s['wins']} of {s['lines']} lines won, {s['ties']} tied, {s['losses']} lost."
        )
    for kind in ("must", "reach") if document.get("targets") else ():
        reached = [t["policy_reached"] for t in document["targets"] if t["kind"] == kind]
        point = [t["point_reached"] for t in document["targets"] if t["kind"] == kind]
        parts.append(f"Targets ({kind}): {_count(reached)} as the policy decides, {_count(point)} at 5 % false alarms.")
    return " ".join(parts)


def _count(reached: Sequence[bool | None]) -> str:
    measured = [value for value in reached if value is not None]
    return f"{sum(measured)} of {len(measured)} measured reached"


def _part(heading: str, text: str) -> str:
    return sections(heading, text) if text else ""


def _about(document: Mapping[str, Any]) -> str:
    unseen = document.get("unseen")
    return sections(
        f"{document['texts']} texts, none of them trained on (though many of their sources have a training part), "
        f"decided by the policy `{document['policy']}`. AUROC and AUPRC rank; recall at 1 % and 5 % FPR is at a "
        "threshold set on the compliant texts of the line itself; F1, recall and FPR are of the policy's decisions "
        "unless a column says otherwise. In brackets: 95 % bootstrap intervals over texts.",
        summary(document),
        f"Sources that the model was not trained on: {', '.join(unseen)}." if unseen else "",
    )


def _targets(document: Mapping[str, Any]) -> str:
    targets = document.get("targets", ())
    if not targets:
        return ""
    rows = []
    for t in targets:
        sign = "<=" if t["measure"] in ("fpr", "losses") else ">="
        rows.append(
            (
                *(t["kind"], t["name"], f"{t['side']} {t['lang']}".strip(), t["measure"], f"{sign} {t['border']:g}"),
                *("" if t["ngram"] is None else f"{t['ngram']:.2f}", _value(t["policy"]), yes(t["policy_reached"])),
                *(_value(t["point"]), yes(t["point_reached"]), ", ".join(t["seen"] or ())),
            )
        )
    head = (
        *("", "bench", "side", "measure", "target", "n-gram", "policy", "reached", "5 % point", "reached"),
        "trained on",
    )
    return sections(
        "Each value twice where it depends on a threshold: as the default policy decides, and at the threshold with "
        "5 % false alarms over the side and language. Recall and false alarms of one column belong together.",
        table(head, rows),
    )


def _value(value: float | None) -> str:
    return "" if value is None else str(value) if isinstance(value, int) else rate(value)


def _families(lines: Iterable[Mapping[str, Any]]) -> str:
    names = [(f"{x['side']} {x['lang']}", family_name(x["source"]), x["texts"], x["positives"]) for x in lines]
    head = ("family", "over", "texts", "violations")

    def rows(*measures: str) -> list[Sequence[object]]:
        return [
            (*name, *(with_interval(line[m], line.get(f"{m}_interval")) for m in measures))
            for name, line in zip(names, lines, strict=True)
        ]

    mixed = [row for row in rows("auroc", "auprc", "recall_at_1", "recall_at_5") if any(row[len(head) :])]
    return sections(
        "As the default policy decides:",
        table((*head, "F1", "recall", "FPR"), rows("policy_f1", "policy_recall", "policy_fpr")),
        "By rank:",
        table((*head, "AUROC", "AUPRC", "recall at 1 % FPR", "recall at 5 % FPR"), mixed),
    )


def _side_by_side(document: Mapping[str, Any]) -> str:
    """The families of every system that has such lines; nothing where ours stands alone."""
    rows = document.get("comparisons", {}).get("families", ())
    names = [system["name"] for system in document.get("systems", ())]
    used = [i for i in range(len(names)) if any(row["figures"][i] for row in rows)]
    if len(used) < 2:
        return ""
    head = ("family", "over", "measure", *(names[i] for i in used))
    return table(
        head,
        [
            (
                *(" ".join(row["key"][:2]), family_name(row["key"][2]), row["title"]),
                *(_figure(row["figures"][i], row["texts"]) for i in used),
            )
            for row in rows
        ],
    )


def _figure(figure: Mapping[str, Any] | None, texts: int) -> str:
    """A value; with how many texts it goes over where that is not as many as ours."""
    if figure is None:
        return ""
    return rate(figure["value"]) + ("" if figure["texts"] == texts else f" (n={figure['texts']})")


def _sources(document: Mapping[str, Any]) -> str:
    """One table a family; other systems beside ours in the figure that decides a line."""
    others = [system["name"] for system in document.get("systems", ()) if system["name"] != OURS]
    deciding = {
        tuple(row["key"]): row
        for row in document.get("comparisons", {}).get("lines", ())
        if row["measure"] in ("auroc", "recall", "fpr")
    }
    outcomes = {tuple(contest["key"]): contest["outcome"] for contest in document.get("contests", ())}
    unseen = set(document.get("unseen") or ())
    head = ("source", "texts", "violations", "AUROC", "AUPRC", "F1", "recall", "FPR")
    compared_head = ("compared by", "ours", *others, "n-gram outcome") if deciding else ()
    parts = []
    for family in dict.fromkeys((line["side"], line["lang"]) for line in document["lines"]):
        rows = []
        for line in document["lines"]:
            key = (line["side"], line["lang"], line["source"])
            if key[:2] != family:
                continue
            rows.append(
                (
                    line["source"] + (f" {_UNSEEN_MARK}" if line["source"] in unseen else ""),
                    *(line["texts"], line["positives"], with_interval(line["auroc"], line.get("auroc_interval"))),
                    *(rate(line[m]) for m in ("auprc", "policy_f1", "policy_recall", "policy_fpr")),
                    *(_compared(deciding[key], outcomes.get(key, "")) if deciding else ()),
                )
            )
        parts.append(sections("#### {} {}".format(*family), table((*head, *compared_head), rows)))
    note = (
        "F1, recall and FPR are the policy's. A line is compared by the AUROC of its two classes; of one class by "
        "recall or false alarms at 5 % false alarms over the family (of the keyword filter at its only threshold)."
    )
    if unseen:
        note += f" {_UNSEEN_MARK}: nothing of this source was trained on."
    return sections(note, *parts)


def _compared(row: Mapping[str, Any], outcome: str) -> tuple[str, ...]:
    """What decides a line, our figure of it, the others', and who is better."""
    *others, ours = (_figure(figure, row["texts"]) for figure in row["figures"])
    return row["title"].removesuffix(", family's 5 % point"), ours, *others, outcome


def _lost(document: Mapping[str, Any]) -> str:
    lost = [contest for contest in document.get("contests", ()) if contest["outcome"] == "loss"]
    rows = [
        (
            *(*contest["key"], contest["figure"], rate(contest["ours"]), rate(contest["theirs"])),
            card_text.LOST.get(contest["key"][2], ""),
        )
        for contest in lost
    ]
    return table(("side", "lang", "source", "figure", "ours", "n-gram", "why"), rows) if rows else ""


def _lengths(lines: Iterable[Mapping[str, Any]]) -> str:
    rows = [
        (
            *("all" if line["side"] == "*" else line["side"], line["lang"]),
            f"{line['shortest']}-{line['longest']}" if line["longest"] else f"over {line['shortest'] - 1}",
            *(line["texts"], line["alarms"], rate(line["alarms"] / line["texts"])),
        )
        for line in lines
    ]
    return table(("side", "lang", "tokens", "compliant texts", "false alarms", "FPR"), rows) if rows else ""
