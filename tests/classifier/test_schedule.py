from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.classifier.schedule import LIKENESS, Batch, Call, Cause, Schedule

_SIZES = st.lists(st.integers(3, 200), min_size=1, max_size=20)
_GROUPS = st.sampled_from(["a", "a", "a", "b", None])
_BUDGET = 512


def _call(sizes: Sequence[int], *, group: Hashable | None = "a", expires: float = math.inf) -> Call:
    return Call(sizes, expires=expires, group=group)


def _schedule(*calls: Call, workers: int = 1, budget: int = _BUDGET, queue: int = 1 << 20) -> Schedule[Call]:
    schedule: Schedule[Call] = Schedule(workers=workers, max_batch_tokens=budget, max_queue_tokens=queue)
    for call in calls:
        schedule.add(call)
    return schedule


def _drain(schedule: Schedule[Call]) -> list[Batch[Call]]:
    batches = []
    while batch := schedule.take():
        batches.append(batch)
        schedule.finished(batch, batch.tokens / 1000)
    return batches


def _leaders(batches: Sequence[Batch[Call]]) -> list[Call]:
    return [batch.pieces[0].call for batch in batches]


# What shares a run


@settings(deadline=None)
@given(st.lists(st.tuples(_SIZES, _GROUPS), max_size=20), st.integers(1, 700))
def test_every_chunk_runs_once_in_a_batch_that_keeps_its_bounds(
    calls: list[tuple[list[int], str | None]], budget: int
) -> None:
    """No chunk is lost or run twice; a batch has one group, like lengths, and is full at most when padded."""
    waiting = [_call(sizes, group=group) for sizes, group in calls]
    schedule = _schedule(*waiting, budget=budget)
    assert schedule.tokens == sum(sum(sizes) for sizes, _ in calls)
    batches = _drain(schedule)
    ran = [(piece.call, piece.index) for batch in batches for piece in batch.pieces]
    assert len(ran) == len(set(ran)) == sum(len(sizes) for sizes, _ in calls)
    for batch in batches:
        sizes = [piece.tokens for piece in batch.pieces]
        groups = {piece.call.group for piece in batch.pieces}
        assert len(groups) == 1
        if len(sizes) > 1:
            assert None not in groups
            assert max(sizes) <= LIKENESS * min(sizes)
            assert max(sizes) * len(sizes) <= budget
        assert (batch.tokens, batch.padding) == (sum(sizes), max(sizes) * len(sizes) - sum(sizes))
    assert (schedule.tokens, schedule.running) == (0, 0)


@settings(deadline=None)
@given(_SIZES)
def test_a_batch_leaves_nobody_out_that_fits(sizes: list[int]) -> None:
    """Of single chunks within reach, the front's batch takes every one in order that is alike and has room."""
    calls = [_call([size]) for size in sizes]
    batch = _schedule(*calls).take()
    assert batch is not None
    expected = [calls[0]]
    for number, call in enumerate(calls[1:], 1):
        if sum(sizes[:number]) >= 4 * _BUDGET:
            break
        of = [c.sizes[0] for c in (*expected, call)]
        if max(of) <= LIKENESS * min(of) and max(of) * len(of) <= _BUDGET:
            expected.append(call)
    assert [piece.call for piece in batch.pieces] == expected


def test_a_long_text_shares_runs_with_itself() -> None:
    """The chunks of a call that waits alone fill batches, in their order."""
    batches = _drain(_schedule(_call([131, 131, 131, 131, 60])))
    assert [[piece.index for piece in batch.pieces] for batch in batches] == [[0, 1, 2], [3], [4]]


# Fairness


