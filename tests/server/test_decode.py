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
