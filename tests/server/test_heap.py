"""What is loaded and the garbage collector."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from guard.server.heap import set_aside


class _Knot:
    """Refers to itself, so that only a collection frees it."""

    def __init__(self) -> None:
        self.own = self


@pytest.fixture(autouse=True)
def _thaw() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_what_is_loaded_is_passed_over() -> None:
    """A later collection does not look at what was alive, and still frees what came after."""
    loaded = [[number] for number in range(1000)]
    set_aside()
    assert gc.get_freeze_count() > len(loaded)
    later = _Knot()
    seen = weakref.ref(later)
    del later
    gc.collect()
    assert seen() is None


def test_the_next_load_frees_what_the_last_one_held() -> None:
    """What was set aside and then replaced does not stay for ever."""
    old = _Knot()
    seen = weakref.ref(old)
    set_aside()
    del old
    gc.collect()
    assert seen() is not None
    set_aside()
    assert seen() is None
