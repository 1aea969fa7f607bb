"""``guard policy replay``: what a policy would have done on logged traffic."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guard.cli.options import Format, FormatOption
from guard.cli.output import printable, say, shortened, write_line
from guard.cli.policy_report import json_line, section
from guard.cli.report_page import ReportOption, check_report, write_report

if TYPE_CHECKING:
    from guard.policy.policy import Policy
    from guard.policy.replayed import Replay
    from guard.policy.report import Report

_SHOWN_HOURS = 48
_ID_CELLS = 24
_TEXT_CELLS = 200


def replay(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="A policy file, or the name of one that ships.")],
    log: Annotated[
        Path, typer.Option("--log", metavar="FILE", help="Decisions as records, in JSON Lines; texts are not needed.")
    ],
    examples: Annotated[int, typer.Option(min=0, max=1000, help="Decisions to show of each kind of change.")] = 5,
    report: ReportOption = None,
    format_: FormatOption = Format.TABLE,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit 1 if a decision changes.")] = False,
) -> None:
    """Show what a policy would have done on logged traffic: by action, by rule, by hour, and what changes.

    Every decision is made again from the logged scores and detections. What only the text could tell is counted as
    undecidable.

    Exit codes: 0 fine, 1 a decision changes (with --exit-code), 2 bad usage or input.
    """
    # Imported here: the other commands start without it.
    from guard.policy.load import load_policy, resolve_policy
    from guard.policy.record_file import read_records
    from guard.policy.replay import replay as decide_again

    check_report(report, log)
    notes: list[str] = []
    loaded = load_policy(resolve_policy(policy))
    found = decide_again(loaded, read_records(log, notes), examples=examples)
    notes += found.notes
    for note in notes:
        say(printable(note))
    if format_ is Format.JSON:
        write_line(json_line(found, notes))
    else:
        _show(found)
    if report is not None:
        write_report(report, _report(log, loaded, found, notes))
    if exit_code and found.changed:
        raise typer.Exit(1)


def _report(path: Path, policy: Policy, found: Replay, notes: Sequence[str]) -> Report:
    from guard.policy.report import Fact
    from guard.policy.report_file import report_on
    from guard.policy.report_rules import Head, marks_of
    from guard.policy.report_tables import replay_tables

    counts = f"{found.records}, {found.changed} changed, {found.undecidable} undecidable without the text"
    facts = (
        Fact("policy", found.policy),
        Fact("logged", _logged(found)),
        Fact("model", found.model),
        Fact("records", counts),
    )
    head = Head(f"What {policy.name} would have done", facts, tuple(notes), replay_tables(found))
    return report_on(path, policy, head, marks_of(policy))


def _logged(found: Replay) -> str:
    return ", ".join(f"{name} ({count})" for name, count in found.logged_policies)


def _show(found: Replay) -> None:
    write_line(f"policy   {found.policy}")
    write_line(f"logged   {_logged(found)}")
    write_line(f"model    {found.model}")
    write_line(f"records  {found.records}, {found.changed} changed, {found.undecidable} undecidable without the text")
    section(("action", "logged", "now"), ((a.action.value, a.logged, a.now) for a in found.actions))
    section(("change", "records"), ((f"{c.logged.value} -> {c.now.value}", c.records) for c in found.changes))
    section(
        ("rule", "action", "logged", "now", "undecidable"),
        (
            (r.id, f"{r.action.value}{' (shadow)' * r.shadow}", r.logged, r.now, r.undecidable)
            for r in found.rules
            if r.logged or r.now or r.undecidable
        ),
        left=("rule", "action"),
    )
    section(
        ("hour", "records", "stopped", "rewrite now", "block now", "changed", "undecidable"),
        (
            (h.hour, h.records, h.stopped_logged, h.rewrite, h.block, h.changed, h.undecidable)
            for h in found.hours[-_SHOWN_HOURS:]
        ),
    )
    if len(found.hours) > _SHOWN_HOURS:
        write_line(f"... {len(found.hours) - _SHOWN_HOURS} earlier hours with --format json")
    with_text = any(example.text is not None for example in found.examples)
    section(
        ("change", "id", "time", "rules", *["text"] * with_text),
        (
            (
                f"{e.logged.value} -> {e.now.value}",
                shortened(e.id, _ID_CELLS),
                e.time,
                shortened(", ".join(e.rules) or "-", _ID_CELLS * 2),
                *[shortened(e.text or "", _TEXT_CELLS)] * with_text,
            )
            for e in found.examples
        ),
        shrinks="text" if with_text else "rules",
        left=("change", "id", "time", "rules", "text"),
    )
