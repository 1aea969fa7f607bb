"""How a sidecar begins and ends: addresses taken, broken files, signals, drain."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from guard.address import Address
from guard.classifier.classifier import Classifier
from guard.engine import Engine
from guard.errors import Unavailable
from guard.policy.store import PolicyStore
from guard.sdk.aio import AsyncGuardClient
from guard.server.address import check_free
from guard.server.app import GuardServer
from guard.server.settings import Settings
from tests.gates import GatedClassifier
from tests.serving import sidecar, start


@pytest.fixture
def gated(tiny_classifier: Classifier) -> GatedClassifier:
    """A classifier that waits."""
    return GatedClassifier(tiny_classifier)


def _server(classifier: Classifier, policy_dir: Path, **options: object) -> GuardServer:
    engine = Engine(classifier, PolicyStore.load(policy_dir))
    return GuardServer(engine, Settings.load(**{"listen": ("127.0.0.1:0",), **options}))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_sidecar_cleanly(tiny_model_dir: Path, policy_dir: Path, number: signal.Signals) -> None:
    """SIGTERM and SIGINT end a sidecar with status 0 and nothing but log lines on standard error."""
    with sidecar(tiny_model_dir, policy_dir) as running:
        assert running.terminate(number) == 0
        assert running.process.stderr is not None
        assert "Traceback" not in running.process.stderr.read()


def test_sidecar_ends_at_once_although_health_is_watched(tiny_model_dir: Path, policy_dir: Path) -> None:
    """A health watch is told NOT_SERVING and ended; it does not use up the grace."""
    with (
        sidecar(tiny_model_dir, policy_dir, grace=3600) as running,
        grpc.insecure_channel(running.address) as channel,
    ):
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())  # type: ignore[attr-defined]
        statuses = (answer.status for answer in watch)
        assert next(statuses) == health_pb2.HealthCheckResponse.SERVING
        running.process.send_signal(signal.SIGTERM)
        assert list(statuses) == [health_pb2.HealthCheckResponse.NOT_SERVING]
        assert running.process.wait(60) == 0


def test_taken_port_is_said_plainly(tiny_model_dir: Path, policy_dir: Path) -> None:
    """A port that is in use is named with a cure, in one line."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with start(tiny_model_dir, policy_dir, address) as process:
            output, errors = process.communicate(timeout=60)
    assert output == ""
    assert errors.splitlines()[-1].startswith(f"guard.errors.Unavailable: {address} is already in use (")


def test_second_address_that_is_taken_frees_the_first(tiny_classifier: Classifier, policy_dir: Path) -> None:
    """A server that cannot listen everywhere listens nowhere."""

    async def scenario() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            first = _free_port()
            listen = (f"127.0.0.1:{first}", f"127.0.0.1:{taken.getsockname()[1]}")
            with pytest.raises(Unavailable):
                await _server(tiny_classifier, policy_dir, listen=listen).start()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", first))

    asyncio.run(scenario())


def test_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    """Where a file of another kind stands no socket is made, and the file stays."""
    path = tmp_path / "guard.sock"
    path.write_text("notes")
    with pytest.raises(Unavailable, match="no socket stands there"):
        check_free(Address(path=str(path)))
    assert path.read_text() == "notes"


def test_living_unix_socket_is_not_taken_over(tiny_classifier: Classifier, policy_dir: Path, tmp_path: Path) -> None:
    """A second server leaves a living one its socket; a dead one's file is replaced."""
    path = tmp_path / "guard.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    async def scenario() -> None:
        first = _server(tiny_classifier, policy_dir, listen=(f"unix:{path}",))
        await first.start()
        with pytest.raises(Unavailable, match="already in use"):
            await _server(tiny_classifier, policy_dir, listen=(f"unix:{path}",)).start()
        async with AsyncGuardClient(f"unix:{path}") as client:
            assert (await client.screen("hello")).allowed
        await first.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize("address", ["unix:/nonexistent/guard.sock", "192.0.2.1:50061", "nosuch.invalid:50061"])
