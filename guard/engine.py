"""The one screening path: content in, decision out, for prompts, outputs and slices of a stream alike.

Check, normalise, classify beside the recognizers, let the policy decide once, act, and screen what was
rewritten again before it may pass. The engine alone turns a failure of the classifier into the policy's
``on_error`` decision; a caller's mistake stays the caller's error and never passes a text.

A screening is a generator that asks for scores and goes on when it is sent them. In process the engine scores in the
caller's thread; a server lets many screenings wait for one queue, without a thread for each.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias, TypeVar

from guard.classifier.artifact import DEFAULT_MODEL_DIR
from guard.classifier.classifier import NO_TOKENS, TOO_LONG_CURE, Classifier, Query, Scored
from guard.content import violations
from guard.errors import GuardError, InvalidInput, Violation, place_of
from guard.language import OTHER, language_of
from guard.llm import Ask, NoAnswer, Rewriter
from guard.normalize import Normalized, normalize
from guard.placeholders import Numbers
from guard.policy.evaluate import Outcome, evaluate, message_for
from guard.policy.policy import Policy
from guard.policy.store import PolicyStore
from guard.promise import End, Rewriting, Seen, numbers_of
from guard.recognizers import detect
from guard.rewrite import Rewritten
from guard.types import (
    Action,
    Content,
    Decision,
    Detection,
    Direction,
    FiredRule,
    Info,
    Limits,
    Span,
    Timings,
    Turn,
)
from guard.version import __version__

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

#: A screening on its way: it yields queries, never none of them, is sent one result per query, which is an exception
#: where there are no scores, and returns what was decided. An ``InvalidInput`` is the caller's; any other exception is
#: decided by the policy's ``on_error``.
Steps: TypeAlias = Generator[list[Query | Ask], list[Scored | str | Exception], _T]

# A text of more code points per token of the limit is refused before it costs any work: words are shorter.
_CHARACTERS_PER_TOKEN = 64

# Chinese characters load the converter, telephone numbers the plans of their countries.
_WARM_UP = ("你好，我的电话是 13800138000。", "Hello, my number is +1 415 555 2671.")


class Engine:
    """A classifier and policies behind one function. Immutable, thread-safe, lives as long as its owner."""

    def __init__(self, classifier: Classifier, policies: PolicyStore, rewriter: Rewriter | None = None) -> None:
        """Connect what it works with.

        Args:
            classifier: Scores.
            policies: Decide.
            rewriter: Asks the language models that policies name; None for whoever lets none be asked.
        """
        self._classifier = classifier
        self._policies = policies
        self._rewriter = rewriter

    @classmethod
    def load(
        cls,
        model: Path | None = None,
        policy: Path | None = None,
        *,
        threads: int = 1,
        max_tokens: int | None = None,
        rewriter: Rewriter | None = None,
    ) -> Engine:
        """Load an artifact and policies from files; a policy that was set for another model is warned of.

        Args:
            model: An artifact directory; None for the one in the package.
            policy: A policy file or a directory of them; None for the default policy.
            threads: Threads inside one operator of the model.
            max_tokens: Overrides the artifact's limit on the tokens of one text.
            rewriter: Asks the language models that policies name; None for none.

        Raises:
            ArtifactError: The model directory cannot be used.
            PolicyError: The policies have mistakes; all of them are listed.
        """
        classifier = Classifier.load(model or DEFAULT_MODEL_DIR, threads=threads, max_tokens=max_tokens)
        policies = PolicyStore.load(policy)
        for line in policies.mismatches(classifier.artifact.identity):
            _log.warning("%s", line)
        return cls(classifier, policies, rewriter)

    def warm_up(self) -> None:
        """Screen a short text of its own in each language, so that no caller waits for what is loaded at first use."""
        self.screen_batch([Content(text, direction) for text in _WARM_UP for direction in Direction])

    def screen(self, content: Content) -> Decision:
        """Decide about one text.

        Returns:
            The decision; ``degraded`` if the text could not be screened and ``on_error`` decided.

        Raises:
            InvalidInput: The content breaks the contract; every broken field is named.
        """
        result = self.screen_batch([content])[0]
        if isinstance(result, GuardError):
            raise result
        return result

    def screen_batch(self, contents: Sequence[Content]) -> list[Decision | GuardError]:
        """Decide about several texts; the classifier gets them in one call.

        Returns:
            One result per content, in order; content that breaks the contract fails alone.
        """
        return self.finish(self.screening(contents))

    def screening(self, contents: Sequence[Content]) -> Steps[list[Decision | GuardError]]:
        """The steps of :meth:`screen_batch`, for whoever scores differently."""
        checked = [self._admit(content) for content in contents]
        decided = iter((yield from self._decide([subject for subject in checked if isinstance(subject, _Subject)])))
        return [next(decided) if isinstance(subject, _Subject) else subject for subject in checked]

    def finish(self, steps: Steps[_T]) -> _T:
        """Take a screening through all of its steps in the caller's thread, and return what it does."""
        answers = None
        while True:
            try:
                queries = next(steps) if answers is None else steps.send(answers)
            except StopIteration as end:
                result: _T = end.value
                return result
            answers = self._answers(queries)

    def open(self, content: Content) -> Opening:
        """Check what a stream begins with.

        Args:
            content: Everything but the text, which is of no account here.

        Raises:
            InvalidInput: Every broken field is named; ``policy`` also if its window is larger than a text may be.
        """
        found = [violation for violation in violations(content) if violation.field != "text"]
        try:
            policy = self._policies.get(content.policy)
        except InvalidInput as error:
            raise InvalidInput((*found, *error.violations)) from None
        sizes, limit = policy.streaming, self._classifier.artifact.limits.max_text
        if sizes.context + sizes.lookahead + sizes.step > limit:
            reason = f"the slices of {policy.name} have more tokens than the limit of {limit}"
            found.append(Violation("policy", reason, "lower the policy's streaming sizes, or raise max_tokens"))
        if found:
            raise InvalidInput(found)
        return Opening(content, policy, tuple(map(self._shortened, self._readable(content.context))))

    def screen_slice(
        self, opening: Opening, text: str, part: Span, *, numbers: Numbers | None = None, droppable: bool = True
    ) -> Decision:
        """Decide about a slice of a stream; the one screening path, for text that is not looked at as a whole.

        Args:
            opening: What the stream began with.
            text: The slice; not blank.
            part: What of it is to be decided, in code points of ``text``. The classifier reads all of it; a place that
                a recognizer finds counts if it touches the part.
            numbers: The names of what the stream has hidden so far.
            droppable: Whether sentences may be rewritten; where they would have to, the slice is blocked.

        Raises:
            InvalidInput: The slice is over the limit on a text's tokens.
        """
        return self.finish(self.screening_slice(opening, text, part, numbers=numbers, droppable=droppable))

    def screening_slice(
        self, opening: Opening, text: str, part: Span, *, numbers: Numbers | None = None, droppable: bool = True
    ) -> Steps[Decision]:
        """The steps of :meth:`screen_slice`, for whoever scores differently."""
        began = time.perf_counter_ns()
        content = replace(opening.content, text=text)
        subject = _Subject(content, opening.policy, part=part, numbers=numbers, droppable=droppable)
        try:
            normalized = normalize(text)
            language = language_of(normalized.text)
            subject = replace(
                subject, normalized=normalized, context=opening.context, language=language, prepare_us=_since(began)
            )
        except Exception as error:  # a defect of normalisation: on_error decides
            _log_failure(error)
        (result,) = yield from self._decide([subject])
        if isinstance(result, InvalidInput):
            raise result
        return result

    def tokenise(self, text: str) -> tuple[Span, ...]:
        """The model tokens of a text, each as the code points of the ORIGINAL that it covers."""
        normalized = normalize(text)
        return tuple(normalized.original_span(*place) for place in self._classifier.token_offsets(normalized.text))

    @property
    def classifier(self) -> Classifier:
        """What scores."""
        return self._classifier

    @property
    def max_characters(self) -> int:
        """Code points of the longest text that is screened at once."""
        return self._classifier.artifact.limits.max_text * _CHARACTERS_PER_TOKEN

    def _shortened(self, turn: Turn) -> Turn:
        """A turn without a middle that the model cannot read: it is read again with every slice of a stream."""
        reach = self._classifier.artifact.limits.context * _CHARACTERS_PER_TOKEN
        return turn if len(turn.text) <= 2 * reach else Turn(turn.role, f"{turn.text[:reach]} {turn.text[-reach:]}")

    def info(self) -> Info:
        """Versions, model, policies and limits."""
        limits = self._classifier.artifact.limits
        return Info(
            version=__version__,
            model=self._classifier.info,
            policies=self._policies.infos(),
            limits=Limits(max_tokens=limits.max_text, chunk_tokens=limits.chunk),
        )

    def _admit(self, content: Content) -> _Subject | InvalidInput:
        """Check and prepare; what a defect makes unreadable is left so, to be decided by ``on_error``."""
        try:
            return self._check(content)
        except Exception as error:  # a defect of the checks or of normalisation must not cost the rest of a batch
            _log_failure(error)
        try:
            return _Subject(content, self._policies.get(content.policy))
        except InvalidInput as unknown:
            return unknown

    def _check(self, content: Content) -> _Subject | InvalidInput:
        began = time.perf_counter_ns()
        found = violations(content)
        limits = self._classifier.artifact.limits
        if len(content.text) > limits.max_text * _CHARACTERS_PER_TOKEN:
            reason = f"{len(content.text)} characters, the limit is {limits.max_text * _CHARACTERS_PER_TOKEN}"
            found.append(Violation("text", reason, TOO_LONG_CURE))
        try:
            policy = self._policies.get(content.policy)
        except InvalidInput as error:
            return InvalidInput((*found, *error.violations))
        if found:
            return InvalidInput(found)
        normalized = normalize(content.text)
        context = self._readable(content.context)
        return _Subject(content, policy, normalized, context, language_of(normalized.text), _since(began))

    def _readable(self, context: Sequence[Turn]) -> tuple[Turn, ...]:
        """The turns that the model can read, normalised: every turn takes a token at least, so older ones cannot."""
        newest = context[max(0, len(context) - self._classifier.artifact.limits.context) :]
        turns = (Turn(turn.role, normalize(turn.text).text) for turn in newest)
        return tuple(turn for turn in turns if turn.text.strip())

    def _decide(self, subjects: Sequence[_Subject]) -> Steps[list[Decision | InvalidInput]]:
        findings = yield from self._examine(subjects)
        works = {
            index: _Work(subject, finding, self._rewriting(subject, finding))
            for index, (subject, finding) in enumerate(zip(subjects, findings, strict=True))
            if isinstance(finding, _Finding) and finding.outcome.action is Action.REWRITE
        }
        yield from self._rewrite(list(works.values()))
        results: list[Decision | InvalidInput] = []
        for index, (subject, finding) in enumerate(zip(subjects, findings, strict=True)):
            if isinstance(finding, InvalidInput):
                results.append(finding)
            elif index in works:
                results.append(self._rewritten(works[index]))
            else:
                results.append(self._decision(subject, finding, finding.outcome.action))
        return results

    def _rewriting(self, subject: _Subject, finding: _Finding) -> Rewriting | None:
        """The way to a text that the policy allows; None if a defect prevents it."""
        try:
            return Rewriting(
                subject.content.text,
                _seen(subject, finding),
                self._classifier.artifact.categories,
                subject.names,
                part=subject.part,
                droppable=subject.droppable,
            )
        except Exception as error:  # a recognizer's wrong span ...: on_error decides
            _log_failure(error)
            return None

    def _rewrite(self, works: Sequence[_Work]) -> Steps[None]:
        """Screen what rewritings want screened, of all texts together, until each has ended."""
        while waiting := [work for work in works if work.rewriting and work.rewriting.end is None]:
            yield from self._ask([work for work in waiting if work.rewriting and work.rewriting.asks is not None])
            for work in waiting:
                work.prepare()
            found = iter((yield from self._examine([version for work in waiting for version in work.versions])))
            for work in waiting:
                work.take([next(found) for _ in work.versions])

    def _ask(self, works: Sequence[_Work]) -> Steps[None]:
        """Have language models rewrite; what none rewrote is left to harder operators."""
        asks = {index: ask for index, work in enumerate(works) if (ask := work.asks)}
        answers = dict(zip(asks, (yield list(asks.values())), strict=True)) if asks else {}
        for index, work in enumerate(works):
            work.answer(answers.get(index, NoAnswer("the policy names no language model")))

    def rewrite(self, ask: Ask) -> str:
        """What a language model makes of a text; blocks as long as that takes.

        Raises:
            NoAnswer: It makes nothing of it, or none is asked here.
        """
        if self._rewriter is None:
            raise NoAnswer("no language model is asked here")
        return self._rewriter(ask)

    def _examine(self, subjects: Sequence[_Subject]) -> Steps[list[_Finding | InvalidInput]]:
        """Score and evaluate; what could not be read or scored is found degraded."""
        queries = {index: query for index, subject in enumerate(subjects) if (query := subject.query)}
        answers = (yield list(queries.values())) if queries else []
        scores = dict(zip(queries, answers, strict=True))
        return [
            scored if isinstance(scored := scores.get(index), InvalidInput) else _judge(subject, scored)
            for index, subject in enumerate(subjects)
        ]

    def _answers(self, queries: Sequence[Query | Ask]) -> list[Scored | str | Exception]:
        """The answers to one step, whose queries are of one kind."""
        out: list[Scored | str | Exception] = []
        for query in queries:
            if isinstance(query, Ask):
                try:
                    out.append(self.rewrite(query))
                except Exception as error:  # whatever broke, the next harder operator decides
                    out.append(error)
        return out or [*self._score([query for query in queries if isinstance(query, Query)])]

    def _score(self, queries: Sequence[Query]) -> list[Scored | Exception]:
        """The classifier's answers in the caller's thread; what it raised where it failed."""
        try:
            return list(self._classifier.score_batch(queries))
        except Exception as error:  # whatever broke, no text may pass but by the policy's on_error
            if len(queries) == 1:
                return [error]
        # One text may have broken the batch: the others must not pay for it.
        return [scored for query in queries for scored in self._score([query])]

    def _rewritten(self, work: _Work) -> Decision:
        """The decision about a rewritten text, after its own screenings.

        A rewritten text that could not be screened (asterisks may be more tokens than the digits were) is
        decided by ``on_error``, as the original would have been; the original itself passes in no case, and
        the message stands for a text that could not be rewritten.
        """
        subject, finding = work.subject, replace(work.finding, timings=work.timings)
        end = work.rewriting.end if work.rewriting else End.UNSURE
        chosen = work.rewriting.chosen if work.rewriting else None
        if end is End.UNSURE:
            finding = replace(finding, degraded=True)
            end = End.ALLOWED if subject.policy.failure_action is Action.ALLOW else End.BLOCKED
        if end is not End.BLOCKED:
            return self._decision(subject, finding, Action.REWRITE, chosen)
        rules = (*finding.outcome.rules, *work.rules)
        return self._decision(subject, replace(finding, outcome=replace(finding.outcome, rules=rules)), Action.BLOCK)

    def _decision(self, subject: _Subject, finding: _Finding, action: Action, new: Rewritten | None = None) -> Decision:
        """Put a decision together; without a new text it is the original or, unless that is allowed, the message."""
        message = new is None and action is not Action.ALLOW
        text = new.text if new else subject.content.text
        if message:
            text = message_for(subject.policy, finding.outcome, subject.language)
        return Decision(
            action=action,
            output_text=text,
            rules=finding.outcome.rules,
            scores=finding.scored.scores,
            detections=finding.detections,
            policy=subject.policy.identity,
            model=self._classifier.artifact.identity,
            chunks=finding.scored.chunks,
            tokens=finding.scored.tokens,
            language=subject.language,
            degraded=finding.degraded,
            timings=replace(finding.timings, tokenise=finding.timings.tokenise + subject.prepare_us),
            request_id=subject.content.request_id,
            message=message,
            rewrites=new.rewrites if new else (),
        )


