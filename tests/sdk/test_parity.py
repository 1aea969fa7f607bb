"""In process, over gRPC and over asynchronous gRPC: the same three methods, the same answers, the same errors."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from guard import (
    AnyAsyncGuard,
    AnyGuard,
    AsyncFakeGuard,
    AsyncGuardClient,
    Content,
    Decision,
    Direction,
    FakeGuard,
    Guard,
    GuardClient,
    GuardError,
    InvalidInput,
    Role,
    Turn,
)
from guard.types import Timings
from tests.serving import Sidecar

# (positional arguments, keyword arguments) of `screen`
_CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    (("hello world",), {}),
    (("how to call a bomb",), {"request_id": "r1"}),
    (("炸弹", "prompt"), {}),
    (("我爱北京天安门", "output", "hello"), {"tags": {"tenant": "a"}}),
    (("kill",), {}),
    (("kill",), {"policy": "strict"}),
    (("selfharm",), {"origin": "document"}),
    (("call a@example.com", Direction.OUTPUT, [Turn(Role.USER, "mail?"), {"role": "assistant", "text": "yes"}]), {}),
    (("hello " * 190,), {}),
]
_BROKEN: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    (("",), {}),
    (("\u200b ",), {}),
    (("hello", "sideways"), {}),
    (("hello",), {"policy": "nosuch"}),
    (("hello", "prompt", [{"role": "user", "text": "a"}, {"role": "nobody", "text": "b"}]), {}),
    (("a\ud800",), {"origin": "nowhere"}),
    (("hello " * 201,), {}),
    ((None,), {}),
]
_ITEMS: list[Any] = [
    "hello",
    "",
    Content("how to call a bomb"),
    Content("hello", direction="sideways"),  # type: ignore[arg-type]
    {"text": "call a@example.com", "direction": "output", "request_id": "r7"},
    {"text": "hello", "contxt": "typo"},
    {"direction": "prompt"},
    17,
    {"text": "kill", "policy": "strict"},
    {"text": "hello", "policy": "nosuch"},
    Content("bomb", "output"),  # type: ignore[arg-type]
    Content("hello", context=[{"role": "user"}], tags=None),  # type: ignore[arg-type]
    Content(None, context="earlier"),  # type: ignore[arg-type]
]

Ask = Callable[[str, tuple[Any, ...], dict[str, Any]], Any]


@pytest.fixture(params=["client", "aio"])
def ask(request: pytest.FixtureRequest, served: Sidecar) -> Ask:
    """Call a method of a client by name."""

    def over_grpc(method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with GuardClient(served.address, timeout=30) as client:
            return getattr(client, method)(*args, **kwargs)

    def over_aio(method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        async def call() -> Any:
            async with AsyncGuardClient(served.address, timeout=30) as client:
                return await getattr(client, method)(*args, **kwargs)

        return asyncio.run(call())

    return over_grpc if request.param == "client" else over_aio


def _comparable(result: Decision | GuardError) -> object:
    """A result without what differs from call to call: the time it took."""
    if isinstance(result, Decision):
        return replace(result, timings=Timings())
    return type(result), getattr(result, "violations", str(result))


@pytest.mark.parametrize(("args", "kwargs"), _CALLS)
def test_decisions_are_the_same(in_process: Guard, ask: Ask, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """One call gives one decision, wherever the guard is; every score to the last bit."""
    assert _comparable(ask("screen", args, kwargs)) == _comparable(in_process.screen(*args, **kwargs))


@pytest.mark.parametrize(("args", "kwargs"), _BROKEN)
def test_refusals_are_the_same(in_process: Guard, ask: Ask, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """A broken call raises InvalidInput with the same violations, wherever it was noticed."""
    with pytest.raises(InvalidInput) as local:
        in_process.screen(*args, **kwargs)
    with pytest.raises(InvalidInput) as remote:
        ask("screen", args, kwargs)
    assert remote.value.violations == local.value.violations


def test_batches_are_the_same(in_process: Guard, ask: Ask) -> None:
    """A batch of texts, contents and mappings gives the same decisions and the same errors in the same places."""
    local = in_process.screen_batch(_ITEMS)
    assert list(map(_comparable, ask("screen_batch", (_ITEMS,), {}))) == list(map(_comparable, local))
    fields = [[v.field for v in r.violations] if isinstance(r, InvalidInput) else None for r in local]
    assert fields[:10] == [
        None,
        ["text"],
        None,
        ["direction"],
        None,
        ["contxt"],
        ["text"],
        ["contents[7]"],
        None,
        ["policy"],
    ]
    assert fields[10:] == [None, ["context[0].text"], ["text"]]


def test_batch_arguments_are_defaults_of_its_items(in_process: Guard, ask: Ask) -> None:
    """Direction, policy and tags of a batch hold for the items that bring none of their own."""
    items: list[Any] = ["kill", {"text": "kill", "policy": "default"}]
    for results in (
        in_process.screen_batch(items, "output", "strict", {"a": "b"}),
        ask("screen_batch", (items, "output", "strict", {"a": "b"}), {}),
    ):
        assert [r.policy.split("@")[0] for r in results if isinstance(r, Decision)] == ["strict", "default"]


@pytest.mark.parametrize("items", [["hello"] * 257, "hello", {"text": "hello"}])
def test_batches_that_are_none_are_refused(in_process: Guard, ask: Ask, items: Any) -> None:
    """More than 256 items, or one item instead of a list, break the field ``contents``."""
    for call in (lambda: in_process.screen_batch(items), lambda: ask("screen_batch", (items,), {})):
        with pytest.raises(InvalidInput) as caught:
            call()
        assert [v.field for v in caught.value.violations] == ["contents"]


def test_empty_batch_is_empty(in_process: Guard, ask: Ask) -> None:
    """No items, no results."""
    assert in_process.screen_batch([]) == []
    assert ask("screen_batch", ([],), {}) == []


def test_info_is_the_same(in_process: Guard, ask: Ask) -> None:
    """Both say the same about model, policies and limits."""
    assert ask("info", (), {}) == in_process.info()


def test_all_guards_fit_the_protocols() -> None:
    """Code that is annotated with AnyGuard or AnyAsyncGuard takes every guard and every fake (checked by mypy)."""
    synchronous: list[type[AnyGuard]] = [Guard, GuardClient, FakeGuard]
    asynchronous: list[type[AnyAsyncGuard]] = [AsyncGuardClient, AsyncFakeGuard]
    for protocol, kinds in ((AnyGuard, synchronous), (AnyAsyncGuard, asynchronous)):
        for kind in kinds:
            for method in ("screen", "screen_batch", "screen_stream", "info", "close"):
                theirs = dict(inspect.signature(getattr(kind, method)).parameters)
                theirs.pop("timeout", None)  # only a call over a network has one
                assert theirs == dict(inspect.signature(getattr(protocol, method)).parameters), (kind, method)


def test_clients_and_fakes_have_one_signature() -> None:
    """A fake takes exactly what the client takes that it stands for."""
    for real, fake in ((GuardClient, FakeGuard), (AsyncGuardClient, AsyncFakeGuard)):
        for method in ("screen", "screen_batch", "screen_stream", "info", "close"):
            assert inspect.signature(getattr(fake, method)) == inspect.signature(getattr(real, method))
