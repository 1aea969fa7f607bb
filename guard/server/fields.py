"""The fields of a protobuf message as they stand in its bytes, found without making an object of any.

https://protobuf.dev/programming-guides/encoding/ is the source. Groups, which no message of ours has, are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}
_MOST_VARINT_BYTES = 10


class NoMessage(Exception):
    """The bytes are no message."""


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number: Which; a repeated one comes as often as it has values. 0 for what is neither a string nor a message,
            whatever it is.
        raw: The message.
        start: Where its value begins in the message.
        end: Where it ends.
    """

    number: int
    raw: bytes
    start: int
    end: int

    @property
    def value(self) -> bytes:
        """The bytes of a string or a message."""
        return self.raw[self.start : self.end]


def fields(raw: bytes) -> Iterator[Field]:
    """Every field of a message, in the order of its bytes; what messages in it hold is not looked at.

    Raises:
        NoMessage: Where the bytes stop to be one.
    """
    at, end = 0, len(raw)
    while at < end:
        tag, start = _varint(raw, at)
        kind, stop = tag & 7, start
        if kind == _BYTES:
            length, start = _varint(raw, start)
            stop = start + length
        elif kind == _VARINT:
            _, stop = _varint(raw, start)
        elif kind in _SIZES:
            stop = start + _SIZES[kind]
        else:
            raise NoMessage
        if stop > end:
            raise NoMessage
        yield Field(tag >> 3 if kind == _BYTES else 0, raw, start, stop)
        at = stop


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    """A number and where it ends."""
    if at < len(raw) and raw[at] < 0x80:
        return raw[at], at + 1  # most are short
    number = 0
    for index, byte in enumerate(raw[at : at + _MOST_VARINT_BYTES]):
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return number, at + index + 1
    raise NoMessage
