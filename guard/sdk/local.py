"""The guard in process: the composition root where there is no server."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from guard.content import make_content
from guard.engine import Engine
from guard.llm import rewrite_by_llm
from guard.policy.explained import Explanation
from guard.policy.load import resolve_policy
from guard.sdk.deltas import Deltas, check_deltas, read_deltas
from guard.sdk.items import Context, Item, Result, merge_results, read_items, sound_items
from guard.sdk.reader import Reader
from guard.sdk.stream import GuardStream, OnBlock, opening_content
from guard.stream import screen_stream
from guard.types import Content, Decision, Info


class Guard:
    """A classifier and policies in this process. Thread-safe; holds the model in memory as long as it lives.

    Its methods are those of :class:`guard.GuardClient`, and :meth:`explain`; they block for the time of an inference.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        policy: str | Path | None = None,
        *,
        threads: int = 1,
        max_tokens: int | None = None,
    ) -> None:
        """Load a model and policies.

        Args:
            model: An artifact directory; the bundled model if not given.
            policy: A policy file, a directory of them, or the name of one that ships; ``default`` if not given.
            threads: Threads inside one operator of the model; 1 is fastest under a CPU limit.
            max_tokens: Limit on the tokens of one text; the model's if not given.

        Raises:
            ArtifactError: The model directory cannot be used; the message names the file.
            PolicyError: The policies have mistakes; all of them are listed.
            InvalidInput: There is no such policy.
        """
        file = resolve_policy(policy) if isinstance(policy, str) else policy
        directory = None if model is None else Path(model)
        self._engine = Engine.load(directory, file, threads=threads, max_tokens=max_tokens, rewriter=rewrite_by_llm)

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
        """Screen one text; arguments as in :meth:`guard.GuardClient.screen`.

        Raises:
            InvalidInput: The arguments break the contract; every broken field is named.
        """
        return self._engine.screen(make_content(text, direction, context, policy, tags, origin, request_id))

    def screen_batch(
        self,
        items: Iterable[Item],
        direction: str = "prompt",
        policy: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> list[Result]:
        """Screen up to 256 texts; arguments and results as in :meth:`guard.GuardClient.screen_batch`.

        Raises:
            InvalidInput: More than 256 items.
        """
        contents = read_items(items, direction=direction, policy=policy, tags=tags)
        return merge_results(contents, self._engine.screen_batch(sound_items(contents)))

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
        """Screen a text while it is written; everything as in :meth:`guard.GuardClient.screen_stream`.

        Screening happens in the thread that iterates over the pieces.
        """
        check_deltas(deltas)
        content = opening_content(direction, context, policy, tags, origin, request_id)
        return GuardStream(self._stream(content, deltas), on_block)

    def explain(
        self,
        text: str,
        direction: str = "prompt",
        context: Context | None = None,
        policy: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Explanation:
        """Say why one text is decided as it is, and what another action would take; only in process.

        Raises:
            InvalidInput: The arguments break the contract; every broken field is named.
        """
        return self._engine.explain(make_content(text, direction, context, policy, tags))

    def info(self) -> Info:
        """What is loaded: versions, model, policies, limits."""
        return self._engine.info()

    def _stream(self, content: Content, deltas: Deltas) -> Generator[str | Decision, None, None]:
        opening = self._engine.open(content)
        reader = Reader(read_deltas(deltas), opening.policy.streaming.max_hold)
        try:
            yield from screen_stream(self._engine, opening, reader)
        finally:
            reader.stop()

    def close(self) -> None:
        """Nothing to release; it is here so that a Guard and a client can stand in for each other."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
