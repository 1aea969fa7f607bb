"""The numbers of a report: every rule's counts by score, over the records that its policy decides. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guard.policy.eval import Evaluation, RuleMeasures, acts, decision_truth, direction_name
from guard.policy.labelled import Bools, Floats, Labelled
from guard.policy.measures import Calibration, Estimate
from guard.policy.policy import Policy, Rule
from guard.policy.report import Counts, Fact, Mark, Report, RuleReport, Sample, Table, Whole
from guard.policy.report_tables import rule_slices, whole_slices
from guard.types import Action

_NOTHING = Estimate(None, None, None)


@dataclass(frozen=True, slots=True)
class Head:
    """What a command says above the rules."""

    title: str
    facts: tuple[Fact, ...]
    notes: tuple[str, ...]
    tables: tuple[Table, ...]


def make_report(
    head: Head,
    policy: Policy,
    records: Labelled,
    marks: Mapping[str, Sequence[Mark]],
    evaluation: Evaluation | None,
    samples: Mapping[str, Sequence[Sample]],
) -> Report:
    """Put a report together.

    Args:
        head: What the command says.
        policy: The policy whose rules are shown.
        records: What it decides, labelled or not.
        marks: Rule id -> its thresholds, the one that flips are counted against first.
        evaluation: The policy on the labelled ones; None if there are none.
        samples: Rule id -> texts around its thresholds.
    """
    thresholds = grid(mark.threshold for own in marks.values() for mark in own)
    measured = {rule.id: rule for rule in evaluation.rules} if evaluation else {}
    counting = _Counting(policy, records, np.array(thresholds))
    return Report(
        title=head.title,
        facts=head.facts,
        notes=head.notes,
        tables=head.tables,
        grid=thresholds,
        rules=tuple(
            counting.rule(rule, tuple(marks[rule.id]), measured.get(rule.id), tuple(samples.get(rule.id, ())))
            for rule in policy.rules
        ),
        slices=None if evaluation is None else whole_slices(evaluation),
    )


def marks_of(policy: Policy, *others: tuple[str, Mapping[str, float]]) -> dict[str, tuple[Mark, ...]]:
    """Rule id -> its threshold as ``current``, and where they differ from it those of others, by name.

    Args:
        policy: The policy.
        others: A name, and thresholds by rule id.
    """
    return {
        rule.id: (
            Mark("current", rule.threshold),
            *(Mark(name, own[rule.id]) for name, own in others if own.get(rule.id, rule.threshold) != rule.threshold),
        )
        for rule in policy.rules
    }


def grid(marks: Iterable[float]) -> tuple[float, ...]:
    """Thresholds to count at: every thousandth, finer towards 0 and 1, and the marks; ascending, from 0 to 1.

    Quotients of whole numbers are the same floating-point numbers as the decimals that people write.
    """
    thousandths = {i / 1000 for i in range(1001)}
    # Scores of well-trained classifiers gather at both ends.
    low = {i / parts for parts in (10_000, 100_000) for i in range(1, 100)}
    high = {1 - i / 10_000 for i in range(1, 100)}
    return tuple(sorted(thousandths | low | {round(value, 4) for value in high} | set(marks)))


def concerns(rule: Rule, records: Labelled) -> Bools:
    """True for the records that are a rule's business, [records]."""
    return records.travels(rule.direction)


def rule_scores(rule: Rule, records: Labelled) -> Floats:
    """A rule's score of every record, -inf where it has none or the record is none of its business; [records]."""
    return np.where(concerns(rule, records), records.scores[rule.category], -np.inf)


def rule_truth(rule: Rule, records: Labelled) -> NDArray[np.int8]:
    """As :meth:`Labelled.of_category`, -1 too for what is none of the rule's business; [records]."""
    return np.where(concerns(rule, records), records.of_category(rule.category), -1).astype(np.int8)


class _Counting:
    """Counts the records of one policy. Immutable once made."""

    def __init__(self, policy: Policy, records: Labelled, thresholds: Floats) -> None:
        self._records = records
        self._thresholds = thresholds
        self._truth = decision_truth(policy.rules, records)
        # How many rules ask for each action: without one of them, the others are a subtraction away.
        self._asking = {action: np.zeros(len(records), np.int16) for action in (Action.REWRITE, Action.BLOCK)}
        for rule in policy.rules:
            if acts(rule):
                self._asking[rule.action] += rule_scores(rule, records) >= rule.threshold

    def rule(
        self, rule: Rule, marks: tuple[Mark, ...], measured: RuleMeasures | None, samples: tuple[Sample, ...]
    ) -> RuleReport:
        truth, scores = rule_truth(rule, self._records), rule_scores(rule, self._records)
        return RuleReport(
            id=rule.id,
            category=rule.category,
            direction=direction_name(rule),
            action=rule.action.value,
            shadow=rule.shadow,
            marks=marks,
            positives=int(np.sum(truth == 1)),
            negatives=int(np.sum(truth == 0)),
            unknown=int(np.sum(concerns(rule, self._records) & (truth < 0))),
            counts=self._counts(rule, truth, scores),
            whole=self._whole(rule, scores) if acts(rule) else None,
            auprc=measured.ranking.auprc if measured else _NOTHING,
            calibration=measured.calibration if measured else Calibration(None, ()),
            slices=rule_slices(measured) if measured else None,
            samples=samples,
        )

    def _counts(self, rule: Rule, truth: NDArray[np.int8], scores: Floats) -> Counts:
        # The last threshold that a score reaches; -1 without a score.
        place = np.searchsorted(self._thresholds, scores, side="right") - 1
        alone = self._strongest_other(rule, scores) == 0
        return Counts(
            positives=self._by_score(place, truth == 1),
            negatives=self._by_score(place, truth == 0),
            unknown=self._by_score(place, truth < 0),
            decisive=self._by_score(place, self._strongest_other(rule, scores) < rule.action.strength),
            alone_positives=self._by_score(place, alone & (self._truth == 1)),
            alone_negatives=self._by_score(place, alone & (self._truth == 0)),
        )

    def _by_score(self, place: NDArray[np.intp], members: Bools) -> tuple[int, ...]:
        found = np.bincount(place[members & (place >= 0)], minlength=len(self._thresholds))
        return tuple(found.tolist())

    def _whole(self, rule: Rule, scores: Floats) -> Whole:
        stopped = self._strongest_other(rule, scores) > 0
        return Whole(
            positives=int(np.sum(self._truth == 1)),
            negatives=int(np.sum(self._truth == 0)),
            found=int(np.sum(stopped & (self._truth == 1))),
            alarms=int(np.sum(stopped & (self._truth == 0))),
        )

    def _strongest_other(self, rule: Rule, scores: Floats) -> NDArray[np.int8]:
        """Strength of the strongest action that another rule asks for, [records]."""
        out = np.zeros(len(self._records), np.int8)
        for action in (Action.REWRITE, Action.BLOCK):
            asking = self._asking[action]
            own = acts(rule) and rule.action is action
            out[(asking - (scores >= rule.threshold) if own else asking) > 0] = action.strength
        return out
