"""How well a policy decides labelled records, rule by rule and slice by slice: a pure function over records.

A rule is measured against its own truth (:mod:`guard.policy.truth`), shadow rules too, as if they acted: that is
what one wants to know before they do. The whole policy is measured against the label: a noncompliant text that is a
rule's business should not be allowed, one that is compliant in every way should. A policy in mode shadow is measured
as if it enforced.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guard.policy.allow import unlooked_note
from guard.policy.labelled import MOST_VALUES, UNSCORED, Bools, Floats, Labelled
from guard.policy.measures import Calibration, Measures, Ranking, calibrate, measure, rank
from guard.policy.policy import Mode, Policy, Rule
from guard.types import Action, Direction


@dataclass(frozen=True, slots=True)
class DecisionSlice:
    """What a policy decides about the records that share a property.

    Attributes:
        key: ``direction``, ``language``, ``length`` or ``tags.NAME``.
        value: The property's.
        measures: "Not allowed" against the label.
    """

    key: str
    value: str
    measures: Measures


@dataclass(frozen=True, slots=True)
class RuleSlice:
    """As :class:`DecisionSlice`, for one rule against its own truth; with what its score could do elsewhere."""

    key: str
    value: str
    measures: Measures
    ranking: Ranking


@dataclass(frozen=True, slots=True)
class RuleMeasures:
    """One rule on the records of its direction.

    Attributes:
        id: The rule's.
        category: What it looks at.
        direction: ``prompt``, ``output`` or ``both``.
        action: What it asks for.
        threshold: Where it fires.
        shadow: True if it does not act.
        unknown: Records of its direction whose labels say nothing about its category; all others count.
        measures: "It fires" against its truth.
        ranking: What its score could do at any threshold.
        calibration: Whether its score is a probability.
        slices: The same in parts.
    """

    id: str
    category: str
    direction: str
    action: Action
    threshold: float
    shadow: bool
    unknown: int
    measures: Measures
    ranking: Ranking
    calibration: Calibration
    slices: tuple[RuleSlice, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A measured policy.

    Attributes:
        policy: ``name@revision``.
        model: ``name@revision`` of the scores.
        records: Labelled records.
        decision: The whole policy: "not allowed" against the label.
        slices: The same in parts.
        rules: In the file's order.
        notes: What was left out or may mislead, one line each.
    """

    policy: str
    model: str
    records: int
    decision: Measures
    slices: tuple[DecisionSlice, ...]
    rules: tuple[RuleMeasures, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Records that share a property; [records] booleans."""

    key: str
    value: str
    members: Bools


def evaluate_policy(policy: Policy, records: Labelled) -> Evaluation:
    """Measure a policy.

    Args:
        policy: Its rules' categories were asked for when the records were read.
        records: Labelled records of one model.
    """
    truth = decision_truth(policy.rules, records)
    stopped = stops(policy.rules, records)
    parts = list(parts_of(records))
    return Evaluation(
        policy=policy.identity,
        model=records.model,
        records=len(records),
        decision=measure(truth, stopped),
        slices=tuple(DecisionSlice(p.key, p.value, measure(truth[p.members], stopped[p.members])) for p in parts),
        rules=tuple(_measure_rule(rule, records, parts) for rule in policy.rules),
        notes=(*records.notes, *policy_notes(policy, records)),
    )


def direction_name(rule: Rule) -> str:
    """``prompt``, ``output`` or ``both``, as policy files have it."""
    return "both" if rule.direction is None else rule.direction.value


def acts(rule: Rule) -> bool:
    """True if a text on which the rule fires is not allowed; the policy's mode does not matter."""
    return not rule.shadow and rule.action is not Action.ALLOW


def stops(rules: Sequence[Rule], records: Labelled) -> Bools:
    """Where a text is not allowed, [records]."""
    out = np.zeros(len(records), bool)
    for rule in rules:
        if acts(rule):
            out |= records.concerns(rule) & (records.scores_of(rule) >= rule.threshold)
    return out


def decision_truth(rules: Sequence[Rule], records: Labelled) -> NDArray[np.int8]:
    """What a policy should do: 1 where a text should not be allowed, 0 where it should, -1 where that is unknown.

    Only labels that speak about every category judge a whole decision. Those of a corpus about hate would else make a
    threshold on violence look good that stops hate: its harmful texts would count and its harmless ones would not.
    A noncompliant text is a policy's business if it is that of a rule that acts: a policy about personal data need not
    find hate. [records].
    """
    label, business = records.of_decision(), np.zeros(len(records), bool)
    for rule in rules:
        if acts(rule):
            business |= records.concerns(rule) & (records.of_category(rule.category) == 1)
    known = records.whole() & ((label == 0) | business)
    return np.where(known, (label != 0).astype(np.int8), np.int8(-1))


def parts_of(records: Labelled) -> Iterator[Part]:
    """The slices of the records: by direction, language, length and every tag; empty ones are left out."""
    for direction in Direction:
        members = records.travels(direction)
        if members.any():
            yield Part("direction", direction.value, members)
    for facet in records.facets:
        if len(facet.values) > MOST_VALUES:
            continue
        for code, value in enumerate(facet.values):
            members = facet.codes == code
            if members.any():
                yield Part(facet.key, value, members)


def policy_notes(policy: Policy, records: Labelled) -> Iterator[str]:
    """What may mislead whoever measures a policy on records: another model, a mode, rules without scores."""
    if mismatch := policy.mismatch(records.model):
        yield mismatch
    if policy.mode is Mode.SHADOW:
        yield "the policy is in shadow: it is measured as if it enforced"
    in_part = int(np.sum(~records.whole()))
    if in_part:
        yield (
            f"counted for single rules only: {in_part} records whose label speaks about some categories (`about`), "
            "and so not about a whole decision"
        )
    for rule in policy.rules:
        if rule.term_category and (missing := int(np.sum(records.scores[rule.term_category] == UNSCORED))):
            yield unlooked_note(policy, rule.id, missing)
    blind = [rule.id for rule in policy.rules if not np.any(records.scores_of(rule) > UNSCORED)]
    if blind:
        yield f"no record of {records.model} has a score or a detection for these rules: {', '.join(blind)}"


def _measure_rule(rule: Rule, records: Labelled, parts: Sequence[Part]) -> RuleMeasures:
    travels = records.concerns(rule)
    # What goes the other way, or is not meant, is none of the rule's business: as unknown as what nobody labelled.
    truth: NDArray[np.int8] = np.where(travels, records.of_category(rule.category), -1).astype(np.int8)
    scores: Floats = records.scores_of(rule)
    fired = scores >= rule.threshold
    slices = (
        RuleSlice(
            p.key, p.value, measure(truth[p.members], fired[p.members]), rank(truth[p.members], scores[p.members])
        )
        for p in parts
        if np.any(truth[p.members] >= 0)
    )
    return RuleMeasures(
        id=rule.id,
        category=rule.category,
        direction=direction_name(rule),
        action=rule.action,
        threshold=rule.threshold,
        shadow=rule.shadow,
        unknown=int(np.sum(travels & (truth < 0))),
        measures=measure(truth, fired),
        ranking=rank(truth, scores),
        calibration=calibrate(truth, scores),
        slices=tuple(slices),
    )
