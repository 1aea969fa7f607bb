"""What a server counts, as Prometheus reads it over HTTP."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from guard import AsyncGuardClient, GuardError, Overloaded
from guard.classifier.artifact import ActivationScales
from guard.classifier.classifier import Classifier, Query
from guard.classifier.schedule import Cause
from guard.engine import Engine
from guard.errors import Unavailable
from guard.policy.store import PolicyStore
from guard.server.app import GuardServer
from guard.server.settings import Settings
from guard.types import Direction
from guard.v1 import guard_pb2 as pb
from tests.gates import GatedClassifier
from tests.serving import sidecar
from tests.tiny import build_tiny_artifact
from tests.waiting import until


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """A tiny classifier whose texts may share runs."""
    directory = tmp_path_factory.mktemp("models") / "static"
    return Classifier.load(build_tiny_artifact(directory, ActivationScales.STATIC, rounded=True))


def _get(server: GuardServer, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{server.metrics_address}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def _samples(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """Name and values of the labels -> value."""
    return {
        (sample.name, tuple(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _server(classifier: Classifier, policy_dir: Path, **options: object) -> GuardServer:
    given = {"listen": ("127.0.0.1:0",), "metrics": "127.0.0.1:0", "policy": str(policy_dir), "watch": 0, **options}
    return GuardServer(Engine(classifier, PolicyStore.load(policy_dir)), Settings.load(**given))


def test_decisions_are_counted(tiny_classifier: Classifier, policy_dir: Path) -> None:
    """Texts, items of batches and streams count alike: by action, direction and policy, with rules and phases."""

    async def scenario() -> str:
        server = _server(tiny_classifier, policy_dir)
        await server.start()
        async with AsyncGuardClient(str(server.addresses[0])) as client:
            await client.screen("hello")
            await client.screen("kill the process")
            await client.screen("a bomb", policy="strict", direction="output")
            await client.screen_batch(["a bomb", "a bomb", " "])
            async for _ in client.screen_stream(["call a@example.com"]):
                pass
            await asyncio.gather(client.screen("hello", policy="nosuch"), return_exceptions=True)
        status, text = await asyncio.to_thread(_get, server, "/metrics")
        assert status == 200
        await server.stop()
        return text

    found = _samples(asyncio.run(scenario()))
    assert {key[1]: value for key, value in found.items() if key[0] == "guard_requests_total"} == {
        ("allow", "prompt", "default"): 2,
        ("allow", "output", "strict"): 1,
        ("block", "prompt", "default"): 2,
        ("rewrite", "output", "default"): 1,
    }
    assert {key[1]: value for key, value in found.items() if key[0] == "guard_rules_fired_total"} == {
        ("block", "default", "violence", "true"): 1,
        ("block", "default", "weapons", "false"): 2,
        ("rewrite", "default", "email", "false"): 1,
    }
    # The unknown policy; the blank item was refused by the client itself.
    assert found["guard_refused_total", ("invalid_argument",)] == 1
    for phase in ("queue", "tokenise", "infer", "decide", "total"):
        assert found["guard_phase_seconds_count", (phase,)] == 6
    assert found["guard_phase_seconds_sum", ("total",)] > found["guard_phase_seconds_sum", ("infer",)] > 0
    assert (found["guard_in_flight", ()], found["guard_streams_open", ()]) == (0, 0)
    assert found["guard_model_info", ("tiny", tiny_classifier.artifact.revision)] == 1
    assert len([key for key in found if key[0] == "guard_policy_info"]) == 2


def test_degraded_decisions_are_counted(tiny_classifier: Classifier, policy_dir: Path) -> None:
    """A decision of on_error counts as one of its action, and as degraded."""
    gated = GatedClassifier(tiny_classifier)
    (chunk,) = gated.read(Query("hello", Direction.PROMPT)).chunks
    gated.gated.breaks = frozenset(chunk.input_ids)
    gated.gate.set()

    async def scenario() -> str:
        server = _server(gated, policy_dir)
        await server.start()
        async with AsyncGuardClient(str(server.addresses[0])) as client:
            assert (await client.screen("hello")).degraded
        _, text = await asyncio.to_thread(_get, server, "/metrics")
        await server.stop()
        return text

    found = _samples(asyncio.run(scenario()))
    assert found["guard_degraded_total", ("default",)] == 1
    assert found["guard_unscored_total", ()] == 1
    assert found["guard_requests_total", ("block", "prompt", "default")] == 1


def test_readiness_follows_the_drain(tiny_classifier: Classifier, policy_dir: Path) -> None:
    """/readyz is 200 while the server takes requests and 503 as soon as it drains; /healthz is 200 all the time."""

    async def scenario() -> None:
        server = _server(tiny_classifier, policy_dir, grace=60)
        await server.start()
        draining = asyncio.Event()

        async def deltas() -> AsyncIterator[str]:
            yield "hello " * 100
            await draining.wait()

        assert await asyncio.to_thread(_get, server, "/readyz") == (200, "ok\n")
        async with AsyncGuardClient(str(server.addresses[0])) as client:
            stream = client.screen_stream(deltas())
            await anext(stream)
            stopping = asyncio.ensure_future(server.stop())
            await asyncio.sleep(0)
            assert await asyncio.to_thread(_get, server, "/readyz") == (503, "not serving\n")
            assert await asyncio.to_thread(_get, server, "/healthz") == (200, "ok\n")
            assert (await asyncio.to_thread(_get, server, "/metrics"))[0] == 200
            assert (await asyncio.to_thread(_get, server, "/"))[0] == 404
            draining.set()
            async for _ in stream:
                pass
            await stopping
        with pytest.raises(urllib.error.URLError):
            await asyncio.to_thread(_get, server, "/healthz")

    asyncio.run(scenario())


def test_streams_have_their_limits(tiny_classifier: Classifier, policy_dir: Path) -> None:
    """A stream too many is refused with RESOURCE_EXHAUSTED; one that lasts too long ends with DEADLINE_EXCEEDED."""

    async def scenario() -> list[str]:
        server = _server(tiny_classifier, policy_dir, max_streams=1, stream_timeout=3)
        await server.start()

        async def deltas() -> AsyncIterator[str]:
            yield "hello " * 100
            yield "a@exam"
            await asyncio.Event().wait()

        failures: list[str] = []
        async with AsyncGuardClient(str(server.addresses[0])) as client:
            first, second = client.screen_stream(deltas()), client.screen_stream(["hello"])
            shown = await anext(first)
            for stream in (second, first):
                try:
                    async for piece in stream:
                        shown += piece
                except GuardError as error:
                    failures.append(f"{error.code} {error}")
            assert "exam" not in shown
            assert "".join([piece async for piece in client.screen_stream(["hello"])]) == "hello"
        found = _samples((await asyncio.to_thread(_get, server, "/metrics"))[1])
        assert found["guard_refused_total", ("resource_exhausted",)] == 1
        assert found["guard_refused_total", ("deadline_exceeded",)] == 1
        assert found["guard_streams_open", ()] == 0
        await server.stop()
        return failures

    full, late = asyncio.run(scenario())
    assert full.startswith("RESOURCE_EXHAUSTED 1 streams are open, as many as may be (retry later")
    assert late.startswith("DEADLINE_EXCEEDED ")


def test_a_caller_that_takes_nothing_is_let_go(tiny_classifier: Classifier, policy_dir: Path) -> None:
    """A stream whose caller goes on sending and never reads ends with its time."""

    async def scenario() -> None:
        server = _server(tiny_classifier, policy_dir, stream_timeout=0.5)
        await server.start()
        first = pb.ScreenStreamRequest(open=pb.StreamOpen(direction=pb.DIRECTION_OUTPUT))
        delta = pb.ScreenStreamRequest(delta=pb.StreamDelta(text="hello " * 2000))
        async with grpc.aio.insecure_channel(str(server.addresses[0])) as channel:
            call: Any = channel.stream_stream(
                "/guard.v1.GuardService/ScreenStream", pb.ScreenStreamRequest.SerializeToString
            )()
            await call.write(first)
            with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                while True:
                    await call.write(delta)
            await asyncio.wait_for(server._servicer.idle(), 60)
        await server.stop()

    asyncio.run(scenario())


def test_a_taken_metrics_port_is_said(tiny_classifier: Classifier, policy_dir: Path) -> None:
    """A metrics port that is in use ends the start with the option's name."""

    async def scenario() -> None:
        first = _server(tiny_classifier, policy_dir)
        await first.start()
        with pytest.raises(Unavailable, match=r"is already in use \(stop what listens there, or give --metrics"):
            await _server(tiny_classifier, policy_dir, metrics=str(first.metrics_address)).start()
        await first.stop()

    asyncio.run(scenario())


