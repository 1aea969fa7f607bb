from __future__ import annotations

import asyncio
from typing import Any

import pytest

from guard import (
    Action,
    AsyncFakeGuard,
    AsyncGuardClient,
    Content,
    Decision,
    FakeGuard,
    GuardClient,
    GuardError,
    InvalidInput,
    Unavailable,
)
from guard.types import CATEGORIES


def test_fake_without_rules_allows_everything() -> None:
    """A fake without rules passes every text on, with a score for every category."""
    decision = FakeGuard().screen("hello", request_id="r1")
    assert decision.allowed
    assert decision.output_text == "hello"
    assert decision.request_id == "r1"
    assert set(decision.scores) == set(CATEGORIES)


def test_fake_decides_by_substring_and_the_strongest_wins() -> None:
    """A text with several of the substrings gets the strongest of their actions."""
    fake = FakeGuard({"phone": "rewrite", "bomb": "block"})
    assert fake.screen("hello").action is Action.ALLOW
    assert fake.screen("my phone").action is Action.REWRITE
    blocked = fake.screen("a bomb by phone")
    assert blocked.action is Action.BLOCK
    assert "bomb" not in blocked.output_text
    assert blocked.rules


def test_fake_masks_what_it_rewrites() -> None:
    """Every occurrence of a rewritten substring is masked, and named as a detection."""
    decision = FakeGuard({"555": "rewrite"}).screen("555 and 555", "output")
    assert decision.output_text == "*** and ***"
    assert [(found.span.start, found.span.end) for found in decision.detections] == [(0, 3), (8, 11)]


def test_fake_tells_its_message_from_the_text() -> None:
    """What a fake blocks, or rewrites with nothing to mask, is answered with a message; all else with the text."""
    fake = FakeGuard({"555": "rewrite", "bomb": "block"})
    assert [fake.screen(text).message for text in ("hello", "call 555", "a bomb")] == [False, False, True]
    assert FakeGuard(lambda _content: "rewrite").screen("hello").message


def test_fake_asks_a_function() -> None:
    """Rules can be a function of the whole content."""
    fake = FakeGuard(lambda content: "block" if content.tags.get("tenant") == "a" else "allow")
    assert not fake.screen("hello", tags={"tenant": "a"}).allowed
    assert fake.screen("hello", tags={"tenant": "b"}).allowed


def test_fake_passes_a_whole_decision_through() -> None:
    """A rule may give the decision itself."""
    decision = Decision(Action.BLOCK, "no", (), {}, (), "p@1", "m@1", 1, 1, "en", degraded=True)
    assert FakeGuard({"bomb": decision}).screen("bomb") is decision


def test_fake_raises_what_a_guard_would_raise() -> None:
    """An error as a rule stands for a guard that cannot answer; in a batch it is its item's result."""
    fake = FakeGuard({"down": Unavailable("down")})
    with pytest.raises(Unavailable):
        fake.screen("down")
    first, second = fake.screen_batch(["fine", "down"])
    assert isinstance(first, Decision)
    assert isinstance(second, Unavailable)


def test_fake_refuses_what_a_guard_refuses() -> None:
    """Broken arguments fail with the fake as they would in production."""
    with pytest.raises(InvalidInput):
        FakeGuard().screen("")
    with pytest.raises(InvalidInput):
        FakeGuard().screen("hello", "sideways")
    assert [isinstance(r, GuardError) for r in FakeGuard().screen_batch(["a", {"txt": "b"}])] == [False, True]


def test_fake_refuses_rules_that_are_no_actions() -> None:
    """A misspelt action is noticed when the fake is made, a function's when it answers."""
    with pytest.raises(InvalidInput, match="rules"):
        FakeGuard({"bomb": "blok"})
    with pytest.raises(InvalidInput, match="rules"):
        FakeGuard(lambda _content: "blok").screen("hello")


def test_fake_remembers_its_calls() -> None:
    """A test can look up what the code under test asked."""
    fake = FakeGuard()
    fake.screen("one", "output", tags={"a": "b"})
    fake.screen_batch(["two"])
    assert fake.calls[0] == Content("one", direction=fake.calls[0].direction, tags={"a": "b"})
    assert [(call.text, str(call.direction)) for call in fake.calls] == [("one", "output"), ("two", "prompt")]


def test_asynchronous_fake_is_the_same_fake() -> None:
    """The asynchronous fake has the same rules and the same memory."""

    async def scenario() -> list[Content]:
        async with AsyncFakeGuard({"bomb": "block"}) as fake:
            assert not (await fake.screen("bomb")).allowed
            (result,) = await fake.screen_batch(["hello"])
            assert isinstance(result, Decision)
            assert (await fake.info()).model.name == "fake"
            return fake.calls

    assert [call.text for call in asyncio.run(scenario())] == ["bomb", "hello"]


@pytest.mark.parametrize("timeout", [0, -1, -0.5, float("nan"), float("inf"), "5", True])
def test_impossible_timeouts_are_refused_by_every_client(timeout: Any) -> None:
    """What is no number of seconds above 0 is a mistake of the caller's, for a client and for each of its calls."""
    for kind in (GuardClient, AsyncGuardClient):
        with pytest.raises(InvalidInput, match="timeout: "):
            kind("127.0.0.1:1", timeout=timeout)

    async def scenario() -> None:
        for guard in (AsyncGuardClient("127.0.0.1:1"), AsyncFakeGuard()):
            with pytest.raises(InvalidInput, match="timeout: "):
                await guard.screen("hi", timeout=timeout)
            with pytest.raises(InvalidInput, match="timeout: "):
                await guard.screen_batch(["hi"], timeout=timeout)
            with pytest.raises(InvalidInput, match="timeout: "):
                await guard.info(timeout=timeout)
            with pytest.raises(InvalidInput, match="timeout: "):
                guard.screen_stream(["hi"], timeout=timeout)
            await guard.close()

    asyncio.run(scenario())
    for guard in (GuardClient("127.0.0.1:1"), FakeGuard()):
        with pytest.raises(InvalidInput, match="timeout: "):
            guard.screen("hi", timeout=timeout)
        with pytest.raises(InvalidInput, match="timeout: "):
            guard.screen_batch(["hi"], timeout=timeout)
        with pytest.raises(InvalidInput, match="timeout: "):
            guard.info(timeout=timeout)
        with pytest.raises(InvalidInput, match="timeout: "):
            guard.screen_stream(["hi"], timeout=timeout)
        guard.close()
