"""From whatever a model client iterates over to well-formed strings: plain text, or chunks of a chat completion."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable, Mapping
from typing import Any, TypeAlias

from guard.errors import InvalidInput

#: Text as it is written: strings, or chunks of an OpenAI chat completion (their objects, or the same as mappings).
Deltas: TypeAlias = Iterable[Any]
#: The same for asyncio; an ordinary iterable is taken, too, and must not wait.
AsyncDeltas: TypeAlias = AsyncIterable[Any] | Iterable[Any]

_HIGH = ("\ud800", "\udbff")


class DeltaReader:
    """Turns the items of one stream into text. Not thread-safe; lives as long as the stream.

    A character beyond the Basic Multilingual Plane that a client has cut into two surrogates is put together again,
    also across items.
    """

    def __init__(self) -> None:
        self._count = 0
        self._half = ""

    def read(self, item: object) -> str:
        """The text of the next item; may be empty.

        Raises:
            InvalidInput: No text and no chunk of a chat completion, or half a character; the field is ``deltas[i]``.
        """
        text = self._half + self._text(item)
        self._half = ""
        if _HIGH[0] <= text[-1:] <= _HIGH[1]:
            text, self._half = text[:-1], text[-1]
        try:
            text.encode()
        except UnicodeEncodeError:
            text = self._joined(text)
        self._count += 1
        return text

    def end(self) -> None:
        """Say that there are no more items.

        Raises:
            InvalidInput: The last one ended in half a character.
        """
        if self._half:
            raise self._mistake("invalid UTF-8: it ends in a lone surrogate", "send well-formed Unicode text", -1)

    def _joined(self, text: str) -> str:
        try:
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            raise self._mistake("invalid UTF-8: a lone surrogate", "send well-formed Unicode text") from None

    def _text(self, item: object) -> str:
        if isinstance(item, str):
            return item
        choices = _get(item, "choices")
        if not isinstance(choices, list | tuple):
            raise self._mistake("neither a string nor a chunk of a chat completion", "send strings")
        # A chunk without choices carries the usage.
        if not choices:
            return ""
        if len(choices) > 1 or _get(choices[0], "index") not in {None, 0}:
            raise self._mistake("one of several choices", "ask the model for one (n=1)")
        delta = _get(choices[0], "delta")
        content = _get(delta, "content") if delta is not None else _get(choices[0], "text")
        # Without content it names a role, or calls a tool.
        if content is None:
            return ""
        if not isinstance(content, str):
            raise self._mistake("a chunk whose content is no string", "send strings")
        return content

    def _mistake(self, reason: str, cure: str, offset: int = 0) -> InvalidInput:
        return InvalidInput.of(f"deltas[{self._count + offset}]", reason, cure)


def read_deltas(deltas: Iterable[object]) -> Generator[str, None, None]:
    """The texts of a stream that are not empty.

    If this iterator is closed before its end, so is the source: whoever writes need not go on, and a connection that it
    holds is free again.

    Raises:
        InvalidInput: As :meth:`DeltaReader.read`.
    """
    reader = DeltaReader()
    source = iter(deltas)
    over = False
    try:
        for item in source:
            if text := reader.read(item):
                yield text
        over = True
        reader.end()
    finally:
        if not over:
            # An iterator of its own need not know the connection behind it.
            for owner in (source, deltas):
                close = getattr(owner, "close", None)
                if callable(close):
                    close()


async def read_async_deltas(deltas: AsyncDeltas) -> AsyncGenerator[str, None]:
    """The same for asyncio.

    Raises:
        InvalidInput: As :meth:`DeltaReader.read`.
    """
    if not isinstance(deltas, AsyncIterable):
        for text in read_deltas(deltas):
            yield text
        return
    reader = DeltaReader()
    source = aiter(deltas)
    over = False
    try:
        async for item in source:
            if text := reader.read(item):
                yield text
        over = True
        reader.end()
    finally:
        if not over:
            for owner, name in ((source, "aclose"), (deltas, "close")):
                close = getattr(owner, name, None)
                if callable(close):
                    await close()


def check_deltas(deltas: object) -> None:
    """See that there is something to iterate over, before a call is made.

    Raises:
        InvalidInput: A string or a mapping, which is one text, or nothing iterable; the field is ``deltas``.
    """
    if isinstance(deltas, str | bytes | Mapping) or not isinstance(deltas, Iterable | AsyncIterable):
        raise InvalidInput.of("deltas", "not an iterator of strings", "send one, or call screen with the whole text")


def _get(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
