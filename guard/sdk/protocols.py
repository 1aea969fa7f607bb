"""What every guard offers, for annotations: code that takes an ``AnyGuard`` works with a real one and the fake."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from guard.sdk.deltas import AsyncDeltas, Deltas
from guard.sdk.items import Context, Item, Result
from guard.sdk.stream import AsyncGuardStream, GuardStream, OnBlock
from guard.types import Decision, Info


class AnyGuard(Protocol):
    """``Guard``, ``GuardClient`` or ``FakeGuard``."""

    def screen(
        self,
        text: str,
        direction: str = "prompt",
        context: Context | None = None,
        policy: str | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        origin: str = "user",
        request_id: str = "",
    ) -> Decision:
        """Screen one text."""

    def screen_batch(
        self,
        items: Iterable[Item],
        direction: str = "prompt",
        policy: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> list[Result]:
        """Screen up to 256 texts; an item that failed alone is its error."""

    def screen_stream(
        self,
        deltas: Deltas,
        direction: str = "output",
        context: Context | None = None,
        policy: str | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        origin: str = "user",
        request_id: str = "",
        on_block: OnBlock = "message",
    ) -> GuardStream:
        """Screen a text while it is written: what may be shown of it, and then a decision."""

    def info(self) -> Info:
        """What is loaded."""

    def close(self) -> None:
        """Release what is held."""


class AnyAsyncGuard(Protocol):
    """``AsyncGuardClient`` or ``AsyncFakeGuard``."""

    async def screen(
        self,
        text: str,
        direction: str = "prompt",
        context: Context | None = None,
        policy: str | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        origin: str = "user",
        request_id: str = "",
    ) -> Decision:
        """Screen one text."""

    async def screen_batch(
        self,
        items: Iterable[Item],
        direction: str = "prompt",
        policy: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> list[Result]:
        """Screen up to 256 texts; an item that failed alone is its error."""

    def screen_stream(
        self,
        deltas: AsyncDeltas,
        direction: str = "output",
        context: Context | None = None,
        policy: str | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        origin: str = "user",
        request_id: str = "",
        on_block: OnBlock = "message",
    ) -> AsyncGuardStream:
        """Screen a text while it is written: what may be shown of it, and then a decision."""

    async def info(self) -> Info:
        """What is loaded."""

    async def close(self) -> None:
        """Release what is held."""
