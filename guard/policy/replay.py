"""What a policy would have done on logged traffic: a pure function over records.

Every logged text is decided again from its scores and detections. What these cannot tell is never taken for "did not
fire": a rule on a category that the model of that time did not score, or that its recognizers did not know, is
undecidable where it did not fire, and so is what a second screening would make of a masked text. Terms leave a score
where they were looked for, named with the list's fingerprint: without it, a rule with terms that did not fire is
undecidable, and one with allow-terms that did.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from guard.policy.allow import is_evidence
from guard.policy.evaluate import Outcome, evaluate
from guard.policy.policy import Mode, Policy, Rule
from guard.policy.replayed import ActionCount, Change, ChangedDecision, Hour, Replay, RuleCount
from guard.policy.truth import is_known
from guard.records import Record
from guard.types import BUILT_IN_CATEGORIES, Action

#: What recognizers have looked for since the first release. A category that is added to them later is not to be added
#: here: older logs do not speak about it. Nor do they speak about what a policy's own recognizers look for.
RECOGNIZED = frozenset(
    {
        *("pii", "pii.email", "pii.phone", "pii.id_card", "pii.bank_card", "pii.iban", "pii.ip"),
        *("pii.address_cn", "pii.plate_cn", "pii.passport"),
        *("secret", "secret.private_key", "secret.jwt", "secret.cloud_key", "secret.api_key", "url"),
    }
)

_HOUR = "%Y-%m-%dT%H:00Z"
_SHOWN_NAMES = 5


def replay(policy: Policy, records: Iterable[Record], *, examples: int = 5) -> Replay:
    """Decide logged traffic by another policy.

    Args:
        policy: It decides.
        records: Records of one model, read once. Ones that could not be screened are decided by its ``on_error``, as
            they were then.
        examples: How many of each kind of change to name, >= 0.

    Raises:
        InternalError: A score is not a finite number.
    """
    count = _Count(policy, examples)
    for record in records:
        count.add(record)
    return count.result()


@dataclass(slots=True)
class _HourCount:
    records: int = 0
    stopped_logged: int = 0
    changed: int = 0
    actions: Counter[Action] = field(default_factory=Counter)
    #: What a decision waits for -> decisions.
    waiting: Counter[frozenset[str]] = field(default_factory=Counter)


@dataclass(slots=True)
class _RuleCount:
    logged: int = 0
    now: int = 0
    #: Categories that nothing looked for -> records.
    unseen: Counter[frozenset[str]] = field(default_factory=Counter)


#: What a decision waits for that no recognizer can bring: a second screening of its masked text.
_SECOND = "second screening"


class _Count:
    """Adds records up. Used once."""

    def __init__(self, policy: Policy, examples: int) -> None:
        self._policy = policy
        self._examples = examples
        self._model = ""
        self._by: Counter[str] = Counter()
        self._logged: Counter[Action] = Counter()
        self._changes: Counter[tuple[Action, Action]] = Counter()
        self._rules = {rule.id: _RuleCount() for rule in policy.rules}
        self._beyond = {rule.id: _beyond_recognizers(rule) for rule in policy.rules}
        self._hours: dict[str, _HourCount] = {}
        self._shown: dict[tuple[Action, Action], list[ChangedDecision]] = {}
        self._detected: set[str] = set()
        self._scored: set[str] = set()
        self._degraded = 0

    def add(self, record: Record) -> None:
        self._model = record.model
        self._by[record.policy] += 1
        self._logged[record.action] += 1
        # That a list of terms was looked for in one text says nothing about another: the records say it by a score.
        self._detected.update(found.category for found in record.detections if not is_evidence(found.category))
        self._scored.update(record.scores)
        for name in {rule.id for rule in record.rules}:
            if name in self._rules:
                self._rules[name].logged += 1
        outcome = self._decide(record)
        hour = self._hours.setdefault(record.time.strftime(_HOUR), _HourCount())
        hour.records += 1
        hour.stopped_logged += record.action is not Action.ALLOW
        waits = self._waits(record, outcome)
        if _second_screening(record, outcome):
            # Blocked then because of what the mask left over, most likely; whether again, only the text can tell.
            hour.actions[record.action] += 1
            hour.waiting[frozenset({_SECOND})] += 1
            return
        hour.actions[outcome.action] += 1
        if waits:
            hour.waiting[waits] += 1
        if outcome.action is not record.action:
            hour.changed += 1
            self._changes[record.action, outcome.action] += 1
            self._show(record, outcome)

    def result(self) -> Replay:
        seen = RECOGNIZED | self._detected
        hours = tuple(_hour(name, hour, seen) for name, hour in sorted(self._hours.items()))
        now = sum((hour.actions for hour in self._hours.values()), Counter[Action]())
        return Replay(
            policy=self._policy.identity,
            model=self._model,
            logged_policies=tuple(self._by.most_common()),
            records=sum(hour.records for hour in hours),
            changed=sum(hour.changed for hour in hours),
            undecidable=sum(hour.undecidable for hour in hours),
            actions=tuple(ActionCount(action, self._logged[action], now[action]) for action in Action),
            changes=tuple(Change(*kind, count) for kind, count in self._changes.most_common()),
            rules=tuple(self._rule(rule, seen) for rule in self._policy.rules),
            hours=hours,
            examples=tuple(example for shown in self._shown.values() for example in shown),
            notes=tuple(self._notes()),
        )

    def _decide(self, record: Record) -> Outcome:
        if record.degraded:
            self._degraded += 1
            return Outcome(self._policy.failure_action, (), ())
        outcome = evaluate(
            self._policy,
            record.direction,
            record.scores,
            record.detections,
            language=record.lang,
            tags=record.tags,
        )
        for fired in outcome.rules:
            self._rules[fired.id].now += 1
        return outcome

    def _waits(self, record: Record, outcome: Outcome) -> frozenset[str]:
        """What could make the decision another one, and what nothing looked for when the text was logged."""
        if record.degraded:
            return frozenset()
        fired = {rule.id for rule in outcome.rules}
        out: frozenset[str] = frozenset()
        for rule in self._policy.rules:
            if not rule.concerns(record.direction, record.lang, record.tags):
                continue
            if rule.id in fired:
                # It stands, or an allow-term lifts it.
                if rule.allow_category and rule.allow_category not in record.scores:
                    unseen = frozenset({rule.allow_category})
                    self._rules[rule.id].unseen[unseen] += 1
                    out |= unseen if rule in outcome.acting else frozenset()
                continue
            if unseen := self._beyond[rule.id].difference(record.scores):
                self._rules[rule.id].unseen[unseen] += 1
                silent = rule.shadow or self._policy.mode is Mode.SHADOW
                if not silent and rule.action.strength > outcome.action.strength:
                    out |= unseen
        return out

    def _show(self, record: Record, outcome: Outcome) -> None:
        shown = self._shown.setdefault((record.action, outcome.action), [])
        if len(shown) < self._examples:
            then = tuple(rule.id for rule in record.rules if not rule.shadow and rule.action is record.action)
            rules = tuple(rule.id for rule in outcome.acting) if outcome.action is not Action.ALLOW else then
            shown.append(
                ChangedDecision(record.id, _iso(record.time), record.action, outcome.action, rules, record.text)
            )

    def _rule(self, rule: Rule, seen: frozenset[str]) -> RuleCount:
        count = self._rules[rule.id]
        undecidable = sum(records for unseen, records in count.unseen.items() if not unseen <= seen)
        return RuleCount(rule.id, rule.action, rule.shadow, count.logged, count.now, undecidable)

    def _notes(self) -> Iterator[str]:
        if mismatch := self._policy.mismatch(self._model):
            yield mismatch
        if self._degraded:
            yield f"decided by on_error, now as then: {self._degraded} records that could not be screened"
        if strange := sorted(name for name in self._scored | self._detected if not is_known(name)):
            yield f"scores of {self._model} that no rule can name: {', '.join(strange[:_SHOWN_NAMES])}"
        seen = self._scored | self._detected
        blind = [rule.id for rule in self._policy.rules if not any(map(rule.matches, seen))]
        if blind:
            yield f"no record of {self._model} has a score or a detection for these rules: {', '.join(blind)}"


def _beyond_recognizers(rule: Rule) -> frozenset[str]:
    """What a rule looks at and only a score can tell, since no recognizer of every log looked for it."""
    named = {rule.category, rule.term_category} - {""}
    return frozenset({category for category in BUILT_IN_CATEGORIES if rule.matches(category)} | named) - RECOGNIZED


def _second_screening(record: Record, outcome: Outcome) -> bool:
    return record.action is Action.BLOCK and outcome.action is Action.REWRITE and not outcome.answers


def _hour(name: str, hour: _HourCount, seen: frozenset[str]) -> Hour:
    return Hour(
        hour=name,
        records=hour.records,
        stopped_logged=hour.stopped_logged,
        rewrite=hour.actions[Action.REWRITE],
        block=hour.actions[Action.BLOCK],
        changed=hour.changed,
        undecidable=sum(records for waiting, records in hour.waiting.items() if not waiting <= seen),
    )


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")
