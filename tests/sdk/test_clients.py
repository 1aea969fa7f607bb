"""What a client adds to the guard: connections, deadlines, retries, typed errors."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from guard import (
    AsyncGuardClient,
    DeadlineExceeded,
    Guard,
    GuardClient,
    GuardError,
    InternalError,
    InvalidInput,
    Overloaded,
    Unauthenticated,
    Unavailable,
)
from guard.v1 import guard_pb2 as pb
from tests.serving import Sidecar, sidecar

_SERVICE = "guard.v1.GuardService"
Call = Callable[..., Any]


@pytest.fixture(params=["client", "aio"])
def screen(request: pytest.FixtureRequest) -> Call:
    """Screen a text with a client of an address and options."""

    def over_grpc(address: str, text: str = "hello", **options: Any) -> Any:
        with GuardClient(address, **{"timeout": 30, **options}) as client:
            return client.screen(text)

    def over_aio(address: str, text: str = "hello", **options: Any) -> Any:
        async def call() -> Any:
            async with AsyncGuardClient(address, **{"timeout": 30, **options}) as client:
                return await client.screen(text)

        return asyncio.run(call())

    return over_grpc if request.param == "client" else over_aio


@contextmanager
def _scripted(answer: Callable[[int, grpc.ServicerContext], None]) -> Iterator[tuple[str, list[int]]]:
    """A real server whose Screen does what a script says; its address and a list that grows with each call."""
    calls: list[int] = []

    def behave(_raw: bytes, context: grpc.ServicerContext) -> bytes:
        calls.append(len(calls))
        answer(len(calls), context)
        return pb.ScreenResponse(decision=pb.Decision(action=pb.ACTION_ALLOW)).SerializeToString()

    with _serving("Screen", grpc.unary_unary_rpc_method_handler(behave)) as address:
        yield address, calls


@contextmanager
def _serving(method: str, rpc: Any) -> Iterator[str]:
    """A real server with one method; its address."""
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, {method: rpc}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


def _fail(code: grpc.StatusCode, details: str = "what (cure)") -> Callable[[int, grpc.ServicerContext], None]:
    def answer(_count: int, context: grpc.ServicerContext) -> None:
        context.abort(code, details)

    return answer


def test_no_server_is_unavailable_with_its_cure(screen: Call) -> None:
    """Where no sidecar listens, the error names the address and what to do."""
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1 \(start one with `guard serve`"):
        screen("127.0.0.1:1", retries=0)


def test_unavailable_is_tried_again(screen: Call) -> None:
    """A call that found no server is repeated; screening twice changes nothing."""

    def answer(count: int, context: grpc.ServicerContext) -> None:
        if count < 3:
            context.abort(grpc.StatusCode.UNAVAILABLE, "restarting")

    with _scripted(answer) as (address, calls):
        assert screen(address, retries=2).allowed
        assert len(calls) == 3


@pytest.mark.parametrize(
    "drop", [lambda context: context.abort(grpc.StatusCode.CANCELLED, ""), lambda context: context.cancel()]
)
def test_a_call_that_its_server_drops_is_tried_again(screen: Call, drop: Callable[[Any], object]) -> None:
    """CANCELLED that the caller did not cause is a server that ends: repeated like one that was not found."""

    def answer(count: int, context: grpc.ServicerContext) -> None:
        if count < 3:
            drop(context)

    with _scripted(answer) as (address, calls):
        assert screen(address, retries=4).allowed
        assert len(calls) == 3
    with _scripted(answer) as (address, calls):
        with pytest.raises(Unavailable, match=rf"the guard at {address} dropped the call"):
            screen(address, retries=0)
        assert len(calls) == 1


@pytest.mark.parametrize("kind", ["client", "aio"])
def test_a_stream_that_has_begun_is_not_repeated(kind: str) -> None:
    """A stream that its server drops when something of it was shown fails as unavailable: nothing is shown twice."""
    calls: list[int] = []
    shown: list[str] = []

    def behave(_events: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        calls.append(1)
        yield pb.ScreenStreamResponse(released=pb.StreamReleased(text="hel")).SerializeToString()
        context.abort(grpc.StatusCode.CANCELLED, "")

    def over_grpc(address: str) -> None:
        with GuardClient(address, timeout=30) as client:
            stream = client.screen_stream(["hello"])
            shown.append(next(stream))
            next(stream)

    async def over_aio(address: str) -> None:
        async with AsyncGuardClient(address, timeout=30) as client:
            stream = client.screen_stream(["hello"])
            shown.append(await anext(stream))
            await anext(stream)

    with (
        _serving("ScreenStream", grpc.stream_stream_rpc_method_handler(behave)) as address,
        pytest.raises(Unavailable, match="dropped the call"),
    ):
        over_grpc(address) if kind == "client" else asyncio.run(over_aio(address))
    assert shown == ["hel"]
    assert len(calls) == 1


@pytest.mark.parametrize("kind", ["client", "aio"])
def test_a_client_that_is_closed_during_a_call_says_so(kind: str) -> None:
    """Closing a client ends its calls with an error that says so, whoever waits for them; nothing is repeated."""
    entered, over = threading.Event(), threading.Event()

    def answer(_count: int, _context: grpc.ServicerContext) -> None:
        entered.set()
        over.wait(60)

    def over_grpc(address: str) -> None:
        client = GuardClient(address, timeout=60)
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(client.screen, "hello")
            entered.wait()
            client.close()
            call.result()

    async def over_aio(address: str) -> None:
        client = AsyncGuardClient(address, timeout=60)
        call = asyncio.ensure_future(client.screen("hello"))
        await asyncio.to_thread(entered.wait)
        await client.close()
        await call

    with _scripted(answer) as (address, calls):
        try:
            with pytest.raises(Unavailable, match="the client was closed during the call"):
                over_grpc(address) if kind == "client" else asyncio.run(over_aio(address))
        finally:
            over.set()
        assert len(calls) == 1


def test_retries_are_bounded(screen: Call) -> None:
    """After the last retry the error is raised."""
    with _scripted(_fail(grpc.StatusCode.UNAVAILABLE)) as (address, calls):
        with pytest.raises(Unavailable):
            screen(address, retries=1)
        assert len(calls) == 2


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidInput),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Overloaded),
        (grpc.StatusCode.UNAUTHENTICATED, Unauthenticated),
        (grpc.StatusCode.INTERNAL, InternalError),
        (grpc.StatusCode.UNIMPLEMENTED, InternalError),
        (grpc.StatusCode.DATA_LOSS, InternalError),
    ],
)
def test_other_failures_are_typed_and_not_repeated(screen: Call, code: grpc.StatusCode, kind: type[GuardError]) -> None:
    """Every status becomes an error of the tree; none but those of a server that is not there is tried again."""
    with _scripted(_fail(code)) as (address, calls):
        with pytest.raises(kind):
            screen(address, retries=4)
        assert len(calls) == 1


def test_deadline_is_typed_and_bounds_the_retries(screen: Call) -> None:
    """A call ends with its timeout; its text counts as unscreened."""
    over = threading.Event()

    def answer(_count: int, _context: grpc.ServicerContext) -> None:
        over.wait(60)

    with _scripted(answer) as (address, _):
        with pytest.raises(DeadlineExceeded, match=r"within 0\.2 s.*unscreened"):
            screen(address, timeout=0.2)
        over.set()


@pytest.mark.parametrize(
    "address",
    [
        "",
        None,
        50061,
        b"127.0.0.1:50061",
        "nonsense",
        "http://127.0.0.1:50061",
        "127.0.0.1:",
        ":50061",
        "a b:1",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:" + "9" * 5000,
        "::1:50061",
        "unix:",
        "unix:/" + "x" * 200,
        "unix:/\ud800",
        "a\x00b:1",
    ],
)
@pytest.mark.parametrize("client", [GuardClient, AsyncGuardClient])
def test_what_is_no_address_is_refused_at_once(client: Callable[[Any], object], address: object) -> None:
    """A client of anything but HOST:PORT or unix:PATH is the caller's mistake, not a server that does not answer."""
    with pytest.raises(InvalidInput) as caught:
        client(address)
    [violation] = caught.value.violations
    assert violation.field == "address" and ("HOST:PORT" in violation.cure or "unix:/" in violation.cure)


