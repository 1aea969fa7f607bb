"""What changes when a policy, or the model behind it, is replaced: a pure function over records.

Both sides decide every record again from its scores and detections, so neither a text nor a model is needed.
What a second screening of a masked text would say cannot be known without it: a masked text counts as rewritten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from guard.policy.allow import unlooked, unlooked_note
from guard.policy.comparison import Diff, Effect, Flip, RuleChange, Side, Slice, Tally
from guard.policy.decided import Decided, TopExamples
from guard.policy.evaluate import Outcome, evaluate
from guard.policy.mcnemar import mcnemar
from guard.policy.pairs import Pair
from guard.policy.policy import Policy
from guard.policy.truth import Truth, is_known
from guard.records import LABELS, Record
from guard.types import Action

_COMPLIANT, _NONCOMPLIANT = LABELS


def diff(old: Policy, new: Policy, pairs: Iterable[Pair], *, examples: int = 5) -> Diff:
    """Compare what two sides decide about the same texts.

    Args:
        old: The policy that decides the old record of each pair.
        new: The policy that decides the new one.
        pairs: Records of one model a side; read once.
        examples: How many of each kind of flip to name, >= 0.

    Returns:
        The comparison. A record that could not be screened is left out: nothing but ``on_error`` decided it.

    Raises:
        InternalError: A score is not a finite number.
    """
    count = _Count(old, new, examples)
    for pair in pairs:
        count.add(pair)
    return count.result()


@dataclass(slots=True)
class _Counter:
    """A tally in the making."""

    records: int = 0
    stopped_old: int = 0
    stopped_new: int = 0
    stricter: int = 0
    looser: int = 0
    labelled: int = 0
    gains: int = 0
    losses: int = 0

    def add(self, decided: Decided) -> None:
        self.records += 1
        self.labelled += decided.label is not None
        self.stopped_old += decided.old.action is not Action.ALLOW
        self.stopped_new += decided.new.action is not Action.ALLOW
        self.stricter += decided.stricter
        self.looser += decided.looser
        self.gains += decided.effect is Effect.GAIN
        self.losses += decided.effect is Effect.LOSS

    def tally(self) -> Tally:
        return Tally(
            self.records,
            self.stopped_old,
            self.stopped_new,
            self.stricter,
            self.looser,
            self.labelled,
            self.gains,
            self.losses,
            mcnemar(self.gains, self.losses),
        )


class _Seen:
    """What one side is made of, as its records show it."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.model = ""
        self.categories: set[str] = set()
        self.fired = dict.fromkeys((rule.id for rule in policy.rules), 0)
        self.unlooked: Counter[str] = Counter()
        self._with_terms = [rule for rule in policy.rules if rule.term_category or rule.allow_terms]

    def decide(self, record: Record) -> Outcome:
        self.model = record.model
        self.categories.update(record.scores, (found.category for found in record.detections))
        self.unlooked.update(unlooked(self._with_terms, {*record.scores, *(d.category for d in record.detections)}))
        outcome = evaluate(
            self.policy,
            record.direction,
            record.scores,
            record.detections,
            language=record.lang,
            tags=record.tags,
        )
        for rule in outcome.rules:
            self.fired[rule.id] += 1
        return outcome

    def notes(self) -> Iterator[str]:
        if not self.model:
            return
        if mismatch := self.policy.mismatch(self.model):
            yield mismatch
        for rule, records in self.unlooked.items():
            yield unlooked_note(self.policy, rule, records)
        unknown = sorted(name for name in self.categories if not is_known(name))
        if unknown:
            yield f"scores of {self.model} that no rule can name: {', '.join(unknown)}"
        blind = [rule.id for rule in self.policy.rules if not any(map(rule.matches, self.categories))]
        if blind:
            yield f"no record of {self.model} has a score or a detection for these rules: {', '.join(blind)}"


@dataclass(slots=True)
class _Left:
    """Records that are not judged, or not in full, by reason."""

    degraded: int = 0
    in_part: int = 0
    contradicting: int = 0

    def notes(self) -> Iterator[str]:
        if self.degraded:
            yield f"left out: {self.degraded} records that could not be screened (screen their texts again)"
        if self.in_part:
            yield (
                f"counted as unlabelled: {self.in_part} compliant records whose label speaks about some categories "
                "only (`about`), and so not about a whole decision"
            )
        if self.contradicting:
            yield f"counted as unlabelled: {self.contradicting} records whose label differs between the two files"


