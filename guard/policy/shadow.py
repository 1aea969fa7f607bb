"""What shadow rules and shadow policies would have done: a pure function over the decisions that were logged.

Every decision carries the rules that fired and did not act, so the log alone says what each of them, acting, would
have made of the traffic; nothing is decided again. A masked text counts as rewritten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heappush, heappushpop

from guard.policy.policy import Mode, Policy
from guard.policy.truth import Truth
from guard.records import Record
from guard.types import Action, FiredRule


@dataclass(frozen=True, slots=True)
class ShadowAction:
    """How often an action was taken, and how often with every shadow rule acting."""

    action: Action
    logged: int
    then: int


@dataclass(frozen=True, slots=True)
class ShadowRule:
    """One rule in shadow.

    Attributes:
        id: The rule's.
        action: What it asks for.
        fired: Decisions in which it fired.
        changes: Of these, the ones that would have been stronger had it acted.
        compliant: Of these, the ones whose label says that nothing is wrong with the text.
        noncompliant: The ones whose label says that something is.
    """

    id: str
    action: Action
    fired: int
    changes: int
    compliant: int
    noncompliant: int


@dataclass(frozen=True, slots=True)
class ShadowExample:
    """A decision that a shadow rule would have changed.

    Attributes:
        id: The record's.
        time: When it was decided, in ISO 8601.
        rule: The rule.
        logged: What was decided.
        then: What would have been.
        score: The rule's, 0..1.
        threshold: The rule's, 0..1.
        label: The record's.
        text: The text, if the log has it.
    """

    id: str
    time: str
    rule: str
    logged: Action
    then: Action
    score: float
    threshold: float
    label: str | None
    text: str | None


@dataclass(frozen=True, slots=True)
class PolicyShadow:
    """The decisions of one policy revision.

    Attributes:
        policy: ``name@revision``.
        records: Decisions.
        changes: Decisions that would have been stronger with every shadow rule acting.
        actions: By action.
        rules: Shadow rules, those that change most first; with the policy given, also those that never fired.
        examples: Of each rule those nearest to its threshold.
    """

    policy: str
    records: int
    changes: int
    actions: tuple[ShadowAction, ...]
    rules: tuple[ShadowRule, ...]
    examples: tuple[ShadowExample, ...]


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """What was kept from happening.

    Attributes:
        model: ``name@revision`` of the scores.
        records: Decisions.
        policies: Each revision that decided, the one with the most decisions first.
        notes: What was left out or may mislead, one line each.
    """

    model: str
    records: int
    policies: tuple[PolicyShadow, ...]
    notes: tuple[str, ...]


def shadow_report(records: Iterable[Record], policy: Policy | None = None, *, examples: int = 5) -> ShadowReport:
    """Count what shadow rules would have done.

    Args:
        records: Records of one model, read once.
        policy: A policy whose shadow rules are named even if they never fired; its decisions must be in the log.
        examples: How many decisions to name a rule, >= 0.
    """
    counts: dict[str, _PolicyCount] = {}
    model, degraded = "", 0
    for record in records:
        model = record.model
        degraded += record.degraded
        counts.setdefault(record.policy, _PolicyCount(examples)).add(record)
    if policy is not None and policy.identity in counts:
        counts[policy.identity].know(policy)
    ranked = sorted(counts.items(), key=lambda item: -item[1].records)
    return ShadowReport(
        model=model,
        records=sum(count.records for count in counts.values()),
        policies=tuple(count.result(name) for name, count in ranked),
        notes=tuple(_notes(policy, counts, degraded)),
    )


def _notes(policy: Policy | None, counts: dict[str, _PolicyCount], degraded: int) -> Iterator[str]:
    if degraded:
        yield f"no rule was asked about {degraded} texts that could not be screened"
    if policy is not None and policy.identity not in counts:
        cure = "decide the log by it with guard policy replay"
        yield f"no decision of {policy.identity} is in the log, which has those of {', '.join(counts)} ({cure})"
    if not any(count.rules for count in counts.values()):
        yield "no rule has fired in shadow"


@dataclass(slots=True)
class _RuleCount:
    action: Action
    fired: int = 0
    changes: int = 0
    told: Counter[bool] = field(default_factory=Counter)
    #: The nearest so far, the farthest on top.
    nearest: list[tuple[float, int, ShadowExample]] = field(default_factory=list)


class _PolicyCount:
    """Adds the records of one policy up. Used once."""

    def __init__(self, examples: int) -> None:
        self.records = 0
        self.rules: dict[str, _RuleCount] = {}
        self._examples = examples
        self._changes = 0
        self._logged: Counter[Action] = Counter()
        self._then: Counter[Action] = Counter()

    def know(self, policy: Policy) -> None:
        """Count shadow rules that never fired."""
        for rule in policy.rules:
            if rule.shadow or policy.mode is Mode.SHADOW:
                self.rules.setdefault(rule.id, _RuleCount(rule.action))

    def add(self, record: Record) -> None:
        self.records += 1
        self._logged[record.action] += 1
        silent = [rule for rule in record.rules if rule.shadow]
        then = max((record.action, *(rule.action for rule in silent)), key=lambda action: action.strength)
        self._then[then] += 1
        self._changes += then is not record.action
        for rule in silent:
            self._add(record, rule)

    def _add(self, record: Record, rule: FiredRule) -> None:
        count = self.rules.setdefault(rule.id, _RuleCount(rule.action))
        count.fired += 1
        if rule.action.strength <= record.action.strength:
            return
        count.changes += 1
        truth = Truth(record.label, record.categories, record.about).of_decision()
        if truth is not None:
            count.told[truth] += 1
        if not self._examples:
            return
        # Among equals the earlier record stays.
        ranked = (rule.threshold - rule.score, -count.changes, _example(record, rule))
        put = heappush if len(count.nearest) < self._examples else heappushpop
        put(count.nearest, ranked)

    def result(self, name: str) -> PolicyShadow:
        ranked = sorted(self.rules.items(), key=lambda item: (-item[1].changes, -item[1].fired, item[0]))
        return PolicyShadow(
            policy=name,
            records=self.records,
            changes=self._changes,
            actions=tuple(ShadowAction(action, self._logged[action], self._then[action]) for action in Action),
            rules=tuple(
                ShadowRule(rule, c.action, c.fired, c.changes, compliant=c.told[False], noncompliant=c.told[True])
                for rule, c in ranked
            ),
            examples=tuple(example for _, count in ranked for *_, example in sorted(count.nearest, reverse=True)),
        )


def _example(record: Record, rule: FiredRule) -> ShadowExample:
    return ShadowExample(
        id=record.id,
        time=record.time.isoformat(timespec="seconds").replace("+00:00", "Z"),
        rule=rule.id,
        logged=record.action,
        then=rule.action,
        score=rule.score,
        threshold=rule.threshold,
        label=record.label,
        text=record.text,
    )
