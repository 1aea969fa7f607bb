"""The tables of a report: what each command says, as rows of cells. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from guard.policy.comparison import Diff, Tally
from guard.policy.eval import Evaluation, RuleMeasures
from guard.policy.measures import Measures
from guard.policy.replayed import Replay
from guard.policy.report import Cell, Column, Kind, Table
from guard.policy.tuning import Change, TunedPart, Tuning

_COUNT, _RATE, _SCORE, _RULE = Kind.COUNT, Kind.RATE, Kind.SCORE, Kind.RULE
#: More slices than anybody reads; --format json has them all.
_MOST_SLICES = 200
_MEASURED = (
    Column("positives", _COUNT),
    Column("found", _COUNT),
    Column("negatives", _COUNT),
    Column("alarms", _COUNT),
    Column("precision", _RATE),
    Column("recall", _RATE),
    Column("F1", _RATE),
    Column("FPR", _RATE),
)
_INTERVALS = "Small figures are 95 % intervals."


def eval_tables(found: Evaluation) -> tuple[Table, ...]:
    """Every rule at its threshold."""
    columns = (Column("rule", _RULE), Column("acts"), Column("threshold", _SCORE), *_MEASURED)
    rows = tuple((r.id, _acts(r), r.threshold, *_measured(r.measures)) for r in found.rules)
    return (
        Table("Rules", f"Each against its own truth, those in shadow as if they acted. {_INTERVALS}", columns, rows),
    )


def whole_slices(found: Evaluation) -> Table:
    """The whole policy, and its slices."""
    shown = found.slices[:_MOST_SLICES]
    rows = (("all", *_measured(found.decision)), *((f"{s.key} {s.value}", *_measured(s.measures)) for s in shown))
    return Table(
        "The whole policy in slices",
        f"Not allowed, by whichever rule, against the label. {_INTERVALS}{_more(len(found.slices))}",
        (Column("slice"), *_MEASURED),
        rows,
    )


def rule_slices(found: RuleMeasures) -> Table:
    """One rule in slices."""
    columns = (Column("slice"), *_MEASURED, Column("recall at 1 % FPR", _RATE), Column("AUPRC", _RATE))
    shown = (
        ("all", found.measures, found.ranking),
        *((f"{s.key} {s.value}", s.measures, s.ranking) for s in found.slices),
    )
    rows = tuple((name, *_measured(m), r.recall_at_1, r.auprc) for name, m, r in shown[: _MOST_SLICES + 1])
    note = f"At the policy's threshold, {found.threshold:g}. {_INTERVALS}{_more(len(found.slices))}"
    return Table("The rule in slices", note, columns, rows)


def tune_tables(found: Tuning) -> tuple[Table, ...]:
    """Before and now, by direction and by rule, on what was held out."""
    return tuple(table for part in found.parts for table in _part_tables(found, part))


def diff_tables(found: Diff) -> tuple[Table, ...]:
    """Flips, by kind, rule and slice, and the examples."""
    flips = Table(
        "What flips",
        "Texts whose action changes.",
        (Column("flip"), Column("records", _COUNT), Column("compliant", _COUNT), Column("noncompliant", _COUNT),
         Column("unlabelled", _COUNT)),
        tuple((f"{f.old} → {f.new}", f.records, f.compliant, f.noncompliant, f.records - f.compliant - f.noncompliant)
              for f in found.flips),
    )  # fmt: skip
    tallied = (
        Column("records", _COUNT), Column("stopped", _COUNT), Column("now", _COUNT), Column("stricter", _COUNT),
        Column("looser", _COUNT), Column("gains", _COUNT), Column("losses", _COUNT), Column("p", _SCORE),
    )  # fmt: skip
    parts = (("all", found.total), ("label compliant", found.compliant), ("label noncompliant", found.noncompliant))
    slices = Table(
        "Slices",
        "Gains are flips that made a decision right. p is McNemar's test of gains against losses, not corrected for "
        "how many slices one looks at.",
        (Column("slice"), *tallied),
        tuple((name, *_tally(t)) for name, t in (*parts, *((f"{s.key} {s.value}", s.tally) for s in found.slices))),
    )
    rules = Table(
        "Rules behind the flips",
        "A flip counts for every rule behind the stronger of its two actions.",
        (Column("rule", _RULE), Column("fired", _COUNT), Column("now", _COUNT), Column("stricter", _COUNT),
         Column("looser", _COUNT), Column("gains", _COUNT), Column("losses", _COUNT)),
        tuple((r.id, r.fired_old, r.fired_new, r.stricter, r.looser, r.gains, r.losses) for r in found.rules),
    )  # fmt: skip
    examples = Table(
        "Examples",
        "Losses first, then the clearest.",
        (Column("flip"), Column("effect"), Column("id"), Column("rule", _RULE), Column("score", _SCORE),
         Column("now", _SCORE), Column("threshold", _SCORE), Column("text")),
        tuple((f"{e.old} → {e.new}", e.effect.value, e.id, e.rule, e.old_score, e.new_score, e.threshold, e.text)
              for e in found.examples),
    )  # fmt: skip
    return _filled(flips, slices, rules, examples)


def replay_tables(found: Replay) -> tuple[Table, ...]:
    """Actions, changes, rules, hours and examples."""
    actions = Table(
        "Decisions",
        "",
        (Column("action"), Column("logged", _COUNT), Column("now", _COUNT)),
        tuple((a.action.value, a.logged, a.now) for a in found.actions),
    )
    changes = Table(
        "What changes",
        "",
        (Column("change"), Column("records", _COUNT)),
        tuple((f"{c.logged.value} → {c.now.value}", c.records) for c in found.changes),
    )
    rules = Table(
        "Rules",
        "What only the text could tell is undecidable, and not counted as not fired.",
        (Column("rule", _RULE), Column("acts"), Column("logged", _COUNT), Column("now", _COUNT),
         Column("undecidable", _COUNT)),
        tuple((r.id, "in shadow" if r.shadow else r.action.value, r.logged, r.now, r.undecidable) for r in found.rules),
    )  # fmt: skip
    hours = Table(
        "Hours",
        "In UTC.",
        (Column("hour"), Column("records", _COUNT), Column("stopped", _COUNT), Column("rewrite now", _COUNT),
         Column("block now", _COUNT), Column("changed", _COUNT), Column("undecidable", _COUNT)),
        tuple((h.hour, h.records, h.stopped_logged, h.rewrite, h.block, h.changed, h.undecidable) for h in found.hours),
    )  # fmt: skip
    examples = Table(
        "Examples",
        "Of each kind of change the first ones.",
        (Column("change"), Column("id"), Column("time"), Column("rules"), Column("text")),
        tuple((f"{e.logged.value} → {e.now.value}", e.id, e.time, ", ".join(e.rules) or "-", e.text)
              for e in found.examples),
    )  # fmt: skip
    return _filled(actions, changes, rules, hours, examples)


def _part_tables(found: Tuning, part: TunedPart) -> Iterator[Table]:
    where = f", language {part.language}" if part.language else ""
    moved = (Column("FPR", _RATE), Column("FPR now", _RATE), Column("recall", _RATE), Column("recall now", _RATE))
    on = ("chosen on", "held out") if found.holdout else ("chosen on",)
    yield Table(
        f"The whole policy, before and now{where}",
        f"{part.fitted} records to choose on, {part.held_out} held out. {_INTERVALS}",
        (Column("not allowed"), Column("records"), Column("compliant", _COUNT), Column("noncompliant", _COUNT), *moved),
        tuple(
            (d.direction, name, change.after.negatives, change.after.positives, *_moved(change))
            for d in part.directions
            for name, change in zip(on, (d.fitted, d.held_out), strict=False)
        ),
    )
    yield Table(
        f"Rules, before and now{where}",
        "On the records held out." if found.holdout else "On the records that the thresholds were chosen on.",
        (Column("rule", _RULE), Column("threshold", _SCORE), Column("now", _SCORE), Column("positives", _COUNT),
         Column("negatives", _COUNT), *moved, Column("left alone")),
        tuple(
            (r.id, r.old, r.new, now.positives, now.negatives, *_moved(r.held_out), r.left_alone)
            for r in part.rules
            for now in (r.held_out.after,)
        ),
    )  # fmt: skip


def _acts(rule: RuleMeasures) -> str:
    return "in shadow" if rule.shadow else rule.action.value


def _measured(m: Measures) -> tuple[Cell, ...]:
    return m.positives, m.found, m.negatives, m.false_alarms, m.precision, m.recall, m.f1, m.fpr


def _moved(change: Change) -> tuple[Cell, ...]:
    return change.before.fpr.value, change.after.fpr, change.before.recall.value, change.after.recall


def _tally(t: Tally) -> tuple[Cell, ...]:
    p = float(f"{t.p:.2g}") if t.labelled else None
    return t.records, t.stopped_old, t.stopped_new, t.stricter, t.looser, t.gains, t.losses, p


def _more(slices: int) -> str:
    return f" {slices - _MOST_SLICES} more with --format json." if slices > _MOST_SLICES else ""


def _filled(*tables: Table) -> tuple[Table, ...]:
    return tuple(table for table in tables if table.rows)
