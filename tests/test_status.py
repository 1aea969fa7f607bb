from __future__ import annotations

import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import (
    DeadlineExceeded,
    GuardError,
    InternalError,
    InvalidInput,
    Overloaded,
    Unauthenticated,
    Unavailable,
    Violation,
)
from guard.status import call_error, call_status, describe, item_error, item_status, parse_violation
from guard.v1 import guard_pb2 as pb

_violations = [Violation("text", "blank (nothing visible)", "send (any) text"), Violation("direction", "x", "y")]


def test_violations_come_back_whole_from_a_call() -> None:
    """The client's error has the server's fields, reasons and cures."""
    error = call_error(status_pb2.Status.FromString(call_status(InvalidInput(_violations)).SerializeToString()))
    assert isinstance(error, InvalidInput)
    assert list(error.violations) == _violations


def test_violations_come_back_whole_from_an_item() -> None:
    """An item of a batch fails with the same violations as a call."""
    error = item_error(pb.Status.FromString(item_status(InvalidInput(_violations)).SerializeToString()))
    assert isinstance(error, InvalidInput)
    assert list(error.violations) == _violations


def test_the_status_of_an_item_is_bounded() -> None:
    """However much is wrong with an item, its status has the first violations, cut where they are long."""
    many = InvalidInput(Violation(f"tags.{'x' * 10_000}", "not a string " * 100, "send one") for _ in range(1000))
    status = item_status(many)
    assert len(status.violations) == 16
    assert status.ByteSize() < 8192


def test_status_without_failure_is_no_error() -> None:
    """An item that went well has no error."""
    assert item_error(pb.Status()) is None


def test_call_status_carries_bad_request() -> None:
    """Callers in other languages find google.rpc.BadRequest with the cure in the description."""
    details = error_details_pb2.BadRequest()
    assert call_status(InvalidInput(_violations)).details[0].Unpack(details)
    assert [(v.field, v.description) for v in details.field_violations] == [
        ("text", "blank (nothing visible) (send (any) text)"),
        ("direction", "x (y)"),
    ]


@pytest.mark.parametrize("kind", [DeadlineExceeded, InternalError, Overloaded, Unauthenticated, Unavailable])
def test_errors_keep_their_type(kind: type[GuardError]) -> None:
    """Every error of the tree arrives as what it was, with its message."""
    error = call_error(call_status(kind("what (cure)")))
    assert type(error) is kind
    assert str(error) == "what (cure)"


def test_an_overload_says_when_to_retry() -> None:
    """The time to wait for travels as google.rpc.RetryInfo, and is the error's again on the other side."""
    status = call_status(Overloaded("what (cure)", retry_after=1.25))
    details = error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(details)
    assert details.retry_delay.ToMilliseconds() == 1250
    error = call_error(status_pb2.Status.FromString(status.SerializeToString()))
    assert isinstance(error, Overloaded)
    assert (str(error), error.retry_after) == ("what (cure)", 1.25)
    unsaid = call_error(call_status(Overloaded("what (cure)")))
    assert isinstance(unsaid, Overloaded) and unsaid.retry_after is None


@given(st.text(), st.text())
def test_description_loses_nothing(reason: str, cure: str) -> None:
    """Whatever brackets are in it, a violation that came back describes itself in the same words."""
    description = describe(Violation("f", reason, cure))
    back = parse_violation("f", description)
    assert describe(back) in {description, f"{description} (see the message)"}


def test_foreign_description_is_all_reason() -> None:
    """A violation by another server, without a cure in brackets, is taken as it is."""
    assert parse_violation("f", "must be set") == Violation("f", "must be set", "see the message")


def test_status_of_many_violations_is_bounded() -> None:
    """Thousands of violations fit into the metadata of an answer; the rest is counted."""
    many = InvalidInput(Violation(f"标签.{i}" * 50, "长" * 1000, "短" * 1000) for i in range(5000))
    status = call_status(many)
    assert status.ByteSize() < 4096
    error = call_error(status)
    assert isinstance(error, InvalidInput)
    assert 0 < len(error.violations) < 5000
    assert f"{5000 - len(error.violations)} more" in status.message
