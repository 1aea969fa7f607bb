"""Counts, rates and curves with their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from guard import metrics
from guard.policy.measures import Estimate, calibrate, measure, rank

_NOTHING = Estimate(None, None, None)


def _drawn(size: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = (rng.random(size) < 0.2).astype(np.int8)
    return truth, np.clip(rng.normal(0.3 + 0.3 * truth, 0.15), 0.0, 1.0)


def test_counts_leave_out_what_is_unknown() -> None:
    """Two found of three, one alarm of two, and two records that nobody knows about."""
    found = measure(np.array([1, 1, 1, 0, 0, -1, -1], np.int8), np.array([1, 1, 0, 1, 0, 1, 0], bool))
    assert (found.positives, found.negatives, found.found, found.false_alarms) == (3, 2, 2, 1)
    assert found.precision.value == found.recall.value == found.f1.value == pytest.approx(2 / 3)
    assert found.fpr.value == 0.5
    assert found.fpr.low is not None and found.fpr.high is not None and found.fpr.low <= 0.5 <= found.fpr.high


def test_a_rate_of_nothing_is_undefined() -> None:
    """Without positives there is no recall, and without records no curve."""
    found = measure(np.array([0, 0], np.int8), np.array([0, 0], bool))
    assert (found.recall, found.precision, found.fpr.value) == (_NOTHING, _NOTHING, 0.0)
    ranked = rank(np.array([-1], np.int8), np.array([0.5]))
    assert (ranked.auprc, ranked.recall_at_1) == (_NOTHING, _NOTHING)
    assert calibrate(np.array([-1], np.int8), np.array([0.5])).ece is None


def test_curves_are_those_of_the_metrics() -> None:
    """The values are exact, however many thresholds the resamples keep."""
    truth, scores = _drawn(5000)
    found = rank(truth, scores)
    assert found.auprc.value == metrics.auprc(truth == 1, scores)
    assert found.recall_at_1.value == metrics.recall_at_fpr(truth == 1, scores, 0.01)
    assert found.recall_at_5.value == metrics.recall_at_fpr(truth == 1, scores, 0.05)


@pytest.mark.parametrize("size", [200, 4000])
def test_intervals_are_those_of_drawing_texts(size: int) -> None:
    """Drawing neighbouring scores together gives the interval of the plain bootstrap, within a fifth of its width."""
    truth, scores = _drawn(size)
    found = rank(truth, scores)
    for estimate, metric in (
        (found.auprc, metrics.curve_auprc),
        (found.recall_at_5, metrics.curve_recall_at_fpr(0.05)),
    ):
        plain = metrics.curve_interval(metric, truth == 1, scores, samples=300)
        slack = 0.2 * (plain.high - plain.low)
        assert estimate.low == pytest.approx(plain.low, abs=slack)
        assert estimate.high == pytest.approx(plain.high, abs=slack)


def test_records_without_a_score_rank_last() -> None:
    """They are found at no threshold, and have no share in the calibration."""
    truth, scores = np.array([1, 1, 0, 0], np.int8), np.array([0.9, -np.inf, 0.1, -np.inf])
    assert rank(truth, scores).recall_at_5.value == 0.5
    assert sum(part.count for part in calibrate(truth, scores).bins) == 2
