"""A guard for the tests of those who use one: no model, no server, decisions by simple rules.

It checks its input like a real guard does, so a test cannot pass with arguments that production would refuse.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Self, TypeAlias

from guard.content import is_blank, make_content
from guard.errors import GuardError, InvalidInput
from guard.language import language_of
from guard.normalize import NORMALIZER_VERSION
from guard.placeholders import Numbers
from guard.rewrite import Edit, rewrite
from guard.sdk.deltas import AsyncDeltas, Deltas, check_deltas, read_async_deltas, read_deltas
from guard.sdk.items import Context, Item, Result, merge_results, read_items, sound_items
from guard.sdk.stream import AsyncGuardStream, GuardStream, OnBlock, opening_content
from guard.sdk.timeouts import checked_timeout
from guard.types import (
    CATEGORIES,
    DEFAULT_POLICY,
    NONCOMPLIANT,
    Action,
    Content,
    Decision,
    Detection,
    FiredRule,
    Info,
    Limits,
    ModelInfo,
    Operator,
    PolicyInfo,
    Span,
)
from guard.version import __version__

#: What a rule answers: an action (``block``), a whole decision, or an error that is raised.
Answer: TypeAlias = str | Decision | GuardError

#: Rules of a fake: answers by substring (the strongest action of those found wins), or a function of the content.
Rules: TypeAlias = Mapping[str, Answer] | Callable[[Content], Answer]

#: What a blocked or rewritten text becomes where there is nothing to mask.
FAKE_MESSAGE = "Stopped by the fake guard."

_REVISION = "fake"
_SURE = 1.0
_THRESHOLD = 0.5


class FakeGuard:
    """Decides by substring or by a function, and remembers what it was asked.

    ``FakeGuard({"bomb": "block", "555": "rewrite"})`` blocks texts with the first, masks the second and allows
    the rest; ``FakeGuard({"": Unavailable("down")})`` is a guard that cannot be reached. Not thread-safe.

    Attributes:
        calls: The contents it was asked about, in order; broken ones are not in it.
    """

    def __init__(self, rules: Rules | None = None) -> None:
        """Take the rules; none allow everything.

        Raises:
            InvalidInput: A rule's answer is no action; the field is ``rules``.
        """
        self.calls: list[Content] = []
        self._rules: Rules = {} if rules is None else rules
        if isinstance(self._rules, Mapping):
            for answer in self._rules.values():
                if not isinstance(answer, GuardError):
                    _action(answer)

    def screen(
        self,
        text: str,
        direction: str = "prompt",
        context: Context | None = None,
        policy: str | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        origin: str = "user",
        request_id: str = "",
        timeout: float | None = None,
    ) -> Decision:
        """As :meth:`guard.GuardClient.screen`; ``timeout`` is checked and has no effect.

        Raises:
            InvalidInput: The arguments break the contract.
            GuardError: The rules answered with it.
        """
        checked_timeout(timeout)
        return self._decide(make_content(text, direction, context, policy, tags, origin, request_id))

    def screen_batch(
        self,
        items: Iterable[Item],
        direction: str = "prompt",
        policy: str | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        timeout: float | None = None,
    ) -> list[Result]:
        """As :meth:`guard.GuardClient.screen_batch`; an error of the rules is that item's result."""
        checked_timeout(timeout)
        contents = read_items(items, direction=direction, policy=policy, tags=tags)
        return merge_results(contents, [self._result(content) for content in sound_items(contents)])

    def screen_stream(
        self,
        deltas: Deltas,
        direction: str = "output",
        context: Context | None = None,
        policy: str | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        origin: str = "user",
        request_id: str = "",
        on_block: OnBlock = "message",
        timeout: float | None = None,
    ) -> GuardStream:
        """As :meth:`guard.GuardClient.screen_stream`; it reads to the end and decides about the whole text.

        A text without a visible character is allowed without asking the rules.
        """
        check_deltas(deltas)
        checked_timeout(timeout)
        content = opening_content(direction, context, policy, tags, origin, request_id)
        return GuardStream(self._stream(content, deltas), on_block)

    def info(self, *, timeout: float | None = None) -> Info:
        """As :meth:`guard.GuardClient.info`, of a model and a policy named fake."""
        checked_timeout(timeout)
        return Info(
            version=__version__,
            model=ModelInfo("fake", _REVISION, CATEGORIES, (), NORMALIZER_VERSION),
            policies=(PolicyInfo(DEFAULT_POLICY, _REVISION, "enforce", "rules of a test", 0, default=True),),
            limits=Limits(max_tokens=32768, chunk_tokens=128),
        )

    def close(self) -> None:
        """Nothing to release."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _stream(self, content: Content, deltas: Deltas) -> Generator[str | Decision, None, None]:
        texts = list(read_deltas(deltas))
        yield from _pieces(self._decide_whole(content, texts), texts)

    def _decide_whole(self, content: Content, texts: list[str]) -> Decision:
        whole = replace(content, text="".join(texts))
        return _decided(whole, Action.ALLOW, ()) if is_blank(whole.text) else self._decide(whole)

    def _result(self, content: Content) -> Result:
        try:
            return self._decide(content)
        except GuardError as error:
            return error

    def _decide(self, content: Content) -> Decision:
        self.calls.append(content)
        if not isinstance(self._rules, Mapping):
            return _decision(content, [self._rules(content)], ())
        found = {part: answer for part, answer in self._rules.items() if part in content.text}
        masked = [
            span
            for part, answer in found.items()
            if part and answer == Action.REWRITE
            for span in _places(content.text, part)
        ]
        return _decision(content, found.values(), masked)


class AsyncFakeGuard:
    """The same fake with the methods of :class:`guard.AsyncGuardClient`.

    Attributes:
        calls: The contents it was asked about, in order.
    """

    def __init__(self, rules: Rules | None = None) -> None:
        """Take the rules of :class:`FakeGuard`."""
        self._fake = FakeGuard(rules)
        self.calls = self._fake.calls

    async def screen(
        self,
        text: str,
        direction: str = "prompt",
        context: Context | None = None,
        policy: str | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        origin: str = "user",
        request_id: str = "",
        timeout: float | None = None,
    ) -> Decision:
        """As :meth:`FakeGuard.screen`."""
        return self._fake.screen(
            text, direction, context, policy, tags, origin=origin, request_id=request_id, timeout=timeout
        )

    async def screen_batch(
        self,
        items: Iterable[Item],
        direction: str = "prompt",
        policy: str | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        timeout: float | None = None,
    ) -> list[Result]:
        """As :meth:`FakeGuard.screen_batch`."""
        return self._fake.screen_batch(items, direction, policy, tags, timeout=timeout)

    def screen_stream(
        self,
        deltas: AsyncDeltas,
        direction: str = "output",
        context: Context | None = None,
        policy: str | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        origin: str = "user",
        request_id: str = "",
        on_block: OnBlock = "message",
        timeout: float | None = None,
    ) -> AsyncGuardStream:
        """As :meth:`FakeGuard.screen_stream`."""
        check_deltas(deltas)
        checked_timeout(timeout)
        content = opening_content(direction, context, policy, tags, origin, request_id)
        return AsyncGuardStream(self._stream(content, deltas), on_block)

    async def info(self, *, timeout: float | None = None) -> Info:
        """As :meth:`FakeGuard.info`."""
        return self._fake.info(timeout=timeout)

    async def _stream(self, content: Content, deltas: AsyncDeltas) -> AsyncGenerator[str | Decision, None]:
        texts = [text async for text in read_async_deltas(deltas)]
        for event in _pieces(self._fake._decide_whole(content, texts), texts):
            yield event

    async def close(self) -> None:
        """Nothing to release."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _pieces(decision: Decision, texts: Iterable[str]) -> Iterator[str | Decision]:
    """What a stream of these texts gives back."""
    if not decision.message:
        at = 0
        for text in texts:
            if piece := decision.output_text[at : at + len(text)]:
                yield piece
            at += len(text)
        # A mask keeps the length; a whole decision of the test's own may not.
        if rest := decision.output_text[at:]:
            yield rest
    yield decision


