"""``guard policy diff``: which decisions change with another policy or another model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guard.cli.options import Format, FormatOption
from guard.cli.output import printable, say, shortened, write_line
from guard.cli.policy_report import RECORDS, json_line, section
from guard.cli.report_page import ReportOption, check_report, write_report
from guard.errors import InvalidInput, Violation

if TYPE_CHECKING:
    from guard.policy.comparison import Diff, Tally
    from guard.policy.policy import Policy
    from guard.policy.report import Report

_SHOWN_SLICES = 20
_ID_CELLS = 24
_TEXT_CELLS = 200
_LEAST_P = 0.001


def diff(
    old_policy: Annotated[str, typer.Argument(metavar="POLICY", help="A policy file, or the name of one that ships.")],
    new_policy: Annotated[
        str | None, typer.Argument(metavar="NEW", help="Another policy, which is to replace the first.")
    ] = None,
    records: Annotated[
        Path | None, typer.Option("--records", metavar="FILE", help=f"{RECORDS}: both policies decide them.")
    ] = None,
    old: Annotated[Path | None, typer.Option("--old", metavar="FILE", help=f"{RECORDS}, of the old model.")] = None,
    new: Annotated[
        Path | None, typer.Option("--new", metavar="FILE", help="Records of the same texts, of the new model.")
    ] = None,
    examples: Annotated[int, typer.Option(min=0, max=1000, help="Flips to show of each kind.")] = 5,
    report: ReportOption = None,
    format_: FormatOption = Format.TABLE,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit 1 if a decision changes.")] = False,
) -> None:
    """Compare what two policies, or one over two models, decide about the same texts.

    Two policies over --records; one policy over --old and --new, which are joined by id; or, with a new model that
    brings its own policy, POLICY over --old and NEW over --new. Every record is decided again from its scores and
    detections: neither a model nor a text is needed. Labels, where records have them, say which flips are gains.

    Exit codes: 0 fine, 1 a decision changes (with --exit-code), 2 bad usage or input.
    """
    _check(new_policy, records, old, new)
    # Imported here: the other commands start without it.
    from guard.policy.diff import diff as compare
    from guard.policy.load import load_policy, resolve_policy
    from guard.policy.pairs import Pairs

    decided = new or records or Path()
    check_report(report, decided)
    before = load_policy(resolve_policy(old_policy))
    after = before if new_policy is None else load_policy(resolve_policy(new_policy))
    pairs = Pairs(records or old or Path(), new)
    found = compare(before, after, pairs, examples=examples)
    notes = (*pairs.notes, *found.notes)
    for note in notes:
        say(printable(note))
    if format_ is Format.JSON:
        write_line(json_line(found, notes))
    else:
        _show(found)
    if report is not None:
        write_report(report, _report(decided, before, after, found, notes))
    if exit_code and found.flipped:
        raise typer.Exit(1)


def _report(path: Path, before: Policy, after: Policy, found: Diff, notes: Sequence[str]) -> Report:
    from guard.policy.report import Fact, Mark
    from guard.policy.report_file import report_on
    from guard.policy.report_rules import Head, marks_of
    from guard.policy.report_tables import diff_tables

    # The slider starts at the new threshold, and flips are counted against the old one.
    marks = marks_of(after, ("old", {rule.id: rule.threshold for rule in before.rules}))
    marks = {name: own if len(own) == 1 else (own[1], Mark("new", own[0].threshold)) for name, own in marks.items()}
    total = found.total
    facts = (
        Fact("policy", _change(found.old.policy, found.new.policy)),
        Fact("model", _change(found.old.model, found.new.model)),
        Fact("records", f"{total.records} compared, {found.flipped} flipped; {total.labelled} labelled"),
        Fact("curves", f"{after.identity} on the scores of {found.new.model}"),
    )
    title = (
        f"What changes from {before.name} to {after.name}"
        if before.name != after.name
        else f"What changes in {after.name}"
    )
    return report_on(path, after, Head(title, facts, tuple(notes), diff_tables(found)), marks)


def _check(new_policy: str | None, records: Path | None, old: Path | None, new: Path | None) -> None:
    found: list[Violation] = []
    if records is not None and (old is not None or new is not None):
        found.append(Violation("--records", "given beside --old or --new", "leave it out, or both of them"))
    elif records is None and old is None and new is None:
        found.append(Violation("--records", "missing", "give --records FILE, or --old FILE and --new FILE"))
    elif records is None and (old is None or new is None):
        missing = "--old" if old is None else "--new"
        found.append(Violation(missing, "missing", "give the records of both models"))
    elif records is not None and new_policy is None:
        cure = "give a second policy, or the records of two models with --old and --new"
        found.append(Violation("NEW", "missing: one policy decides one file in one way", cure))
    if found:
        raise InvalidInput(found)


def _show(found: Diff) -> None:
    total = found.total
    write_line(f"policy   {_change(found.old.policy, found.new.policy)}")
    write_line(f"model    {_change(found.old.model, found.new.model)}")
    alike = total.records - found.flipped
    write_line(
        f"records  {total.records} compared, {alike} decided alike, {found.flipped} flipped; {total.labelled} labelled"
    )
    if not found.flipped:
        return
    section(
        ("flip", "records", "compliant", "noncompliant", "unlabelled"),
        (
            (f"{f.old} -> {f.new}", f.records, f.compliant, f.noncompliant, f.records - f.compliant - f.noncompliant)
            for f in found.flips
        ),
    )
    labels = (("compliant", found.compliant), ("noncompliant", found.noncompliant), ("all", total))
    if total.labelled:
        section(
            ("label", "records", "stopped", "now", "gains", "losses", "p"),
            ((name, t.records, t.stopped_old, t.stopped_new, t.gains, t.losses, _p(t)) for name, t in labels),
        )
    moved = [rule for rule in found.rules if rule.stricter or rule.looser or rule.fired_old != rule.fired_new]
    section(
        ("rule", "fired", "now", "stricter", "looser", "gains", "losses"),
        ((r.id, _count(r.fired_old), _count(r.fired_new), r.stricter, r.looser, r.gains, r.losses) for r in moved),
    )
    section(
        ("slice", "records", "stopped", "now", "stricter", "looser", "gains", "losses", "p"),
        (
            (
                shortened(f"{s.key} {s.value}", _ID_CELLS * 2),
                *(s.tally.records, s.tally.stopped_old, s.tally.stopped_new, s.tally.stricter, s.tally.looser),
                *(s.tally.gains, s.tally.losses, _p(s.tally)),
            )
            for s in found.slices[:_SHOWN_SLICES]
        ),
    )
    if len(found.slices) > _SHOWN_SLICES:
        write_line(f"... {len(found.slices) - _SHOWN_SLICES} more slices with --format json")
    _show_examples(found)


def _show_examples(found: Diff) -> None:
    if not found.examples:
        return
    with_text = any(example.text is not None for example in found.examples)
    section(
        ("flip", "effect", "id", "rule", "score", "now", "threshold", *["text"] * with_text),
        (
            (
                f"{e.old} -> {e.new}",
                e.effect.value,
                shortened(e.id, _ID_CELLS),
                e.rule,
                _score(e.old_score),
                _score(e.new_score),
                _score(e.threshold),
                *[shortened(e.text or "", _TEXT_CELLS)] * with_text,
            )
            for e in found.examples
        ),
        shrinks="text" if with_text else "id",
        left=("flip", "effect", "id", "rule", "text"),
    )


def _change(old: str, new: str) -> str:
    return old if old == new else f"{old} -> {new}"


def _p(tally: Tally) -> str:
    if not tally.labelled:
        return "-"
    return f"{tally.p:.2g}" if tally.p >= _LEAST_P else f"<{_LEAST_P:g}"


def _count(fired: int | None) -> str:
    return "-" if fired is None else str(fired)


def _score(score: float | None) -> str:
    return "-" if score is None else f"{score:.3f}"
