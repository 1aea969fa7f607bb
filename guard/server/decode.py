"""From the bytes of a request to contents, so that bytes which are no message get an answer that names the field.

gRPC would answer them with INTERNAL. Most often the reason is a string that is not UTF-8, which protobuf refuses
for the whole message. So what protobuf refuses is read a second time with a copy of the contract in which every
string is bytes: that tells the broken field, and in a batch it leaves the other items whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

from guard.errors import InvalidInput, Violation
from guard.v1 import guard_pb2 as pb


def decode_content(raw: bytes) -> pb.Content:
    """The content of a ScreenRequest.

    Raises:
        InvalidInput: The bytes are no such message, there is no content in it, or a string is not UTF-8 (named).
    """
    try:
        request = pb.ScreenRequest.FromString(raw)
    except DecodeError:
        raise InvalidInput(_violations(_decode_lax(pb.ScreenRequest, raw).content)) from None
    if not request.HasField("content"):
        raise InvalidInput.of("content", "missing", "set it")
    return request.content


def decode_contents(raw: bytes) -> list[pb.Content | InvalidInput]:
    """The contents of a ScreenBatchRequest; one whose strings are not UTF-8 fails alone.

    Raises:
        InvalidInput: The bytes are no such message.
    """
    try:
        return list(pb.ScreenBatchRequest.FromString(raw).contents)
    except DecodeError:
        items = _decode_lax(pb.ScreenBatchRequest, raw).contents
    results: list[pb.Content | InvalidInput] = []
    for item in items:
        try:
            results.append(pb.Content.FromString(item.SerializeToString()))
        except DecodeError:
            results.append(InvalidInput(_violations(item)))
    return results


def decode_event(raw: bytes) -> pb.ScreenStreamRequest:
    """One message of a stream.

    Raises:
        InvalidInput: The bytes are no such message, there is no event in it, or a string is not UTF-8 (named).
    """
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


def _decode_lax(message: type[Message], raw: bytes) -> Any:
    """The same message with bytes for strings; its class is made at run time, hence untyped."""
    name = message.DESCRIPTOR.full_name
    try:
        return _lax_class(name).FromString(raw)
    except DecodeError:
        raise InvalidInput.of("request", f"not a {name} message", "encode it with guard/v1/guard.proto") from None


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
