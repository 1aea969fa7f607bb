"""A sidecar whose threads are all taken, and streams that take more than their share: who still gets an answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from guard.classifier.classifier import Classifier
from guard.engine import Engine
from guard.errors import DeadlineExceeded, GuardError, Overloaded
from guard.policy.load import parse_policy
from guard.policy.store import PolicyStore
from guard.sdk.aio import AsyncGuardClient
from guard.server.app import GuardServer
from guard.server.settings import Settings
from guard.types import Action, Decision, Role, Turn
from guard.v1 import guard_pb2 as pb
from tests.gates import GatedClassifier

_POLICY = """
version: 1
name: {name}
on_error: {on_error}
message: {{en: policy words, zh: 政策的话}}
rules:
  - {{id: weapons, direction: both, category: weapons, threshold: 0.5, action: block}}
"""
_WAIT = 60
# Calls bring no deadline: the server's holds.
_NONE: Any = None
_LONG = "hello " * 1000


class _Crowded:
    """A server in this process, its gated model, and a client."""

    def __init__(self, server: GuardServer, gated: GatedClassifier, client: AsyncGuardClient) -> None:
        self.server = server
        self.gated = gated
        self.client = client
        self.address = str(server.addresses[0])

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(_WAIT):
            while not condition():
                await asyncio.sleep(0.005)

    @contextmanager
    def threads_taken(self) -> Iterator[None]:
        """Nothing is prepared in the pool while this lasts."""
        free = threading.Event()
        self.server._pool.submit(free.wait, _WAIT)
        try:
            yield
        finally:
            free.set()

    @asynccontextmanager
    async def raw_stream(self, *options: tuple[str, int]) -> AsyncIterator[Any]:
        """A ScreenStream call without a deadline."""
        async with grpc.aio.insecure_channel(self.address, options=options) as channel:
            yield channel.stream_stream(
                "/guard.v1.GuardService/ScreenStream",
                pb.ScreenStreamRequest.SerializeToString,
                pb.ScreenStreamResponse.FromString,
            )()


def _served(classifier: Classifier, scenario: Callable[[_Crowded], Awaitable[None]], **options: object) -> None:
    """Run a scenario against a server with one thread."""

    async def go() -> None:
        gated = GatedClassifier(classifier)
        gated.gate.set()
        kinds = (("default", "block"), ("open", "allow"))
        policies = PolicyStore([parse_policy(_POLICY.format(name=n, on_error=e), f"{n}.yaml") for n, e in kinds])
        defaults = {"listen": ("127.0.0.1:0",), "workers": 1, "grace": 0.0, "cache_entries": 0}
        server = GuardServer(Engine(gated, policies), Settings.load(**{**defaults, **options}))
        await server.start()
        try:
            async with AsyncGuardClient(str(server.addresses[0]), timeout=_NONE, retries=0) as client:
                await scenario(_Crowded(server, gated, client))
        finally:
            gated.gate.set()
            await server.stop()

    asyncio.run(go())


# Threads that are taken


@pytest.mark.parametrize(
    ("policy", "action", "output"), [("default", "block", "policy words"), ("open", "allow", _LONG)]
)
def test_a_text_that_finds_no_thread_is_decided_by_policy(
    tiny_classifier: Classifier, policy: str, action: str, output: str
) -> None:
    """A long text and a large batch that were let in and find no thread in time get on_error's decision."""

    async def scenario(crowd: _Crowded) -> None:
        with crowd.threads_taken():
            alone = await crowd.client.screen(_LONG, policy=policy)
            batch = await crowd.client.screen_batch(["hello"] * 20, policy=policy)
            short = await crowd.client.screen("hello", policy=policy)
        assert alone.degraded and (alone.action.value, alone.output_text) == (action, output)
        assert len(batch) == 20
        assert all(isinstance(one, Decision) and one.degraded and one.action.value == action for one in batch)
        assert short.allowed and not short.degraded
        assert crowd.server.screener.load.degraded == 21
        assert not (await crowd.client.screen(_LONG, policy=policy)).degraded

    _served(tiny_classifier, scenario, request_timeout=0.3)


def test_a_text_that_finds_no_thread_for_its_decision_is_decided_by_policy(tiny_classifier: Classifier) -> None:
    """Where a thread lacks only after the scores have come, on_error decides, too."""

    async def scenario(crowd: _Crowded) -> None:
        crowd.gated.gate.clear()
        text = asyncio.ensure_future(crowd.client.screen(_LONG))
        await crowd.until(crowd.gated.entered.is_set)
        with crowd.threads_taken():
            crowd.gated.gate.set()
            decision = await text
        assert decision.degraded and decision.action is Action.BLOCK

    _served(tiny_classifier, scenario, request_timeout=1)


def test_an_unknown_policy_is_the_callers_mistake_all_the_same(tiny_classifier: Classifier) -> None:
    """Of items that find no thread in time, one that asks for an unknown policy fails as it would have."""

    async def scenario(crowd: _Crowded) -> None:
        items: list[Any] = [*["hello"] * 20, {"text": "hello", "policy": "nosuch"}]
        with crowd.threads_taken():
            *decided, last = await crowd.client.screen_batch(items)
        assert all(isinstance(one, Decision) and one.degraded for one in decided)
        assert isinstance(last, GuardError) and last.code == "INVALID_ARGUMENT"

    _served(tiny_classifier, scenario, request_timeout=0.3)


