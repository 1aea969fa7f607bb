"""``guard policy shadow-report`` and ``promote``: what shadow rules would have done, and how they begin to act."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guard.cli.options import Format, FormatOption
from guard.cli.output import printable, say, shortened, write_line
from guard.cli.policy_report import json_line, section
from guard.errors import InvalidInput

if TYPE_CHECKING:
    from guard.policy.shadow import PolicyShadow, ShadowReport

_ID_CELLS = 24
_TEXT_CELLS = 200


def shadow_report(
    log: Annotated[
        Path, typer.Option("--log", metavar="FILE", help="Decisions as records, in JSON Lines; texts are not needed.")
    ],
    policy: Annotated[
        str | None,
        typer.Option("--policy", metavar="FILE|NAME", help="Name also those of its shadow rules that never fired."),
    ] = None,
    examples: Annotated[int, typer.Option(min=0, max=1000, help="Decisions to show a rule.")] = 5,
    format_: FormatOption = Format.TABLE,
) -> None:
    """Show what shadow rules, and policies in mode shadow, would have done, from the log of what was decided.

    For every rule: how often it fired, how often it alone would have made the decision a stronger one, what the
    labels say about these texts where the log has any, and those of them that are nearest to the threshold.

    Exit codes: 0 fine, 2 bad usage or input.
    """
    # Imported here: the other commands start without it.
    from guard.policy.load import load_policy, resolve_policy
    from guard.policy.record_file import read_records
    from guard.policy.shadow import shadow_report as count

    known = None if policy is None else load_policy(resolve_policy(policy))
    notes: list[str] = []
    found = count(read_records(log, notes), known, examples=examples)
    notes += found.notes
    for note in notes:
        say(printable(note))
    if format_ is Format.JSON:
        write_line(json_line(found, notes))
    else:
        _show(found)


def promote(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="The policy file that holds the rules.")],
    rules: Annotated[list[str], typer.Argument(metavar="RULE...", help="Ids of rules in shadow.")],
) -> None:
    """Let shadow rules act: their `shadow: true` becomes `shadow: false`, and nothing else in the file changes.

    Exit codes: 0 fine, also where a rule was not in shadow, 2 bad usage or input.
    """
    # Imported here: the other commands start without it.
    from guard.policy.load import load_policy, resolve_policy
    from guard.policy.policy import Mode
    from guard.policy.promote import promote as turn_on
    from guard.policy.source import read_bytes
    from guard.policy.suggest import did_you_mean

    file = resolve_policy(policy)
    if not Path(policy).exists():
        raise InvalidInput.of("POLICY", f"{policy} is a policy that ships", f"copy it: cp {file} mine.yaml")
    loaded = load_policy(file)
    known = {rule.id: rule for rule in loaded.rules}
    for name in rules:
        if name not in known:
            cure = did_you_mean(name, known) or f"one of {', '.join(known)}"
            raise InvalidInput.of("RULE", f"the policy has no rule {name[:60]!r}", cure)
    silent = [name for name in dict.fromkeys(rules) if known[name].shadow]
    if silent:
        file.write_bytes(turn_on(read_bytes(file), str(file), silent))
    for name in dict.fromkeys(rules):
        write_line(f"{name}: {'acts from now on' if name in silent else 'was not in shadow'} ({file})")
    if loaded.mode is Mode.SHADOW:
        say(f"{file} is in mode: shadow, so no rule of it acts (write mode: enforce)")


def _show(found: ShadowReport) -> None:
    write_line(f"model    {found.model}")
    write_line(f"records  {found.records}")
    for policy in found.policies:
        write_line("")
        write_line(f"policy   {policy.policy}: {policy.records} decisions, {policy.changes} would have been stronger")
        if policy.rules:
            _show_policy(policy)


def _show_policy(policy: PolicyShadow) -> None:
    section(("action", "logged", "with all acting"), ((a.action.value, a.logged, a.then) for a in policy.actions))
    section(
        ("rule", "action", "fired", "would change", "share", "compliant", "noncompliant"),
        (
            (r.id, r.action.value, r.fired, r.changes, f"{r.changes / policy.records:.2%}", r.compliant, r.noncompliant)
            for r in policy.rules
        ),
        left=("rule", "action"),
    )
    with_text = any(example.text is not None for example in policy.examples)
    section(
        ("rule", "would change", "id", "time", "score", "threshold", "label", *["text"] * with_text),
        (
            (
                e.rule,
                f"{e.logged.value} -> {e.then.value}",
                shortened(e.id, _ID_CELLS),
                e.time,
                f"{e.score:.3f}",
                f"{e.threshold:.3f}",
                e.label or "-",
                *[shortened(e.text or "", _TEXT_CELLS)] * with_text,
            )
            for e in policy.examples
        ),
        shrinks="text" if with_text else "id",
        left=("rule", "would change", "id", "time", "label", "text"),
    )
