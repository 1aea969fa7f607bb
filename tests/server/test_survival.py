"""What production does to a sidecar: it is killed, and it is replaced under load."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from guard import Action, AsyncGuardClient, GuardClient, Unavailable
from guard.classifier.classifier import Classifier
from guard.engine import Engine
from guard.policy.store import PolicyStore
from guard.records import read
from guard.server.app import GuardServer
from guard.server.live import Live
from guard.server.settings import Settings
from tests.serving import sidecar
from tests.waiting import until


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class _Caller(threading.Thread):
    """Screens one text again and again, and notes every answer; a sidecar that is not there is asked again."""

    def __init__(self, address: str, name: str) -> None:
        super().__init__(name=name)
        self.answered: list[str] = []
        self.actions: set[Action] = set()
        self.refused = 0
        self.failure: BaseException | None = None
        self.enough = threading.Event()
        self._address = address

    def run(self) -> None:
        try:
            with GuardClient(self._address, timeout=30, retries=0) as client:
                number = 0
                while not self.enough.is_set():
                    number += 1
                    request_id = f"{self.name}-{number}"
                    try:
                        decision = client.screen("a bomb", request_id=request_id)
                    except Unavailable:
                        self.refused += 1
                        self.enough.wait(0.01)
                        continue
                    self.answered.append(decision.request_id)
                    self.actions.add(decision.action)
        except BaseException as error:
            self.failure = error


@contextmanager
def _callers(address: str, count: int) -> Iterator[list[_Caller]]:
    callers = [_Caller(address, f"caller{number}") for number in range(count)]
    for caller in callers:
        caller.start()
    try:
        yield callers
    finally:
        for caller in callers:
            caller.enough.set()
        for caller in callers:
            caller.join(60)


def test_clients_survive_a_killed_sidecar(tiny_model_dir: Path, policy_dir: Path, tmp_path: Path) -> None:
    """After kill -9 and a restart every client is answered again, none of them wrongly, and the log is whole."""
    address, log = f"127.0.0.1:{_free_port()}", tmp_path / "d.jsonl"
    with _callers(address, 4) as callers:
        for _ in range(2):
            with sidecar(tiny_model_dir, policy_dir, address, decision_log=log) as running:
                before = [len(caller.answered) for caller in callers]
                until(lambda: all(len(c.answered) > n for c, n in zip(callers, before, strict=True)))  # noqa: B023
                running.process.kill()
                running.process.wait(60)
        with sidecar(tiny_model_dir, policy_dir, address, decision_log=log) as running:
            before = [len(caller.answered) for caller in callers]
            until(lambda: all(len(c.answered) > n for c, n in zip(callers, before, strict=True)))
            with GuardClient(address) as client:
                # One that retries by itself: the sidecar is there, so that it has nothing to do.
                assert client.screen("hello").allowed
            for caller in callers:
                caller.enough.set()
                caller.join(60)
            assert running.terminate() == 0
    assert [caller.failure for caller in callers] == [None] * 4
    assert set.union(*(caller.actions for caller in callers)) == {Action.BLOCK}
    assert all(caller.refused for caller in callers)
    # Records that were not yet written died with the process; those that are there are whole, and each is there once.
    logged = [record.request_id for record in read(log)]
    assert len(logged) == len(set(logged))


def test_a_client_finds_the_restarted_sidecar_by_itself(tiny_model_dir: Path, policy_dir: Path) -> None:
    """A call that meets a killed sidecar is repeated until the next one answers."""
    address = f"127.0.0.1:{_free_port()}"
    with GuardClient(address, retries=4, timeout=60) as client:
        with sidecar(tiny_model_dir, policy_dir, address) as running:
            assert client.screen("hello").allowed
            running.process.kill()
            running.process.wait(60)
        outcome: list[object] = []
        caller = threading.Thread(target=lambda: outcome.append(_or_error(client)))
        with sidecar(tiny_model_dir, policy_dir, address):
            caller.start()
            caller.join(60)
        assert outcome == [Action.ALLOW]


def _or_error(client: GuardClient) -> object:
    try:
        return client.screen("hello").action
    except Exception as error:
        return error


def test_sigterm_under_load_loses_nothing_that_was_decided(
    tiny_model_dir: Path, policy_dir: Path, tmp_path: Path
) -> None:
    """Every decision that the log holds was answered and every answer is in the log; refused calls were not begun."""
    log = tmp_path / "d.jsonl"
    with sidecar(tiny_model_dir, policy_dir, decision_log=log, grace=60) as running:
        with _callers(running.address, 8) as callers:
            until(lambda: all(len(caller.answered) > 5 for caller in callers))
            assert running.terminate() == 0
            until(lambda: all(caller.refused for caller in callers))
        assert "records were dropped" not in (running.process.stderr.read() if running.process.stderr else "")
    assert [caller.failure for caller in callers] == [None] * 8
    answered = [request_id for caller in callers for request_id in caller.answered]
    assert sorted(record.request_id for record in read(log)) == sorted(answered)


def test_drain_under_load_answers_every_accepted_call(
    tiny_classifier: Classifier, policy_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many calls are answered as were accepted, streams among them, while a server under load drains."""
    accepted = 0
    use = Live.use

    def counting(self: Live):  # type: ignore[no-untyped-def]
        nonlocal accepted
        accepted += 1
        return use(self)

    monkeypatch.setattr(Live, "use", counting)

    async def scenario() -> int:
        server = GuardServer(
            Engine(tiny_classifier, PolicyStore.load(policy_dir)),
            Settings.load(listen=("127.0.0.1:0",), policy=str(policy_dir), workers=2, grace=60, watch=0),
        )
        await server.start()
        answered = 0
        draining = asyncio.Event()

        async def calling(client: AsyncGuardClient) -> None:
            nonlocal answered
            while True:
                try:
                    await client.screen("hello")
                except Unavailable:
                    return
                answered += 1

        async def deltas() -> AsyncIterator[str]:
            yield "hello " * 100
            await draining.wait()
            yield "world"

        async def streaming(client: AsyncGuardClient) -> None:
            nonlocal answered
            stream = client.screen_stream(deltas())
            assert "".join([piece async for piece in stream]) == "hello " * 100 + "world"
            assert stream.decision.allowed
            answered += 1

        address = str(server.addresses[0])
        clients = [AsyncGuardClient(address, retries=0) for _ in range(4)]
        streams = [asyncio.ensure_future(streaming(client)) for client in clients]
        calls = [asyncio.ensure_future(calling(client)) for client in clients for _ in range(8)]
        while answered < 100:
            await asyncio.sleep(0.01)
        stopping = asyncio.ensure_future(server.stop())
        await asyncio.gather(*calls)
        assert not stopping.done()
        draining.set()
        await asyncio.gather(*streams, stopping)
        for client in clients:
            await client.close()
        return answered

    assert asyncio.run(scenario()) == accepted