@pytest.mark.parametrize("address", ["127.0.0.1:50061", "[::1]:50061", "guard.local:65535", "unix:guard.sock"])
def test_addresses(address: str) -> None:
    """A client takes hosts, IPv6 in brackets and paths of sockets."""
    with GuardClient(address):
        pass


def test_message_far_over_the_limit_is_the_callers_mistake(
    tiny_model_dir: Path, policy_dir: Path, screen: Call
) -> None:
    """A message that even the transport refuses is InvalidInput, not a reason to try again later."""
    with (
        sidecar(tiny_model_dir, policy_dir, max_message_bytes=10_000) as small,
        pytest.raises(InvalidInput) as caught,
    ):
        screen(small.address, "hello " * 20_000)
    assert [v.field for v in caught.value.violations] == ["content"]


def test_results_that_are_not_one_per_text_are_refused() -> None:
    """If a server answers fewer or more texts than were asked, nobody's text counts as screened."""
    answer = pb.ScreenBatchResult(status=pb.Status(), decision=pb.Decision(action=pb.ACTION_ALLOW))

    def behave(_raw: bytes, _context: grpc.ServicerContext) -> bytes:
        return pb.ScreenBatchResponse(results=[answer]).SerializeToString()

    with (
        _serving("ScreenBatch", grpc.unary_unary_rpc_method_handler(behave)) as address,
        GuardClient(address, timeout=30) as client,
    ):
        assert len(client.screen_batch(["a"])) == 1
        for items in (["a", "b"], ["a", "", "b"]):
            with pytest.raises(InternalError, match="1 results for 2 texts"):
                client.screen_batch(items)


