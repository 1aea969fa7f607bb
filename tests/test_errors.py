from __future__ import annotations

import pickle

import pytest

from guard.errors import GuardError, InvalidInput, PolicyError, Problem, Unavailable, Violation, place_of


@pytest.mark.parametrize(
    "error",
    [
        InvalidInput([Violation("text", "blank", "write one"), Violation("direction", "unknown", "one of two")]),
        PolicyError([Problem("a.yaml", 3, 7, "unknown key", "remove it")]),
        Unavailable("no guard answers (start one)"),
    ],
)
def test_errors_cross_processes(error: GuardError) -> None:
    """An error that was pickled says the same, and still names every field and place."""
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and str(again) == str(error)
    assert vars(again) == vars(error)


def test_a_place_tells_no_message() -> None:
    """For logs an exception is its type and where it was raised, without the message."""
    try:
        int("private words")
    except ValueError as error:
        told = place_of(error)
    assert told.startswith("ValueError at test_errors.py:")
    assert "private" not in told


def test_a_message_is_bounded() -> None:
    """However much is wrong, the message spells out the first mistakes and counts the rest."""
    error = InvalidInput(Violation(f"context[{i}].role", "not given", "say it") for i in range(1000))
    assert len(error.violations) == 1000
    assert str(error).count("not given") == 16
    assert str(error).endswith("; and 984 more")
