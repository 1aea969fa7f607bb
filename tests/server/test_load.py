"""A sidecar with more to do than it can: what it refuses, what it drops, whom it serves first, and what it says."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from guard.classifier.artifact import ActivationScales
from guard.classifier.classifier import Classifier, Query
from guard.engine import Engine
from guard.errors import DeadlineExceeded, InvalidInput, Overloaded
from guard.policy.load import parse_policy
from guard.policy.store import PolicyStore
from guard.sdk.aio import AsyncGuardClient
from guard.server.app import GuardServer
from guard.server.settings import Settings
from guard.types import Action, Content, Decision, Direction
from guard.v1 import guard_pb2 as pb
from guard.v1.guard_pb2_grpc import GuardServiceStub
from tests.gates import GatedClassifier
from tests.tiny import build_tiny_artifact

_POLICY = """
version: 1
name: {name}
on_error: {on_error}
message: {{en: policy words, zh: 政策的话}}
rules:
  - {{id: weapons, direction: both, category: weapons, threshold: {threshold}, action: block}}
  - {{id: email, direction: output, category: pii.email, threshold: 0.5, action: rewrite, rewrite: mask}}
"""
_WAIT = 30


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """A tiny classifier whose texts may share runs."""
    directory = tmp_path_factory.mktemp("models") / "static"
    return Classifier.load(build_tiny_artifact(directory, ActivationScales.STATIC, rounded=True))


@dataclass
class _Running:
    """A server in this process, its gated model, and a client."""

    server: GuardServer
    gated: GatedClassifier
    client: AsyncGuardClient
    address: str

    @property
    def load(self) -> Any:
        return self.server.screener.load

    @property
    def waiting(self) -> int:
        """Calls in the queue, a stream's slice being one."""
        return len(self.server._batcher._schedule._calls)

    def run_texts(self) -> list[list[int]]:
        """Tokens of the chunks of every run."""
        return [[len(chunk.input_ids) for chunk in run] for run in self.gated.gated.runs]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the loop go on until something holds."""
        async with asyncio.timeout(_WAIT):
            while not condition():
                await asyncio.sleep(0.005)

    async def occupy(self) -> list[asyncio.Task[Decision]]:
        """Give the one worker something to do until the gate opens."""
        task = asyncio.ensure_future(self.client.screen("hello"))
        await self.until(self.gated.entered.is_set)
        return [task]


def _policies() -> PolicyStore:
    kinds = (("default", "block", 0.5), ("open", "allow", 0.5), ("lax", "block", 1.0))
    return PolicyStore(
        [parse_policy(_POLICY.format(name=n, on_error=e, threshold=t), f"{n}.yaml") for n, e, t in kinds]
    )


@asynccontextmanager
async def _running(classifier: Classifier, **options: object) -> AsyncIterator[_Running]:
    gated = GatedClassifier(classifier)
    defaults = {"listen": ("127.0.0.1:0",), "workers": 1, "grace": 0.0, "cache_entries": 0}
    server = GuardServer(Engine(gated, _policies()), Settings.load(**{**defaults, **options}))
    await server.start()
    address = str(server.addresses[0])
    try:
        async with AsyncGuardClient(address, timeout=_WAIT, retries=0) as client:
            yield _Running(server, gated, client, address)
    finally:
        gated.gate.set()
        await server.stop()


def _served(classifier: Classifier, scenario: Callable[[_Running], Awaitable[None]], **options: object) -> None:
    async def go() -> None:
        async with _running(classifier, **options) as running:
            await scenario(running)

    asyncio.run(go())


# Refused at the door


def test_overload_is_refused_at_once_with_the_time_to_wait_for(static: Classifier) -> None:
    """When the queue is full a call is RESOURCE_EXHAUSTED with RetryInfo, whatever the model does meanwhile."""

    async def scenario(running: _Running) -> None:
        calls = await running.occupy()
        calls.append(asyncio.ensure_future(running.client.screen("hello " * 45)))
        await running.until(lambda: running.load.queue.tokens >= 48)
        with pytest.raises(Overloaded, match="too much waits") as refused:
            await running.client.screen("hello " * 45)
        assert refused.value.retry_after is not None and refused.value.retry_after > 0
        with pytest.raises(Overloaded):
            await running.client.screen_batch(["hello " * 20] * 3)
        async with grpc.aio.insecure_channel(running.address) as channel:
            stub: Any = GuardServiceStub(channel)  # type: ignore[no-untyped-call]
            content = pb.Content(text="hello " * 45, direction=pb.DIRECTION_PROMPT)
            with pytest.raises(grpc.aio.AioRpcError) as raw:
                await stub.Screen(pb.ScreenRequest(content=content))
        assert raw.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        metadata: Any = raw.value.trailing_metadata()
        status = status_pb2.Status.FromString(dict(metadata)["grpc-status-details-bin"])
        assert status.details[0].Unpack(error_details_pb2.RetryInfo())
        assert running.load.queue.rejected["full"] == 3
        assert not any(call.done() for call in calls)
        running.gated.gate.set()
        assert all(decision.allowed for decision in await asyncio.gather(*calls))
        assert (await running.client.screen("hello " * 45)).allowed

    _served(static, scenario, max_queue_tokens=100)


def test_what_would_be_late_is_refused_at_once(static: Classifier) -> None:
    """A call whose turn would come after its deadline is refused before any work is done for it."""

    async def scenario(running: _Running) -> None:
        running.gated.gate.set()
        await running.client.screen("hello " * 100)
        screener = running.server.screener
        running.gated.gate.clear()
        running.gated.entered.clear()
        calls = await running.occupy()
        calls.append(asyncio.ensure_future(running.client.screen("hello " * 100)))
        await running.until(lambda: running.load.queue.tokens > 100)
        contents = [Content("hello " * 30_000)] * 256
        with pytest.raises(Overloaded, match="an answer would take about"):
            await screener.screen(Engine(running.gated, _policies()), contents, screener.expires(0.5))
        running.gated.gate.set()
        await asyncio.gather(*calls)

    _served(static, scenario, max_queue_tokens=1 << 30)


def test_a_text_that_is_longer_than_its_bytes_let_expect_is_refused_too(static: Classifier) -> None:
    """What a call weighs is estimated at the door, and looked at again where it turns out to be more chunks."""

    async def scenario(running: _Running) -> None:
        calls = await running.occupy()
        calls += [asyncio.ensure_future(running.client.screen("hello " * 100)) for _ in range(2)]
        await running.until(lambda: running.load.queue.tokens == 206)
        with pytest.raises(Overloaded, match="too much waits"):
            await running.client.screen("a " * 140)
        calls.append(asyncio.ensure_future(running.client.screen("a " * 100)))
        await running.until(lambda: running.load.queue.tokens >= 300)
        running.gated.gate.set()
        await asyncio.gather(*calls)

    _served(static, scenario, max_queue_tokens=420)


def test_a_deadline_in_the_past_costs_no_run(static: Classifier) -> None:
    """A call whose time is over when it comes is DEADLINE_EXCEEDED, and the model never sees it."""

    async def scenario(running: _Running) -> None:
        running.gated.gate.set()
        screener = running.server.screener
        for remaining in (-1.0, 0.0):
            with pytest.raises(DeadlineExceeded):
                await screener.screen(Engine(running.gated, _policies()), [Content("a")], screener.expires(remaining))
        assert running.gated.gated.runs == []
        assert (await running.client.screen("hello")).allowed

    _served(static, scenario)


def test_a_deadline_that_passes_in_the_queue_costs_no_run(static: Classifier) -> None:
    """A call whose time is over before its turn is decided by on_error, and the model never sees it."""

    async def scenario(running: _Running) -> None:
        calls = await running.occupy()
        # Long enough to be in the queue on a slow machine: only then is there something to drop.
        late = asyncio.ensure_future(running.client.screen("a bomb", timeout=2))
        await running.until(lambda: running.waiting == 1)
        decision = await late
        assert decision.degraded and decision.action is Action.BLOCK
        assert running.load.queue.tokens == 0
        running.gated.gate.set()
        await asyncio.gather(*calls)
        assert len(running.gated.gated.runs) == 1

    _served(static, scenario)


@pytest.mark.parametrize("words", [201, 20_000])
def test_a_text_over_the_limit_is_the_callers_mistake_under_load_too(tiny_model_dir: Path, words: int) -> None:
    """Too long is INVALID_ARGUMENT, and neither an overload nor a truncation."""

    async def scenario(running: _Running) -> None:
        calls = await running.occupy()
        with pytest.raises(InvalidInput) as refused:
            await running.client.screen("hello " * words)
        assert [violation.field for violation in refused.value.violations] == ["text"]
        running.gated.gate.set()
        await asyncio.gather(*calls)
        assert len(running.gated.gated.runs) == 1

    _served(Classifier.load(tiny_model_dir, max_tokens=200), scenario)


def test_a_stream_is_refused_when_it_opens(static: Classifier) -> None:
    """A full queue takes no new stream."""

    async def scenario(running: _Running) -> None:
        calls = await running.occupy()
        calls.append(asyncio.ensure_future(running.client.screen("hello " * 45)))
        await running.until(lambda: running.load.queue.tokens >= 48)
        with pytest.raises(Overloaded):
            await anext(running.client.screen_stream(["hello " * 200]))
        running.gated.gate.set()
        await asyncio.gather(*calls)

    _served(static, scenario, max_queue_tokens=100)


# Accepted


def test_a_stream_that_was_accepted_waits(static: Classifier) -> None:
    """However full the queue gets, an open stream's slices wait for their turn and are never refused."""

    async def scenario(running: _Running) -> None:
        running.gated.gate.set()
        full = asyncio.Event()

        async def deltas() -> AsyncIterator[str]:
            yield "hello " * 100
            await full.wait()
            yield "world " * 100

        stream = running.client.screen_stream(deltas())
        shown = ""
        # All but the lookahead: until more comes there is nothing to screen.
        while len(shown) < len("hello " * 67):
            shown += await anext(stream)
        running.gated.gate.clear()
        running.gated.entered.clear()
        calls = await running.occupy()
        calls.append(asyncio.ensure_future(running.client.screen("hello " * 45)))
        await running.until(lambda: running.load.queue.tokens >= 48)
        before = running.load.queue.tokens
        full.set()
        rest = asyncio.ensure_future(_joined(stream))
        await running.until(lambda: running.load.queue.tokens > before)
        running.gated.gate.set()
        assert shown + await rest == "hello " * 100 + "world " * 100
        assert stream.decision.allowed and not stream.decision.degraded
        await asyncio.gather(*calls)

    _served(static, scenario, max_queue_tokens=100)


