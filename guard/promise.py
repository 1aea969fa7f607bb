"""From a text that a policy wants rewritten to one that it allows, or to a block. Pure: no model, no clock.

**The promise**: what was rewritten is screened again, by the same policy, and passes only if that allows it. What still
fires is rewritten by the next harder operator (partial or replace, then mask, then drop_sentence) and at last blocked.
It ends: a text is screened at most :data:`MOST_ROUNDS` times more, in at most :data:`MOST_TRIALS` versions each time,
and once more if a language model was asked to rewrite it.

**Places.** A recognizer says where it found something. The classifier scores a text, and every token of it from the
same run of the model: sentences are ranked by their tokens, and taken out from the top. How many have to go the policy
decides and not the ranking: several versions are screened together, the one that keeps the most passes, and what is
left to find is looked for once more in the text without them. The score of a text with several such sentences falls
below a threshold when some of them go, so those that rank high are screened alone as well, and no version passes that
keeps one which is minded alone. At least half of a text stays, or it is blocked: what is left of less is no answer.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from guard.classifier.classifier import Scored
from guard.content import is_blank
from guard.normalize import Normalized, normalize
from guard.placeholders import Numbers
from guard.policy.evaluate import Outcome
from guard.policy.policy import Rule
from guard.recognizers import detect
from guard.recognizers.custom import Custom
from guard.rewrite import HARDER, Edit, Rewritten, harder_of, rewrite
from guard.sentences import sentences
from guard.types import Action, Operator, Rewrite, Span, Turn

#: Screenings of one text after the first, each of several versions at once.
MOST_ROUNDS = 4
#: Times that sentences are chosen by their tokens.
MOST_PASSES = 2

# Which of the ranked sentences go, version by version. The first alone is mostly right; where it is not, it mostly is
# the second.
_TRIALS = ((0,), (1,), (0, 1), (0, 1, 2), (0, 1, 2, 3))
# The ranked sentences that are screened alone.
_MOST_SUSPECTS = 5
#: What is screened at once: those, the chosen ones covered harder, the next one instead of them, and sentences alone.
MOST_TRIALS = len(_TRIALS) + 2 + _MOST_SUSPECTS
# A text of more characters is screened in one version at a time: each costs as much as the text did.
_LONG = 1 << 14
# A sentence with less than this share of the worst one's score is not tried at first.
_PLAUSIBLE = 0.5

# Least share of a text's characters that stays where sentences are dropped.
_LEAST_KEPT = 0.5

# A sentence is as bad as its worst tokens; one token alone may be an accident.
_WORST = 3


def numbers_of(context: Sequence[Turn], recognizers: Sequence[Custom] = ()) -> Numbers:
    """The names that the values of a conversation so far have, in their order.

    Args:
        context: What came before, oldest first.
        recognizers: The policy's own, beside the built-in ones.
    """
    numbers = Numbers(turn.text for turn in context)
    for turn in (normalize(turn.text) for turn in context):
        for found in detect(turn, recognizers):
            # Recognizers answer in code points of what they were given, which is the same for normalised text.
            numbers.name(found.category, turn.text[found.span.start : found.span.end])
    return numbers


class End(Enum):
    """How a rewriting ends."""

    ALLOWED = auto()
    MESSAGE = auto()
    BLOCKED = auto()
    UNSURE = auto()


@dataclass(frozen=True, slots=True)
class Seen:
    """What a screening found in a text.

    Attributes:
        outcome: What the policy makes of it.
        scored: The classifier's scores, of the text and of its tokens.
        normalized: The text as the classifier read it.
    """

    outcome: Outcome
    scored: Scored
    normalized: Normalized


@dataclass(frozen=True, slots=True)
class _Version:
    edits: tuple[Edit, ...]
    rewritten: Rewritten


class Rewriting:
    """One text on its way. Used once, by one screening.

    While there are :attr:`candidates` their owner has them and the :attr:`suspects` screened, and hands the results to
    :meth:`take`; while it :attr:`asks`, a language model's version to :meth:`answer`.

    Attributes:
        end: How it ended; None on the way.
        chosen: What may pass, or is the last that was tried; None if there is no version.
        asks: The text that a language model is to rewrite; None if none is to.
    """

    def __init__(
        self,
        text: str,
        seen: Seen,
        columns: Sequence[str],
        numbers: Callable[[], Numbers],
        *,
        part: Span | None = None,
        droppable: bool = True,
    ) -> None:
        """Plan the first versions.

        Args:
            text: The original.
            seen: What was found in it; its action is a rewrite.
            columns: Categories of the token scores.
            numbers: Gives the names of what is known of the conversation; called at most once.
            part: Of a slice of a stream, what is to be decided; what lies before has left.
            droppable: Whether sentences may be rewritten.
        """
        self.end: End | None = None
        self.chosen: Rewritten | None = None
        self.asks: str | None = None
        self._text, self._part, self._droppable = text, part, droppable
        self._columns = tuple(columns)
        self._make_numbers = numbers
        self._numbers: Numbers | None = None
        self._sentences = [Span(*place) for place in sentences(text)]
        self._edits: tuple[Edit, ...] = ()
        self._versions: list[_Version] = []
        self._nothing: _Version | None = None
        # Sentences to screen alone, and those that passed.
        self._suspects: list[Edit] = []
        self._cleared: set[Span] = set()
        self._rounds = self._passes = 0
        self._seen = seen
        self._asked_now = False
        self._asked = part is not None  # a language model rewrites whole texts
        self._plan(seen, None)

    @property
    def candidates(self) -> list[Rewritten]:
        """The versions to screen now."""
        return [version.rewritten for version in self._versions]

    @property
    def suspects(self) -> list[str]:
        """Sentences to screen now, each alone: without the rest of the text, and without what came before."""
        return [self._text[edit.span.start : edit.span.end] for edit in self._suspects]

    def take(self, results: Sequence[Seen | None]) -> None:
        """Go on with what was found in the candidates and then the suspects; None of one that could not be screened."""
        versions, self._versions = self._versions, []
        nothing, self._nothing = self._nothing, None
        minded = self._minded_alone(results[len(versions) :])
        pairs = list(zip(versions, results[: len(versions)], strict=True))
        passed = [version for version, seen in pairs if seen is not None and seen.outcome.action is Action.ALLOW]
        passed.sort(key=self._changed)
        clean = [version for version in passed if not _kept(minded, version.edits)]
        if clean:
            self._settle(End.ALLOWED, clean[0].rewritten)
            return
        if passed:
            self._go_without(minded, passed[0])
            return
        if self._asked_now:
            self._asked_now = False
            self._plan(self._seen, None)
            return
        if nothing:
            self._settle(End.ALLOWED, nothing.rewritten)
            return
        self._rounds += 1
        known = [(version, seen) for version, seen in pairs if seen is not None]
        if len(known) < len(versions):
            self._settle(End.UNSURE, versions[-1].rewritten)
            return
        # The version that goes furthest says what is left to do; one that a rule blocks leads nowhere.
        version, seen = max(
            enumerate(known), key=lambda item: (item[1][1].outcome.action is not Action.BLOCK, item[0])
        )[1]
        self._edits = (*version.edits, *_kept(minded, version.edits))
        self._plan(seen, version.rewritten)

    def _minded_alone(self, results: Sequence[Seen | None]) -> list[Edit]:
        """The suspects that the policy minds alone; one that could not be screened is no better."""
        suspects, self._suspects = self._suspects, []
        found = []
        for edit, seen in zip(suspects, results, strict=True):
            if seen is None or seen.outcome.action is Action.BLOCK or _minded(seen, self._columns):
                found.append(edit)
            else:
                self._cleared.add(edit.span)
        return found

    def _go_without(self, minded: Sequence[Edit], version: _Version) -> None:
        """Screen a version that passed once more, without the sentences in it that are minded alone."""
        self._rounds += 1
        self._edits = (*version.edits, *_kept(minded, version.edits))
        if self._rounds < MOST_ROUNDS:
            self._try(self._edits)
        if self._nothing:
            self._settle(End.ALLOWED, self._nothing.rewritten)
        elif not self._versions:
            self._settle(End.BLOCKED, None)

    def answer(self, text: str | None) -> None:
        """Take what a language model made of the text that :attr:`asks` holds; None if it made nothing."""
        self.asks = None
        if text is None or is_blank(text):
            self._plan(self._seen, None)
            return
        self._asked_now = True
        category = next(rule.category for rule in self._seen.outcome.acting if rule.rewrite is Operator.LLM)
        whole = Rewrite(Span(0, len(self._text)), Operator.LLM, category, text)
        self._versions = [_Version((), Rewritten(text, (whole,)))]

    def fail(self) -> None:
        """Something broke: nothing of what was tried may pass."""
        self._settle(End.UNSURE, None)

    def _settle(self, end: End, chosen: Rewritten | None) -> None:
        self.end, self.chosen, self.asks = end, chosen, None
        self._versions, self._suspects = [], []

    def _plan(self, seen: Seen, base: Rewritten | None) -> None:
        """Find what fires in the original, or in a version of it, and prepare what to screen next."""
        outcome = seen.outcome
        if outcome.action is Action.BLOCK or self._rounds >= MOST_ROUNDS:
            self._settle(End.BLOCKED, None)
        elif outcome.answers:
            self._settle(End.MESSAGE, None)
        elif not self._asked and any(rule.rewrite is Operator.LLM for rule in outcome.acting):
            self._ask(outcome)
        elif not (self._edit_places(outcome, base) and self._edit_sentences(seen, base)):
            self._settle(End.BLOCKED, None)
        elif self._nothing and not self._versions:
            self._settle(End.ALLOWED, self._nothing.rewritten)
        elif not self._versions:
            # A score without a place: there is nothing to rewrite, and the message stands for the text.
            self._settle(End.MESSAGE, None)

    def _ask(self, outcome: Outcome) -> None:
        """Have a language model rewrite the text, without what the other rules cover."""
        rules = {rule.id: rule for rule in outcome.acting if rule.rewrite is not Operator.LLM}
        edits = tuple(
            _edit(rules[place.rule], place.span, place.category) for place in outcome.places if place.rule in rules
        )
        self._asked, self.asks = True, self._apply(edits).text

    def _edit_places(self, outcome: Outcome, base: Rewritten | None) -> bool:
        """Edits of what recognizers found; False if there is no operator left for one of them."""
        rules = {rule.id: rule for rule in outcome.acting}
        edits = list(self._edits)
        for place in outcome.places:
            span = base.original(place.span) if base else place.span
            if self._part:
                # What lies before has left.
                span = Span(max(span.start, self._part.start), span.end)
            edit: Edit | None = _edit(rules[place.rule], span, place.category)
            if base:
                touched = [old for old in self._edits if _overlap(old.span, span)]
                edit = _hardened(edit, touched) if edit else None
            edit = self._whole_sentences(edit) if edit else None
            if edit is None:
                return False
            edits.append(edit)
        self._edits = tuple(edits)
        return True

    def _edit_sentences(self, seen: Seen, base: Rewritten | None) -> bool:
        """Versions to screen, with and without the sentences that the classifier minds; False if none is left."""
        minded = _minded(seen, self._columns)
        if not minded:
            if self._edits:
                self._try(self._edits)
            return bool(self._versions or self._nothing or not self._edits)
        if self._passes == MOST_PASSES:
            return False
        ranked = self._ranked(seen, base, minded.categories)
        chosen = [_edit(minded.hardest, span, minded.categories[0]) for span in ranked]
        if self._passes:
            # The first choice may have been a wrong one, and a sentence that was only covered may have to go.
            places = tuple(edit for edit in self._edits if edit.category not in self._columns)
            self._edits = tuple(_dropping(edit) if edit.category in self._columns else edit for edit in self._edits)
            self._try(self._edits)
            if chosen:
                self._try((*places, chosen[0]))
        self._passes += 1
        if len(chosen) > 1:
            unknown = (edit for edit in chosen if edit.span not in self._cleared and self._visible(edit.span))
            self._suspects = list(islice(unknown, _MOST_SUSPECTS))
        trials = _TRIALS if len(self._text) <= _LONG else (tuple(range(min(len(chosen), len(_TRIALS[-1])))),)
        for trial in trials:
            if trial and trial[-1] < len(chosen):
                self._try((*self._edits, *(chosen[index] for index in trial)))
        return bool(self._versions or self._nothing)

    def _try(self, edits: tuple[Edit, ...]) -> None:
        """Prepare a version, unless too little would be left."""
        if not self._droppable and any(self._of_sentence(edit) for edit in edits):
            return
        version = _Version(edits, self._apply(edits))
        if is_blank(version.rewritten.text):
            # Nothing of a slice may be shown, and there is nothing to screen; more text follows.
            self._nothing = self._nothing or (version if self._part else None)
        elif self._part or _dropped(version) <= (1 - _LEAST_KEPT) * len(self._text):
            self._versions.append(version)

    def _visible(self, span: Span) -> bool:
        return not is_blank(self._text[span.start : span.end])

    def _apply(self, edits: tuple[Edit, ...]) -> Rewritten:
        if self._numbers is None:
            hides = any(edit.operator is Operator.REPLACE for edit in edits)
            self._numbers = self._make_numbers() if hides else None
        return rewrite(self._text, edits, self._numbers.copy() if self._numbers else Numbers())

    def _ranked(self, seen: Seen, base: Rewritten | None, categories: Sequence[str]) -> list[Span]:
        """The sentences that may still go, the worst first."""
        taken = [edit.span for edit in self._edits if edit.category in self._columns]
        free = [
            span
            for span in self._sentences
            if not (self._part and span.start < self._part.start) and not any(_overlap(one, span) for one in taken)
        ]
        tokens = seen.scored.token_scores
        worst = tokens.scores[:, [self._columns.index(name) for name in categories]].sum(axis=1)
        places = [seen.normalized.original_span(*offsets) for offsets in tokens.offsets]
        if base:
            places = [base.original(place) for place in places]
        of_sentence = _scores_within(free, places, worst)
        order = sorted(range(len(free)), key=lambda index: -of_sentence[index])
        if not self._passes and order:
            # Most texts have one such sentence, and one screening shows it; the others are for the second pass.
            order = [index for index in order if of_sentence[index] >= _PLAUSIBLE * of_sentence[order[0]]]
        return [free[index] for index in order]

    def _whole_sentences(self, edit: Edit) -> Edit | None:
        """A dropping edit takes whole sentences; None if one of them has left already."""
        if edit.operator is not Operator.DROP_SENTENCE:
            return edit
        # Sentences together are the text, so the first and the last that it touches hold it.
        first = bisect_right(self._sentences, edit.span.start, key=lambda span: span.end)
        last = bisect_left(self._sentences, edit.span.end, key=lambda span: span.end)
        start, end = self._sentences[first].start, self._sentences[min(last, len(self._sentences) - 1)].end
        return None if self._part and start < self._part.start else replace(edit, span=Span(start, end))

    def _of_sentence(self, edit: Edit) -> bool:
        return edit.operator is Operator.DROP_SENTENCE or edit.category in self._columns

    @staticmethod
    def _changed(version: _Version) -> int:
        """Characters that a version does not keep."""
        return sum(done.span.end - done.span.start for done in version.rewritten.rewrites)


@dataclass(frozen=True, slots=True)
class _Minded:
    """What the classifier minds: the rules that fired by its scores, and the categories that they name."""

    rules: tuple[Rule, ...]
    categories: tuple[str, ...]

    @property
    def hardest(self) -> Rule:
        """The rule whose operator treats the sentences."""
        order = list(Operator)
        return max(self.rules, key=lambda rule: order.index(_operator(rule)))


def _minded(seen: Seen, columns: Sequence[str]) -> _Minded | None:
    scores = seen.scored.scores
    found: dict[str, list[str]] = {}
    for rule in seen.outcome.acting:
        over = [name for name in columns if rule.matches(name) and scores.get(name, 0.0) >= rule.threshold]
        if over:
            found[rule.id] = over
    if not found:
        return None
    rules = tuple(rule for rule in seen.outcome.acting if rule.id in found)
    return _Minded(rules, tuple(dict.fromkeys(name for names in found.values() for name in names)))


def _operator(rule: Rule) -> Operator:
    """What a rule does to a place; where a language model was asked to no avail, the next harder one."""
    assert rule.rewrite is not None
    return HARDER[Operator.LLM] if rule.rewrite is Operator.LLM else rule.rewrite


def _edit(rule: Rule, span: Span, category: str) -> Edit:
    return Edit(span, _operator(rule), category, rule.options.text, rule.options.keep)


def _hardened(edit: Edit, touched: Sequence[Edit]) -> Edit | None:
    """The edit of a place that was rewritten before and is found again; None if nothing harder is left."""
    if not touched:
        return edit
    hardest = touched[0]
    for old in touched[1:]:
        hardest = harder_of(hardest, old)
    harder = HARDER.get(hardest.operator)
    span = Span(
        min(edit.span.start, *(old.span.start for old in touched)),
        max(edit.span.end, *(old.span.end for old in touched)),
    )
    return Edit(span, harder, edit.category) if harder else None


def _dropped(version: _Version) -> int:
    """Characters in sentences that a version does without."""
    rewrites = version.rewritten.rewrites
    return sum(done.span.end - done.span.start for done in rewrites if done.operator is Operator.DROP_SENTENCE)


def _kept(minded: Sequence[Edit], edits: Sequence[Edit]) -> list[Edit]:
    """Those of the minded sentences that edits do not take as a whole."""
    return [
        edit
        for edit in minded
        if not any(one.span.start <= edit.span.start and edit.span.end <= one.span.end for one in edits)
    ]


def _dropping(edit: Edit) -> Edit:
    return edit if edit.operator is Operator.DROP_SENTENCE else Edit(edit.span, Operator.DROP_SENTENCE, edit.category)


def _overlap(first: Span, second: Span) -> bool:
    return first.start < second.end and second.start < first.end


def _scores_within(spans: Sequence[Span], places: Sequence[Span], scores: NDArray[np.float32]) -> list[float]:
    """The mean of the worst few tokens in each span; 0 without a token. Both sequences are in the text's order."""
    out: list[float] = []
    first = 0
    for span in spans:
        while first < len(places) and places[first].end <= span.start:
            first += 1
        last = first
        while last < len(places) and places[last].start < span.end:
            last += 1
        inside = np.sort(scores[first:last])[-_WORST:]
        out.append(float(inside.mean()) if inside.size else 0.0)
    return out
