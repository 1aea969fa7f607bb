"""From the graph's raw scores to calibrated probabilities of a whole text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from guard.classifier.artifact import Platt

_EPSILON = 1e-6


def calibrate(
    scores: NDArray[np.float32], categories: Sequence[str], platt: Mapping[str, Platt], chunks: int | None = None
) -> dict[str, float]:
    """Pool the chunks of one text by maximum and calibrate per category.

    Args:
        scores: Raw scores [chunks, categories], each in [0, 1].
        categories: Names of the columns.
        platt: One entry per category, for the text's direction.
        chunks: Of the whole text, where these are some of them; those that are given if None.

    Returns:
        ``category -> probability``, in the order of ``categories``.
    """
    # Plain floats: a vector of a dozen numbers costs NumPy several times what it costs Python.
    pieces = math.log2(chunks or len(scores))
    return {
        name: sigmoid(platt[name].a * _logit(score) + platt[name].b + platt[name].c * pieces)
        for name, score in zip(categories, scores.max(axis=0).tolist(), strict=True)
    }


def _logit(score: float) -> float:
    bounded = min(max(score, _EPSILON), 1 - _EPSILON)
    return math.log(bounded / (1 - bounded))


def sigmoid(x: float) -> float:
    """The logistic function, without overflow for large negative values."""
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    z = math.exp(x)
    return z / (1 + z)