async def _joined(stream: AsyncIterator[str]) -> str:
    return "".join([piece async for piece in stream])


@pytest.mark.parametrize(
    ("policy", "action", "output"), [("default", "block", "policy words"), ("open", "allow", "hello")]
)
def test_a_model_that_hangs_is_decided_by_policy(static: Classifier, policy: str, action: str, output: str) -> None:
    """A call without a deadline gets the server's: then on_error decides, and the answer says degraded."""

    async def scenario(running: _Running) -> None:
        async with grpc.aio.insecure_channel(running.address) as channel:
            stub: Any = GuardServiceStub(channel)  # type: ignore[no-untyped-call]
            contents = [pb.Content(text="hello", direction=pb.DIRECTION_PROMPT, policy=policy)] * 2
            # One is running when its time is over, the other one waits.
            answers = await asyncio.gather(*(stub.Screen(pb.ScreenRequest(content=content)) for content in contents))
            batch = (await stub.ScreenBatch(pb.ScreenBatchRequest(contents=contents))).results
        for answer in (*answers, *batch):
            decision = answer.decision
            assert decision.degraded
            assert (decision.action, decision.output_text) == (pb.Action.Value(f"ACTION_{action.upper()}"), output)
        assert running.load.degraded == 4
        assert running.load.queue.tokens == 0

    _served(static, scenario, request_timeout=0.2)


