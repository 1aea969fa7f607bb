"""One tree of errors that transports translate without a table of their own.

Each class carries the NAME of its gRPC code and its HTTP status; the core needs no transport library.

No message ever contains screened text: it names the field, the place and the cure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from traceback import extract_tb
from typing import ClassVar

#: Violations that a message spells out, and the status of a batch's item carries; the rest is counted.
MOST_VIOLATIONS = 16


@dataclass(frozen=True, slots=True)
class Violation:
    """One mistake in a request or a row: which field, what is wrong, what to do about it."""

    field: str
    reason: str
    cure: str

    def __str__(self) -> str:
        return f"{self.field}: {self.reason} ({self.cure})"


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file: where, what is wrong, what to do about it. Lines and columns count from 1."""

    file: str
    line: int
    column: int
    what: str
    cure: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.what} ({self.cure})"


class GuardError(Exception):
    """Base of every error that guard raises on purpose."""

    code: ClassVar[str] = "INTERNAL"
    http_status: ClassVar[int] = 500


class InvalidInput(GuardError):
    """The caller's content breaks the contract; ``violations`` names every broken field, the message the first ones."""

    code: ClassVar[str] = "INVALID_ARGUMENT"
    http_status: ClassVar[int] = 400

    def __init__(self, violations: Iterable[Violation]) -> None:
        self.violations = tuple(violations)
        listed = [str(violation) for violation in self.violations[:MOST_VIOLATIONS]]
        if len(self.violations) > MOST_VIOLATIONS:
            listed.append(f"and {len(self.violations) - MOST_VIOLATIONS} more")
        super().__init__("; ".join(listed))

    def __reduce__(self) -> tuple[type[InvalidInput], tuple[tuple[Violation, ...]]]:
        # Crosses processes: an exception is made again from its arguments, which here are not its message.
        return type(self), (self.violations,)

    @classmethod
    def of(cls, field: str, reason: str, cure: str) -> InvalidInput:
        """An error with a single violation."""
        return cls((Violation(field, reason, cure),))


class PolicyError(GuardError):
    """A policy file cannot be used; ``problems`` lists all its mistakes, one line each."""

    code: ClassVar[str] = "FAILED_PRECONDITION"
    http_status: ClassVar[int] = 422

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(p) for p in self.problems))

    def __reduce__(self) -> tuple[type[PolicyError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


class ArtifactError(GuardError):
    """A model directory is incomplete, altered, or made for another version of guard."""

    code: ClassVar[str] = "FAILED_PRECONDITION"
    http_status: ClassVar[int] = 500


class Overloaded(GuardError):
    """The guard refuses early because it could not answer in time; retry after ``retry_after`` seconds if it says."""

    code: ClassVar[str] = "RESOURCE_EXHAUSTED"
    http_status: ClassVar[int] = 429

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class DeadlineExceeded(GuardError):
    """The answer did not come within the caller's deadline; the text counts as unscreened."""

    code: ClassVar[str] = "DEADLINE_EXCEEDED"
    http_status: ClassVar[int] = 504


class Unauthenticated(GuardError):
    """The call carries no valid credentials."""

    code: ClassVar[str] = "UNAUTHENTICATED"
    http_status: ClassVar[int] = 401


class Unavailable(GuardError):
    """The guard cannot be reached, or is shutting down; the text counts as unscreened."""

    code: ClassVar[str] = "UNAVAILABLE"
    http_status: ClassVar[int] = 503


class InternalError(GuardError):
    """A defect in guard; the text counts as unscreened."""


_BY_CODE: dict[str, type[GuardError]] = {
    cls.code: cls for cls in (Overloaded, DeadlineExceeded, Unauthenticated, Unavailable, InternalError)
}


def error_for_code(code: str, message: str) -> GuardError:
    """The typed error for a gRPC code name that a server answered; unknown codes become InternalError."""
    if code == InvalidInput.code:
        return InvalidInput.of("request", message, "see the message")
    return _BY_CODE.get(code, InternalError)(message)


def place_of(error: BaseException) -> str:
    """Type and place of an exception, for logs; not its message, which may quote the screened text."""
    frames = extract_tb(error.__traceback__)
    places = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames[-4:]))
    return f"{type(error).__name__} at {places or 'an unknown place'}"
