"""From the bytes of a request to contents, so that bytes which are no message get an answer that names the field.

gRPC would answer them with INTERNAL. Most often the reason is a string that is not UTF-8, which protobuf refuses
for the whole message. So what protobuf refuses is read a second time with a copy of the contract in which every
string is bytes: that tells the broken field.

How many turns, tags and items there are is counted on the bytes, before protobuf makes an object of each: two bytes
are enough for one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain, islice
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

from guard.content import too_many
from guard.errors import InvalidInput, Violation
from guard.server.fields import Field, NoMessage, fields
from guard.types import MAX_BATCH_ITEMS
from guard.v1 import guard_pb2 as pb

# Fields of a message that are counted; an honest one has fewer, with all the turns and tags that it may have.
_MOST_FIELDS = 4096

# Bytes of a request in which there is no room for a number of turns or tags that would matter.
_SMALL = 2048


def decode_content(raw: bytes) -> pb.Content:
    """The content of a ScreenRequest.

    Raises:
        InvalidInput: The bytes are no such message, there is no content in it, it has too many turns or tags, or a
            string is not UTF-8 (named).
    """
    if len(raw) > _SMALL:
        found = _fields(pb.ScreenRequest, [raw])
        _check_number(found)
        contents = (field.value for field in found if field.number == pb.ScreenRequest.CONTENT_FIELD_NUMBER)
        _check_counts(pb.Content, contents)
    try:
        request = pb.ScreenRequest.FromString(raw)
    except DecodeError:
        raise InvalidInput(_violations(_decode_lax(pb.ScreenRequest, raw).content)) from None
    if not request.HasField("content"):
        raise InvalidInput.of("content", "missing", "set it")
    return request.content


def decode_contents(raw: bytes, most: int = MAX_BATCH_ITEMS) -> Iterator[pb.Content | InvalidInput]:
    """The contents of a ScreenBatchRequest, each decoded when it is asked for; a broken one fails alone.

    Args:
        raw: The request.
        most: Items that it may have.

    Raises:
        InvalidInput: The bytes are no such message, or it has too many items.
    """
    found = _fields(pb.ScreenBatchRequest, [raw])
    items = [field for field in found if field.number == pb.ScreenBatchRequest.CONTENTS_FIELD_NUMBER]
    if len(items) > most:
        count = f"{len(items)} or more" if len(found) == _MOST_FIELDS else str(len(items))
        raise InvalidInput.of("contents", f"{count} items, the limit is {most}", "send smaller batches")
    _check_number(found)
    return (_decode_item(item.value) for item in items)


def _decode_item(raw: bytes) -> pb.Content | InvalidInput:
    try:
        _check_counts(pb.Content, [raw])
        try:
            return pb.Content.FromString(raw)
        except DecodeError:
            raise InvalidInput(_violations(_decode_lax(pb.Content, raw))) from None
    except InvalidInput as error:
        return error


def decode_event(raw: bytes) -> pb.ScreenStreamRequest:
    """One message of a stream.

    Raises:
        InvalidInput: The bytes are no such message, there is no event in it, an opening has too many turns or tags, or
            a string is not UTF-8 (named).
    """
    found = _fields(pb.ScreenStreamRequest, [raw])
    _check_number(found)
    openings = [field.value for field in found if field.number == pb.ScreenStreamRequest.OPEN_FIELD_NUMBER]
    _check_counts(pb.StreamOpen, openings)
    try:
        request = pb.ScreenStreamRequest.FromString(raw)
    except DecodeError:
        lax = _decode_lax(pb.ScreenStreamRequest, raw)
        if lax.WhichOneof("event") == "delta":
            raise InvalidInput.of("delta", "invalid UTF-8", "send well-formed Unicode text") from None
        raise InvalidInput(_violations(lax.open)) from None
    if request.WhichOneof("event") is None:
        raise InvalidInput.of("event", "missing", "set open, delta or close")
    return request


def _check_counts(message: type[pb.Content | pb.StreamOpen], parts: Iterable[bytes]) -> None:
    """Refuse a message with too many turns or tags; what stands in several parts is one message to protobuf."""
    found = _fields(message, parts)
    numbers = Counter(field.number for field in found)
    over = too_many(
        numbers[message.CONTEXT_FIELD_NUMBER], numbers[message.TAGS_FIELD_NUMBER], or_more=len(found) == _MOST_FIELDS
    )
    if over:
        raise InvalidInput(over)
    _check_number(found)


def _fields(message: type[Message], parts: Iterable[bytes]) -> list[Field]:
    """The first fields of a message, as they stand in its bytes."""
    try:
        return list(islice(chain.from_iterable(map(fields, parts)), _MOST_FIELDS))
    except NoMessage:
        raise _no_message(message.DESCRIPTOR.full_name) from None


def _check_number(found: list[Field]) -> None:
    if len(found) == _MOST_FIELDS:
        raise InvalidInput.of("request", f"{len(found)} fields or more", "encode it with guard/v1/guard.proto")


def _decode_lax(message: type[Message], raw: bytes) -> Any:
    """The same message with bytes for strings; its class is made at run time, hence untyped."""
    name = message.DESCRIPTOR.full_name
    try:
        return _lax_class(name).FromString(raw)
    except DecodeError:
        raise _no_message(name) from None


def _no_message(name: str) -> InvalidInput:
    return InvalidInput.of("request", f"not a {name} message", "encode it with guard/v1/guard.proto")


@cache
def _lax_class(name: str) -> type[Message]:
    file = descriptor_pb2.FileDescriptorProto()
    pb.DESCRIPTOR.CopyToProto(file)
    file.ClearField("service")
    pending = list(file.message_type)
    while pending:
        message = pending.pop()
        pending.extend(message.nested_type)
        # A map may not have bytes for keys; its encoding is that of repeated entries.
        message.options.ClearField("map_entry")
        for field in message.field:
            if field.type == descriptor_pb2.FieldDescriptorProto.TYPE_STRING:
                field.type = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


def _violations(content: Message) -> list[Violation]:
    found = [
        Violation(field, "invalid UTF-8", "send well-formed Unicode text") for field in _broken_strings(content, "")
    ]
    # Protobuf refused the content and every string is sound: only the nesting of its bytes can be at fault.
    name = content.DESCRIPTOR.full_name
    return found or [Violation("request", f"not a {name} message", "encode it with guard/v1/guard.proto")]


def _broken_strings(message: Message, prefix: str) -> Iterator[str]:
    for field, value in message.ListFields():
        path = f"{prefix}{field.name}"
        if field.name == "tags":
            if not all(_is_utf8(entry.key) and _is_utf8(entry.value) for entry in value):
                yield path
        elif field.name == "context":
            for i, turn in enumerate(value):
                yield from _broken_strings(turn, f"{path}[{i}].")
        elif isinstance(value, bytes) and not _is_utf8(value):
            yield path


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