def test_the_queue_the_batches_and_the_cache_are_shown(static: Classifier, policy_dir: Path) -> None:
    """What waits and runs, batches with their padding, what did not reach the model and why, and remembered texts."""
    gated = GatedClassifier(static)

    async def scenario() -> None:
        server = _server(gated, policy_dir, workers=1, max_queue_tokens=200, cache_entries=8)
        await server.start()

        async def found() -> dict[tuple[str, tuple[str, ...]], float]:
            return _samples((await asyncio.to_thread(_get, server, "/metrics"))[1])

        async def rejected(cause: str) -> float:
            return (await found())["guard_rejected_total", (cause,)]

        async with AsyncGuardClient(str(server.addresses[0]), retries=0, timeout=30) as client:
            # One runs, two of like length wait together, and one that will not wait so long.
            calls = [asyncio.ensure_future(client.screen("hello"))]
            await asyncio.to_thread(gated.entered.wait)
            calls += [asyncio.ensure_future(client.screen("hello " * words)) for words in (20, 22)]
            gone = asyncio.ensure_future(client.screen("world " * 20))
            while (await found())["guard_queue_tokens", ()] < 3 * 23 + 2:
                await asyncio.sleep(0.01)
            assert (await found())["guard_running_tokens", ()] == len(gated.gated.runs[0][0].input_ids)
            gone.cancel()
            while not await rejected("cancelled"):
                await asyncio.sleep(0.01)
            with pytest.raises(Overloaded):
                await client.screen("hello " * 100)
            with suppress(GuardError):
                await client.screen("kill", timeout=1)
            assert await rejected("full") == 1
            while not await rejected("expired"):
                await asyncio.sleep(0.01)
            gated.gate.set()
            await asyncio.gather(*calls)
            assert (await client.screen("hello")).allowed
            shown = await found()
        assert [len(run) for run in gated.gated.runs] == [1, 2]
        sizes = [[len(chunk.input_ids) for chunk in run] for run in gated.gated.runs]
        tokens = sum(map(sum, sizes))
        assert shown["guard_queue_tokens", ()] == shown["guard_running_tokens", ()] == 0
        assert (shown["guard_batch_texts_count", ()], shown["guard_batch_texts_sum", ()]) == (2, 3)
        assert (shown["guard_batch_tokens_count", ()], shown["guard_batch_tokens_sum", ()]) == (2, tokens)
        assert shown["guard_run_tokens_total", ()] == tokens
        assert shown["guard_padding_tokens_total", ()] == abs(sizes[1][0] - sizes[1][1]) == 2
        # The one that was refused at the door was not looked up.
        assert (shown["guard_cache_hits_total", ()], shown["guard_cache_misses_total", ()]) == (1, 5)
        assert {key[1][0] for key in shown if key[0] == "guard_rejected_total"} == set(Cause)
        await server.stop()

    asyncio.run(scenario())


