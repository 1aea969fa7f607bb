"""Reads an iterator in a thread, so that whoever takes its items notices when there is none for a while."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator

# Items read ahead of who takes them; enough for a model, and no endless source fills the memory.
_AHEAD = 64


class Reader:
    """Iterates over texts with None in between where none came for a time. Taken from one thread, once.

    :meth:`stop` it: the thread then ends with the next text and closes the source. It is a daemon, because a source
    that never goes on must not keep a process from ending.
    """

    def __init__(self, source: Generator[str, None, None], pause: float) -> None:
        """Begin to read.

        Args:
            source: Texts; closed in the reading thread.
            pause: Seconds without a text after which one None is given.
        """
        self._pause = pause
        self._queue: queue.SimpleQueue[str | _Failure | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(_AHEAD)
        self._stopped = threading.Event()
        threading.Thread(target=self._read, args=(source,), name="deltas", daemon=True).start()

    def __iter__(self) -> Iterator[str | None]:
        waited = False
        while True:
            try:
                item = self._queue.get(timeout=None if waited else self._pause)
            except queue.Empty:
                waited = True
                yield None
                continue
            waited = False
            self._room.release()
            if item is None:
                return
            if isinstance(item, _Failure):
                raise item.error
            yield item

    def stop(self) -> None:
        """No more texts are wanted."""
        self._stopped.set()
        self._room.release()

    def _read(self, source: Generator[str, None, None]) -> None:
        try:
            for text in source:
                self._room.acquire()
                if self._stopped.is_set():
                    break
                self._queue.put(text)
            self._queue.put(None)
        except BaseException as error:  # whatever it is, who waits for the next text must learn of it
            self._queue.put(_Failure(error))
        finally:
            source.close()


class _Failure:
    """What the source raised."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
