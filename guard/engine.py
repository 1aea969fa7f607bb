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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias, TypeVar

from guard.classifier.artifact import DEFAULT_MODEL_DIR
from guard.classifier.classifier import TOO_LONG_CURE, Classifier, Query, Scored
from guard.content import violations
from guard.errors import GuardError, InvalidInput, Violation
from guard.judging import Finding, Subject, judge, log_failure, outcome_of, since, summed, unmasked, unscreened
from guard.language import language_of
from guard.llm import Ask, NoAnswer, Rewriter
from guard.normalize import normalize
from guard.opened import prepare
from guard.placeholders import Numbers
from guard.policy.allow import lifted
from guard.policy.evaluate import message_for
from guard.policy.explain import explain
from guard.policy.explained import ChunkPart, Explanation
from guard.policy.policy import Policy
from guard.policy.store import PolicyStore
from guard.promise import End
from guard.rewrite import Rewritten
from guard.types import Action, Content, Decision, Direction, Info, Limits, Span, Turn
from guard.unmask import unmask
from guard.version import __version__
from guard.versions import Work, begin

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

#: A screening on its way: it yields queries, never none of them, is sent one result per query, which is an exception
#: where there are no scores, and returns what was decided. An ``InvalidInput`` is the caller's; any other exception is
#: decided by the policy's ``on_error``.
Steps: TypeAlias = Generator[list[Query | Ask], list[Scored | str | Exception], _T]

# A text of more code points per token of the limit is refused before it costs any work: words are shorter.
_CHARACTERS_PER_TOKEN = 64

# Chinese characters load the converter, telephone numbers the plans of their countries, disguises the words.
_WARM_UP = ("你好，我的电话是 13800138000。", "Hello, my number is +1 415 555 2671.")
_DISGUISED = "H3llo, 你*好"


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
        engine = cls(classifier, PolicyStore.load(policy), rewriter)
        engine._warn_of_mismatches()
        return engine

    @property
    def classifier(self) -> Classifier:
        """What scores."""
        return self._classifier

    def with_policies(self, policies: PolicyStore) -> Engine:
        """An engine with the same classifier that decides by other policies; those of another model are warned of."""
        engine = Engine(self._classifier, policies, self._rewriter)
        engine._warn_of_mismatches()
        return engine

    def with_classifier(self, classifier: Classifier) -> Engine:
        """An engine with the same policies and another classifier; policies of another model are warned of."""
        engine = Engine(classifier, self._policies, self._rewriter)
        engine._warn_of_mismatches()
        return engine

    def warm_up(self) -> None:
        """Screen a short text of its own in each language, so that no caller waits for what is loaded at first use."""
        unmask(normalize(_DISGUISED))
        prepare()
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
        decided = iter((yield from self._decide([subject for subject in checked if isinstance(subject, Subject)])))
        return [next(decided) if isinstance(subject, Subject) else subject for subject in checked]

    def unscreened(self, contents: Sequence[Content]) -> list[Decision | GuardError]:
        """What ``on_error`` says about each content, for whoever had no time to have them read; at once.

        Returns:
            One result per content, in order; degraded, or the error of one that asks for an unknown policy.
        """
        return [self._unscreened(content) for content in contents]

    def _unscreened(self, content: Content) -> Decision | InvalidInput:
        try:
            subject = Subject(content, self._policies.select(content.policy, content.tags))
        except InvalidInput as unknown:
            return unknown
        finding = unscreened(subject.policy)
        return self._decision(subject, finding, finding.outcome.action)

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
        subject = Subject(content, opening.policy, part=part, numbers=numbers, droppable=droppable)
        try:
            normalized = normalize(text)
            language = language_of(normalized.text)
            subject = replace(
                subject, normalized=normalized, context=opening.context, language=language, prepare_us=since(began)
            )
        except Exception as error:  # a defect of normalisation: on_error decides
            log_failure(error)
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

    def _admit(self, content: Content) -> Subject | InvalidInput:
        """Check and prepare; what a defect makes unreadable is left so, to be decided by ``on_error``."""
        try:
            return self._check(content)
        except Exception as error:  # a defect of the checks or of normalisation must not cost the rest of a batch
            log_failure(error)
        try:
            return Subject(content, self._policies.select(content.policy, content.tags))
        except InvalidInput as unknown:
            return unknown

    def _check(self, content: Content) -> Subject | InvalidInput:
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
        return Subject(content, policy, normalized, context, language_of(normalized.text), since(began))

    def _readable(self, context: Sequence[Turn]) -> tuple[Turn, ...]:
        """The turns that the model can read, normalised: every turn takes a token at least, so older ones cannot."""
        newest = context[max(0, len(context) - self._classifier.artifact.limits.context) :]
        turns = (Turn(turn.role, normalize(turn.text).text) for turn in newest)
        return tuple(turn for turn in turns if turn.text.strip())

    def _decide(self, subjects: Sequence[Subject]) -> Steps[list[Decision | InvalidInput]]:
        findings = yield from self._examine(subjects)
        works = {
            index: begin(subject, finding, self._classifier.artifact.categories)
            for index, (subject, finding) in enumerate(zip(subjects, findings, strict=True))
            if isinstance(finding, Finding) and finding.outcome.action is Action.REWRITE
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

    def _rewrite(self, works: Sequence[Work]) -> Steps[None]:
        """Screen what rewritings want screened, of all texts together, until each has ended."""
        while waiting := [work for work in works if work.rewriting and work.rewriting.end is None]:
            yield from self._ask([work for work in waiting if work.rewriting and work.rewriting.asks is not None])
            for work in waiting:
                work.prepare()
            found = iter((yield from self._examine([version for work in waiting for version in work.versions])))
            for work in waiting:
                work.take([next(found) for _ in work.versions])

    def _ask(self, works: Sequence[Work]) -> Steps[None]:
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

    def _examine(self, subjects: Sequence[Subject]) -> Steps[list[Finding | InvalidInput]]:
        """Score and evaluate, both readings of a text that has two; what could not be read or scored is degraded."""
        subjects = [unmasked(subject) for subject in subjects]
        queries: list[Query | Ask] = [query for subject in subjects for query in subject.queries]
        answers = iter((yield queries) if queries else [])
        found = [judge(subject, [next(answers) for _ in subject.queries]) for subject in subjects]
        for index, (subject, finding) in enumerate(zip(subjects, found, strict=True)):
            if isinstance(finding, Finding) and finding.doubts:
                found[index] = yield from self._settled(subject, finding)
        return found

    def _settled(self, subject: Subject, finding: Finding) -> Steps[Finding]:
        """The finding after rules that fired beside their allow-terms were asked again; rare, so one text at a time."""
        scores, timings = finding.scored.scores, finding.timings
        for doubt in finding.doubts:
            direction = subject.content.direction
            answers = yield [Query(text, direction, subject.context) for text in doubt.texts]
            sound = [answer if isinstance(answer, Scored) else None for answer in answers]
            scores = lifted(doubt, scores, finding.detections, [answer.scores if answer else None for answer in sound])
            timings = summed(timings, *(answer.timings for answer in sound if answer))
        try:
            outcome = outcome_of(subject, scores, finding.detections)
        except Exception as error:  # a score that is no number: on_error decides
            log_failure(error)
            return unscreened(subject.policy)
        return replace(finding, scored=replace(finding.scored, scores=scores), outcome=outcome, timings=timings)

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

    def _rewritten(self, work: Work) -> Decision:
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

    def _decision(self, subject: Subject, finding: Finding, action: Action, new: Rewritten | None = None) -> Decision:
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
            transforms=finding.transforms,
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