class _Count:
    """Adds pairs up. Used once."""

    def __init__(self, old: Policy, new: Policy, examples: int) -> None:
        self._old, self._new = _Seen(old), _Seen(new)
        self._total = _Counter()
        self._labels = {_COMPLIANT: _Counter(), _NONCOMPLIANT: _Counter()}
        self._flips: dict[tuple[Action, Action, str | None], int] = {}
        self._rules: dict[str, _Counter] = {}
        self._slices: dict[tuple[str, str], _Counter] = {}
        self._top = TopExamples(examples)
        self._left = _Left()

    def add(self, pair: Pair) -> None:
        if pair.old.degraded or pair.new.degraded:
            self._left.degraded += 1
            return
        decided = Decided(pair, self._old.decide(pair.old), self._new.decide(pair.new), self._label(pair))
        self._total.add(decided)
        if decided.label is not None:
            self._labels[decided.label].add(decided)
        for place in _slices_of(pair.new):
            self._slices.setdefault(place, _Counter()).add(decided)
        if not (decided.stricter or decided.looser):
            return
        kind = (decided.old.action, decided.new.action, decided.label)
        self._flips[kind] = self._flips.get(kind, 0) + 1
        for rule in decided.stronger.acting:
            self._rules.setdefault(rule.id, _Counter()).add(decided)
        self._top.add(decided)

    def result(self) -> Diff:
        notes = (*self._left.notes(), *self._old.notes(), *self._new.notes())
        return Diff(
            old=Side(self._old.policy.identity, self._old.model),
            new=Side(self._new.policy.identity, self._new.model),
            total=self._total.tally(),
            compliant=self._labels[_COMPLIANT].tally(),
            noncompliant=self._labels[_NONCOMPLIANT].tally(),
            flips=tuple(self._flip_counts()),
            rules=tuple(self._rule_changes()),
            slices=tuple(self._sorted_slices()),
            examples=tuple(self._top.examples()),
            notes=tuple(dict.fromkeys(notes)),
        )

    def _label(self, pair: Pair) -> str | None:
        """The truth about the whole decision, where the records know it."""
        labelled = [record for record in (pair.old, pair.new) if record.label is not None]
        if len({record.label for record in labelled}) > 1:
            self._left.contradicting += 1
            return None
        known = [record.label for record in labelled if _judges_all(record)]
        self._left.in_part += bool(labelled) and not known
        return known[0] if known else None

    def _flip_counts(self) -> list[Flip]:
        out = []
        for old, new in dict.fromkeys((old, new) for old, new, _ in self._flips):
            by_label = {label: self._flips.get((old, new, label), 0) for label in (_COMPLIANT, _NONCOMPLIANT, None)}
            out.append(Flip(old, new, sum(by_label.values()), by_label[_COMPLIANT], by_label[_NONCOMPLIANT]))
        return sorted(out, key=lambda flip: (-flip.records, flip.old.strength, flip.new.strength))

    def _rule_changes(self) -> list[RuleChange]:
        out = []
        for rule_id in dict.fromkeys((*self._old.fired, *self._new.fired)):
            old, new = self._old.fired.get(rule_id), self._new.fired.get(rule_id)
            if old or new:
                flips = self._rules.get(rule_id, _Counter())
                out.append(RuleChange(rule_id, old, new, flips.stricter, flips.looser, flips.gains, flips.losses))
        return sorted(out, key=lambda rule: -(rule.stricter + rule.looser))

    def _sorted_slices(self) -> list[Slice]:
        made = [Slice(key, value, counter.tally()) for (key, value), counter in self._slices.items()]
        order = {"direction": 0, "language": 1}
        return sorted(made, key=lambda s: (order.get(s.key, 2), s.key, -(s.tally.stricter + s.tally.looser), s.value))


def _judges_all(record: Record) -> bool:
    """True if the label judges a whole decision: "no hate in it" does not make a text compliant."""
    return Truth(record.label, about=record.about).of_decision() is not None


def _slices_of(record: Record) -> Iterator[tuple[str, str]]:
    yield "direction", record.direction.value
    yield "language", record.lang
    for name, value in record.tags.items():
        yield f"tags.{name}", value
