"""Streams over gRPC, over asynchronous gRPC, in process and with the fakes: the same pieces, decisions and errors."""

from __future__ import annotations

import asyncio
import gc
import pickle
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from guard import (
    Action,
    AsyncFakeGuard,
    AsyncGuardClient,
    Blocked,
    Decision,
    FakeGuard,
    Guard,
    GuardClient,
    InvalidInput,
    Unavailable,
)
from guard.types import Timings
from tests.serving import Sidecar

Run = Callable[..., tuple[str, Decision]]


@pytest.fixture(params=["local", "client", "aio", "aio with a plain iterator"])
def run(request: pytest.FixtureRequest, served: Sidecar, in_process: Guard) -> Run:
    """Screen a stream to its end: the pieces joined, and the decision."""

    def local(deltas: Iterable[Any], **options: Any) -> tuple[str, Decision]:
        stream = in_process.screen_stream(deltas, **options)
        return "".join(stream), stream.decision

    def over_grpc(deltas: Iterable[Any], **options: Any) -> tuple[str, Decision]:
        with GuardClient(served.address) as client:
            stream = client.screen_stream(deltas, **options)
            return "".join(stream), stream.decision

    def over_aio(deltas: Iterable[Any], **options: Any) -> tuple[str, Decision]:
        async def spread() -> AsyncIterator[Any]:
            for delta in deltas:
                yield delta

        asynchronous = request.param == "aio" and not isinstance(deltas, str | int)

        async def call() -> tuple[str, Decision]:
            async with AsyncGuardClient(served.address) as client:
                stream = client.screen_stream(spread() if asynchronous else deltas, **options)
                return "".join([piece async for piece in stream]), stream.decision

        return asyncio.run(call())

    return {"local": local, "client": over_grpc}.get(request.param, over_aio)


def _chunk(content: str | None, **choice: Any) -> Any:
    return SimpleNamespace(choices=[SimpleNamespace(index=0, delta=SimpleNamespace(content=content), **choice)])


@pytest.mark.parametrize(
    ("deltas", "shown", "action"),
    [
        (["hello ", "world"], "hello world", Action.ALLOW),
        (["call a@exa", "mple", ".co", "m or"], "call ************* or", Action.REWRITE),
        (["hello ", "bo", "mb"], "Not here.", Action.BLOCK),
        (["你好", "炸", "弹"], "不行。", Action.BLOCK),
        ([], "", Action.ALLOW),
        ([" ", "\r", "\n"], " \r\n", Action.ALLOW),
        (["a \ud83d", "\ude00 b"], "a \U0001f600 b", Action.ALLOW),
    ],
)
def test_a_stream_is_shown_as_its_policy_says(run: Run, deltas: list[str], shown: str, action: Action) -> None:
    """Allowed, rewritten across deltas, or blocked with the message as the last piece, wherever the guard is."""
    found, decision = run(deltas, request_id="r1")
    assert (found, decision.action, decision.request_id) == (shown, action, "r1")
    assert decision.output_text == shown
    assert decision.message == (action is Action.BLOCK)


def test_a_blocked_stream_is_a_beginning_and_the_message(run: Run) -> None:
    """What was released before a block stays; the message follows, and no more of the text."""
    shown, decision = run(["hello "] * 100 + ["bomb "] + ["world "] * 100)
    assert shown.endswith("Not here.")
    assert set(shown.removesuffix("Not here.").split()) == {"hello"}
    assert decision.output_text == "Not here."


def test_decisions_are_the_same_everywhere(run: Run, in_process: Guard) -> None:
    """One stream gives one decision, wherever the guard is; every score to the last bit."""
    deltas = ["hello ", "kill ", "a@example.com "] * 60
    options: dict[str, Any] = {"context": "who?", "policy": "default", "tags": {"a": "b"}, "origin": "tool"}
    expected = in_process.screen_stream(deltas, **options)
    shown = "".join(expected)
    assert shown.count("*************") == 60
    found, decision = run(deltas, **options)
    assert found == shown
    assert replace(decision, timings=Timings()) == replace(expected.decision, timings=Timings())


