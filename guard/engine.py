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
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias, TypeVar

from guard.classifier.artifact import DEFAULT_MODEL_DIR
from guard.classifier.classifier import NO_TOKENS, TOO_LONG_CURE, Classifier, Query, Scored
from guard.content import violations
from guard.errors import GuardError, InvalidInput, Violation, place_of
from guard.language import OTHER, language_of
from guard.normalize import Normalized, normalize
from guard.policy.allow import Doubt, doubts, lifted, with_terms
from guard.policy.evaluate import Outcome, evaluate, message_for
from guard.policy.explain import explain
from guard.policy.explained import ChunkPart, Explanation
from guard.policy.policy import Policy
from guard.policy.store import PolicyStore
from guard.policy.terms import Hit
from guard.policy.terms import detections as places_of
from guard.readings import Evidence, changes, combine
from guard.recognizers import detect
from guard.rewrite import mask
from guard.types import Action, Content, Decision, Detection, Direction, Info, Limits, Span, Timings, Turn
from guard.unmask import Reading, unmask
from guard.version import __version__

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

#: A screening on its way: it yields queries, never none of them, is sent one result per query, which is an exception
#: where there are no scores, and returns what was decided. An ``InvalidInput`` is the caller's; any other exception is
#: decided by the policy's ``on_error``.
Steps: TypeAlias = Generator[list[Query], list[Scored | Exception], _T]

# A text of more code points per token of the limit is refused before it costs any work: words are shorter.
_CHARACTERS_PER_TOKEN = 64

# Chinese characters load the converter, telephone numbers the plans of their countries, disguises the words.
_WARM_UP = ("你好，我的电话是 13800138000。", "Hello, my number is +1 415 555 2671.")
_DISGUISED = "H3llo, 你*好"


