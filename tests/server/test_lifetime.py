"""How a sidecar begins and ends: addresses taken, broken files, signals, drain."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


def test_work_that_cannot_be_stopped_does_not_hold_up_the_end(
    tiny_classifier: Classifier, policy_dir: Path, tmp_path: Path
) -> None:
    """A server has stopped, and its decision log is whole, although a thread of its pool is still at work."""
    over = threading.Event()
    path = tmp_path / "d.jsonl"

    async def scenario() -> None:
        server = _server(tiny_classifier, policy_dir, workers=1, grace=0, decision_log=path)
        await server.start()
        async with AsyncGuardClient(str(server.addresses[0]), timeout=30) as client:
            await client.screen("hello")
            server._pool.submit(over.wait)
            await server.stop()
        assert server.outlasted

    try:
        asyncio.run(scenario())
        assert len(path.read_text().splitlines()) == 1
    finally:
        over.set()


def test_a_load_that_hangs_does_not_hold_up_the_end(tiny_model_dir: Path, policy_dir: Path, tmp_path: Path) -> None:
    """A sidecar that is loading a file that nobody finishes writing ends at SIGTERM all the same, with status 0."""
    tokens = tmp_path / "tokens"
    tokens.write_text("a-token-0123456789\n")
    with sidecar(tiny_model_dir, policy_dir, token_file=tokens, watch=0) as running:
        tokens.unlink()
        os.mkfifo(tokens)
        running.process.send_signal(signal.SIGHUP)
        with tokens.open("w"):  # opened when it is being read
            assert running.terminate() == 0


def test_many_hangups_load_once_more(tiny_model_dir: Path, policy_dir: Path, tmp_path: Path) -> None:
    """However often SIGHUP comes while something is loaded, one more load follows, which sees what is there then."""
    tokens, beside = tmp_path / "tokens", tmp_path / "beside"
    tokens.write_text("a-token-0123456789\n")
    with sidecar(tiny_model_dir, policy_dir, token_file=tokens, watch=0) as running:
        beside.write_text("a-token-0123456789\nanother-token-0123456789\n")
        tokens.unlink()
        os.mkfifo(tokens)
        running.process.send_signal(signal.SIGHUP)
        with tokens.open("w") as pipe, grpc.insecure_channel(running.address) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            for _ in range(50):
                running.process.send_signal(signal.SIGHUP)
                health.Check(health_pb2.HealthCheckRequest(), timeout=30)  # type: ignore[attr-defined]
            os.replace(beside, tokens)
            pipe.write("a-token-0123456789\n")
        running.logged("tokens loaded: 1 of")
        running.logged("tokens loaded: 2 of")
        assert running.terminate() == 0
        assert running.process.stderr is not None
        assert "loaded" not in running.process.stderr.read()


@contextmanager
def _loading(model: Path, policies: Path) -> Iterator[tuple[subprocess.Popen[str], Callable[[], None]]]:
    """`guard serve` in the middle of loading its model, and what lets it go on."""
    description = model / "artifact.json"
    text = description.read_text()
    description.unlink()
    os.mkfifo(description)
    env = {name: value for name, value in os.environ.items() if not name.startswith("GUARD_")}
    options = ["--listen", "127.0.0.1:0", "--model", str(model), "--policy", str(policies), "--watch", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "guard", "serve", *options],
        env=env | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    def go_on() -> None:
        description.unlink()
        description.write_text(text)
        pipe.write(text)
        pipe.close()

    try:
        with description.open("w") as pipe:  # opened when it is being read
            yield process, go_on
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def own_model(tiny_model_dir: Path, tmp_path: Path) -> Path:
    """A model directory that the test may alter."""
    return shutil.copytree(tiny_model_dir, tmp_path / "model")


def test_sigterm_while_loading_ends_the_sidecar_cleanly(own_model: Path, policy_dir: Path) -> None:
    """A sidecar that is still loading ends at SIGTERM, with status 0 and without a word."""
    with _loading(own_model, policy_dir) as (process, _):
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stdout is not None and process.stderr is not None
        assert (process.stdout.read(), process.stderr.read()) == ("", "")


def test_sighup_while_loading_waits(own_model: Path, policy_dir: Path) -> None:
    """A SIGHUP to a sidecar that is still loading does not end it: it loads again as soon as it serves."""
    with _loading(own_model, policy_dir) as (process, go_on):
        process.send_signal(signal.SIGHUP)
        go_on()
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith("guard ready on ")
        assert any("policy loaded" in line for line in process.stderr)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


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
