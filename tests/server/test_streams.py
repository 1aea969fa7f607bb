"""ScreenStream as any gRPC client sees it: a real server, raw messages."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from guard.classifier.classifier import Classifier
from guard.engine import Engine
from guard.policy.store import PolicyStore
from guard.sdk.aio import AsyncGuardClient
from guard.server.app import GuardServer
from guard.server.settings import Settings
from guard.v1 import guard_pb2 as pb
from guard.v1.guard_pb2_grpc import GuardServiceStub
from tests.gates import GatedClassifier
from tests.serving import Sidecar, sidecar

_TIMEOUT = 30
_OPEN = pb.ScreenStreamRequest(open=pb.StreamOpen(direction=pb.DIRECTION_OUTPUT, request_id="r1"))
_CLOSE = pb.ScreenStreamRequest(close=pb.StreamClose())

# A client that opens a stream, says so, and never closes it.
_CLIENT = """
import sys, threading
from guard import GuardClient
def deltas():
    yield "hello " * 100
    threading.Event().wait()
with GuardClient(sys.argv[1]) as client:
    for piece in client.screen_stream(deltas()):
        print("streaming", flush=True)
"""


@pytest.fixture
def stub(channel: grpc.Channel) -> Any:
    """The generated stub; it has no type information."""
    return GuardServiceStub(channel)  # type: ignore[no-untyped-call]


def _delta(text: str) -> pb.ScreenStreamRequest:
    return pb.ScreenStreamRequest(delta=pb.StreamDelta(text=text))


def _refused(answers: Any) -> list[str]:
    """The fields that the BadRequest of a refused stream names."""
    with pytest.raises(grpc.RpcError) as caught:
        list(answers)
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    status = status_pb2.Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    details = error_details_pb2.BadRequest()
    assert status.details[0].Unpack(details)
    return [violation.field for violation in details.field_violations]


@pytest.mark.parametrize("ending", [[_CLOSE], [], [_CLOSE, _CLOSE, _delta("more")]])
def test_a_stream_ends_with_its_decision(stub: Any, ending: list[pb.ScreenStreamRequest]) -> None:
    """Released text, and last the decision: after a close, and after a half-close alike; what follows is not read."""
    requests = [_OPEN, _delta("call a@exam"), _delta(""), _delta("ple.com or"), *ending]
    *released, last = stub.ScreenStream(iter(requests), timeout=_TIMEOUT)
    assert "".join(message.released.text for message in released) == "call ************* or"
    assert last.WhichOneof("event") == "decision"
    decision = last.decision
    assert (decision.action, decision.output_text, decision.request_id) == (pb.ACTION_REWRITE, "", "r1")
    assert decision.policy.startswith("default@")


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_value_longer_than_a_slice_is_covered(stub: Any, size: int) -> None:
    """What the pattern of an address has begun is held until it is decided, whatever the deltas."""
    address = f"{'.'.join('abcdefghijklmnopqrstuvwxyzabcd')}@{'x.' * 9}example.com"
    text = f"mail {address}, the process is linux. " + "hello world " * 20
    deltas = [_delta(text[at : at + size]) for at in range(0, len(text), size)]
    *released, last = stub.ScreenStream(iter([_OPEN, *deltas, _CLOSE]), timeout=_TIMEOUT)
    assert "".join(message.released.text for message in released) == text.replace(address, "*" * len(address))
    assert last.decision.action == pb.ACTION_REWRITE


def test_a_block_is_one_final_event(stub: Any) -> None:
    """A block ends the stream although the caller has not: one decision with the message, nothing of what is held."""
    done = threading.Event()

    def requests() -> Iterator[pb.ScreenStreamRequest]:
        yield _OPEN
        yield _delta("hello " * 100)
        yield _delta("bomb " + "world " * 100)
        done.wait(_TIMEOUT)

    *released, last = stub.ScreenStream(requests(), timeout=_TIMEOUT)
    done.set()
    assert set("".join(message.released.text for message in released).split()) == {"hello"}
    assert (last.decision.action, last.decision.output_text) == (pb.ACTION_BLOCK, "Not here.")
    assert last.decision.message


@pytest.mark.parametrize(
    ("requests", "fields"),
    [
        ([], ["open"]),
        ([_delta("hello")], ["open"]),
        ([_CLOSE], ["open"]),
        ([_OPEN, _OPEN], ["open"]),
        ([_OPEN, pb.ScreenStreamRequest()], ["event"]),
        ([pb.ScreenStreamRequest(open=pb.StreamOpen())], ["direction"]),
        (
            [
                pb.ScreenStreamRequest(
                    open=pb.StreamOpen(direction=pb.DIRECTION_PROMPT, context=[pb.Turn(text="x")], origin=9)  # type: ignore[arg-type]
                )
            ],
            ["origin", "context[0].role"],
        ),
        (
            [pb.ScreenStreamRequest(open=pb.StreamOpen(direction=pb.DIRECTION_PROMPT, policy="nosuch"))],
            ["policy"],
        ),
        ([_OPEN, _delta("hello " * 20_000)], ["delta"]),
        ([_OPEN, *[_delta(" " * 1000)] * 20], ["delta"]),
    ],
)
def test_a_broken_stream_is_refused_with_its_fields(
    stub: Any, requests: list[pb.ScreenStreamRequest], fields: list[str]
) -> None:
    """Bad input ends a stream with INVALID_ARGUMENT, and BadRequest names the field."""
    assert _refused(stub.ScreenStream(iter(requests), timeout=_TIMEOUT)) == fields


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b"\xff\xff\xff\xff", "request"),
        (b"\x12\x04\x0a\x02\xff\xfe", "delta"),
        (b"\x0a\x06\x08\x02\x2a\x02\xff\xfe", "request_id"),
    ],
)
def test_a_message_that_is_none_is_refused(channel: grpc.Channel, raw: bytes, field: str) -> None:
    """Bytes that are no message, or no UTF-8, are the caller's mistake, with the field named."""
    call: Any = channel.stream_stream("/guard.v1.GuardService/ScreenStream")
    first = [] if raw.startswith(b"\x0a") else [_OPEN.SerializeToString()]
    assert _refused(call(iter([*first, raw]), timeout=_TIMEOUT)) == [field]


