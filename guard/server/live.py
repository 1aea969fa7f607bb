"""The engine that decides now, and which models are still at work.

An engine is immutable: what is loaded anew becomes another engine that takes its place, whole and at once. A call
keeps the engine that it began with to its end, a stream too, so nothing waits for a reload and nothing sees half of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from guard.classifier.classifier import Classifier
from guard.engine import Engine


class Live:
    """Holds the current engine. Belongs to one event loop; an engine that it gave may be used in any thread."""

    def __init__(self, engine: Engine, retired: Callable[[Classifier], None] = lambda _: None) -> None:
        """Begin with an engine.

        Args:
            engine: Decides until another one is swapped in.
            retired: Called once with a classifier that was replaced, when no call uses it any more.
        """
        self._engine = engine
        self._retired = retired
        self._calls: Counter[Classifier] = Counter()

    @property
    def engine(self) -> Engine:
        """The engine for whatever begins now."""
        return self._engine

    @contextmanager
    def use(self) -> Iterator[Engine]:
        """The current engine for the length of a call, whatever takes its place meanwhile."""
        engine = self._engine
        self._calls[engine.classifier] += 1
        try:
            yield engine
        finally:
            self._calls[engine.classifier] -= 1
            self._retire(engine.classifier)

    def swap(self, engine: Engine) -> None:
        """Let another engine decide from now on."""
        before, self._engine = self._engine, engine
        self._retire(before.classifier)

    def _retire(self, classifier: Classifier) -> None:
        if not self._calls[classifier]:
            del self._calls[classifier]
            if classifier is not self._engine.classifier:
                self._retired(classifier)
