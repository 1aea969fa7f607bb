from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from guard.server.fields import NoMessage, fields
from guard.v1 import guard_pb2 as pb

_NAMES = st.text(max_size=300)
_TURNS = st.lists(st.builds(pb.Turn, role=st.sampled_from([0, 1, 4, 300]), text=_NAMES), max_size=20)
_CONTENTS = st.builds(
    pb.Content,
    text=_NAMES,
    direction=st.sampled_from([0, 1, 2, 70_000]),
    context=_TURNS,
    tags=st.dictionaries(_NAMES, _NAMES, max_size=5),
)


@given(_CONTENTS)
def test_strings_and_messages_are_found(content: pb.Content) -> None:
    """Every string and message of a message is found with its bytes, as often as it is there."""
    found = list(fields(content.SerializeToString()))
    turns = [field.value for field in found if field.number == pb.Content.CONTEXT_FIELD_NUMBER]
    assert turns == [turn.SerializeToString() for turn in content.context]
    assert sum(field.number == pb.Content.TAGS_FIELD_NUMBER for field in found) == len(content.tags)
    (text,) = [field.value for field in found if field.number == pb.Content.TEXT_FIELD_NUMBER] or [b""]
    assert text.decode() == content.text


def test_other_fields_have_no_number() -> None:
    """Numbers, whether small, long or of fixed size, are passed over, whatever field they claim to be."""
    raw = b"\x08\x01" + b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" + b"\x09" + bytes(8) + b"\x0d" + bytes(4)
    assert [field.number for field in fields(raw + b"\x0a\x01a")] == [0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    "raw",
    [
        b"\x0a",
        b"\x0a\x05abc",
        b"\x08",
        b"\x08\x80",
        b"\x09\x00",
        b"\x0d\x00",
        b"\x0b\x0c",
        b"\x0e",
        b"\x08" + b"\xff" * 11,
    ],
)
def test_where_the_bytes_are_no_message_is_told(raw: bytes) -> None:
    """A value that is cut short, a number without an end and a group are no message; what stood before is found."""
    walk = fields(b"\x0a\x01a" + raw)
    assert next(walk).value == b"a"
    with pytest.raises(NoMessage):
        list(walk)


@given(st.binary(max_size=100))
def test_what_protobuf_reads_is_a_message_here(raw: bytes) -> None:
    """No bytes that protobuf takes for a content are refused, but for groups; and its turns are counted as it does."""
    try:
        turns = len(pb.Content.FromString(raw).context)
    except DecodeError:
        return
    try:
        found = [field.number for field in fields(raw)]
    except NoMessage:
        assert any(byte & 7 in {3, 4} for byte in raw)
        return
    assert found.count(pb.Content.CONTEXT_FIELD_NUMBER) == turns
