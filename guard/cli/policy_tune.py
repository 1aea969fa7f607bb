"""``guard policy tune``: thresholds chosen on labelled records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guard.cli.options import Format, FormatOption, ModelOption
from guard.cli.output import printable, say, write_line
from guard.cli.policy_report import RECORDS, json_line, model_notes, rate, section
from guard.errors import InvalidInput, Violation

if TYPE_CHECKING:
    from guard.policy.goal import Goal
    from guard.policy.measures import Estimate, Measures
    from guard.policy.tuning import TunedPart, Tuning

_UNMET = 1


class By(StrEnum):
    """What thresholds can be chosen apart for."""

    LANGUAGE = "language"


def tune(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="A policy file, or the name of one that ships.")],
    records: Annotated[Path, typer.Option("--records", metavar="FILE", help=f"{RECORDS}, of labelled rows.")],
    max_fpr: Annotated[
        float | None,
        typer.Option("--max-fpr", metavar="SHARE", help="Stop at most this share of compliant texts; find the most."),
    ] = None,
    min_recall: Annotated[
        float | None,
        typer.Option(
            "--min-recall", metavar="SHARE", help="Find at least this share; stop the fewest compliant texts."
        ),
    ] = None,
    cost: Annotated[
        str | None,
        typer.Option("--cost", metavar="fp=A,fn=B", help="The least cost of false alarms and missed texts."),
    ] = None,
    per_rule: Annotated[
        bool, typer.Option("--per-rule", help="Ask the goal of every rule of its own, not of the whole policy.")
    ] = False,
    by: Annotated[By | None, typer.Option("--by", help="Choose thresholds for each language of its own.")] = None,
    holdout: Annotated[
        float, typer.Option("--holdout", metavar="SHARE", help="Records to report on, and not to choose on.")
    ] = 0.3,
    min_records: Annotated[
        int, typer.Option("--min-records", min=1, help="Labelled records of each kind that a rule needs.")
    ] = 20,
    write: Annotated[
        bool, typer.Option("--write", help="Change the thresholds in the file, and nothing else.")
    ] = False,
    model: ModelOption = None,
    format_: FormatOption = Format.TABLE,
) -> None:
    """Choose the thresholds of a policy on labelled records, and report them on others.

    The goal holds for the whole policy in each direction: --max-fpr bounds the share of compliant texts that are not
    allowed, whichever rule stops them. A rule with too few labelled records is left alone.

    Exit codes: 0 fine, 1 the goal cannot be met (the best that can is shown, and not written), 2 bad usage or input.
    """
    goal = _goal(max_fpr, min_recall, cost, holdout)
    # Imported here: the other commands start without it.
    from guard.policy.labelled_file import read_labelled
    from guard.policy.load import load_policy, resolve_policy
    from guard.policy.tune import Options
    from guard.policy.tune import tune as choose

    file = resolve_policy(policy)
    if write and not Path(policy).exists():
        cure = f"copy it: cp {file} mine.yaml"
        raise InvalidInput.of("--write", f"{policy} is a policy that ships", cure)
    loaded = load_policy(file)
    labelled = read_labelled(records, loaded.columns, loaded.tags)
    found = choose(loaded, labelled, goal, Options(holdout, by is not None, per_rule, min_records))
    if write and found.divided():
        cure = "write a rule for each language yourself, or leave out --by"
        raise InvalidInput.of("--write", f"one threshold cannot be two: {', '.join(found.divided())}", cure)
    notes = [*found.notes, *model_notes(found.model, model), *_notes(found)]
    for note in notes:
        say(printable(note))
    written = write and found.met and bool(found.thresholds())
    if written:
        _write(file, found)
    if format_ is Format.JSON:
        write_line(json_line(found, notes, met=found.met, written=written))
    else:
        _show(found)
        if write:
            what = f"wrote {len(found.thresholds())} thresholds to {file}" if written else f"left {file} as it was"
            write_line(f"\n{what}")
    if not found.met:
        raise typer.Exit(_UNMET)


def _goal(max_fpr: float | None, min_recall: float | None, cost: str | None, holdout: float) -> Goal:
    from guard.policy.goal import Aim, Goal

    found: list[Violation] = []
    given = [
        name
        for name, value in (("--max-fpr", max_fpr), ("--min-recall", min_recall), ("--cost", cost))
        if value is not None
    ]
    if len(given) != 1:
        reason = "no goal" if not given else f"more than one goal: {', '.join(given)}"
        found.append(Violation("--max-fpr", reason, "give one of --max-fpr 0.01, --min-recall 0.95, --cost fp=1,fn=5"))
    for name, share in (("--max-fpr", max_fpr), ("--min-recall", min_recall)):
        if share is not None and not 0 <= share <= 1:
            found.append(Violation(name, "out of range", "a share from 0 to 1, such as 0.01"))
    if not 0 <= holdout < 1:
        found.append(Violation("--holdout", "out of range", "a share from 0 up to 1, such as 0.3"))
    prices = _prices(cost, found) if cost is not None else {}
    if found:
        raise InvalidInput(found)
    if max_fpr is not None:
        return Goal(Aim.MAX_FPR, max_fpr)
    if min_recall is not None:
        return Goal(Aim.MIN_RECALL, min_recall)
    return Goal(Aim.COST, fp=prices["fp"], fn=prices["fn"])


def _prices(cost: str, found: list[Violation]) -> dict[str, float]:
    prices: dict[str, float] = {}
    for part in cost.split(","):
        name, _, value = part.strip().partition("=")
        try:
            price = float(value)
        except ValueError:
            price = -1.0
        if name in {"fp", "fn"} and name not in prices and 0 <= price < float("inf"):
            prices[name] = price
    if len(prices) != 2 or cost.count(",") != 1 or not any(prices.values()):
        found.append(Violation("--cost", "not the cost of a false alarm and of a missed text", "such as fp=1,fn=5"))
    return prices


def _write(file: Path, found: Tuning) -> None:
    from guard.policy.source import read_bytes
    from guard.policy.threshold_edit import set_thresholds

    file.write_bytes(set_thresholds(read_bytes(file), str(file), found.thresholds()))


def _notes(found: Tuning) -> Iterator[str]:
    if not found.holdout:
        yield "nothing was held out: the figures are those of the records that the thresholds were chosen on"
    for part in found.parts:
        where = f"{part.language}: " if part.language else ""
        for direction in part.directions:
            if not direction.met:
                yield f"{where}the goal cannot be met in direction {direction.direction}; this comes nearest"
        for why in dict.fromkeys(rule.left_alone for rule in part.rules if rule.left_alone):
            rules = ", ".join(rule.id for rule in part.rules if rule.left_alone == why)
            yield f"{where}left alone: {rules}: {why}"


def _show(found: Tuning) -> None:
    write_line(f"policy   {found.policy}")
    write_line(f"model    {found.model}")
    write_line(f"goal     {_words(found)}")
    for part in found.parts:
        if part.language is not None:
            write_line(f"\nlanguage {part.language}")
        write_line(f"records  {part.fitted} to choose on, {part.held_out} held out")
        _show_part(part, found)


def _words(found: Tuning) -> str:
    goal = found.goal
    whose = "for each rule" if found.per_rule else "for the whole policy, in each direction"
    words = {
        "max_fpr": f"FPR of {100 * goal.bound:g} % at most, then the highest recall",
        "min_recall": f"recall of {100 * goal.bound:g} % at least, then the fewest false alarms",
        "cost": f"the least cost, {goal.fp:g} a false alarm and {goal.fn:g} a missed text",
    }
    return f"{words[goal.aim.value]}; {whose}"


def _show_part(part: TunedPart, found: Tuning) -> None:
    changes = [
        (direction.direction, name, change)
        for direction in part.directions
        for name, change in (("chosen on", direction.fitted), ("held out", direction.held_out))
        if found.holdout or name == "chosen on"
    ]
    section(
        ("not allowed", "records", "compliant", "FPR", "now", "noncompliant", "recall", "now"),
        (
            (
                d,
                name,
                c.after.negatives,
                *_moved(c.before, c.after, _fpr),
                c.after.positives,
                *_moved(c.before, c.after, _recall),
            )
            for d, name, c in changes
        ),
        left=("not allowed", "records"),
    )
    rules = [rule for rule in part.rules if not rule.left_alone]
    section(
        ("rule", "threshold", "now", "records", "FPR", "now", "recall", "now"),
        (
            (
                r.id,
                f"{r.old:g}",
                f"{r.new:g}",
                f"{r.held_out.after.positives}+{r.held_out.after.negatives}",
                *_moved(r.held_out.before, r.held_out.after, _fpr),
                *_moved(r.held_out.before, r.held_out.after, _recall),
            )
            for r in rules
        ),
    )


def _moved(before: Measures, after: Measures, figure: Callable[[Measures], Estimate]) -> tuple[str, str]:
    """A figure before, and after with its interval."""
    return rate(figure(before), interval=False), rate(figure(after))


def _fpr(measures: Measures) -> Estimate:
    return measures.fpr


def _recall(measures: Measures) -> Estimate:
    return measures.recall
