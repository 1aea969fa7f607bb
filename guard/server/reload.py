"""Loading anew what has changed on disk, while requests are answered.

Everything is read and checked first and then put in place at once. What is broken is logged, mistake by mistake, and
counted, and what was loaded before stays.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from guard.classifier.artifact import DEFAULT_MODEL_DIR, read_artifact
from guard.classifier.classifier import Classifier
from guard.errors import GuardError, PolicyError, place_of
from guard.policy.store import PolicyStore
from guard.server.heap import set_aside
from guard.server.live import Live
from guard.server.watch import Watch

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """Something that can be loaded again.

    Attributes:
        name: What logs and metrics call it.
        watch: The files that it comes from.
        load: Reads and checks it, in a thread; gives what puts it in place on the event loop, and that gives what the
            log is told. None if nothing has changed. Raises GuardError or OSError.
    """

    name: str
    watch: Watch
    load: Callable[[], Callable[[], str] | None]


class Reloader:
    """Looks after the sources. Belongs to one event loop."""

    def __init__(self, sources: Sequence[Source], count: Callable[[str, bool], None]) -> None:
        """Look after sources.

        Args:
            sources: What can be loaded again.
            count: Told of every attempt: the source's name, and whether it went well.
        """
        self._sources = tuple(sources)
        self._count = count
        self._one_at_a_time = asyncio.Lock()

    @property
    def busy(self) -> bool:
        """True while something is being loaded, or looked at."""
        return self._one_at_a_time.locked()

    async def run(self, interval: float) -> None:
        """Load again what has changed, for ever.

        Args:
            interval: Seconds between two looks; what has changed is loaded when it looked the same twice.
        """
        while True:
            await asyncio.sleep(interval)
            async with self._one_at_a_time:
                changed = await asyncio.to_thread(_changed, self._sources)
            for source in changed:
                await self._reload(source)

    async def reload(self) -> None:
        """Load everything again, changed or not."""
        for source in self._sources:
            await self._reload(source)

    async def _reload(self, source: Source) -> None:
        async with self._one_at_a_time:
            try:
                place = await asyncio.to_thread(_load, source)
                done = "unchanged" if place is None else place()
            except (GuardError, OSError) as error:
                for line in str(error).splitlines():
                    _log.error("%s not loaded, the last good one stays: %s", source.name, line)
            except Exception as error:  # a defect must not end the watch
                _log.error("%s not loaded, the last good one stays: %s", source.name, place_of(error))
            else:
                set_aside()
                _log.info("%s loaded: %s", source.name, done)
                self._count(source.name, True)
                return
            self._count(source.name, False)


def _changed(sources: Sequence[Source]) -> list[Source]:
    return [source for source in sources if source.watch.changed()]


def _load(source: Source) -> Callable[[], str] | None:
    # Before it is read: what changes meanwhile is a change of its own.
    source.watch.take()
    return source.load()


def policy_source(live: Live, path: Path | None, watch: Watch) -> Source:
    """The policies of a file or a directory, with the files that they name; None for the one that ships."""
    if path is not None:
        watch.follow(live.engine.sources)

    def load() -> Callable[[], str]:
        try:
            store = PolicyStore.load(path)
        except PolicyError as error:
            # Where the mistakes are, the cure will be.
            watch.follow({*live.engine.sources, *(Path(problem.file) for problem in error.problems)})
            raise
        if path is not None:
            watch.follow(store.sources)

        def place() -> str:
            live.swap(live.engine.with_policies(store))
            return ", ".join(f"{info.name}@{info.revision}" for info in store.infos())

        return place

    return Source("policy", watch, load)


def model_source(live: Live, directory: Path | None, watch: Watch, *, threads: int, max_tokens: int | None) -> Source:
    """The model of an artifact directory; None for the bundled one."""
    directory = directory or DEFAULT_MODEL_DIR

    def load() -> Callable[[], str] | None:
        if read_artifact(directory).identity == live.engine.classifier.artifact.identity:
            return None
        classifier = Classifier.load(directory, threads=threads, max_tokens=max_tokens)
        engine = live.engine.with_classifier(classifier)
        engine.warm_up()

        def place() -> str:
            # Its policies are still the current ones: one source is loaded at a time.
            live.swap(engine)
            return classifier.artifact.identity

        return place

    return Source("model", watch, load)
