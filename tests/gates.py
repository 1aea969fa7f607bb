"""A classifier whose runs a test holds up and sees."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from guard.classifier.chunker import Chunk
from guard.classifier.classifier import Classifier
from guard.classifier.session import Raw, Session


class GatedSession(Session):
    """The real session behind a gate that the test opens; it notes what was run.

    Attributes:
        entered: Set by the first run.
        gate: Runs wait for it.
        runs: The chunks of every run, in the order of their beginning.
        breaks: Token ids at which a run fails.
    """

    def __init__(self, inner: Session) -> None:
        self._inner = inner
        self.shared = inner.shared
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.runs: list[tuple[Chunk, ...]] = []
        self.breaks: frozenset[int] = frozenset()

    def run(self, chunks: Sequence[Chunk]) -> list[Raw]:
        """As the session's, once the gate is open."""
        self.runs.append(tuple(chunks))
        self.entered.set()
        self.gate.wait()
        if any(self.breaks.intersection(chunk.input_ids) for chunk in chunks):
            raise RuntimeError("SECRET")
        return self._inner.run(chunks)


class GatedClassifier(Classifier):
    """The real classifier with such a session."""

    def __init__(self, inner: Classifier) -> None:
        self.gated = GatedSession(inner.session)
        super().__init__(inner.artifact, inner._chunker, self.gated)
        self.entered, self.gate = self.gated.entered, self.gated.gate
