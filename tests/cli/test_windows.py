from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.cli.input_row import InputRow
from guard.cli.windows import Step, decide_in_order, message_bytes, windows
from guard.errors import Unavailable
from guard.records import Annotation
from guard.sdk.client import GuardClient
from guard.sdk.fake import FakeGuard
from guard.types import Content, Decision, Role, Turn
from guard.wire import content_to_proto


def _step(number: int, text: str | None) -> Step:
    row = None if text is None else InputRow(str(number), Content(text), Annotation())
    return Step(number, number, row)


@given(st.lists(st.one_of(st.none(), st.integers(1, 5000)), max_size=300), st.integers(6000, 20_000))
def test_windows_are_bounded_and_in_order(sizes: list[int | None], max_bytes: int) -> None:
    """Windows hold every row in order, at most 64 to be screened and at most so many bytes, and none is empty."""
    steps = [_step(n, None if size is None else "x" * size) for n, size in enumerate(sizes)]
    cut = list(windows(steps, max_bytes))
    assert [step for window in cut for step in window] == steps
    for window in cut:
        contents = [step.row.content for step in window if step.row is not None]
        assert window and len(contents) <= 64
        assert sum(map(message_bytes, contents)) <= max_bytes


def test_large_row_is_alone() -> None:
    """A row above the windows' own bound, but within a message, travels alone."""
    steps = [_step(1, "a"), _step(2, "x" * 2_000_000), _step(3, "b")]
    assert [len(window) for window in windows(steps, 4_000_000)] == [1, 1, 1]


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)


@given(_TEXT, st.lists(_TEXT, max_size=5), st.dictionaries(_TEXT, _TEXT, max_size=5), _TEXT)
def test_message_bytes_is_an_upper_bound(text: str, turns: list[str], tags: Mapping[str, str], policy: str) -> None:
    """No content takes more bytes in a message than it was counted with, its place in the batch included."""
    content = Content(text, context=tuple(Turn(Role.TOOL, t) for t in turns), tags=tags, policy=policy)
    in_batch = 6  # tag and length of the item
    assert content_to_proto(content).ByteSize() + in_batch <= message_bytes(content)


def test_decisions_come_in_order() -> None:
    """However long each window takes, decisions come out in the order of the rows, at most `jobs` at once."""
    running, most = 0, 0
    lock = threading.Lock()

    def answer(content: Content) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(random.random() / 1000)
        with lock:
            running -= 1
        return "block" if content.text.endswith("3") else "allow"

    cut = [[_step(n, f"row {n}"), _step(1000 + n, None)] for n in range(40)]
    decided = [item for window in decide_in_order(FakeGuard(answer), cut, 3) for item in window]
    assert [item.step for item in decided] == [step for window in cut for step in window]
    assert 1 <= most <= 3
    for item in decided:
        if item.step.row is None:
            assert item.result is None
        else:
            assert isinstance(item.result, Decision)
            assert item.result.allowed != item.step.row.content.text.endswith("3")


def test_rows_are_not_read_ahead() -> None:
    """Reading stays at most `jobs` + 1 windows ahead of what was taken."""
    taken = 0

    def source() -> Iterator[list[Step]]:
        nonlocal taken
        for number in range(20):
            taken += 1
            yield [_step(number, "x")]

    decisions = decide_in_order(FakeGuard(), source(), 2)
    for expected in range(1, 10):
        next(decisions)
        assert taken <= expected + 2


def test_failure_of_a_call_is_raised() -> None:
    """A call that fails as a whole ends the run with its error."""
    with GuardClient("127.0.0.1:1", retries=0) as nobody, pytest.raises(Unavailable):
        list(decide_in_order(nobody, [[_step(1, "x")]], 1))