@dataclass(frozen=True, slots=True)
class Opening:
    """What a stream's decisions depend on beside its text, checked once; it keeps the policy it began with.

    Attributes:
        content: What the caller gave; its text is of no account.
        policy: The policy that decides.
        context: The content's context as the model reads it.
    """

    content: Content
    policy: Policy
    context: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class _Subject:
    """Content on its way through, with its policy: checked and normalised, or unreadable because of a defect.

    Of a slice of a stream, what was found counts only where it touches ``part``; ``numbers`` are those of the stream.
    """

    content: Content
    policy: Policy
    normalized: Normalized | None = None
    context: tuple[Turn, ...] = ()
    language: str = OTHER
    prepare_us: int = 0
    part: Span | None = None
    numbers: Numbers | None = None
    droppable: bool = True

    def names(self) -> Numbers:
        """The names of what is hidden: those of the stream, or those of the values in the context, in order."""
        numbers = self.numbers.copy() if self.numbers else numbers_of(self.context)
        numbers.read([self.content.text])
        return numbers

    @property
    def query(self) -> Query | None:
        return Query(self.normalized.text, self.content.direction, self.context) if self.normalized else None


@dataclass(frozen=True, slots=True)
class _Finding:
    """What was found in a text and what its policy makes of it; degraded if the text could not be screened."""

    scored: Scored
    detections: tuple[Detection, ...]
    outcome: Outcome
    timings: Timings
    degraded: bool = False


