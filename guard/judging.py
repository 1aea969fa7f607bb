"""What a policy makes of one text, once the classifier has answered. Pure but for the clock and the log.

The engine prepares a subject and asks for scores; here they become a finding, from both readings if a text has two.
What goes wrong with one text is its own matter: it counts as unscreened, and its policy's ``on_error`` decides.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from guard.classifier.classifier import NO_TOKENS, Query, Scored
from guard.errors import InvalidInput, place_of
from guard.language import OTHER
from guard.normalize import Normalized
from guard.placeholders import Numbers
from guard.policy.allow import Doubt, doubts, with_terms
from guard.policy.evaluate import Outcome, evaluate
from guard.policy.policy import Policy
from guard.policy.terms import Hit
from guard.policy.terms import detections as places_of
from guard.readings import Evidence, changes, combine
from guard.recognizers import detect
from guard.types import Content, Detection, Span, Timings, Turn
from guard.unmask import Reading, unmask

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Subject:
    """Content on its way through, with its policy: checked and normalised, or unreadable because of a defect.

    Attributes:
        content: What the caller gave.
        policy: What decides.
        normalized: Its text as the classifier reads it; None if that could not be made.
        context: What came before, normalised.
        language: ``zh``, ``en`` or ``other``.
        prepare_us: Microseconds that all this took.
        part: Of a slice of a stream, where things count that are found; None for all of it.
        reading: What the text was meant to be, where it looks disguised.
        numbers: The names that a stream has given to hidden values.
        droppable: Whether sentences may be rewritten.
    """

    content: Content
    policy: Policy
    normalized: Normalized | None = None
    context: tuple[Turn, ...] = ()
    language: str = OTHER
    prepare_us: int = 0
    part: Span | None = None
    reading: Reading | None = None
    numbers: Numbers | None = None
    droppable: bool = True

    @property
    def queries(self) -> list[Query]:
        """The text, and its second reading if it has one; nothing if it is unreadable."""
        readings = (self.normalized, self.reading.normalized if self.reading else None)
        return [Query(found.text, self.content.direction, self.context) for found in readings if found]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found in a text and what its policy makes of it; degraded if the text could not be screened."""

    scored: Scored
    detections: tuple[Detection, ...]
    outcome: Outcome
    timings: Timings
    degraded: bool = False
    doubts: tuple[Doubt, ...] = ()
    transforms: tuple[str, ...] = ()


def unmasked(subject: Subject) -> Subject:
    """The subject with its second reading; unreadable if a defect prevents that."""
    try:
        return replace(subject, reading=unmask(subject.normalized) if subject.normalized else None)
    except Exception as error:  # nobody knows what the disguise hid: on_error decides
        log_failure(error)
        return replace(subject, normalized=None)


def judge(subject: Subject, answers: Sequence[Scored | str | Exception]) -> Finding | InvalidInput:
    """What the policy makes of the classifier's answers, one a reading."""
    began = time.perf_counter_ns()
    scored = [answer for answer in answers if isinstance(answer, Scored)]
    for answer in answers:
        if isinstance(answer, InvalidInput):
            return answer
        if isinstance(answer, Exception):
            log_failure(answer)
    if not scored or len(scored) < len(answers) or subject.normalized is None:
        return unscreened(subject.policy)
    try:
        found, hits = _evidence(subject, subject.normalized, scored[0])
        scores = _with_terms(subject.policy, found, hits)
        outcome = outcome_of(subject, scores, found.detections)
        unsure: tuple[Doubt, ...] = ()
        transforms: tuple[str, ...] = ()
        if subject.reading:
            first = outcome
            second, more = _evidence(subject, subject.reading.normalized, scored[1])
            found = combine(found, second)
            scores = _with_terms(subject.policy, found, (*hits, *more))
            outcome = outcome_of(subject, scores, found.detections)
            transforms = subject.reading.transforms if changes(first, outcome) else ()
        elif hits:  # of a disguised text no allow-term lifts anything: what it hides may be what fires
            unsure = doubts(subject.policy, outcome, subject.normalized.text, hits)
    except Exception as error:  # a recognizer's defect or a score that is no number: on_error decides, too
        log_failure(error)
        return unscreened(subject.policy)
    timings = summed(*(answer.timings for answer in scored), Timings(decide=since(began)))
    counted = replace(scored[0], scores=scores)
    return Finding(counted, found.detections, outcome, timings, doubts=unsure, transforms=transforms)


def _evidence(subject: Subject, reading: Normalized, scored: Scored) -> tuple[Evidence, Sequence[Hit]]:
    """What was found in one reading, and every place of a term in it."""
    hits = subject.policy.terms.find(reading.text) if subject.policy.terms else ()
    places = (*detect(reading, subject.policy.recognizers), *places_of(hits, reading))
    return Evidence(scored.scores, _within(places, subject.part)), hits


def _with_terms(policy: Policy, found: Evidence, hits: Sequence[Hit]) -> Mapping[str, float]:
    return with_terms(policy, found.scores, found.detections, hits) if policy.terms else found.scores


def outcome_of(subject: Subject, scores: Mapping[str, float], detections: Sequence[Detection]) -> Outcome:
    """What the subject's policy makes of scores and places; raises what :func:`guard.policy.evaluate.evaluate` does."""
    content = subject.content
    return evaluate(subject.policy, content.direction, scores, detections, language=subject.language, tags=content.tags)


def _within(detections: tuple[Detection, ...], part: Span | None) -> tuple[Detection, ...]:
    if part is None:
        return detections
    return tuple(found for found in detections if found.span.end > part.start and found.span.start < part.end)


def unscreened(policy: Policy) -> Finding:
    """What ``on_error`` says about a text that could not be screened."""
    outcome = Outcome(policy.failure_action, (), ())
    return Finding(Scored({}, NO_TOKENS, 0, 0, Timings()), (), outcome, Timings(), degraded=True)


def summed(*parts: Timings) -> Timings:
    """Phase by phase."""
    return Timings(
        queue=sum(part.queue for part in parts),
        tokenise=sum(part.tokenise for part in parts),
        infer=sum(part.infer for part in parts),
        decide=sum(part.decide for part in parts),
    )


def since(began: int) -> int:
    """Microseconds since a reading of the nanosecond clock."""
    return (time.perf_counter_ns() - began) // 1000


def log_failure(error: Exception) -> None:
    """Say where something broke, without a word of the text."""
    _log.error("a text could not be screened, on_error decides: %s", place_of(error))