def test_a_slice_that_is_too_late_is_decided_by_policy(static: Classifier) -> None:
    """A stream whose model hangs ends with on_error's decision and releases nothing that is held."""

    async def scenario(running: _Running) -> None:
        stream = running.client.screen_stream(["hello " * 100])
        assert await _joined(stream) == "policy words"
        assert stream.decision.degraded and stream.decision.action is Action.BLOCK
        open_stream = running.client.screen_stream(["hello world"], policy="open")
        assert await _joined(open_stream) == "hello world"
        assert open_stream.decision.degraded

    _served(static, scenario, request_timeout=0.2)


def test_the_answer_is_due_before_the_caller_gives_up(static: Classifier) -> None:
    """Of a caller's time a little is left for the way back; without a deadline the server's holds."""

    async def scenario(running: _Running) -> None:
        screener, now = running.server.screener, time.monotonic()
        assert now + 0.9 <= screener.expires(1.0) <= time.monotonic() + 1.0
        assert screener.expires(0.01) <= time.monotonic() + 0.01
        assert now + 7 <= screener.expires(None) <= time.monotonic() + 7

    _served(static, scenario, request_timeout=7)


def test_a_text_that_breaks_the_model_fails_alone(static: Classifier) -> None:
    """One text that breaks a run of several is degraded, the others are decided."""

    async def scenario(running: _Running) -> None:
        calls = await running.occupy()
        scam = static._chunker._tokenizer.token_to_id("scam")
        assert scam is not None
        running.gated.gated.breaks = frozenset({scam})
        texts = ["my scam", "a bomb", "hello world"]
        calls += [asyncio.ensure_future(running.client.screen(text)) for text in texts]
        batch = asyncio.ensure_future(running.client.screen_batch(texts))
        await running.until(lambda: running.waiting == len(texts) + 1)
        running.gated.gate.set()
        _, *decisions = await asyncio.gather(*calls)
        for found in (decisions, await batch):
            assert [d.degraded for d in found if isinstance(d, Decision)] == [True, False, False]
            assert [d.action.value for d in found if isinstance(d, Decision)] == ["block", "block", "allow"]

    _served(static, scenario)