@dataclass(slots=True)
class _Work:
    """A text that is rewritten: what was found in it, and what its versions cost and showed besides.

    Attributes:
        rewriting: Its way; None if a defect prevents it.
        versions: What is being screened.
        rules: What fired in versions and had not before.
        timings: Of all screenings together.
    """

    subject: _Subject
    finding: _Finding
    rewriting: Rewriting | None
    versions: list[_Subject] = field(default_factory=list)
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
            _log_failure(error)
            self.rewriting.fail()

    def prepare(self) -> None:
        """Make subjects of the versions to screen."""
        assert self.rewriting is not None
        self.versions = []
        if self.rewriting.end is not None:
            return
        try:
            self.versions = [_version(self.subject, new) for new in self.rewriting.candidates]
        except Exception as error:  # a defect of normalisation: on_error decides
            _log_failure(error)
        if not self.versions:
            self.rewriting.fail()

    def take(self, findings: Sequence[_Finding | InvalidInput]) -> None:
        """Go on with what was found in the versions."""
        assert self.rewriting is not None
        if self.rewriting.end is not None:
            return
        sound = [found if isinstance(found, _Finding) and not found.degraded else None for found in findings]
        known = {rule.id for rule in (*self.finding.outcome.rules, *self.rules)}
        for found in filter(None, sound):
            self.timings = _sum(self.timings, found.timings)
            self.rules += [rule for rule in found.outcome.rules if rule.id not in known]
            known.update(rule.id for rule in found.outcome.rules)
        try:
            pairs = zip(self.versions, sound, strict=True)
            self.rewriting.take([_seen(version, found) if found else None for version, found in pairs])
        except Exception as error:  # a recognizer's wrong span ...: on_error decides
            _log_failure(error)
            self.rewriting.fail()