class Engine:
    """A classifier and policies behind one function. Immutable, thread-safe, lives as long as its owner."""

    def __init__(self, classifier: Classifier, policies: PolicyStore) -> None:
        self._classifier = classifier
        self._policies = policies

    @classmethod
    def load(
        cls,
        model: Path | None = None,
        policy: Path | None = None,
        *,
        threads: int = 1,
        max_tokens: int | None = None,
    ) -> Engine:
        """Load an artifact and policies from files; a policy that was set for another model is warned of.

        Args:
            model: An artifact directory; None for the one in the package.
            policy: A policy file or a directory of them; None for the default policy.
            threads: Threads inside one operator of the model.
            max_tokens: Overrides the artifact's limit on the tokens of one text.

        Raises:
            ArtifactError: The model directory cannot be used.
            PolicyError: The policies have mistakes; all of them are listed.
        """
        classifier = Classifier.load(model or DEFAULT_MODEL_DIR, threads=threads, max_tokens=max_tokens)
        engine = cls(classifier, PolicyStore.load(policy))
        engine._warn_of_mismatches()
        return engine

    @property
    def classifier(self) -> Classifier:
        """What scores."""
        return self._classifier

    def with_policies(self, policies: PolicyStore) -> Engine:
        """An engine with the same classifier that decides by other policies; those of another model are warned of."""
        engine = Engine(self._classifier, policies)
        engine._warn_of_mismatches()
        return engine

    def with_classifier(self, classifier: Classifier) -> Engine:
        """An engine with the same policies and another classifier; policies of another model are warned of."""
        engine = Engine(classifier, self._policies)
        engine._warn_of_mismatches()
        return engine

    def warm_up(self) -> None:
        """Screen a short text of its own in each language, so that no caller waits for what is loaded at first use."""
        unmask(normalize(_DISGUISED))
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
            answers = self._score(queries)

    def open(self, content: Content) -> Opening:
        """Check what a stream begins with.

        Args:
            content: Everything but the text, which is of no account here.

        Raises:
            InvalidInput: Every broken field is named; ``policy`` also if its window is larger than a text may be.
        """
        found = [violation for violation in violations(content) if violation.field != "text"]
        try:
            policy = self._policies.select(content.policy, content.tags)
        except InvalidInput as error:
            raise InvalidInput((*found, *error.violations)) from None
        sizes, limit = policy.streaming, self._classifier.artifact.limits.max_text
        if sizes.context + sizes.lookahead + sizes.step > limit:
            reason = f"the slices of {policy.name} have more tokens than the limit of {limit}"
            found.append(Violation("policy", reason, "lower the policy's streaming sizes, or raise max_tokens"))
        if found:
            raise InvalidInput(found)
        return Opening(content, policy, tuple(map(self._shortened, self._readable(content.context))))

    def screen_slice(self, opening: Opening, text: str, part: Span) -> Decision:
        """Decide about a slice of a stream; the one screening path, for text that is not looked at as a whole.

        Args:
            opening: What the stream began with.
            text: The slice; not blank.
            part: What of it is to be decided, in code points of ``text``. The classifier reads all of it; a place that
                a recognizer finds counts if it touches the part.

        Raises:
            InvalidInput: The slice is over the limit on a text's tokens.
        """
        return self.finish(self.screening_slice(opening, text, part))

    def screening_slice(self, opening: Opening, text: str, part: Span) -> Steps[Decision]:
        """The steps of :meth:`screen_slice`, for whoever scores differently."""
        began = time.perf_counter_ns()
        content = replace(opening.content, text=text)
        subject = _Subject(content, opening.policy, part=part)
        try:
            normalized = normalize(text)
            language = language_of(normalized.text)
            subject = _Subject(content, opening.policy, normalized, opening.context, language, _since(began), part=part)
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
    def sources(self) -> frozenset[Path]:
        """The files that its policies were made from."""
        return self._policies.sources

    @property
    def max_characters(self) -> int:
        """Code points of the longest text that is screened at once."""
        return self._classifier.artifact.limits.max_text * _CHARACTERS_PER_TOKEN

    def _shortened(self, turn: Turn) -> Turn:
        """A turn without a middle that the model cannot read: it is read again with every slice of a stream."""
        reach = self._classifier.artifact.limits.context * _CHARACTERS_PER_TOKEN
        return turn if len(turn.text) <= 2 * reach else Turn(turn.role, f"{turn.text[:reach]} {turn.text[-reach:]}")

    def explain(self, content: Content) -> Explanation:
        """Why one text is decided as it is; scores it once more, chunk by chunk.

        Raises:
            InvalidInput: As :meth:`screen`.
        """
        decision = self.screen(content)
        chunks: tuple[ChunkPart, ...] = ()
        if not decision.degraded:
            normalized = normalize(content.text)
            query = Query(normalized.text, content.direction, self._readable(content.context))
            chunks = tuple(
                ChunkPart(
                    span=normalized.original_span(chunk.start, chunk.end),
                    tokens=chunk.tokens,
                    scores=chunk.scores,
                    peaks={name: normalized.original_span(*place) for name, place in chunk.peaks.items()},
                )
                for chunk in self._classifier.chunk_scores(query)
            )
        return explain(self._policies.get(content.policy), content, decision, chunks)

    def info(self) -> Info:
        """Versions, model, policies and limits."""
        limits = self._classifier.artifact.limits
        return Info(
            version=__version__,
            model=self._classifier.info,
            policies=self._policies.infos(),
            limits=Limits(max_tokens=limits.max_text, chunk_tokens=limits.chunk),
        )

    def _warn_of_mismatches(self) -> None:
        for line in self._policies.mismatches(self._classifier.artifact.identity):
            _log.warning("%s", line)

    def _admit(self, content: Content) -> _Subject | InvalidInput:
        """Check and prepare; what a defect makes unreadable is left so, to be decided by ``on_error``."""
        try:
            return self._check(content)
        except Exception as error:  # a defect of the checks or of normalisation must not cost the rest of a batch
            _log_failure(error)
        try:
            return _Subject(content, self._policies.select(content.policy, content.tags))
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
            policy = self._policies.select(content.policy, content.tags)
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
        masked = {
            index: _masked(subject, finding.outcome.spans)
            for index, (subject, finding) in enumerate(zip(subjects, findings, strict=True))
            if isinstance(finding, _Finding) and finding.outcome.action is Action.REWRITE and finding.outcome.spans
        }
        covered = {index: subject for index, subject in masked.items() if subject is not None}
        again = dict(zip(covered, (yield from self._examine(list(covered.values()))), strict=True))
        results: list[Decision | InvalidInput] = []
        for index, (subject, finding) in enumerate(zip(subjects, findings, strict=True)):
            if isinstance(finding, InvalidInput):
                results.append(finding)
            elif index in masked:
                results.append(self._rewritten(subject, finding, masked[index], again.get(index)))
            else:
                results.append(self._decision(subject, finding, finding.outcome.action))
        return results

    def _examine(self, subjects: Sequence[_Subject]) -> Steps[list[_Finding | InvalidInput]]:
        """Score and evaluate, both readings of a text that has two; what could not be read or scored is degraded."""
        subjects = [_unmasked(subject) for subject in subjects]
        queries = [query for subject in subjects for query in subject.queries]
        answers = iter((yield queries) if queries else [])
        found = [_judge(subject, [next(answers) for _ in subject.queries]) for subject in subjects]
        for index, (subject, finding) in enumerate(zip(subjects, found, strict=True)):
            if isinstance(finding, _Finding) and finding.doubts:
                found[index] = yield from self._settled(subject, finding)
        return found

    def _settled(self, subject: _Subject, finding: _Finding) -> Steps[_Finding]:
        """The finding after rules that fired beside their allow-terms were asked again; rare, so one text at a time."""
        scores, timings = finding.scored.scores, finding.timings
        for doubt in finding.doubts:
            direction = subject.content.direction
            answers = yield [Query(text, direction, subject.context) for text in doubt.texts]
            sound = [answer if isinstance(answer, Scored) else None for answer in answers]
            scores = lifted(doubt, scores, finding.detections, [answer.scores if answer else None for answer in sound])
            timings = _sum(timings, *(answer.timings for answer in sound if answer))
        try:
            outcome = _outcome(subject, scores, finding.detections)
        except Exception as error:  # a score that is no number: on_error decides
            _log_failure(error)
            return _unscreened(subject.policy)
        return replace(finding, scored=replace(finding.scored, scores=scores), outcome=outcome, timings=timings)

    def _score(self, queries: Sequence[Query]) -> list[Scored | Exception]:
        """The classifier's answers in the caller's thread; what it raised where it failed."""
        try:
            return list(self._classifier.score_batch(queries))
        except Exception as error:  # whatever broke, no text may pass but by the policy's on_error
            if len(queries) == 1:
                return [error]
        # One text may have broken the batch: the others must not pay for it.
        return [scored for query in queries for scored in self._score([query])]

    def _rewritten(
        self, subject: _Subject, finding: _Finding, masked: _Subject | None, second: _Finding | InvalidInput | None
    ) -> Decision:
        """The decision about a masked text, after its own screening.

        A masked text that could not be screened (asterisks may be more tokens than the digits were) is
        decided by ``on_error``, as the original would have been; the original itself passes in no case, and
        the message stands for a text that could not be masked.
        """
        text = None if masked is None else masked.content.text
        if second is None or isinstance(second, InvalidInput) or second.degraded:
            unsure = replace(finding, degraded=True)
            if subject.policy.failure_action is Action.ALLOW:
                return self._decision(subject, unsure, Action.REWRITE, text)
            return self._decision(subject, unsure, Action.BLOCK)
        finding = replace(finding, timings=_sum(finding.timings, second.timings))
        if second.outcome.action is Action.ALLOW:
            return self._decision(subject, finding, Action.REWRITE, text)
        fired = {rule.id for rule in finding.outcome.rules}
        rules = (*finding.outcome.rules, *(rule for rule in second.outcome.rules if rule.id not in fired))
        uncovered = replace(finding, outcome=replace(second.outcome, rules=rules))
        return self._decision(subject, uncovered, Action.BLOCK)

    def _decision(self, subject: _Subject, finding: _Finding, action: Action, text: str | None = None) -> Decision:
        """Put a decision together; without a text it is the original or, unless that is allowed, the message."""
        message = text is None and action is not Action.ALLOW
        if message:
            text = message_for(subject.policy, finding.outcome, subject.language)
        return Decision(
            action=action,
            output_text=subject.content.text if text is None else text,
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
            transforms=finding.transforms,
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

    Of a slice of a stream, what was found counts only where it touches ``part``.
    """

    content: Content
    policy: Policy
    normalized: Normalized | None = None
    context: tuple[Turn, ...] = ()
    language: str = OTHER
    prepare_us: int = 0
    part: Span | None = None
    reading: Reading | None = None

    @property
    def queries(self) -> list[Query]:
        """The text, and its second reading if it has one; nothing if it is unreadable."""
        readings = (self.normalized, self.reading.normalized if self.reading else None)
        return [Query(found.text, self.content.direction, self.context) for found in readings if found]


@dataclass(frozen=True, slots=True)
class _Finding:
    """What was found in a text and what its policy makes of it; degraded if the text could not be screened."""

    scored: Scored
    detections: tuple[Detection, ...]
    outcome: Outcome
    timings: Timings
    degraded: bool = False
    doubts: tuple[Doubt, ...] = ()
    transforms: tuple[str, ...] = ()


def _unmasked(subject: _Subject) -> _Subject:
    """The subject with its second reading; unreadable if a defect prevents that."""
    try:
        return replace(subject, reading=unmask(subject.normalized) if subject.normalized else None)
    except Exception as error:  # nobody knows what the disguise hid: on_error decides
        _log_failure(error)
        return replace(subject, normalized=None)


def _masked(subject: _Subject, spans: Iterable[Span]) -> _Subject | None:
    """The same content with the spans covered; None if a defect prevents that."""
    try:
        text = mask(subject.content.text, spans)
        return replace(subject, content=replace(subject.content, text=text), normalized=normalize(text))
    except Exception as error:  # a recognizer's wrong span, or normalisation: on_error decides, too
        _log_failure(error)
        return None


def _judge(subject: _Subject, answers: Sequence[Scored | Exception]) -> _Finding | InvalidInput:
    """What the policy makes of the classifier's answers, one a reading."""
    began = time.perf_counter_ns()
    scored = [answer for answer in answers if isinstance(answer, Scored)]
    for answer in answers:
        if isinstance(answer, InvalidInput):
            return answer
        if isinstance(answer, Exception):
            _log_failure(answer)
    if not scored or len(scored) < len(answers) or subject.normalized is None:
        return _unscreened(subject.policy)
    try:
        found, hits = _evidence(subject, subject.normalized, scored[0])
        scores = _with_terms(subject.policy, found, hits)
        outcome = _outcome(subject, scores, found.detections)
        unsure: tuple[Doubt, ...] = ()
        transforms: tuple[str, ...] = ()
        if subject.reading:
            first = outcome
            second, more = _evidence(subject, subject.reading.normalized, scored[1])
            found = combine(found, second)
            scores = _with_terms(subject.policy, found, (*hits, *more))
            outcome = _outcome(subject, scores, found.detections)
            transforms = subject.reading.transforms if changes(first, outcome) else ()
        elif hits:  # of a disguised text no allow-term lifts anything: what it hides may be what fires
            unsure = doubts(subject.policy, outcome, subject.normalized.text, hits)
    except Exception as error:  # a recognizer's defect or a score that is no number: on_error decides, too
        _log_failure(error)
        return _unscreened(subject.policy)
    timings = _sum(*(answer.timings for answer in scored), Timings(decide=_since(began)))
    counted = replace(scored[0], scores=scores)
    return _Finding(counted, found.detections, outcome, timings, doubts=unsure, transforms=transforms)


def _evidence(subject: _Subject, reading: Normalized, scored: Scored) -> tuple[Evidence, Sequence[Hit]]:
    """What was found in one reading, and every place of a term in it."""
    hits = subject.policy.terms.find(reading.text) if subject.policy.terms else ()
    places = (*detect(reading, subject.policy.recognizers), *places_of(hits, reading))
    return Evidence(scored.scores, _within(places, subject.part)), hits


def _with_terms(policy: Policy, found: Evidence, hits: Sequence[Hit]) -> Mapping[str, float]:
    return with_terms(policy, found.scores, found.detections, hits) if policy.terms else found.scores


def _outcome(subject: _Subject, scores: Mapping[str, float], detections: Sequence[Detection]) -> Outcome:
    content = subject.content
    return evaluate(subject.policy, content.direction, scores, detections, language=subject.language, tags=content.tags)


def _within(detections: tuple[Detection, ...], part: Span | None) -> tuple[Detection, ...]:
    if part is None:
        return detections
    return tuple(found for found in detections if found.span.end > part.start and found.span.start < part.end)


def _unscreened(policy: Policy) -> _Finding:
    """What ``on_error`` says about a text that could not be screened."""
    outcome = Outcome(policy.failure_action, (), (), ())
    return _Finding(Scored({}, NO_TOKENS, 0, 0, Timings()), (), outcome, Timings(), degraded=True)


def _sum(*parts: Timings) -> Timings:
    return Timings(
        queue=sum(part.queue for part in parts),
        tokenise=sum(part.tokenise for part in parts),
        infer=sum(part.infer for part in parts),
        decide=sum(part.decide for part in parts),
    )


def _since(began: int) -> int:
    """Microseconds since a reading of the nanosecond clock."""
    return (time.perf_counter_ns() - began) // 1000


def _log_failure(error: Exception) -> None:
    _log.error("a text could not be screened, on_error decides: %s", place_of(error))