# Whom it serves


def test_health_and_info_answer_under_full_load(static: Classifier) -> None:
    """With the model busy, the queue full and callers refused, health and GetInfo answer."""

    async def scenario(running: _Running) -> None:
        calls = await running.occupy()
        flood = ["hello " * 10, "hello " * 400, "hello " * 1000] * 40
        results = [asyncio.ensure_future(running.client.screen(text)) for text in flood]
        await running.until(lambda: running.load.queue.rejected["full"] > 0)
        async with grpc.aio.insecure_channel(running.address) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=_WAIT)  # type: ignore[attr-defined]
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
            stub: Any = GuardServiceStub(channel)  # type: ignore[no-untyped-call]
            assert (await stub.GetInfo(pb.GetInfoRequest(), timeout=_WAIT)).model.name == "tiny"
        assert not calls[0].done()
        running.gated.gate.set()
        await asyncio.gather(*calls)
        outcomes = await asyncio.gather(*results, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {Decision, Overloaded}

    _served(static, scenario, max_queue_tokens=4000)


def test_a_flood_of_long_texts_does_not_starve_a_short_one(static: Classifier) -> None:
    """A short text that comes behind long ones is scored after a chunk of each, and not after all of them."""
    flood = 5

    async def scenario(running: _Running) -> None:
        calls = await running.occupy()
        calls += [asyncio.ensure_future(running.client.screen("hello " * 6000)) for _ in range(flood)]
        chunks = static.read(Query("hello " * 6000, Direction.PROMPT)).chunks
        await running.until(lambda: running.load.queue.tokens == flood * sum(len(chunk.input_ids) for chunk in chunks))
        short = asyncio.ensure_future(running.client.screen("hello world"))
        before = running.load.queue.tokens
        await running.until(lambda: running.load.queue.tokens > before)
        running.gated.gate.set()
        assert (await short).allowed
        await asyncio.gather(*calls)
        place = running.run_texts().index([5])
        assert place <= 1 + flood < len(running.run_texts()) // 4

    _served(static, scenario)


def test_texts_chunks_and_slices_share_one_queue(static: Classifier) -> None:
    """Screen, ScreenBatch, the chunks of a long text and the slices of streams share runs."""

    async def scenario(running: _Running) -> None:
        calls: list[asyncio.Future[Any]] = [*(await running.occupy())]
        calls.append(asyncio.ensure_future(running.client.screen("hello " * 128)))
        calls.append(asyncio.ensure_future(running.client.screen_batch(["hello " * 120, "hello " * 125])))
        calls.append(asyncio.ensure_future(_joined(running.client.screen_stream(["hello " * 128]))))
        await running.until(lambda: running.waiting == 3)
        assert running.load.queue.running == 4
        running.gated.gate.set()
        await asyncio.gather(*calls)
        assert max(map(len, running.run_texts())) >= 3
        assert running.load.queue.chunks == sum(map(len, running.run_texts()))

    _served(static, scenario)


@pytest.mark.parametrize("batching", [True, False])
def test_a_decision_does_not_depend_on_who_else_asks(static: Classifier, batching: bool) -> None:
    """Many callers at once get the decisions, and the scores, that each would get alone; batching can be turned off."""
    words = ["bomb", "hello", "kill the process", "a scam", "write to a@example.com", "炸弹", "hello " * 200]
    texts = [" ".join(words[: n % len(words) + 1]) for n in range(42)]
    engine = Engine(static, _policies())

    async def scenario(running: _Running) -> None:
        calls = await running.occupy()
        found = [asyncio.ensure_future(running.client.screen(text, "output")) for text in texts]
        # All of them: the run that is held up passes for a slow model, and who comes after it may be refused.
        await running.until(lambda: running.waiting == len(texts))
        running.gated.gate.set()
        for text, decision in zip(texts, await asyncio.gather(*found), strict=True):
            alone = engine.screen(Content(text, Direction.OUTPUT))
            assert (decision.action, decision.output_text) == (alone.action, alone.output_text)
            assert decision.scores == pytest.approx(dict(alone.scores), abs=1e-6)
            assert (decision.tokens, decision.chunks) == (alone.tokens, alone.chunks)
        await asyncio.gather(*calls)
        assert (max(map(len, running.run_texts())) > 1) is batching

    _served(static, scenario, batching=batching)


# What is cancelled, and what is remembered


def test_a_caller_that_leaves_costs_no_run(static: Classifier) -> None:
    """Texts and slices of callers that left before their turn are never run."""

    async def scenario(running: _Running) -> None:
        calls = await running.occupy()
        leaving: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(running.client.screen("a bomb")),
            asyncio.ensure_future(running.client.screen("hello " * 6000)),
            asyncio.ensure_future(running.client.screen_batch(["hello world"] * 20)),
            asyncio.ensure_future(_joined(running.client.screen_stream(["hello " * 100]))),
        ]
        await running.until(lambda: running.waiting == len(leaving))
        for call in leaving:
            call.cancel()
        await running.until(lambda: running.server._servicer._in_flight == 1)
        assert running.load.queue.rejected["cancelled"] == 4
        assert running.load.queue.tokens == 0
        running.gated.gate.set()
        await asyncio.gather(*calls)
        assert len(running.gated.gated.runs) == 1

    _served(static, scenario)


