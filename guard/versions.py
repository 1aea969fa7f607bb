"""A text that is rewritten, beside the screenings of its versions: what they cost, and what they showed besides.

:mod:`guard.promise` finds the way and knows no screening; here its versions become subjects, and findings its answers.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from guard.classifier.classifier import Scored
from guard.errors import InvalidInput, place_of
from guard.judging import Finding, Subject, log_failure, summed
from guard.llm import Ask, NoAnswer
from guard.normalize import normalize
from guard.placeholders import Numbers
from guard.promise import Rewriting, Seen, numbers_of
from guard.rewrite import Rewritten
from guard.types import FiredRule, Span, Timings

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Work:
    """A text that is rewritten: what was found in it, and what its versions cost and showed besides.

    Attributes:
        rewriting: Its way; None if a defect prevents it.
        versions: What is being screened, sentences alone among it.
        rules: What fired in versions and had not before.
        timings: Of all screenings together.
    """

    subject: Subject
    finding: Finding
    rewriting: Rewriting | None
    versions: list[Subject] = field(default_factory=list)
    rules: list[FiredRule] = field(default_factory=list)
    timings: Timings = field(init=False)

    def __post_init__(self) -> None:
        self.timings = self.finding.timings

    @property
    def asks(self) -> Ask | None:
        """What a language model is to be asked; None if nothing is."""
        text = self.rewriting.asks if self.rewriting else None
        endpoint = self.subject.policy.llm
        if text is None or endpoint is None:
            return None
        rules = [rule for rule in self.finding.outcome.rules if not rule.shadow]
        categories = tuple(dict.fromkeys(rule.category for rule in rules))
        return Ask(endpoint, text, self.subject.language, categories)

    def answer(self, answer: Scored | str | Exception) -> None:
        """Go on with what a language model said."""
        assert self.rewriting is not None
        if isinstance(answer, Exception):
            _log.warning("a language model did not rewrite a text, a harder operator does: %s", _reason(answer))
        try:
            self.rewriting.answer(answer if isinstance(answer, str) else None)
        except Exception as error:  # a defect: on_error decides
            log_failure(error)
            self.rewriting.fail()

    def prepare(self) -> None:
        """Make subjects of the versions to screen."""
        assert self.rewriting is not None
        self.versions = []
        if self.rewriting.end is not None:
            return
        try:
            versions = [_version(self.subject, new) for new in self.rewriting.candidates]
            self.versions = [*versions, *(_alone(self.subject, text) for text in self.rewriting.suspects)]
        except Exception as error:  # a defect of normalisation: on_error decides
            log_failure(error)
        if not self.versions:
            self.rewriting.fail()

    def take(self, findings: Sequence[Finding | InvalidInput]) -> None:
        """Go on with what was found in the versions."""
        assert self.rewriting is not None
        if self.rewriting.end is not None:
            return
        sound = [found if isinstance(found, Finding) and not found.degraded else None for found in findings]
        known = {rule.id for rule in (*self.finding.outcome.rules, *self.rules)}
        for found in filter(None, sound):
            self.timings = summed(self.timings, found.timings)
            self.rules += [rule for rule in found.outcome.rules if rule.id not in known]
            known.update(rule.id for rule in found.outcome.rules)
        try:
            pairs = zip(self.versions, sound, strict=True)
            self.rewriting.take([_seen(version, found) if found else None for version, found in pairs])
        except Exception as error:  # a recognizer's wrong span ...: on_error decides
            log_failure(error)
            self.rewriting.fail()


def begin(subject: Subject, finding: Finding, columns: Sequence[str]) -> Work:
    """The work on a text that its policy wants rewritten.

    Args:
        subject: The text.
        finding: What was found in it.
        columns: Categories of the token scores.
    """
    try:
        rewriting = Rewriting(
            subject.content.text,
            _seen(subject, finding),
            columns,
            lambda: _names(subject),
            part=subject.part,
            droppable=subject.droppable,
        )
    except Exception as error:  # a recognizer's wrong span ...: on_error decides
        log_failure(error)
        return Work(subject, finding, None)
    return Work(subject, finding, rewriting)


def _names(subject: Subject) -> Numbers:
    """The names of what is hidden: those of the stream, or those of the values in the context, in order."""
    known = subject.numbers.copy() if subject.numbers else numbers_of(subject.context, subject.policy.recognizers)
    known.read([subject.content.text])
    return known


def _version(subject: Subject, new: Rewritten) -> Subject:
    """The same content with another text."""
    part = subject.part and Span(subject.part.start, new.moved(subject.part.end))
    content = replace(subject.content, text=new.text)
    # What it may hide is looked for anew.
    return replace(subject, content=content, normalized=normalize(new.text), part=part, reading=None)


def _alone(subject: Subject, text: str) -> Subject:
    """A sentence as a text of its own; what came before may be what made it one that is minded."""
    content = replace(subject.content, text=text)
    return replace(subject, content=content, normalized=normalize(text), context=(), part=None, reading=None)


def _seen(subject: Subject, finding: Finding) -> Seen:
    """What there is to rewrite; of two readings the tokens are those of the text as it stands."""
    assert subject.normalized is not None
    return Seen(finding.outcome, finding.scored, subject.normalized)


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, NoAnswer) else place_of(error)