def test_a_block_can_raise(run: Run) -> None:
    """With `on_block="raise"` the message is not shown but carried by the error, which crosses processes."""
    with pytest.raises(Blocked, match=r"stopped by default@\w+: weapons") as caught:
        run(["the bomb"], on_block="raise")
    assert caught.value.decision.output_text == "Not here."
    assert pickle.loads(pickle.dumps(caught.value)).decision == caught.value.decision
    assert run(["hello"], on_block="raise")[0] == "hello"


def test_a_chat_completion_is_screened(run: Run) -> None:
    """The chunks of an OpenAI chat completion are deltas, as objects and as mappings; only their text is shown."""
    chunks = [
        _chunk(None), _chunk("call a@exam"), {"choices": [{"index": 0, "delta": {"content": "ple.com"}}]},
        {"choices": [{"index": 0, "text": " or"}]}, _chunk("", finish_reason="stop"), SimpleNamespace(choices=[]),
    ]  # fmt: skip
    assert run(chunks)[0] == "call ************* or"


@pytest.mark.parametrize(
    ("deltas", "field"),
    [
        (["hello", 17], "deltas[1]"),
        (["a\ud800", "b"], "deltas[1]"),
        (["a\udc00"], "deltas[0]"),
        (["a", "b\ud800"], "deltas[1]"),
        ([{"choices": [{"index": 1, "delta": {"content": "x"}}]}], "deltas[0]"),
        ([SimpleNamespace(choices=[1, 2])], "deltas[0]"),
        ([_chunk(5)], "deltas[0]"),  # type: ignore[arg-type]
    ],
)
def test_a_broken_delta_is_named(run: Run, deltas: list[Any], field: str) -> None:
    """What is no text ends the stream with its place, and nothing that is held is shown."""
    with pytest.raises(InvalidInput) as caught:
        run(deltas)
    assert [violation.field for violation in caught.value.violations] == [field]


@pytest.mark.parametrize(
    ("deltas", "options", "field"),
    [
        ("hello", {}, "deltas"),
        (17, {}, "deltas"),
        (["hello"], {"direction": "sideways"}, "direction"),
        (["hello"], {"context": [{"role": "nobody", "text": "x"}]}, "context[0].role"),
        (["hello"], {"on_block": "shout"}, "on_block"),
        (["hello"], {"policy": "nosuch"}, "policy"),
    ],
)
def test_broken_arguments_are_named(run: Run, deltas: Any, options: dict[str, Any], field: str) -> None:
    """A broken call raises InvalidInput with its field, wherever it was noticed."""
    with pytest.raises(InvalidInput) as caught:
        run(deltas, **options)
    assert [violation.field for violation in caught.value.violations] == [field]


class _ModelError(Exception):
    pass


def test_an_error_of_the_model_is_the_callers(run: Run) -> None:
    """What the deltas raise comes out where the pieces are read; it does not look like the end of the text."""

    def deltas() -> Iterator[str]:
        yield "hello "
        raise _ModelError("the model is gone")

    with pytest.raises(_ModelError, match="the model is gone"):
        run(deltas())


def test_a_stopped_model_is_closed(run: Run) -> None:
    """Once a stream is blocked its deltas are closed: nobody need write what nobody reads."""
    closed = threading.Event()

    def deltas() -> Iterator[str]:
        try:
            while True:
                yield "bomb "
        finally:
            closed.set()

    assert run(deltas())[1].action is Action.BLOCK
    gc.collect()
    assert closed.wait(30)


@pytest.mark.parametrize("kind", ["local", "client"])
def test_what_may_be_shown_does_not_wait_for_the_next_delta(kind: str, served: Sidecar, in_process: Guard) -> None:
    """A paused model holds nothing up: after `max_hold` all but the lookahead is shown."""
    shown = threading.Event()

    def deltas() -> Iterator[str]:
        yield "hello " * 37
        assert shown.wait(60)
        yield "world"

    with GuardClient(served.address) as client:
        stream = (in_process if kind == "local" else client).screen_stream(deltas())
        first = next(stream)
        shown.set()
        rest = list(stream)
    # The last word may go on, so it is not counted among the tokens yet.
    assert first == "hello " * (37 - 32)
    assert "".join([first, *rest]) == "hello " * 37 + "world"