@settings(deadline=None)
@given(st.lists(st.integers(3, 200), max_size=30))
def test_single_chunks_lead_in_the_order_of_their_coming(sizes: list[int]) -> None:
    """Who is not taken along by somebody of like length is served in turn."""
    calls = [_call([size]) for size in sizes]
    order = [calls.index(call) for call in _leaders(_drain(_schedule(*calls)))]
    assert order == sorted(order)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(3, 200), min_size=1, max_size=40), max_size=12),
    st.integers(0, 30),
    st.integers(3, 200),
    st.lists(_SIZES, max_size=30),
)
def test_a_short_text_waits_for_one_chunk_of_each_call_before_it(
    flood: list[list[int]], runs: int, size: int, later: list[list[int]]
) -> None:
    """However long the texts are that came before, each leads one run at most, and none that came later does."""
    schedule = _schedule(*map(_call, flood))
    for _ in range(runs):
        schedule.take()
    short = _call([size])
    schedule.add(short)
    coming = iter(later)
    led: list[Call] = []
    while not short.exhausted:
        batch = schedule.take()
        assert batch is not None
        led.append(batch.pieces[0].call)
        for sizes in (s for s, _ in zip(coming, range(2), strict=False)):
            schedule.add(_call(sizes))
    before = [call for call in led if call is not short]
    assert len(before) == len(set(map(id, before))) <= len(flood)


def test_a_long_text_is_not_starved_by_short_ones() -> None:
    """While short texts keep coming, a long one has its turn after each of those that waited at its last one."""
    long = _call([131] * 5)
    schedule = _schedule(long, *(_call([20]) for _ in range(3)), budget=1)
    leaders = []
    while not long.exhausted:
        batch = schedule.take()
        assert batch is not None
        leaders.append(batch.pieces[0].call)
        schedule.add(_call([20]))
    turns = [index for index, call in enumerate(leaders) if call is long]
    # One comes with every run, that of the long text too: so each round has one more.
    assert turns == [0, 4, 9, 15, 22]


# What is dropped


@settings(deadline=None)
@given(st.lists(st.tuples(_SIZES, st.integers(0, 10)), max_size=20), st.integers(0, 12))
def test_what_is_late_is_not_run(calls: list[tuple[list[int], int]], now: int) -> None:
    """Calls whose time is over are named and leave the queue; the others run whole."""
    waiting = [_call(sizes, expires=expires) for sizes, expires in calls]
    schedule = _schedule(*waiting)
    late = schedule.expire(now)
    assert late == [call for call in waiting if call.expires <= now]
    ran = {id(piece.call) for batch in _drain(schedule) for piece in batch.pieces}
    assert ran == {id(call) for call in waiting if call.expires > now}
    assert schedule.tokens == 0


@settings(deadline=None)
@given(st.lists(_SIZES, min_size=1, max_size=10), st.integers(0, 20), st.data())
def test_a_call_that_is_removed_runs_no_further(calls: list[list[int]], runs: int, data: st.DataObject) -> None:
    """Removing a call takes exactly what of it waits out of the queue, and says whether there was any."""
    waiting = [_call(sizes) for sizes in calls]
    schedule = _schedule(*waiting)
    for _ in range(runs):
        schedule.take()
    gone = data.draw(st.sampled_from(waiting))
    before, left = schedule.tokens, gone.left
    assert schedule.remove(gone) is (left > 0)
    assert schedule.tokens == before - left
    assert not schedule.remove(gone)
    assert all(piece.call is not gone for batch in _drain(schedule) for piece in batch.pieces)


# Who is let in


@settings(deadline=None)
@given(st.integers(0, 10_000_000), st.floats(0.001, 1e6), st.floats(0.0, 1e6))
def test_whoever_finds_nothing_waiting_is_let_in(tokens: int, seconds: float, remaining: float) -> None:
    """An empty queue refuses nobody, so that an estimate that went wrong is corrected by the next run."""
    schedule = _schedule(_call([100]), queue=100)
    _drain(schedule)
    batch = Batch(_schedule(_call([1])).take().pieces)  # type: ignore[union-attr]
    schedule.finished(batch, seconds)
    assert schedule.refusal(tokens, 1, remaining) is None


@settings(deadline=None)
@given(st.lists(st.integers(1, 3000), max_size=60))
def test_the_queue_keeps_its_bound(sizes: list[int]) -> None:
    """Tokens beyond the bound wait in one case only: nobody else waited."""
    schedule = _schedule(queue=1000)
    for size in sizes:
        if schedule.refusal(size, 1, math.inf) is None:
            schedule.add(_call([size]))
            assert schedule.tokens <= 1000 or schedule.tokens == size


