"""What a caller may send at most, and how little a request of nothing but numbers of things costs: a real server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from guard.errors import InvalidInput
from guard.sdk.local import Guard
from guard.types import Role, Turn
from guard.v1 import guard_pb2 as pb
from tests.serving import sidecar

_SERVICE = "/guard.v1.GuardService"
_TIMEOUT = 60
_SIZE = 4 * 1024 * 1024 - 64

# Text and direction, then turns of two and of four bytes, then tags.
_HEAD = b"\x0a\x01a\x10\x01"
_BAD_TURN, _TURN, _TAG = b"\x1a\x00", b"\x1a\x02\x08\x01", b"\x3a\x00"


@pytest.fixture(scope="module")
def large(tiny_model_dir: Path, policy_dir: Path) -> Any:
    """A channel to a sidecar with the limits that it comes with."""
    with (
        sidecar(tiny_model_dir, policy_dir, workers=1) as running,
        grpc.insecure_channel(running.address, options=[("grpc.max_receive_message_length", -1)]) as opened,
    ):
        yield opened


def _message(number: int, value: bytes) -> bytes:
    length, size = b"", len(value)
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + value


def _refusal(error: grpc.RpcError) -> list[tuple[str, str]]:
    call: Any = error
    assert call.code() is grpc.StatusCode.INVALID_ARGUMENT
    status = status_pb2.Status.FromString(dict(call.trailing_metadata())["grpc-status-details-bin"])
    details = error_details_pb2.BadRequest()
    assert status.details[0].Unpack(details)
    return [(violation.field, violation.description) for violation in details.field_violations]


@pytest.mark.parametrize(
    ("part", "field", "described"),
    [
        (_BAD_TURN, "context", "4094 turns or more, the limit is 1024 (send the newest turns only)"),
        (_TURN, "context", "4094 turns or more, the limit is 1024 (send the newest turns only)"),
        (_TAG, "tags", "4094 tags or more, the limit is 64 (send those that are asked for)"),
    ],
)
def test_a_large_request_of_small_parts_is_refused(large: Any, part: bytes, field: str, described: str) -> None:
    """Millions of turns or tags are refused by their count, in a call, in an item of a batch and in an opening."""
    content = _HEAD + part * ((_SIZE - len(_HEAD)) // len(part))
    with pytest.raises(grpc.RpcError) as refused:
        large.unary_unary(f"{_SERVICE}/Screen")(_message(1, content), timeout=_TIMEOUT)
    assert _refusal(refused.value) == [(field, described)]
    answer = large.unary_unary(f"{_SERVICE}/ScreenBatch")(_message(1, content), timeout=_TIMEOUT)
    (result,) = pb.ScreenBatchResponse.FromString(answer).results
    assert [(found.field, found.description) for found in result.status.violations] == [(field, described)]
    assert len(answer) < 256
    opening = b"\x08\x01" + part.replace(b"\x1a", b"\x12").replace(b"\x3a", b"\x32") * (_SIZE // len(part))
    with pytest.raises(grpc.RpcError) as refused:
        list(large.stream_stream(f"{_SERVICE}/ScreenStream")(iter([_message(1, opening)]), timeout=_TIMEOUT))
    ((named, _),) = _refusal(refused.value)
    assert named == field


def test_a_large_batch_of_nothing_is_refused(large: Any) -> None:
    """Two million empty items are refused by their count."""
    with pytest.raises(grpc.RpcError) as refused:
        large.unary_unary(f"{_SERVICE}/ScreenBatch")(b"\x0a\x00" * (_SIZE // 2), timeout=_TIMEOUT)
    described = "4096 or more items, the limit is 256 (send smaller batches)"
    assert _refusal(refused.value) == [("contents", described)]


def test_an_answer_is_bounded_whatever_is_wrong(large: Any) -> None:
    """A batch whose every item has a thousand mistakes is answered with the first ones of each, and their number."""
    item = _message(1, _HEAD + _BAD_TURN * 1024)
    answer = large.unary_unary(f"{_SERVICE}/ScreenBatch")(item * 256, timeout=_TIMEOUT)
    results = pb.ScreenBatchResponse.FromString(answer).results
    assert len(results) == 256
    assert {len(result.status.violations) for result in results} == {16}
    assert len(answer) < 256 * 2600


def test_as_much_as_may_be_is_screened(large: Any) -> None:
    """Contents with all the turns and tags that they may have are decided, alone and in a batch."""
    content = pb.Content(text="a bomb", direction=pb.DIRECTION_PROMPT, tags={str(i): "x" for i in range(64)})
    content.context.extend([pb.Turn(role=pb.ROLE_USER, text="hello")] * 1024)
    raw = _message(1, content.SerializeToString())
    answer = pb.ScreenResponse.FromString(large.unary_unary(f"{_SERVICE}/Screen")(raw, timeout=_TIMEOUT))
    assert answer.decision.action == pb.ACTION_BLOCK
    batch = large.unary_unary(f"{_SERVICE}/ScreenBatch")(raw * 16, timeout=_TIMEOUT)
    results = pb.ScreenBatchResponse.FromString(batch).results
    assert [result.decision.action for result in results] == [pb.ACTION_BLOCK] * 16


def test_the_limits_hold_in_process(tiny_model_dir: Path, policy_dir: Path) -> None:
    """A guard without a server refuses the same counts, streams included."""
    turns = [Turn(Role.USER, "hello")] * 1025
    with Guard(tiny_model_dir, policy_dir) as guard:
        for call in (guard.screen, lambda text, **more: list(guard.screen_stream([text], **more))):
            with pytest.raises(InvalidInput, match="context: 1025 turns, the limit is 1024"):
                call("hello", context=turns)
            with pytest.raises(InvalidInput, match="tags: 65 tags, the limit is 64"):
                call("hello", tags={str(i): "x" for i in range(65)})
