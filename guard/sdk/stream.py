"""What ``screen_stream`` gives back: an iterator of the text that may be shown, with a decision behind it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping
from dataclasses import replace
from types import TracebackType
from typing import ClassVar, Literal, Self, TypeAlias

from guard.content import make_content
from guard.errors import GuardError, InternalError, InvalidInput
from guard.sdk.items import Context
from guard.types import Content, Decision

#: How a stream ends whose text must not be shown: with the policy's message as its last piece, or with ``Blocked``.
OnBlock: TypeAlias = Literal["message", "raise"]

#: Text that may be passed on, and at last the decision.
Event: TypeAlias = str | Decision

_ENDS = ("message", "raise")

# Content is checked with a text; a stream has none yet.
_SOME_TEXT = "-"


class Blocked(GuardError):
    """A stream was stopped by its policy, and its caller asked for an error instead of the policy's message.

    Attributes:
        decision: Why; its ``output_text`` is the message.
    """

    code: ClassVar[str] = "PERMISSION_DENIED"
    http_status: ClassVar[int] = 403

    def __init__(self, decision: Decision) -> None:
        self.decision = decision
        rules = ", ".join(rule.id for rule in decision.rules if not rule.shadow) or "on_error"
        super().__init__(f"the stream was stopped by {decision.policy}: {rules} (show the decision's output_text)")

    def __reduce__(self) -> tuple[type[Blocked], tuple[Decision]]:
        # Crosses processes: an exception is made again from its arguments, which here are not its message.
        return type(self), (self.decision,)


class _Ending:
    """The pieces of a stream so far and what becomes of its decision."""

    def __init__(self, on_block: str) -> None:
        if on_block not in _ENDS:
            raise InvalidInput.of("on_block", "unknown value", f"one of {', '.join(_ENDS)}")
        self._raises = on_block == "raise"
        self._pieces: list[str] = []
        self._decision: Decision | None = None

    def add(self, text: str) -> str:
        self._pieces.append(text)
        return text

    def end(self, decision: Decision) -> str:
        """Take the decision; the last piece, empty if there is none."""
        if not decision.message:
            # As everywhere: what may be passed on.
            self._decision = replace(decision, output_text="".join(self._pieces))
            return ""
        self._decision = decision
        if self._raises:
            raise Blocked(decision)
        return decision.output_text

    def decision(self) -> Decision:
        if self._decision is None:
            raise RuntimeError("the stream has not ended, so nothing is decided yet (iterate to its end first)")
        return self._decision


class GuardStream:
    """Screened text as it may be shown. Iterate once; closed when it ends, or by ``with`` or :meth:`close`.

    Not thread-safe. The deltas are read in a thread of their own, so that a pause of the model holds nothing up; it
    closes them when the stream has ended.
    """

    def __init__(self, events: Generator[Event, None, None], on_block: str) -> None:
        self._ending = _Ending(on_block)
        self._events = events

    @property
    def decision(self) -> Decision:
        """The decision about the whole stream.

        Its ``output_text`` is all the text that was released, or the message where one ended the stream.

        Raises:
            RuntimeError: The stream has not ended.
        """
        return self._ending.decision()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        for event in self._events:
            if isinstance(event, str):
                return self._ending.add(event)
            self._events.close()
            if last := self._ending.end(event):
                return last
        raise StopIteration

    def close(self) -> None:
        """Stop: nothing more is read or screened, and the deltas are closed."""
        self._events.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncGuardStream:
    """As :class:`GuardStream`, for asyncio: iterate with ``async for``. The deltas are read in a task of their own."""

    def __init__(self, events: AsyncGenerator[Event, None], on_block: str) -> None:
        self._ending = _Ending(on_block)
        self._events = events

    @property
    def decision(self) -> Decision:
        """As :attr:`GuardStream.decision`."""
        return self._ending.decision()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        async for event in self._events:
            if isinstance(event, str):
                return self._ending.add(event)
            await self._events.aclose()
            if last := self._ending.end(event):
                return last
        raise StopAsyncIteration

    async def close(self) -> None:
        """Stop: nothing more is read or screened, and the deltas are closed."""
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def opening_content(
    direction: str,
    context: Context | None,
    policy: str | None,
    tags: Mapping[str, str] | None,
    origin: str,
    request_id: str,
) -> Content:
    """What a stream begins with, checked like any content; its text is of no account.

    Raises:
        InvalidInput: Every broken field is named.
    """
    return make_content(_SOME_TEXT, direction, context, policy, tags, origin, request_id)


def undecided() -> InternalError:
    """The error of a stream that ended without a decision; what was held counts as unscreened."""
    return InternalError("the stream ended without a decision (compare `guard --version` on both sides)")