@settings(deadline=None)
@given(st.integers(2, 4000))
def test_texts_that_are_too_long_to_fit_leave_room_for_shorter_ones(size: int) -> None:
    """When a flood of texts of one length has filled the queue for itself, half as long ones are let in."""
    schedule = _schedule(queue=16_000)
    while (refusal := schedule.refusal(size, 1, math.inf)) is None:
        schedule.add(_call([size]))
    assert refusal.cause is Cause.FULL
    assert schedule.refusal(size // 2, 1, math.inf) is None


def test_places_that_were_promised_count() -> None:
    """Tokens of calls that are being prepared take room in the queue."""
    schedule = _schedule(queue=100)
    schedule.reserved = 60
    assert schedule.refusal(20, 1, math.inf) is None
    refusal = schedule.refusal(21, 1, math.inf)
    assert refusal is not None and refusal.cause is Cause.FULL and refusal.retry > 0


def _timed(*calls: Call, workers: int = 1) -> Schedule[Call]:
    """A schedule that has seen 1000 tokens a second and worker."""
    schedule = _schedule(_call([100]), workers=workers)
    batch = schedule.take()
    assert batch is not None
    schedule.finished(batch, 0.1)
    for call in calls:
        schedule.add(call)
    return schedule


@pytest.mark.parametrize("workers", [1, 4])
def test_what_would_be_late_is_refused_with_the_time_to_wait_for(workers: int) -> None:
    """Behind a second of work, a call with less time left is refused and told when to retry; more workers take more."""
    schedule = _timed(*(_call([100]) for _ in range(10)), workers=workers)
    wait = schedule.wait(100, 1)
    assert wait >= 1.1 / workers
    assert schedule.refusal(100, 1, wait) is None
    refusal = schedule.refusal(100, 1, wait - 0.2)
    assert refusal is not None
    assert refusal.cause is Cause.LATE
    assert refusal.wait == wait
    assert refusal.retry == pytest.approx(0.2, abs=0.011)


def test_a_flood_of_long_texts_closes_the_door_to_long_texts_only() -> None:
    """The estimate knows the order of service: a short text waits for a chunk of each call, a long one for all."""
    schedule = _timed(*(_call([131] * 300) for _ in range(3)))
    assert schedule.refusal(60, 1, 1.0) is None
    refusal = schedule.refusal(131 * 300, 300, 60.0)
    assert refusal is not None and refusal.cause is Cause.LATE


def test_a_long_text_is_let_in_by_a_burst_and_not_by_a_lasting_flood() -> None:
    """Rounds that a long text waits for are believed in as far as the queue has lasted; a short one waits for one."""
    schedule = _timed(*(_call([100]) for _ in range(10)))
    burst, short = schedule.wait(1000, 10), schedule.wait(100, 1)
    for _ in range(50):
        batch = schedule.take()
        assert batch is not None
        schedule.finished(batch, batch.tokens / 1000)
        for _piece in batch.pieces:
            schedule.add(_call([100]))
    assert schedule.wait(1000, 10) > 3 * burst
    assert schedule.wait(100, 1) == pytest.approx(short)
    _drain(schedule)
    assert schedule.wait(1000, 10) < burst


def test_what_runs_now_is_waited_for() -> None:
    """Tokens that are being run count as work ahead."""
    schedule = _timed(_call([400]), _call([30]))
    before = schedule.wait(10, 1)
    schedule.take()
    assert schedule.wait(10, 1) == before


@settings(deadline=None)
@given(st.floats(0.01, 100.0))
def test_the_estimate_follows_the_recent_runs(speed: float) -> None:
    """After some tens of runs at another speed the first ones are forgotten."""
    schedule = _timed()
    for _ in range(60):
        schedule.add(_call([100]))
        batch = schedule.take()
        assert batch is not None
        schedule.finished(batch, 0.1 * speed)
    assert schedule.wait(1000, 1) == pytest.approx(2 * speed, rel=0.2 if speed > 1 else 0.5)
