"""Messages that nobody would send on purpose: every field of the contract with whatever its type can hold."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tests.streams import CHARGED, WHOLE

_PIECES = (*WHOLE, *CHARGED, "default", "nosuch", "\ufeff", "\uffff")
_NUMBERS = (0, 1, 2, 3, -1, 7, 99, 2**31 - 1, -(2**31))
_DEEPEST = 4


def wild_text(draw: random.Random) -> str:
    """A text of any length up to some thousand characters; often empty or short."""
    return "".join(draw.choice(_PIECES) for _ in range(draw.choice((0, 1, 1, 2, 3, 5, 8, 40))))


def wild_message(draw: random.Random, kind: type[Message], depth: int = 0) -> Message:
    """A message whose fields are there or not, with any value, and lists and maps of any of them."""
    message = kind()
    for field in message.DESCRIPTOR.fields:
        if draw.random() < 0.3:
            continue
        if field.message_type is not None:
            _fill(draw, message, field, depth)
        elif field.is_repeated:
            getattr(message, field.name).extend(_value(draw, field) for _ in range(draw.randrange(4)))
        else:
            setattr(message, field.name, _value(draw, field))
    return message


def _fill(draw: random.Random, message: Message, field: Any, depth: int) -> None:
    inner: Any = getattr(message, field.name)
    kind = field.message_type
    if kind is None or depth >= _DEEPEST:
        return
    if kind.GetOptions().map_entry:
        for _ in range(draw.choice((0, 1, 2, 40))):
            inner[wild_text(draw)] = _value(draw, kind.fields_by_name["value"])
    elif field.is_repeated:
        for _ in range(draw.choice((0, 0, 1, 2, 5))):
            inner.append(wild_message(draw, _class(kind), depth + 1))
    else:
        inner.CopyFrom(wild_message(draw, _class(kind), depth + 1))


def _class(kind: Any) -> type[Message]:
    found: type[Message] = kind._concrete_class
    return found


def _value(draw: random.Random, field: Any) -> Any:
    return _VALUES[field.cpp_type](draw)


_VALUES: dict[int, Callable[[random.Random], object]] = {
    FieldDescriptor.CPPTYPE_STRING: wild_text,
    FieldDescriptor.CPPTYPE_BOOL: lambda draw: draw.random() < 0.5,
    FieldDescriptor.CPPTYPE_ENUM: lambda draw: draw.choice(_NUMBERS),
    FieldDescriptor.CPPTYPE_INT32: lambda draw: draw.choice(_NUMBERS),
    FieldDescriptor.CPPTYPE_INT64: lambda draw: draw.choice(_NUMBERS),
    FieldDescriptor.CPPTYPE_UINT32: lambda draw: abs(draw.choice(_NUMBERS)),
    FieldDescriptor.CPPTYPE_UINT64: lambda draw: abs(draw.choice(_NUMBERS)),
    FieldDescriptor.CPPTYPE_FLOAT: lambda draw: draw.choice((0.0, 1.0, -1.0, float("nan"), float("inf"))),
    FieldDescriptor.CPPTYPE_DOUBLE: lambda draw: draw.choice((0.0, 1.0, -1.0, float("nan"), float("inf"))),
}


def spoilt(draw: random.Random, raw: bytes) -> bytes:
    """The same bytes with some of them changed, left out or cut off."""
    found = bytearray(raw)
    for _ in range(draw.randrange(1, 5)):
        if not found:
            break
        at = draw.randrange(len(found))
        match draw.randrange(3):
            case 0:
                found[at] = draw.randrange(256)
            case 1:
                del found[at]
            case _:
                del found[at:]
    return bytes(found)