@pytest.mark.parametrize("kind", ["local", "client"])
def test_a_closed_stream_ends(kind: str, served: Sidecar, in_process: Guard) -> None:
    """A stream that is closed early gives nothing more, closes its deltas, and has no decision."""
    closed = threading.Event()

    def deltas() -> Iterator[str]:
        try:
            while True:
                yield "hello "
        finally:
            closed.set()

    with GuardClient(served.address) as client:
        with (in_process if kind == "local" else client).screen_stream(deltas()) as stream:
            next(stream)
        assert list(stream) == []
        with pytest.raises(RuntimeError, match="not ended"):
            _ = stream.decision
        assert closed.wait(30)


def test_an_asynchronous_stream_is_closed_with_its_source(served: Sidecar) -> None:
    """Leaving the block cancels the call and closes the asynchronous deltas."""
    closed = []

    async def deltas() -> AsyncIterator[str]:
        try:
            while True:
                yield "hello "
                await asyncio.sleep(0)
        finally:
            closed.append(True)

    async def scenario() -> None:
        async with AsyncGuardClient(served.address) as client:
            async with client.screen_stream(deltas()) as stream:
                assert await anext(stream)
            assert closed == [True]
            assert [piece async for piece in stream] == []

    asyncio.run(scenario())


def test_no_server_is_unavailable() -> None:
    """Where no sidecar listens a stream says so, and shows nothing."""

    async def over_aio() -> None:
        async with AsyncGuardClient("127.0.0.1:1", retries=0) as client:
            async for _ in client.screen_stream(["hello"]):
                pass

    with pytest.raises(Unavailable), GuardClient("127.0.0.1:1", retries=0) as client:
        list(client.screen_stream(["hello"]))
    with pytest.raises(Unavailable):
        asyncio.run(over_aio())


def test_a_closed_client_streams_no_more(served: Sidecar) -> None:
    """A stream of a closed client says what to do."""
    client = GuardClient(served.address)
    client.close()
    with pytest.raises(Unavailable, match="make a new one"):
        list(client.screen_stream(["hello"]))


def test_a_slow_reader_holds_the_model_back(in_process: Guard) -> None:
    """Deltas are not read far ahead of who takes the pieces."""
    taken = 0

    def deltas() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield "hello "

    with in_process.screen_stream(deltas()) as stream:
        next(stream)
        before = -1
        while before != taken:
            before = taken
            time.sleep(0.05)
        assert taken < 300


def test_fakes_stream_like_the_real_ones() -> None:
    """A fake decides about the whole text, and gives pieces, decisions and errors like a real guard."""
    fake = FakeGuard({"bomb": "block", "555": "rewrite"})
    stream = fake.screen_stream(["call 5", "55", " now"], tags={"a": "b"})
    assert "".join(stream) == "call *** now"
    assert (stream.decision.action, stream.decision.output_text) == (Action.REWRITE, "call *** now")
    assert fake.calls[0].text == "call 555 now" and fake.calls[0].tags == {"a": "b"}
    blocked = fake.screen_stream(["a bo", "mb"])
    assert list(blocked) == [blocked.decision.output_text]
    with pytest.raises(Blocked):
        list(fake.screen_stream(["bomb"], on_block="raise"))
    empty = fake.screen_stream([])
    assert list(empty) == [] and empty.decision.allowed

    async def scenario() -> None:
        stream = AsyncFakeGuard({"bomb": "block"}).screen_stream(["hel", "lo"])
        assert [piece async for piece in stream] == ["hel", "lo"]
        assert stream.decision.allowed

    asyncio.run(scenario())


@pytest.mark.parametrize("policy", ["", "nosuch"])
def test_an_answer_that_crosses_a_delta_is_not_lost(served: Sidecar, policy: str) -> None:
    """A block, or a refusal, arrives as what it is although deltas are being sent at that moment."""

    async def deltas() -> AsyncIterator[str]:
        for _ in range(300):
            yield "bomb hello "
            await asyncio.sleep(0)

    async def scenario() -> None:
        async with AsyncGuardClient(served.address) as client:
            for _ in range(30):
                stream = client.screen_stream(deltas(), policy=policy)
                if policy:
                    with pytest.raises(InvalidInput, match="policy"):
                        await anext(stream)
                else:
                    assert [piece async for piece in stream] == ["Not here."]

    asyncio.run(scenario())
