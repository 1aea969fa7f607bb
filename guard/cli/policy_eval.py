"""``guard policy eval``: how well a policy decides labelled records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guard.cli.options import Format, FormatOption, ModelOption
from guard.cli.output import printable, say, shortened, write_line
from guard.cli.policy_report import RECORDS, json_line, model_notes, rate, section
from guard.errors import InvalidInput

if TYPE_CHECKING:
    from guard.policy.eval import Evaluation, RuleMeasures
    from guard.policy.measures import Estimate, Measures

_SHOWN_SLICES = 30
_NAME_CELLS = 48


def evaluate(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="A policy file, or the name of one that ships.")],
    records: Annotated[Path, typer.Option("--records", metavar="FILE", help=f"{RECORDS}, of labelled rows.")],
    rule: Annotated[
        str | None, typer.Option("--rule", metavar="ID", help="Show one rule in full: its slices and its calibration.")
    ] = None,
    model: ModelOption = None,
    format_: FormatOption = Format.TABLE,
) -> None:
    """Measure a policy on labelled records: precision, recall, F1 and false alarms, with 95 % intervals.

    Whole policy and every rule, by direction, language, length and tag; what each score could do at another threshold
    (recall at 1 % and 5 % false alarms, AUPRC), and whether it is a probability (ECE). Needs neither model nor texts.

    Exit codes: 0 fine, 2 bad usage or input.
    """
    # Imported here: the other commands start without it.
    from guard.policy.eval import evaluate_policy
    from guard.policy.labelled_file import read_labelled
    from guard.policy.load import load_policy, resolve_policy
    from guard.policy.suggest import did_you_mean

    loaded = load_policy(resolve_policy(policy))
    ids = [known.id for known in loaded.rules]
    if rule is not None and rule not in ids:
        cure = did_you_mean(rule, ids) or f"one of {', '.join(ids)}"
        raise InvalidInput.of("--rule", f"the policy has no rule {rule[:60]!r}", cure)
    labelled = read_labelled(records, loaded.columns, loaded.tags)
    found = evaluate_policy(loaded, labelled)
    notes = (*found.notes, *model_notes(found.model, model))
    for note in notes:
        say(printable(note))
    if format_ is Format.JSON:
        write_line(json_line(found, notes))
    elif rule is not None:
        _show_rule(next(measured for measured in found.rules if measured.id == rule))
    else:
        _show(found)


def _show(found: Evaluation) -> None:
    write_line(f"policy   {found.policy}")
    write_line(f"model    {found.model}")
    write_line(f"records  {found.records} labelled")
    shown = [("all", found.decision), *((f"{s.key} {s.value}", s.measures) for s in found.slices)]
    section(
        ("not allowed", "positives", "found", "negatives", "alarms", "precision", "recall", "F1", "FPR"),
        (
            (shortened(name, _NAME_CELLS), *_counts(m), _plain(m.precision), rate(m.recall), _plain(m.f1), rate(m.fpr))
            for name, m in shown[: _SHOWN_SLICES + 1]
        ),
    )
    if len(shown) > _SHOWN_SLICES + 1:
        write_line(f"... {len(shown) - _SHOWN_SLICES - 1} more slices with --format json")
    section(
        ("rule", "positives", "found", "negatives", "alarms", "precision", "recall", "FPR"),
        (
            (_name(r), *_counts(m), _plain(m.precision), rate(m.recall), rate(m.fpr))
            for r, m in ((r, r.measures) for r in found.rules)
        ),
    )
    section(
        ("rule", "threshold", "F1", "recall at 1 % FPR", "at 5 % FPR", "AUPRC", "ECE", "unknown"),
        (
            (
                *(_name(r), f"{r.threshold:g}", _plain(r.measures.f1)),
                *(rate(r.ranking.recall_at_1), rate(r.ranking.recall_at_5), _plain(r.ranking.auprc)),
                *(_number(r.calibration.ece), r.unknown),
            )
            for r in found.rules
        ),
    )


def _show_rule(found: RuleMeasures) -> None:
    shadow = ", in shadow" if found.shadow else ""
    write_line(f"rule  {found.id}: {found.category} >= {found.threshold:g} -> {found.action.value}{shadow}")
    shown = [
        ("all", found.measures, found.ranking),
        *((f"{s.key} {s.value}", s.measures, s.ranking) for s in found.slices),
    ]
    section(
        ("slice", "positives", "found", "negatives", "alarms"),
        ((shortened(name, _NAME_CELLS), *_counts(m)) for name, m, _ in shown),
    )
    section(
        ("slice", "precision", "recall", "F1", "FPR"),
        (
            (shortened(name, _NAME_CELLS), *(rate(e) for e in (m.precision, m.recall, m.f1, m.fpr)))
            for name, m, _ in shown
        ),
    )
    section(
        ("slice", "recall at 1 % FPR", "at 5 % FPR", "AUPRC"),
        (
            (shortened(name, _NAME_CELLS), rate(r.recall_at_1), rate(r.recall_at_5), rate(r.auprc))
            for name, _, r in shown
        ),
    )
    section(
        ("score", "records", "mean score", "share in the category"),
        (
            (f"{b.low:.1f} to {b.high:.1f}", b.count, f"{b.mean_score:.3f}", f"{b.share_positive:.3f}")
            for b in found.calibration.bins
        ),
    )


def _name(rule: RuleMeasures) -> str:
    return f"{rule.id} (shadow)" if rule.shadow else rule.id


def _counts(measures: Measures) -> tuple[int, int, int, int]:
    return measures.positives, measures.found, measures.negatives, measures.false_alarms


def _plain(estimate: Estimate) -> str:
    """A rate whose interval has no room on the line; --format json has it."""
    return rate(estimate, interval=False)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
