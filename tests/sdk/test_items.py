from __future__ import annotations

from collections.abc import Iterator

import pytest

from guard.errors import InvalidInput
from guard.sdk.items import read_items
from guard.types import MAX_BATCH_ITEMS


def test_items_are_counted_before_one_is_read() -> None:
    """Too many items are refused without reading one, and no more of them are taken than show it."""
    taken = 0

    def items() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield "hello"

    with pytest.raises(InvalidInput, match="contents: 257 or more items, the limit is 256"):
        read_items(items())
    assert taken == MAX_BATCH_ITEMS + 1
    with pytest.raises(InvalidInput, match="contents: 1000 items, the limit is 256"):
        read_items(["hello"] * 1000)