def test_random_messages_leave_the_server_alive(channel: grpc.Channel, stub: Any) -> None:
    """Whatever a stream carries, its caller is told, and the next stream is answered."""
    draw = random.Random(20261122)
    call: Any = channel.stream_stream("/guard.v1.GuardService/ScreenStream")
    for _ in range(100):
        raw = [_OPEN.SerializeToString(), *(draw.randbytes(draw.randrange(1, 40)) for _ in range(3))]
        try:
            list(call(iter(raw), timeout=_TIMEOUT))
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.INVALID_ARGUMENT  # noqa: PT017 - either outcome is right
    *_, last = stub.ScreenStream(iter([_OPEN, _delta("hello"), _CLOSE]), timeout=_TIMEOUT)
    assert last.decision.action == pb.ACTION_ALLOW


@pytest.mark.parametrize("goodbye", [True, False])
def test_a_client_that_leaves_ends_its_stream(tiny_model_dir: Path, policy_dir: Path, goodbye: bool) -> None:
    """A stream whose client vanished holds nothing up: the server drains at once, long before the grace is over."""
    with sidecar(tiny_model_dir, policy_dir, grace=3600) as running:
        command = [sys.executable, "-c", _CLIENT, running.address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as client:
            assert client.stdout is not None
            assert client.stdout.readline() == "streaming\n"
            (client.terminate if goodbye else client.kill)()
            client.communicate()
        assert running.terminate() == 0


def test_a_cancelled_stream_stops_the_work(tiny_classifier: Classifier, policy_dir: Path) -> None:
    """After a cancellation not one more slice is screened, however much text has arrived."""
    gated = GatedClassifier(tiny_classifier)

    async def scenario() -> None:
        server = GuardServer(Engine(gated, PolicyStore.load(policy_dir)), Settings.load(listen=("127.0.0.1:0",)))
        await server.start()

        async def deltas() -> AsyncIterator[str]:
            yield "hello " * 1000
            await asyncio.Event().wait()

        async with AsyncGuardClient(str(server.addresses[0])) as client:
            stream = client.screen_stream(deltas())
            reading = asyncio.ensure_future(anext(stream))
            await asyncio.to_thread(gated.entered.wait)
            reading.cancel()
            await asyncio.wait({reading})
            await asyncio.wait_for(server._servicer.idle(), 60)
            gated.gate.set()
        await server.stop()

    asyncio.run(scenario())
    assert len(gated.gated.runs) == 1


def test_a_stream_finishes_while_the_server_drains(tiny_classifier: Classifier, policy_dir: Path) -> None:
    """A stream that was accepted ends as it would have; drain waits for it within the grace."""

    async def scenario() -> str:
        engine = Engine(tiny_classifier, PolicyStore.load(policy_dir))
        server = GuardServer(engine, Settings.load(listen=("127.0.0.1:0",), grace=60))
        await server.start()
        draining = asyncio.Event()

        async def deltas() -> AsyncIterator[str]:
            yield "hello " * 100
            await draining.wait()
            yield "world"

        async with AsyncGuardClient(str(server.addresses[0])) as client:
            stream = client.screen_stream(deltas())
            shown = await anext(stream)
            stopping = asyncio.ensure_future(server.stop())
            await asyncio.sleep(0)
            draining.set()
            shown += "".join([piece async for piece in stream])
            assert stream.decision.allowed
            await stopping
        return shown

    assert asyncio.run(scenario()) == "hello " * 100 + "world"


def test_health_answers_while_streams_wait(served: Sidecar, stub: Any) -> None:
    """Open streams that wait for text keep nobody else from being answered."""
    release = threading.Event()

    def requests() -> Iterator[pb.ScreenStreamRequest]:
        yield _OPEN
        release.wait(_TIMEOUT)
        yield _CLOSE

    streams = [stub.ScreenStream(requests(), timeout=_TIMEOUT) for _ in range(16)]
    content = pb.Content(text="hello", direction=pb.DIRECTION_PROMPT)
    assert stub.Screen(pb.ScreenRequest(content=content), timeout=_TIMEOUT).decision.action == pb.ACTION_ALLOW
    release.set()
    for stream in streams:
        (last,) = stream
        assert last.decision.action == pb.ACTION_ALLOW


def test_a_stream_is_reset_by_no_other(served: Sidecar, tiny_classifier: Classifier) -> None:
    """Streams side by side keep their texts apart."""

    async def one(client: AsyncGuardClient, word: str) -> str:
        stream = client.screen_stream([f"{word} "] * 200)
        return "".join([piece async for piece in stream])

    async def scenario() -> list[str]:
        async with AsyncGuardClient(served.address) as client:
            return await asyncio.gather(*(one(client, word) for word in ("hello", "world", "process", "linux")))

    assert asyncio.run(scenario()) == [f"{word} " * 200 for word in ("hello", "world", "process", "linux")]