def test_scores_are_remembered_and_decisions_are_not(static: Classifier) -> None:
    """The same text again costs no run; another policy, direction or context decides anew."""

    async def scenario(running: _Running) -> None:
        running.gated.gate.set()
        client = running.client
        first = await client.screen("a bomb")
        again = await client.screen("ａ ｂｏｍｂ")
        assert (again.action, again.scores) == (first.action, first.scores)
        other = await client.screen("a bomb", policy="lax")
        assert (first.action, other.action) == (Action.BLOCK, Action.ALLOW)
        assert (running.load.cache_hits, running.load.cache_misses, running.load.queue.runs) == (2, 1, 1)
        await client.screen("a bomb", "output")
        await client.screen("a bomb", context="hello")
        assert (running.load.cache_hits, running.load.cache_misses, running.load.queue.runs) == (2, 3, 3)

    _served(static, scenario, cache_entries=8)


def test_without_a_cache_every_text_is_run(static: Classifier) -> None:
    """Switched off, the cache neither remembers nor counts."""

    async def scenario(running: _Running) -> None:
        running.gated.gate.set()
        for _ in range(3):
            await running.client.screen("a bomb")
        assert len(running.gated.gated.runs) == 3
        assert (running.load.cache_hits, running.load.cache_misses) == (0, 0)

    _served(static, scenario, cache_entries=0)


def test_a_server_stops_although_its_model_hangs(static: Classifier) -> None:
    """No thread of the queue keeps a server from ending; the caller is told."""

    async def scenario(running: _Running) -> None:
        call = asyncio.ensure_future(running.client.screen("hello"))
        await running.until(running.gated.entered.is_set)
        threading.Timer(1.0, running.gated.gate.set).start()
        await running.server.stop()
        await asyncio.wait({call})
        assert call.exception() is not None

    _served(static, scenario)
