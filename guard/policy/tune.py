"""Thresholds for a policy, chosen on labelled records: a pure function.

They are fitted on one part of the records and reported on the other. The goal is asked of the whole policy, in each
direction of its own: a text that several rules stop is one false alarm, or one that is found. Among thresholds that
are equally good for the policy every rule is put where it fires on most of what is its own. A threshold that serves
the goal as it is stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from guard.policy.decimals import between
from guard.policy.eval import acts, decision_truth, direction_name, policy_notes, stops
from guard.policy.fit import Evidence, fit
from guard.policy.goal import Aim, Goal
from guard.policy.labelled import Bools, Floats, Labelled
from guard.policy.ladder import Ladder, ladders, upper_rung
from guard.policy.measures import Measures, measure
from guard.policy.policy import Policy, Rule
from guard.policy.split import held_out, parts_by_language
from guard.policy.tuning import Change, DirectionTuning, RuleTuning, TunedPart, Tuning
from guard.types import Direction

#: Fewer labelled records of a kind choose a threshold by accident.
MIN_RECORDS = 20
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Options:
    """How thresholds are chosen, beside the goal.

    Attributes:
        holdout: Share of the records to report on and not to choose on, 0 up to 1.
        by_language: Choose thresholds for each language of its own.
        per_rule: Ask the goal of every rule against its own truth, not of the whole policy.
        min_records: Records in its category, and not in it, that a rule needs to be tuned; >= 1.
    """

    holdout: float = 0.3
    by_language: bool = False
    per_rule: bool = False
    min_records: int = MIN_RECORDS


def tune(policy: Policy, records: Labelled, goal: Goal, options: Options | None = None) -> Tuning:
    """Choose thresholds.

    Args:
        policy: Its rules' categories were asked for when the records were read.
        records: Labelled records of one model.
        goal: What the thresholds are for.
        options: How they are chosen.

    Returns:
        The thresholds, and what they do. A bound that cannot be met gives those that come nearest.
    """
    options = options or Options()
    held = held_out(records, options.holdout)
    parts = []
    for language, members in parts_by_language(records, options.by_language):
        fitted, reported = members & ~held, members & (held if options.holdout else ~held)
        parts.append(_Fitting(policy, records, goal, options, fitted, reported).result(language))
    return Tuning(
        policy=policy.identity,
        model=records.model,
        goal=goal,
        per_rule=options.per_rule,
        holdout=options.holdout,
        parts=tuple(parts),
        notes=(*records.notes, *policy_notes(policy, records)),
    )


@dataclass(slots=True)
class _Fitting:
    """Chooses the thresholds of one part. Used once."""

    policy: Policy
    records: Labelled
    goal: Goal
    options: Options
    fitted: Bools
    reported: Bools
    new: dict[str, float] = field(default_factory=dict)
    left_alone: dict[str, str] = field(default_factory=dict)
    truths: dict[str, NDArray[np.int8]] = field(default_factory=dict)
    decision: NDArray[np.int8] = field(default_factory=lambda: np.empty(0, np.int8))

    def result(self, language: str | None) -> TunedPart:
        self.new = {rule.id: rule.threshold for rule in self.policy.rules}
        self.truths = {rule.category: self.records.of_category(rule.category) for rule in self.policy.rules}
        self.decision = decision_truth(self.policy.rules, self.records)
        tuned = [ladder for ladder in ladders(self.policy.rules) if self._tunable(ladder)]
        for together in self._problems(tuned):
            self._choose(together)
        for ladder in tuned:
            self._raise_rungs(ladder)
        return TunedPart(
            language=language,
            fitted=int(np.sum(self.fitted)),
            held_out=int(np.sum(self.reported)) if self.options.holdout else 0,
            directions=tuple(self._directions(tuned)),
            rules=tuple(self._rule(rule) for rule in self.policy.rules),
        )

    # What is tuned.

    def _tunable(self, ladder: Ladder) -> bool:
        why = self._why_not(ladder.base)
        for rung in ladder.rungs:
            if why:
                self.left_alone[rung.id] = why
        return not why

    def _why_not(self, rule: Rule) -> str:
        if not self.options.per_rule and not acts(rule):
            what = "in shadow" if rule.shadow else "reports only"
            return f"{what}: it stops nothing (--per-rule tunes it)"
        if rule.category == rule.term_category:
            return "decided by its terms, so it has no threshold"
        here = self.fitted & self.records.concerns(rule)
        if not np.any(np.isfinite(self.records.scores_of(rule)[here])):
            return "no record has a score or a detection for it"
        positives, negatives = self._counts(rule)
        least = self.options.min_records
        if min(positives, negatives) < least:
            return f"too few labelled records: {positives} in its category, {negatives} not ({least} of each needed)"
        compliant = int(np.sum(here & (self.decision == 0)))
        if not self.options.per_rule and compliant < least:
            return f"too few compliant records: {compliant} ({least} needed)"
        return ""

    def _counts(self, rule: Rule) -> tuple[int, int]:
        truth = self.truths[rule.category][self.fitted & self.records.concerns(rule)]
        return int(np.sum(truth == 1)), int(np.sum(truth == 0))

    def _problems(self, tuned: Sequence[Ladder]) -> Iterator[list[Ladder]]:
        """Ladders whose thresholds have to be chosen together."""
        if self.options.per_rule:
            yield from ([ladder] for ladder in tuned)
        elif any(ladder.base.direction is None for ladder in tuned):
            yield list(tuned)
        else:
            for direction in Direction:
                if together := [ladder for ladder in tuned if ladder.base.direction is direction]:
                    yield together

    # Choosing.

    def _choose(self, together: Sequence[Ladder]) -> None:
        """Choose the lowest rungs of some ladders."""
        bases = [ladder.base for ladder in together]
        members = np.flatnonzero(self._business(bases))
        evidence = Evidence(
            scores=tuple(self._scores(rule, members) for rule in bases),
            positive=self._truth(bases)[members] == 1,
            stopped=self._stopped_otherwise(bases)[members],
            group=self.records.outputs[members].astype(np.int8),
        )
        found = fit(evidence, self.goal, [rule.threshold for rule in bases])
        self._settle(bases, evidence, members, list(found))

    def _business(self, bases: Sequence[Rule]) -> Bools:
        """Fitted records that speak about the goal of these rules."""
        concerned = np.any([self._asked(rule) for rule in bases], axis=0)
        business: Bools = self.fitted & concerned & (self._truth(bases) >= 0)
        return business

    def _asked(self, rule: Rule) -> Bools:
        """Where the goal is asked of a rule: of one alone on its own records, of the policy on all of a direction."""
        return self.records.concerns(rule) if self.options.per_rule else self.records.travels(rule.direction)

    def _truth(self, bases: Sequence[Rule]) -> NDArray[np.int8]:
        if self.options.per_rule:
            return self.truths[bases[0].category]
        return self.decision

    def _scores(self, rule: Rule, members: NDArray[np.intp]) -> Floats:
        return np.where(self.records.concerns(rule), self.records.scores_of(rule), -np.inf)[members]

    def _stopped_otherwise(self, bases: Sequence[Rule]) -> Bools:
        """What rules that are left alone stop; the upper rungs of a ladder stop nothing that its lowest does not."""
        if self.options.per_rule:
            return np.zeros(len(self.records), bool)
        return stops([rule for rule in self.policy.rules if rule.id in self.left_alone], self.records)

    def _settle(
        self, bases: Sequence[Rule], evidence: Evidence, members: NDArray[np.intp], lowest: list[float]
    ) -> None:
        """From the lowest score on which each rule has to fire to its threshold, at no false alarm more."""
        for index, rule in enumerate(bases):
            scores = evidence.scores[index]
            others = evidence.stopped.copy()
            for other, column in enumerate(evidence.scores):
                if other != index:
                    others |= column >= min(lowest[other], 1.0)
            high = min(lowest[index], 1.0)
            spared = scores[~evidence.positive & ~others & (scores < high)]
            low = float(spared.max(initial=-np.inf))
            own = scores[(self.truths[rule.category][members] == 1) & (scores > low) & (scores < high)]
            high = float(own.min(initial=high))
            lowest[index] = rule.threshold if low < rule.threshold <= high else between(low, high)
            self.new[rule.id] = lowest[index]

    def _raise_rungs(self, ladder: Ladder) -> None:
        base = ladder.base
        scores = self.records.scores_of(base)[self.fitted & self.records.concerns(base)]
        for rung in ladder.rungs[1:]:
            self.new[rung.id] = upper_rung(scores, base.threshold, self.new[base.id], rung.threshold)

    # Reporting.

    def _rule(self, rule: Rule) -> RuleTuning:
        positives, negatives = self._counts(rule)
        return RuleTuning(
            id=rule.id,
            category=rule.category,
            direction=direction_name(rule),
            action=rule.action,
            shadow=rule.shadow,
            old=rule.threshold,
            new=self.new[rule.id],
            left_alone=self.left_alone.get(rule.id, ""),
            positives=positives,
            negatives=negatives,
            held_out=self._rule_change(rule, self.reported),
        )

    def _rule_change(self, rule: Rule, members: Bools) -> Change:
        here = members & self.records.concerns(rule)
        truth, scores = self.truths[rule.category][here], self.records.scores_of(rule)[here]
        return Change(measure(truth, scores >= rule.threshold), measure(truth, scores >= self.new[rule.id]))

    def _directions(self, tuned: Sequence[Ladder]) -> Iterator[DirectionTuning]:
        truth = self.decision
        now = [replace(rule, threshold=self.new[rule.id]) for rule in self.policy.rules]
        before, after = stops(self.policy.rules, self.records), stops(now, self.records)
        for direction in Direction:
            travels = self.records.travels(direction)
            here = [ladder.base for ladder in tuned if ladder.base.applies_to(direction)]
            if not np.any(travels & (self.fitted | self.reported)):
                continue
            fitted, held = (
                Change(measure(truth[m], before[m]), measure(truth[m], after[m]))
                for m in (travels & self.fitted, travels & self.reported)
            )
            yield DirectionTuning(
                direction=direction.value,
                tuned=bool(here),
                met=self._met(here, fitted.after, direction),
                fitted=fitted,
                held_out=held,
            )

    def _met(self, bases: Sequence[Rule], whole: Measures, direction: Direction) -> bool:
        if not self.options.per_rule:
            return not bases or reaches(self.goal, whole)
        members = self.fitted & self.records.travels(direction)
        return all(reaches(self.goal, self._rule_change(rule, members).after) for rule in bases)


def reaches(goal: Goal, measures: Measures) -> bool:
    """True if a bound holds; a cost has none."""
    if goal.aim is Aim.MAX_FPR:
        return measures.false_alarms <= goal.bound * measures.negatives + _ROUNDING
    if goal.aim is Aim.MIN_RECALL:
        return measures.found >= goal.bound * measures.positives - _ROUNDING
    return True
