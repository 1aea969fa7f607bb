"""Between guard's errors and the statuses that carry them: of a call, and of one item of a batch.

A violation travels as ``field`` and ``reason (cure)``, the shape of google.rpc.BadRequest, so that a caller in any
language reads the cure; back here it becomes the same :class:`~guard.errors.Violation` again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from google.rpc import code_pb2, error_details_pb2, status_pb2

from guard.errors import MOST_VIOLATIONS, GuardError, InvalidInput, Overloaded, Violation, error_for_code
from guard.v1 import guard_pb2 as pb

# The status of a failed call travels as HTTP/2 metadata, which peers bound at 8 KiB and which grows on the way:
# the details by 4/3 (base64), the message up to threefold (percent encoding).
_MAX_DETAILS_BYTES = 3072
_MAX_MESSAGE = 160
_MAX_FIELD = 64
_MAX_DESCRIPTION = 256

# An item's status is a part of the answer and may say more; the answer is to be of the request's order all the same.
_MAX_ITEM_MESSAGE = 512


def item_status(error: GuardError) -> pb.Status:
    """The status of a batch's item that failed; bounded like a call's, of many violations it has the first ones."""
    violations = error.violations[:MOST_VIOLATIONS] if isinstance(error, InvalidInput) else ()
    return pb.Status(
        code=code_pb2.Code.Value(error.code),
        message=_shorten(str(error), _MAX_ITEM_MESSAGE),
        violations=[
            pb.FieldViolation(field=_shorten(v.field, _MAX_FIELD), description=_shorten(describe(v), _MAX_DESCRIPTION))
            for v in violations
        ],
    )


def item_error(status: pb.Status) -> GuardError | None:
    """The error that an item's status stands for; None if the item went well."""
    if status.code == code_pb2.OK:
        return None
    return _error(status.code, status.message, status.violations)


def call_status(error: GuardError) -> status_pb2.Status:
    """The google.rpc.Status that a call fails with.

    In the details are BadRequest where fields are broken, and RetryInfo where the caller may retry.

    It is bounded, because it travels as metadata: long texts are shortened, and of many violations the first
    ones are detailed and the rest counted in the message.
    """
    status = status_pb2.Status(code=code_pb2.Code.Value(error.code), message=_shorten(str(error), _MAX_MESSAGE))
    if isinstance(error, Overloaded) and error.retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromTimedelta(timedelta(seconds=error.retry_after))
        status.details.add().Pack(retry)
    if not isinstance(error, InvalidInput):
        return status
    details = error_details_pb2.BadRequest()
    for violation in error.violations:
        described = error_details_pb2.BadRequest.FieldViolation(
            field=_shorten(violation.field, _MAX_FIELD), description=_shorten(describe(violation), _MAX_DESCRIPTION)
        )
        if details.ByteSize() + described.ByteSize() > _MAX_DETAILS_BYTES:
            break
        details.field_violations.append(described)
    left_out = len(error.violations) - len(details.field_violations)
    if left_out:
        status.message += f" (and {left_out} more violations that are not detailed)"
    status.details.add().Pack(details)
    return status


def call_error(status: status_pb2.Status) -> GuardError:
    """The error that a call's google.rpc.Status stands for, with its violations or the time to wait for."""
    details, retry = error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for packed in status.details:
        if packed.Unpack(details):
            break
        if packed.Unpack(retry) and status.code == code_pb2.RESOURCE_EXHAUSTED:
            return Overloaded(status.message, retry_after=retry.retry_delay.ToTimedelta().total_seconds())
    return _error(status.code, status.message, details.field_violations)


def _error(
    number: int,
    message: str,
    violations: Sequence[pb.FieldViolation | error_details_pb2.BadRequest.FieldViolation],
) -> GuardError:
    known = number in code_pb2.Code.values()
    code = code_pb2.Code.Name(number) if known else "UNKNOWN"
    if code == InvalidInput.code and violations:
        return InvalidInput(parse_violation(v.field, v.description) for v in violations)
    return error_for_code(code, message)


def describe(violation: Violation) -> str:
    """``reason (cure)``, the description of a field violation."""
    return f"{violation.reason} ({violation.cure})"


def parse_violation(field: str, description: str) -> Violation:
    """The violation behind a description: the last balanced pair of brackets holds the cure.

    A description without one (another server's) is all reason.
    """
    depth = 0
    if description.endswith(")"):
        for i in range(len(description) - 1, 0, -1):
            depth += (description[i] == ")") - (description[i] == "(")
            if depth == 0 and description[i - 1] == " ":
                return Violation(field, description[: i - 1], description[i + 1 : -1])
            if depth == 0:
                break
    return Violation(field, description, "see the message")


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