def _action(answer: str | Decision) -> Action:
    if isinstance(answer, Decision):
        return answer.action
    if answer not in set(Action):
        raise InvalidInput.of("rules", "an answer that is no action", f"one of {', '.join(Action)}")
    return Action(answer)


def _decision(content: Content, answers: Iterable[Answer], masked: Iterable[Span]) -> Decision:
    """The decision of the strongest answer; an error is stronger than any."""
    strongest: str | Decision = Action.ALLOW
    for answer in answers:
        if isinstance(answer, GuardError):
            raise answer
        if _strength(answer) >= _strength(strongest):
            strongest = answer
    if isinstance(strongest, Decision):
        return strongest
    return _decided(content, Action(strongest), tuple(masked))


def _strength(answer: str | Decision) -> int:
    return _action(answer).strength


def _decided(content: Content, action: Action, masked: tuple[Span, ...]) -> Decision:
    fired = action is not Action.ALLOW
    message = action is Action.BLOCK or (action is Action.REWRITE and not masked)
    new = rewrite(content.text, [Edit(span, Operator.MASK, NONCOMPLIANT) for span in masked], Numbers())
    return Decision(
        action=action,
        output_text=FAKE_MESSAGE if message else new.text,
        rules=(FiredRule("fake", NONCOMPLIANT, _SURE, _THRESHOLD, action),) if fired else (),
        scores={name: _SURE if fired and name == NONCOMPLIANT else 0.0 for name in CATEGORIES},
        detections=tuple(Detection(NONCOMPLIANT, span, _SURE, "fake") for span in masked),
        policy=f"{content.policy or DEFAULT_POLICY}@{_REVISION}",
        model=f"fake@{_REVISION}",
        chunks=1,
        tokens=len(content.text.split()),
        language=language_of(content.text),
        request_id=content.request_id,
        message=message,
        rewrites=() if message else new.rewrites,
    )


def _places(text: str, part: str) -> list[Span]:
    spans = []
    at = text.find(part)
    while at >= 0:
        spans.append(Span(at, at + len(part)))
        at = text.find(part, at + len(part))
    return spans