def test_impossible_address_is_named(tiny_classifier: Classifier, policy_dir: Path, address: str) -> None:
    """An address that this machine cannot listen at is refused by name."""

    async def scenario() -> None:
        with pytest.raises(Unavailable, match=address):
            await _server(tiny_classifier, policy_dir, listen=(address,)).start()

    asyncio.run(scenario())


def test_health_answers_while_every_worker_is_busy(gated: GatedClassifier, policy_dir: Path) -> None:
    """Screening does not block the event loop: health answers while all workers are at work."""

    async def scenario() -> None:
        server = _server(gated, policy_dir, workers=1)
        await server.start()
        address = str(server.addresses[0])
        async with AsyncGuardClient(address) as client, grpc.aio.insecure_channel(address) as channel:
            calls = [asyncio.ensure_future(client.screen("hello")) for _ in range(4)]
            await asyncio.to_thread(gated.entered.wait)
            health = health_pb2_grpc.HealthStub(channel)
            answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=30)  # type: ignore[attr-defined]
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
            assert not any(call.done() for call in calls)
            gated.gate.set()
            assert all(decision.allowed for decision in await asyncio.gather(*calls))
        await server.stop()

    asyncio.run(scenario())


def test_waiting_for_a_worker_is_queue_time(gated: GatedClassifier, policy_dir: Path) -> None:
    """A text that waits until a worker is free has that time in its decision."""

    async def scenario() -> None:
        server = _server(gated, policy_dir, workers=1)
        await server.start()
        async with AsyncGuardClient(str(server.addresses[0])) as client:
            calls = [asyncio.ensure_future(client.screen("hello")) for _ in range(2)]
            while server._servicer._in_flight < len(calls):
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            gated.gate.set()
            # Less than what was slept: clocks differ.
            assert max([decision.timings.queue for decision in await asyncio.gather(*calls)]) >= 40_000
        await server.stop()

    asyncio.run(scenario())


def test_accepted_request_is_answered_while_draining(gated: GatedClassifier, policy_dir: Path) -> None:
    """Drain lets what was accepted finish, and refuses what comes later."""

    async def scenario() -> None:
        server = _server(gated, policy_dir, grace=60)
        await server.start()
        async with AsyncGuardClient(str(server.addresses[0]), retries=0) as client:
            accepted = asyncio.ensure_future(client.screen("hello"))
            await asyncio.to_thread(gated.entered.wait)
            stopping = asyncio.ensure_future(server.stop())
            while True:
                late = asyncio.ensure_future(client.screen("hello", timeout=0.5))
                error = (await asyncio.gather(late, return_exceptions=True))[0]
                if isinstance(error, Unavailable):
                    break
            assert not accepted.done()
            gated.gate.set()
            assert (await accepted).allowed
            await stopping

    asyncio.run(scenario())


def test_grace_bounds_the_drain(gated: GatedClassifier, policy_dir: Path) -> None:
    """A request that outlasts the grace is told that its text is unscreened."""

    async def scenario() -> None:
        server = _server(gated, policy_dir, grace=0.1)
        await server.start()
        async with AsyncGuardClient(str(server.addresses[0]), retries=0) as client:
            accepted = asyncio.ensure_future(client.screen("hello"))
            await asyncio.to_thread(gated.entered.wait)
            stopping = asyncio.ensure_future(server.stop())
            with pytest.raises(Unavailable):
                await accepted
            gated.gate.set()
            await stopping

    asyncio.run(scenario())


def test_failing_engine_answers_internal_without_its_message(
    tiny_classifier: Classifier, policy_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A defect is INTERNAL for the caller; neither the answer nor the log quotes what the exception said."""

    def broken(self: Engine, contents: object) -> object:
        raise RuntimeError(f"failed on {contents}")

    monkeypatch.setattr(Engine, "screening", broken)

    async def scenario() -> str:
        server = _server(tiny_classifier, policy_dir)
        await server.start()
        async with AsyncGuardClient(str(server.addresses[0])) as client:
            (error,) = await asyncio.gather(client.screen("secretword"), return_exceptions=True)
        await server.stop()
        return f"{type(error).__name__}: {error}"

    answer = asyncio.run(scenario())
    assert answer.startswith("InternalError: ")
    assert "secretword" not in answer
    assert "RuntimeError" in caplog.text
    assert "secretword" not in caplog.text


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