def test_silent_connections_keep_nobody_out(tiny_classifier: Classifier, policy_dir: Path) -> None:
    """Of more connections than may be open the oldest has to go: who asks is answered, and threads stay few."""

    async def scenario() -> None:
        server = _server(tiny_classifier, policy_dir)
        await server.start()
        before = threading.active_count()
        assert server.metrics_address is not None
        place = (server.metrics_address.host, server.metrics_address.port)
        with ExitStack() as stack:
            silent = [stack.enter_context(socket.create_connection(place)) for _ in range(120)]
            assert await asyncio.to_thread(_get, server, "/healthz") == (200, "ok\n")
            assert await asyncio.to_thread(silent[0].recv, 1) == b""
            await asyncio.to_thread(until, lambda: threading.active_count() < before + 60)
        await server.stop()

    asyncio.run(scenario())


def test_callers_that_leave_are_no_news(tiny_model_dir: Path, policy_dir: Path) -> None:
    """A caller that resets its connection, or sends no HTTP, writes nothing into the log; every line stays JSON."""
    with sidecar(tiny_model_dir, policy_dir, metrics="127.0.0.1:0", log_format="json") as running:
        where = json.loads(running.logged("metrics on"))["message"].split("/")[2]
        host, port = where.split(":")
        for sent in [b"GET /metrics HTTP/1.1\r\n\r\n"] * 20 + [b"\x16\x03\x01\x02\x00\x01"]:
            with socket.create_connection((host, int(port))) as caller:
                caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                caller.sendall(sent)
        with urllib.request.urlopen(f"http://{where}/metrics", timeout=30) as answer:
            assert answer.status == 200
        assert running.terminate() == 0
        assert running.process.stderr is not None
        events = [json.loads(line) for line in running.process.stderr]
    assert {event["level"] for event in events} == {"info"}
