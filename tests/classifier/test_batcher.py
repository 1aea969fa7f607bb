from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.classifier.artifact import FILES, ActivationScales
from guard.classifier.batcher import Batcher, PendingCall
from guard.classifier.chunker import Chunk
from guard.classifier.classifier import Classifier, Query
from guard.classifier.session import Raw, Session
from guard.errors import DeadlineExceeded, InternalError, Overloaded
from guard.types import CATEGORIES, Direction
from tests.gates import GatedSession
from tests.tiny import build_tiny_artifact
from tests.waiting import until

_NEVER = float("inf")
_WORDS = st.lists(st.sampled_from(["hello", "bomb", "kill", "scam", "炸", "你好"]), min_size=1, max_size=150)
_WAIT = 30


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """A tiny classifier whose activations are rounded with static scales."""
    directory = tmp_path_factory.mktemp("models") / "static"
    return Classifier.load(build_tiny_artifact(directory, ActivationScales.STATIC, rounded=True))


@pytest.fixture(scope="module")
def dynamic(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """A tiny classifier whose activations are rounded with the scales of whatever shares the run."""
    directory = tmp_path_factory.mktemp("models") / "dynamic"
    return Classifier.load(build_tiny_artifact(directory, ActivationScales.DYNAMIC, rounded=True))


@pytest.fixture
def gated(static: Classifier) -> GatedSession:
    """The static one's session behind a gate."""
    return GatedSession(static.session)


@pytest.fixture
def batcher(gated: GatedSession) -> Iterator[Batcher]:
    """One worker; the gate is opened at the end."""
    made = Batcher(workers=1)
    yield made
    gated.gate.set()
    made.close()


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a priority of their own on Linux alone")
@pytest.mark.usefixtures("batcher")
def test_what_computes_gives_way_to_what_answers() -> None:
    """The workers run at a lower priority than the thread that made the batcher, which keeps its own."""
    own = os.getpriority(os.PRIO_PROCESS, 0)
    workers = [thread for thread in threading.enumerate() if thread.name.startswith("infer-")]
    until(lambda: all(os.getpriority(os.PRIO_PROCESS, worker.native_id or 0) > own for worker in workers))
    assert workers and os.getpriority(os.PRIO_PROCESS, 0) == own


def _chunks(classifier: Classifier, *texts: str) -> list[Chunk]:
    queries = [Query(text, Direction.PROMPT) for text in texts]
    return [chunk for query in queries for chunk in classifier.read(query).chunks]


class _Waiting:
    """A call and the event of its end."""

    def __init__(self, batcher: Batcher, session: Session, chunks: Sequence[Chunk], expires: float = _NEVER) -> None:
        self.over = threading.Event()
        self.call: PendingCall = batcher.submit(session, chunks, expires=expires, done=self.over.set)

    def results(self) -> list[Raw | Exception | None]:
        assert self.over.wait(_WAIT)
        return [None if outcome is None else outcome.raw for outcome in self.call.outcomes]

    def raw(self) -> list[Raw]:
        results = self.results()
        assert all(isinstance(result, Raw) for result in results)
        return [result for result in results if isinstance(result, Raw)]


def _alike(one: Raw, other: Raw, tolerance: float) -> bool:
    return np.allclose(one.scores, other.scores, atol=tolerance, rtol=0) and np.allclose(
        one.token_scores, other.token_scores, atol=tolerance, rtol=0
    )


# Scores


@settings(max_examples=30, deadline=None)
@given(st.lists(_WORDS, min_size=1, max_size=12))
def test_a_chunk_scores_in_company_as_it_does_alone(static: Classifier, texts: list[list[str]]) -> None:
    """Chunks of any lengths in one run, padded, have the scores that they and their tokens have alone."""
    chunks = _chunks(static, *map(" ".join, texts))
    together = static.session.run(chunks)
    for chunk, raw in zip(chunks, together, strict=True):
        (alone,) = static.session.run([chunk])
        assert raw.scores.shape == (len(CATEGORIES),)
        assert raw.token_scores.shape == (chunk.text_tokens, len(CATEGORIES))
        assert _alike(raw, alone, 1e-6)


def test_a_graph_in_float_may_share_runs(tmp_path: Path) -> None:
    """A graph that rounds nothing shares runs if its description says so, with the scores of lone ones."""
    session = Classifier.load(build_tiny_artifact(tmp_path, ActivationScales.STATIC)).session
    chunks = _chunks(Classifier.load(tmp_path), "hello", "a bomb and a scam", "hello " * 40)
    assert session.shared
    assert all(
        _alike(raw, session.run([chunk])[0], 1e-6) for chunk, raw in zip(chunks, session.run(chunks), strict=True)
    )


def test_dynamic_scales_share_no_run(dynamic: Classifier) -> None:
    """With dynamic scales every chunk runs alone, because neighbours would move its scores."""
    chunks = _chunks(dynamic, "kill the process", "a bomb")
    alone = [dynamic.session.run([chunk])[0] for chunk in chunks]
    assert not dynamic.session.shared
    assert all(_alike(raw, lone, 0) for raw, lone in zip(dynamic.session.run(chunks), alone, strict=True))
    shared = Session(dynamic.artifact.path(FILES.model), columns=len(CATEGORIES), shared=True)
    assert not all(_alike(raw, lone, 1e-3) for raw, lone in zip(shared.run(chunks), alone, strict=True))
    batcher = Batcher(workers=1)
    gated = GatedSession(dynamic.session)
    waiting = [_Waiting(batcher, gated, [chunk]) for chunk in chunks * 3]
    gated.gate.set()
    for chunk, call in zip(chunks * 3, waiting, strict=True):
        assert _alike(call.raw()[0], dynamic.session.run([chunk])[0], 0)
    batcher.close()
    assert [len(run) for run in gated.runs] == [1] * 6


@pytest.mark.parametrize("workers", [1, 3])
def test_many_callers_get_their_own_scores(static: Classifier, workers: int) -> None:
    """Calls of one and of many chunks, from several threads at once, come back each with its own scores."""
    batcher = Batcher(workers=workers)
    texts = ["hello", "bomb", "a scam", "hello " * 60 + "bomb", "kill " * 300, "你好 炸"] * 8

    def ask(texts: Sequence[str], found: list[list[Raw]]) -> None:
        calls = [_Waiting(batcher, static.session, _chunks(static, text)) for text in texts]
        found += [call.raw() for call in calls]

    results: list[list[list[Raw]]] = [[] for _ in range(4)]
    threads = [threading.Thread(target=ask, args=(texts[i::4], results[i])) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, found in enumerate(results):
        for text, raw in zip(texts[number::4], found, strict=True):
            chunks = _chunks(static, text)
            assert len(raw) == len(chunks)
            assert all(
                _alike(one, static.session.run([chunk])[0], 1e-6) for chunk, one in zip(chunks, raw, strict=True)
            )
    load = batcher.load
    assert (load.tokens, load.running) == (0, 0)
    assert load.chunks == sum(len(_chunks(static, text)) for text in texts)
    batcher.close()


# Batches


def test_a_batch_is_what_waited_while_the_last_one_ran(static: Classifier, gated: GatedSession) -> None:
    """The first call runs at once and alone; those that come meanwhile share the next runs by their length."""
    seen: list[tuple[int, int]] = []
    batcher = Batcher(workers=1, observe=lambda chunks, tokens: seen.append((chunks, tokens)))
    first = _Waiting(batcher, gated, _chunks(static, "hello"))
    assert gated.entered.wait(_WAIT)
    texts = ["hello world", "hello " * 50, "a bomb", "hello " * 45, "the process"]
    rest = [_Waiting(batcher, gated, _chunks(static, text)) for text in texts]
    assert batcher.load.tokens == sum(len(chunk.input_ids) for chunk in _chunks(static, *texts))
    gated.gate.set()
    for call in (first, *rest):
        call.raw()
    batcher.close()
    sizes = [[len(chunk.input_ids) for chunk in run] for run in gated.runs]
    assert sizes == [[4], [5, 5, 5], [53, 48]]
    load = batcher.load
    assert (load.runs, load.chunks, load.batch_tokens, load.padding_tokens) == (3, 6, 120, 5)
    assert seen == [(1, 4), (3, 15), (2, 101)]


def test_batching_can_be_turned_off(static: Classifier, gated: GatedSession) -> None:
    """Without batching every chunk runs alone, in the queue's order."""
    batcher = Batcher(workers=1, batching=False)
    calls = [_Waiting(batcher, gated, _chunks(static, "hello world")) for _ in range(5)]
    gated.gate.set()
    for call in calls:
        call.raw()
    batcher.close()
    assert [len(run) for run in gated.runs] == [1] * 5


def test_a_run_is_of_one_model(batcher: Batcher, static: Classifier, gated: GatedSession) -> None:
    """While models change, texts of both wait in one queue and share no run."""
    other = GatedSession(static.session)
    other.gate.set()
    blocking = _Waiting(batcher, gated, _chunks(static, "hello"))
    calls = [_Waiting(batcher, session, _chunks(static, "a bomb")) for session in (gated, other, gated, other)]
    gated.gate.set()
    for call in (blocking, *calls):
        call.raw()
    assert [len(run) for run in other.runs] == [2]
    assert sum(map(len, gated.runs)) == 3


def test_workers_run_side_by_side(static: Classifier, gated: GatedSession) -> None:
    """Two workers run the chunks of one long text at once."""
    batcher = Batcher(workers=2, batching=False)
    call = _Waiting(batcher, gated, _chunks(static, "hello " * 300))
    until = time.monotonic() + _WAIT
    while len(gated.runs) < 2 and time.monotonic() < until:
        time.sleep(0.001)
    assert len(gated.runs) == 2
    gated.gate.set()
    assert len(call.raw()) == 3
    batcher.close()


# What goes wrong


def test_a_chunk_that_breaks_a_batch_fails_alone(batcher: Batcher, static: Classifier, gated: GatedSession) -> None:
    """The others of its batch are run again without it."""
    scam = _chunks(static, "a scam")
    gated.breaks = frozenset(scam[0].input_ids) - frozenset(_chunks(static, "a bomb")[0].input_ids)
    blocking = _Waiting(batcher, gated, _chunks(static, "hello"))
    calls = [_Waiting(batcher, gated, _chunks(static, text)) for text in ("a bomb", "a scam", "hello world")]
    gated.gate.set()
    blocking.raw()
    bomb, broken, hello = calls
    assert isinstance(broken.results()[0], RuntimeError)
    assert bomb.raw()[0].scores[CATEGORIES.index("weapons")] > 0.9
    assert hello.raw()[0].scores[CATEGORIES.index("weapons")] < 0.1


def test_a_defect_costs_no_thread(static: Classifier, gated: GatedSession, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a session or an observer does wrong, the worker goes on with the next batch."""

    class Empty(GatedSession):
        def run(self, chunks: Sequence[Chunk]) -> list[Raw]:
            return []

    def broken(chunks: int, tokens: int) -> None:
        raise RuntimeError("SECRET")

    gated.gate.set()
    batcher = Batcher(workers=1, observe=broken)
    assert isinstance(_Waiting(batcher, Empty(static.session), _chunks(static, "hello")).results()[0], InternalError)
    assert len(_Waiting(batcher, gated, _chunks(static, "hello")).raw()) == 1
    batcher.close()
    assert "RuntimeError" in caplog.text and "SECRET" not in caplog.text


def test_what_is_late_is_dropped_before_its_run(batcher: Batcher, static: Classifier, gated: GatedSession) -> None:
    """A call whose deadline is over when a worker is free ends without scores and is not run."""
    blocking = _Waiting(batcher, gated, _chunks(static, "hello"))
    assert gated.entered.wait(_WAIT)
    late = _Waiting(batcher, gated, _chunks(static, "a bomb " * 200), expires=time.monotonic())
    gated.gate.set()
    blocking.raw()
    assert set(late.results()) == {None}
    assert len(gated.runs) == 1
    assert batcher.load.rejected == {"full": 0, "late": 0, "expired": 1, "cancelled": 0}


def test_what_is_cancelled_is_dropped_before_its_run(batcher: Batcher, static: Classifier, gated: GatedSession) -> None:
    """A cancelled call is not run and its caller not told; to cancel what is over changes nothing."""
    blocking = _Waiting(batcher, gated, _chunks(static, "hello"))
    assert gated.entered.wait(_WAIT)
    gone = _Waiting(batcher, gated, _chunks(static, "a bomb"))
    stays = _Waiting(batcher, gated, _chunks(static, "a scam"))
    batcher.cancel(gone.call)
    gated.gate.set()
    stays.raw()
    blocking.raw()
    batcher.cancel(stays.call)
    batcher.cancel(gone.call)
    assert not gone.over.is_set()
    assert [len(run) for run in gated.runs] == [1, 1]
    assert batcher.load.rejected["cancelled"] == 1
    assert batcher.load.tokens == 0


def test_a_batcher_that_closes_ends_every_call(static: Classifier, gated: GatedSession) -> None:
    """What waits when it closes, and what comes later, ends without scores; a run under way is finished."""
    batcher = Batcher(workers=1)
    running = _Waiting(batcher, gated, _chunks(static, "hello"))
    assert gated.entered.wait(_WAIT)
    waiting = _Waiting(batcher, gated, _chunks(static, "a bomb"))
    closing = threading.Thread(target=batcher.close)
    closing.start()
    assert waiting.results() == [None]
    gated.gate.set()
    closing.join()
    assert len(running.raw()) == 1
    assert _Waiting(batcher, gated, _chunks(static, "a bomb")).results() == [None]


# The door


def test_the_door_closes_when_the_queue_is_full(static: Classifier, gated: GatedSession) -> None:
    """A call without room is refused before any work, with the time to retry after; when there is room it is let in."""
    small = Batcher(workers=1, max_queue_tokens=100)
    waiting = [_Waiting(small, gated, _chunks(static, "hello " * 27))]
    assert gated.entered.wait(_WAIT)
    waiting.append(_Waiting(small, gated, _chunks(static, "hello " * 27)))
    with pytest.raises(Overloaded, match="too much waits") as refused, small.reserved(50, 1, _NEVER):
        pass
    assert refused.value.retry_after is not None and refused.value.retry_after > 0
    with small.reserved(30, 1, _NEVER):
        assert small.load.tokens == 60
        with pytest.raises(Overloaded), small.reserved(30, 1, _NEVER):
            pass
    assert small.load.tokens == 30
    assert small.load.rejected["full"] == 2
    gated.gate.set()
    for call in waiting:
        call.raw()
    with small.reserved(100_000, 1, _NEVER):
        pass
    small.close()


def test_the_door_is_closed_for_what_is_late_already(batcher: Batcher) -> None:
    """A call whose deadline is over is told so, even by an idle batcher."""
    with pytest.raises(DeadlineExceeded), batcher.reserved(1, 1, time.monotonic() - 1):
        pass
    assert batcher.load.rejected["expired"] == 1


def test_the_door_is_closed_for_what_would_be_late(static: Classifier, gated: GatedSession) -> None:
    """Once runs were timed, a call that has less time than its turn would take is refused at once, others are not."""
    batcher = Batcher(workers=1, max_queue_tokens=1 << 60)
    gated.gate.set()
    _Waiting(batcher, gated, _chunks(static, "hello " * 100)).raw()
    gated.gate.clear()
    gated.entered.clear()
    running = _Waiting(batcher, gated, _chunks(static, "hello " * 100))
    assert gated.entered.wait(_WAIT)
    waiting = _Waiting(batcher, gated, _chunks(static, "hello " * 100))
    with (
        pytest.raises(Overloaded, match="an answer would take about"),
        batcher.reserved(10**9, 10**7, time.monotonic() + 5),
    ):
        pass
    with batcher.reserved(10, 1, time.monotonic() + 1e6):
        pass
    assert batcher.load.rejected["late"] == 1
    gated.gate.set()
    running.raw()
    waiting.raw()
    batcher.close()