def _version(subject: _Subject, new: Rewritten) -> _Subject:
    """The same content with another text."""
    part = subject.part and Span(subject.part.start, new.moved(subject.part.end))
    content = replace(subject.content, text=new.text)
    return replace(subject, content=content, normalized=normalize(new.text), part=part)


def _seen(subject: _Subject, finding: _Finding) -> Seen:
    assert subject.normalized is not None
    return Seen(finding.outcome, finding.scored, subject.normalized)


def _judge(subject: _Subject, scored: Scored | str | Exception | None) -> _Finding:
    began = time.perf_counter_ns()
    if isinstance(scored, Exception):
        _log_failure(scored)
        return _unscreened(subject.policy)
    if not isinstance(scored, Scored) or subject.normalized is None:
        return _unscreened(subject.policy)
    try:
        detections = _within(detect(subject.normalized), subject.part)
        outcome = evaluate(subject.policy, subject.content.direction, scored.scores, detections)
    except Exception as error:  # a recognizer's defect or a score that is no number: on_error decides, too
        _log_failure(error)
        return _unscreened(subject.policy)
    return _Finding(scored, detections, outcome, replace(scored.timings, decide=_since(began)))


def _within(detections: tuple[Detection, ...], part: Span | None) -> tuple[Detection, ...]:
    if part is None:
        return detections
    return tuple(found for found in detections if found.span.end > part.start and found.span.start < part.end)


def _unscreened(policy: Policy) -> _Finding:
    """What ``on_error`` says about a text that could not be screened."""
    outcome = Outcome(policy.failure_action, (), ())
    return _Finding(Scored({}, NO_TOKENS, 0, 0, Timings()), (), outcome, Timings(), degraded=True)


def _sum(first: Timings, second: Timings) -> Timings:
    return Timings(
        queue=first.queue + second.queue,
        tokenise=first.tokenise + second.tokenise,
        infer=first.infer + second.infer,
        decide=first.decide + second.decide,
    )


def _since(began: int) -> int:
    """Microseconds since a reading of the nanosecond clock."""
    return (time.perf_counter_ns() - began) // 1000


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, NoAnswer) else place_of(error)


def _log_failure(error: Exception) -> None:
    _log.error("a text could not be screened, on_error decides: %s", place_of(error))
