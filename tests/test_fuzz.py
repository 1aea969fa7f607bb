from __future__ import annotations

import random

import pytest

from tests.fuzz import fuzz_window, fuzz_wire


@pytest.mark.parametrize("seed", range(4))
def test_random_input_breaks_no_promise(seed: int) -> None:
    """A little of what ``python -m tests.fuzz`` does a million times."""
    draw = random.Random(seed)
    for _ in range(250):
        fuzz_window(draw)
        fuzz_wire(draw)