def test_impossible_retries_are_refused() -> None:
    """More retries than gRPC can do are a broken argument."""
    for kind in (GuardClient, AsyncGuardClient):
        with pytest.raises(InvalidInput, match="retries"):
            kind(retries=5)


def test_closed_client_says_so(served: Sidecar) -> None:
    """A call on a closed client is a typed error."""
    with GuardClient(served.address) as client:
        assert client.screen("hello").allowed
    with pytest.raises(Unavailable, match="closed"):
        client.screen("hello")

    async def asynchronous() -> None:
        async with AsyncGuardClient(served.address) as aio:
            assert (await aio.screen("hello")).allowed
        with pytest.raises(Unavailable, match="closed"):
            await aio.screen("hello")

    asyncio.run(asynchronous())


def test_client_is_thread_safe(served: Sidecar) -> None:
    """One client answers many threads, each with its own decision."""
    with GuardClient(served.address, timeout=30) as client, ThreadPoolExecutor(8) as pool:
        ids = [f"r{i}" for i in range(64)]
        answers = pool.map(lambda name: client.screen("hello", request_id=name).request_id, ids)
        assert list(answers) == ids


def test_many_asynchronous_calls_share_a_client(served: Sidecar) -> None:
    """Calls of one event loop run side by side on one client."""

    async def scenario() -> list[str]:
        async with AsyncGuardClient(served.address, timeout=30) as client:
            decisions = await asyncio.gather(*(client.screen("hello", request_id=f"r{i}") for i in range(64)))
            return [decision.request_id for decision in decisions]

    assert asyncio.run(scenario()) == [f"r{i}" for i in range(64)]


def test_proxy_of_the_environment_is_ignored(served: Sidecar, screen: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sidecar is next door: http_proxy does not stand between."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert screen(served.address, retries=0).allowed


def test_guard_takes_a_policy_by_shipped_name_or_path(tiny_model_dir: Path, policy_dir: Path) -> None:
    """In process, ``policy`` is a shipped name, a file or a directory; another name is refused."""
    assert Guard(tiny_model_dir, "default").info().policies[0].name == "default"
    with Guard(str(tiny_model_dir), policy_dir / "strict.yaml") as guard:
        assert not guard.screen("kill").allowed
    with pytest.raises(InvalidInput) as caught:
        Guard(tiny_model_dir, "nosuch")
    assert [v.field for v in caught.value.violations] == ["policy"]


def test_import_is_cheap() -> None:
    """``import guard`` loads neither gRPC nor the model's runtime; every public name is there when asked for."""
    code = (
        "import sys, guard\n"
        "assert not {'grpc', 'onnxruntime', 'tokenizers', 'numpy'} & set(sys.modules)\n"
        "assert set(guard.__all__) <= set(dir(guard))\n"
        "for name in guard.__all__: getattr(guard, name)\n"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(root)})
