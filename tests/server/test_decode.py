from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import InvalidInput
from guard.server.decode import decode_content, decode_contents, decode_event
from guard.v1 import guard_pb2 as pb

_BROKEN = b"\xff\xfe"


def _field(number: int, value: bytes) -> bytes:
    """A length-delimited field, as protobuf writes it."""
    assert len(value) < 128
    return bytes([number << 3 | 2, len(value)]) + value


def _fields(error: InvalidInput) -> list[str]:
    return [violation.field for violation in error.violations]


def test_sound_request_is_decoded() -> None:
    """A request arrives as the content in it."""
    content = pb.Content(text="你好", direction=pb.DIRECTION_PROMPT, tags={"a": "b"})
    assert decode_content(pb.ScreenRequest(content=content).SerializeToString()) == content


def test_strings_that_are_not_utf8_are_named() -> None:
    """Every string of a content that is not UTF-8 is named, wherever it stands."""
    turns = _field(3, _field(2, b"fine")) + _field(3, _field(2, _BROKEN))
    tag = _field(7, _field(1, b"key") + _field(2, _BROKEN))
    raw = _field(1, _field(1, _BROKEN) + turns + _field(5, _BROKEN) + tag)
    with pytest.raises(InvalidInput) as caught:
        decode_content(raw)
    assert _fields(caught.value) == ["text", "context[1].text", "policy", "tags"]


def test_request_without_content_is_refused() -> None:
    """An empty request names the field that it lacks."""
    with pytest.raises(InvalidInput) as caught:
        decode_content(b"")
    assert _fields(caught.value) == ["content"]


def test_bytes_that_are_no_message_are_refused() -> None:
    """Bytes that are no message at all name the request."""
    for decode in (decode_content, decode_contents):
        with pytest.raises(InvalidInput) as caught:
            decode(b"\xff\xff\xff\xff")
        assert _fields(caught.value) == ["request"]


def test_item_that_is_not_utf8_fails_alone() -> None:
    """One broken string costs a batch only its own item."""
    raw = _field(1, _field(1, b"one")) + _field(1, _field(1, _BROKEN)) + _field(1, _field(1, b"three"))
    first, second, third = decode_contents(raw)
    assert isinstance(first, pb.Content)
    assert first.text == "one"
    assert isinstance(second, InvalidInput)
    assert _fields(second) == ["text"]
    assert isinstance(third, pb.Content)
    assert third.text == "three"


def _violations(decode: Callable[[bytes], object], raw: bytes) -> int | None:
    """How many violations the bytes were refused with; None if they were decoded."""
    try:
        decode(raw)
    except InvalidInput as error:
        return len(error.violations)
    return None


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(raw: bytes) -> None:
    """Whatever arrives, the answer is contents or InvalidInput with at least one violation."""
    assert _violations(decode_content, raw) != 0
    assert _violations(decode_contents, raw) != 0


@given(st.binary(max_size=60))
def test_any_content_is_decoded_or_refused(raw: bytes) -> None:
    """Whatever stands in the place of a content, the answer is a content or InvalidInput."""
    assert _violations(decode_content, _field(1, raw)) != 0
    assert _violations(decode_contents, _field(1, raw)) != 0


def test_events_of_a_stream_are_decoded() -> None:
    """Each event arrives as it was sent."""
    for event in (
        pb.ScreenStreamRequest(open=pb.StreamOpen(direction=pb.DIRECTION_OUTPUT, tags={"a": "b"})),
        pb.ScreenStreamRequest(delta=pb.StreamDelta(text="你好")),
        pb.ScreenStreamRequest(delta=pb.StreamDelta()),
        pb.ScreenStreamRequest(close=pb.StreamClose()),
    ):
        assert decode_event(event.SerializeToString()) == event


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        (b"", ["event"]),
        (b"\xff\xff\xff\xff", ["request"]),
        (_field(2, _field(1, _BROKEN)), ["delta"]),
        (_field(1, _field(2, _field(2, _BROKEN)) + _field(4, _BROKEN)), ["context[0].text", "policy"]),
    ],
)
def test_an_event_that_is_none_is_refused(raw: bytes, fields: list[str]) -> None:
    """A message without an event, no message at all, or a string that is not UTF-8 is named."""
    with pytest.raises(InvalidInput) as caught:
        decode_event(raw)
    assert _fields(caught.value) == fields


# Counts. Behind what is too much stand bytes that are no message: they were not looked at when it was refused.

_TURN, _TAG = b"\x1a\x00", b"\x3a\x00"
_GROUP = b"\x0b"


def _long(number: int, value: bytes) -> bytes:
    """A length-delimited field of any length."""
    size = len(value)
    length = b""
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + value


@pytest.mark.parametrize(
    ("content", "field", "reason"),
    [
        (_TURN * 2_000_000 + _GROUP, "context", "4096 turns or more, the limit is 1024"),
        (_TURN * 1025, "context", "1025 turns, the limit is 1024"),
        (_TAG * 2_000_000 + _GROUP, "tags", "4096 tags or more, the limit is 64"),
        (_TAG * 1025, "tags", "1025 tags, the limit is 64"),
        (b"\x10\x01" * 2_000_000 + _GROUP, "request", "4096 fields or more"),
    ],
)
def test_too_much_is_refused_before_it_is_read(content: bytes, field: str, reason: str) -> None:
    """Turns and tags are counted before one is read; the refusal names field, count, limit and cure."""
    opening = content.replace(_TURN, b"\x12\x00").replace(_TAG, b"\x32\x00")
    for decode, raw in ((decode_content, _long(1, content)), (decode_event, _long(1, opening))):
        with pytest.raises(InvalidInput) as caught:
            decode(raw)
        (violation,) = caught.value.violations
        assert (violation.field, violation.reason) == (field, reason)
        assert violation.cure
    first, second = decode_contents(_long(1, content) + _field(1, _field(1, b"two")))
    assert isinstance(first, InvalidInput)
    assert _fields(first) == [field]
    assert isinstance(second, pb.Content)


def test_a_content_in_parts_is_counted_as_one() -> None:
    """Protobuf joins a content that comes twice, so its turns are counted together."""
    part = _long(1, _TURN * 600)
    assert len(decode_content(part).context) == 600
    with pytest.raises(InvalidInput, match="context: 1200 turns"):
        decode_content(part * 2)
    with pytest.raises(InvalidInput, match="request: 4096 fields or more"):
        decode_content(b"\x7a\x00" * 4096 + _long(1, _TURN * 2000))


def test_as_much_as_may_be_is_read() -> None:
    """A content with all the turns and tags that it may have is decoded."""
    turns = [pb.Turn(role=pb.ROLE_USER, text="a")] * 1024
    content = pb.Content(text="b", context=turns, tags={str(i): "c" for i in range(64)})
    assert decode_content(pb.ScreenRequest(content=content).SerializeToString()) == content


def test_a_batch_is_counted_before_it_is_read() -> None:
    """Too many items are refused whatever they are, with the count as far as it goes."""
    with pytest.raises(InvalidInput, match="contents: 4096 or more items, the limit is 256"):
        decode_contents(b"\x0a\x00" * 2_000_000 + _GROUP)
    with pytest.raises(InvalidInput, match="contents: 257 items, the limit is 256"):
        decode_contents(b"\x0a\x00" * 257)
    assert len(list(decode_contents(b"\x0a\x00" * 256))) == 256
