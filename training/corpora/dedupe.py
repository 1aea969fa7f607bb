"""Keep the training texts clear of benchmark texts: near-duplicates by MinHash, confirmed by exact overlap.

A text is the set of its character 5-grams after normalisation, case folding and removal of white space and
punctuation. MinHash signatures (Broder 1997) in bands (Leskovec et al., Mining of Massive Datasets, ch. 3)
propose candidates; a candidate counts only if the Jaccard overlap of the sets themselves reaches the threshold,
so nothing is dropped by an unlucky hash. With 16 bands of 4 a pair with overlap 0.7 is proposed with
probability 0.99, one with 0.8 with 0.9998.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guard.normalize import normalize
from training.corpora.row import Row

Hashes = NDArray[np.uint64]

_GRAM = 5
_BANDS = 16
_ROWS = 4
#: Overlap from which two texts count as the same.
THRESHOLD = 0.7

_WEIGHTS: Hashes = np.array([pow(0x9E3779B97F4A7C15, i, 2**64) for i in range(_GRAM)], np.uint64)
_random = np.random.default_rng(20260101)
_FACTORS: Hashes = _random.integers(1, 2**63, size=(_BANDS * _ROWS, 1), dtype=np.uint64) | np.uint64(1)
_OFFSETS: Hashes = _random.integers(0, 2**63, size=(_BANDS * _ROWS, 1), dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A benchmark text: its index among the benchmark's texts and the hashes of its 5-grams, sorted."""

    index: int
    grams: Hashes


class NearDuplicates:
    """An index over texts that answers whether another text is nearly one of them. Not thread-safe to build."""

    def __init__(self, texts: Iterable[str], threshold: float = THRESHOLD) -> None:
        """Index the texts.

        Args:
            texts: E.g. all benchmark texts; blank ones match nothing.
            threshold: Jaccard overlap of character 5-grams from which a text counts as a duplicate, 0..1.
        """
        self._threshold = threshold
        self._bands: dict[tuple[int, int], list[_Entry]] = {}
        for index, text in enumerate(texts):
            grams = _grams(text)
            if len(grams):
                entry = _Entry(index, grams)
                for key in _keys(grams):
                    self._bands.setdefault(key, []).append(entry)

    def find(self, text: str) -> int | None:
        """Index of an indexed text that this one nearly is, or None."""
        grams = _grams(text)
        if not len(grams):
            return None
        tried: set[int] = set()
        for key in _keys(grams):
            for entry in self._bands.get(key, ()):
                if entry.index not in tried:
                    tried.add(entry.index)
                    if _jaccard(grams, entry.grams) >= self._threshold:
                        return entry.index
        return None


@dataclass(frozen=True, slots=True)
class Cleared:
    """Rows apart from a benchmark.

    Attributes:
        kept: Rows that are near no benchmark text, in order.
        dropped: Rows that are.
    """

    kept: list[Row]
    dropped: list[Row]


def clear_of(rows: Iterable[Row], benchmark: Iterable[str], threshold: float = THRESHOLD) -> Cleared:
    """Separate the rows whose text is a near-duplicate of a benchmark text.

    The context is not compared: another answer to a benchmark's request is no duplicate.

    Args:
        rows: Training rows.
        benchmark: Texts of all benchmarks.
        threshold: See :class:`NearDuplicates`.
    """
    index = NearDuplicates(benchmark, threshold)
    cleared = Cleared([], [])
    for row in rows:
        (cleared.kept if index.find(row.text) is None else cleared.dropped).append(row)
    return cleared


def _grams(text: str) -> Hashes:
    """Sorted distinct hashes of the character 5-grams; a shorter text is one gram."""
    plain = "".join(c for c in normalize(text).text.casefold() if c.isalnum())
    if not plain:
        return np.empty(0, np.uint64)
    codes = np.frombuffer(plain.encode("utf-32-le"), np.uint32).astype(np.uint64)
    codes = np.pad(codes, (0, max(0, _GRAM - len(codes))))
    windows = np.lib.stride_tricks.sliding_window_view(codes, _GRAM)
    # Sums and products wrap around 2**64: a polynomial hash, mixed so that its low bits are good.
    hashes = (windows * _WEIGHTS).sum(axis=1, dtype=np.uint64)
    hashes ^= hashes >> np.uint64(31)
    hashes *= np.uint64(0xBF58476D1CE4E5B9)
    return np.unique(hashes ^ (hashes >> np.uint64(29)))


def _keys(grams: Hashes) -> list[tuple[int, int]]:
    """One key per band: the band and a hash of its part of the signature."""
    signature = (((grams * _FACTORS + _OFFSETS) >> np.uint64(16)).min(axis=1)).reshape(_BANDS, _ROWS)
    return [(band, hash(part.tobytes())) for band, part in enumerate(signature)]


def _jaccard(a: Hashes, b: Hashes) -> float:
    common = len(np.intersect1d(a, b, assume_unique=True))
    return common / (len(a) + len(b) - common)