def test_a_stream_whose_context_finds_no_thread_is_refused(tiny_classifier: Classifier) -> None:
    """A stream is refused when it opens, with a time to wait for; one with a short context needs no thread."""

    async def scenario(crowd: _Crowded) -> None:
        with crowd.threads_taken():
            with pytest.raises(Overloaded, match="no thread is free") as refused:
                await anext(crowd.client.screen_stream(["hello"], context=[Turn(Role.USER, _LONG)]))
            assert refused.value.retry_after == 1.0
            stream = crowd.client.screen_stream([_LONG], context="hello")
            assert "".join([piece async for piece in stream]) == _LONG
            assert not stream.decision.degraded
        assert crowd.server._servicer.streams == 0

    _served(tiny_classifier, scenario, request_timeout=0.3)


def test_a_slice_that_finds_no_thread_is_decided_by_policy(tiny_classifier: Classifier) -> None:
    """A slice with so much padding that it wants a thread, and finds none, is degraded and ends the stream."""

    async def scenario(crowd: _Crowded) -> None:
        padded = "hello " * 20 + " " * 10_000 + "world " * 40
        with crowd.threads_taken():
            stream = crowd.client.screen_stream([padded])
            shown = "".join([piece async for piece in stream])
            assert stream.decision.degraded and stream.decision.action is Action.BLOCK
            assert shown.endswith("policy words") and "world" not in shown
            stream = crowd.client.screen_stream([padded], policy="open")
            assert "".join([piece async for piece in stream]) == padded
            assert stream.decision.degraded
        stream = crowd.client.screen_stream([padded])
        assert "".join([piece async for piece in stream]) == padded
        assert not stream.decision.degraded

    _served(tiny_classifier, scenario, request_timeout=0.3)


# Large deltas


def test_a_large_delta_leaves_the_threads_to_others(tiny_classifier: Classifier) -> None:
    """While deltas of megabytes are screened a long text is decided, and the streams have hardly begun by then."""

    async def scenario(crowd: _Crowded) -> None:
        delta = pb.ScreenStreamRequest(delta=pb.StreamDelta(text="hello world " * 300_000))
        async with crowd.raw_stream() as one, crowd.raw_stream() as other:
            for call in (one, other):
                await call.write(pb.ScreenStreamRequest(open=pb.StreamOpen(direction=pb.DIRECTION_OUTPUT)))
                await call.write(delta)
                assert (await call.read()).released.text
            assert not (await crowd.client.screen(_LONG)).degraded
            for call in (one, other):
                assert not call.done()
                call.cancel()
            await crowd.until(lambda: crowd.server._servicer.streams == 0)
        await crowd.server._servicer.idle()
        before = len(crowd.gated.gated.runs)
        assert (await crowd.client.screen("hello")).allowed
        assert len(crowd.gated.gated.runs) == before + 1

    _served(tiny_classifier, scenario)


def test_time_is_looked_at_within_a_delta(tiny_classifier: Classifier) -> None:
    """A stream whose one delta takes longer than a stream may ends with DEADLINE_EXCEEDED."""

    async def scenario(crowd: _Crowded) -> None:
        with pytest.raises(DeadlineExceeded):
            async for _ in crowd.client.screen_stream(["hello world " * 300_000]):
                pass
        assert crowd.server._servicer.streams == 0

    _served(tiny_classifier, scenario, stream_timeout=0.5)


# Streams that take a place


def test_a_caller_that_does_not_read_is_cut_off(tiny_classifier: Classifier) -> None:
    """A stream that cannot write, because its caller takes nothing, gives its place back when its time is over."""

    async def scenario(crowd: _Crowded) -> None:
        window = (("grpc.http2.lookahead_bytes", 1), ("grpc.http2.bdp_probe", 0))
        async with crowd.raw_stream(*window) as call:
            await call.write(pb.ScreenStreamRequest(open=pb.StreamOpen(direction=pb.DIRECTION_OUTPUT)))
            await call.write(pb.ScreenStreamRequest(delta=pb.StreamDelta(text="hello world " * 200_000)))
            await crowd.until(lambda: crowd.server._servicer.streams == 1)
            await crowd.until(lambda: crowd.server._servicer.streams == 0)
            await asyncio.wait_for(crowd.server._servicer.idle(), _WAIT)
            runs = len(crowd.gated.gated.runs)
            assert (await crowd.client.screen("hello")).allowed
            assert len(crowd.gated.gated.runs) == runs + 1

    _served(tiny_classifier, scenario, stream_timeout=1)


def test_a_stream_that_never_opens_gives_its_place_back(tiny_classifier: Classifier) -> None:
    """An opening has the time of a request; until then a stream too many is told when to come again."""

    async def scenario(crowd: _Crowded) -> None:
        async with crowd.raw_stream() as idle:
            await crowd.until(lambda: crowd.server._servicer.streams == 1)
            async with crowd.raw_stream() as more:
                with pytest.raises(grpc.aio.AioRpcError) as full:
                    await more.read()
            with pytest.raises(grpc.aio.AioRpcError) as late:
                await idle.read()
        assert full.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        metadata: Any = full.value.trailing_metadata()
        status = status_pb2.Status.FromString(dict(metadata)["grpc-status-details-bin"])
        retry = error_details_pb2.RetryInfo()
        assert status.details[0].Unpack(retry) and retry.retry_delay.seconds == 1
        assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "no opening came within 2 s" in str(late.value.details())
        assert "".join([piece async for piece in crowd.client.screen_stream(["hello"])]) == "hello"

    _served(tiny_classifier, scenario, max_streams=1, request_timeout=2)
