from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.classifier.artifact import Platt
from guard.classifier.calibration import calibrate, sigmoid

_RAW = st.floats(0, 1, width=32)
_PLATT = st.builds(Platt, a=st.floats(0.05, 5), b=st.floats(-5, 5), c=st.floats(-2, 2))


def _one(rows: list[float], platt: Platt) -> float:
    return calibrate(np.array([[raw] for raw in rows], dtype=np.float32), ["hate"], {"hate": platt})["hate"]


@given(st.lists(_RAW, min_size=1, max_size=20), _PLATT)
def test_scores_are_probabilities(rows: list[float], platt: Platt) -> None:
    """Whatever the graph says, 0 and 1 included, a calibrated score is a finite number in [0, 1]."""
    assert 0 <= _one(rows, platt) <= 1


@given(_RAW, _RAW, _PLATT)
def test_calibration_never_reorders(low: float, high: float, platt: Platt) -> None:
    """A higher raw score never becomes a lower probability."""
    low, high = sorted((low, high))
    assert _one([low], platt) <= _one([high], platt)


@given(st.floats(0.0078125, 0.9921875, width=32))
def test_the_identity_keeps_a_lone_chunks_score(raw: float) -> None:
    """Without a calibration one chunk's score is the graph's."""
    assert _one([raw], Platt()) == pytest.approx(raw, rel=1e-4)


@given(st.lists(_RAW, min_size=1, max_size=20))
def test_chunks_are_pooled_by_their_maximum(rows: list[float]) -> None:
    """A text is as noncompliant as its worst chunk."""
    assert _one(rows, Platt()) == _one([max(rows)], Platt())


def test_the_number_of_chunks_counts_by_its_logarithm() -> None:
    """The covariate moves the logit by c for every doubling of the chunks."""
    platt = Platt(a=2.0, b=0.5, c=-0.25)
    logit = math.log(0.8 / 0.2)
    assert _one([0.8] * 8, platt) == pytest.approx(sigmoid(2 * logit + 0.5 - 0.25 * 3), rel=1e-5)


def test_each_category_has_its_own_column_and_calibration() -> None:
    """Columns are the categories in order, and each is calibrated by its own entry."""
    raw = np.array([[0.2, 0.5], [0.1, 0.6]], dtype=np.float32)
    scores = calibrate(raw, ["hate", "cyber"], {"cyber": Platt(b=1.0), "hate": Platt()})
    assert list(scores) == ["hate", "cyber"]
    assert scores["hate"] == pytest.approx(0.2, rel=1e-4)
    assert scores["cyber"] == pytest.approx(sigmoid(math.log(1.5) + 1), rel=1e-4)


def test_a_wrong_number_of_columns_is_refused() -> None:
    """A graph with more columns than there are categories is not read past them."""
    with pytest.raises(ValueError, match="zip"):
        calibrate(np.zeros((1, 2), dtype=np.float32), ["hate"], {"hate": Platt()})


@given(st.floats(-1e6, 1e6))
def test_sigmoid_is_symmetric_and_never_overflows(x: float) -> None:
    """The logistic function holds for large numbers of either sign."""
    assert sigmoid(x) + sigmoid(-x) == pytest.approx(1)
