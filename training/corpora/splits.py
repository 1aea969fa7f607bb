"""Stable splits: a row's place depends on its request and a seed, never on order or on other rows.

Adding or removing a corpus moves no other row, and all answers to one request stay on one side, so a held-out
answer cannot be recognised by a request that was trained on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from guard.normalize import normalize
from guard.types import Role
from training.corpora.row import AMBIGUOUS, Row


def fraction_of(key: str, seed: int = 0) -> float:
    """A number in [0, 1) that looks random and depends on the key and the seed alone."""
    digest = hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def split_key(row: Row) -> str:
    """What must stay together: the conversation's first user turn, or the text where there is none.

    A request that stands alone and the same request with an answer, in any corpus, share the key; case,
    width and spacing do not count.
    """
    first = next((turn.text for turn in row.context if turn.role is Role.USER), row.text)
    return " ".join(normalize(first).text.casefold().split())


def split_of(row: Row, shares: Mapping[str, float], seed: int = 0) -> str:
    """The split a row belongs to.

    Args:
        row: Any row.
        shares: Names and shares, e.g. ``{"train": 0.9, "calibration": 0.1}``; they must sum to 1.
        seed: Another seed gives another split.

    Raises:
        ValueError: The shares do not sum to 1.
    """
    if abs(sum(shares.values()) - 1) > 1e-9 or min(shares.values()) < 0:
        raise ValueError(f"shares must be >= 0 and sum to 1: {dict(shares)}")
    position, border = fraction_of(split_key(row), seed), 0.0
    for name, share in shares.items():
        border += share
        if position < border:
            return name
    return list(shares)[-1]


def split(rows: Iterable[Row], shares: Mapping[str, float], seed: int = 0) -> dict[str, list[Row]]:
    """Rows by split, in their order; every name of ``shares`` is there."""
    parts: dict[str, list[Row]] = {name: [] for name in shares}
    for row in rows:
        parts[split_of(row, shares, seed)].append(row)
    return parts


def sample(rows: Iterable[Row], limit: int | None, *, by_label: bool = False) -> list[Row]:
    """Rows with a decided label, at most ``limit`` a (source, side, language), or a label of these.

    The choice is by a hash of the id: it depends on no order, and a smaller sample is part of a larger one, so that
    scores are reused.

    Args:
        rows: Labelled rows; ambiguous ones are left out.
        limit: Rows of a group at most; None for all.
        by_label: Compliant and noncompliant rows are groups of their own.
    """
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if row.label != AMBIGUOUS:
            key = (row.source, row.side, row.lang, *((row.label,) if by_label else ()))
            groups.setdefault(key, []).append(row)
    return [
        row
        for _, members in sorted(groups.items())
        for row in sorted(members, key=lambda row: (fraction_of(row.id), row.id))[:limit]
    ]
