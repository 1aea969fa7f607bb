from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from guard import metrics

PAIRS = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=60)


def both_classes(pairs: list[tuple[bool, int]]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Labels and tied scores in [0, 1] with at least one text of each class."""
    labels = np.array([label for label, _ in pairs])
    labels[0], labels[1] = True, False
    return labels, np.array([score / 8 for _, score in pairs])


def test_undefined_rates_are_nan() -> None:
    """A corpus of one class has no recall or no false alarms, no AUROC, and no number pretends otherwise."""
    benign = metrics.confusion([False, False], [False, True])
    assert math.isnan(metrics.recall(benign)[0])
    assert metrics.fpr(benign)[0] == 0.5
    assert math.isnan(metrics.auroc([False, False], [0.1, 0.2]))
    assert math.isnan(metrics.auprc([False, False], [0.1, 0.2]))
    assert math.isnan(metrics.recall_at_fpr([True, True], [0.1, 0.2], 0.05))
    assert metrics.f1(metrics.confusion([True, False], [False, False]))[0] == 0


@given(st.lists(st.integers(0, 20), min_size=1, max_size=80), st.floats(0, 1))
def test_threshold_at_fpr_is_the_lowest_that_holds(values: list[int], max_fpr: float) -> None:
    """At most the tolerated share of negatives reaches the threshold, and no lower observed score would do."""
    scores = np.array(values, float)
    threshold = metrics.threshold_at_fpr(scores, max_fpr)
    assert (scores >= threshold).mean() <= max_fpr + 1e-9
    below = scores[scores < threshold]
    if len(below):
        assert (scores >= below.max()).mean() > max_fpr


def test_ece_of_a_hand_computed_case() -> None:
    """ECE weighs each bin's gap between mean score and share of positives by its texts."""
    # Bin [0, .5): mean .2, share 0, 3 texts; bin [.5, 1]: mean .9, share .5, 2 texts.
    labels, scores = [False, False, False, True, False], [0.1, 0.2, 0.3, 0.8, 1.0]
    assert metrics.ece(labels, scores, bins=2) == pytest.approx(0.6 * 0.2 + 0.4 * 0.4)


@given(PAIRS)
def test_reliability_bins_cover_every_text(pairs: list[tuple[bool, int]]) -> None:
    """The bins' shares and means sum up to the shares and means of all texts."""
    labels, scores = both_classes(pairs)
    bins = metrics.reliability(labels, scores, bins=7)
    assert sum(b.count for b in bins) == len(labels)
    assert sum(b.count * b.share_positive for b in bins) == pytest.approx(labels.sum())
    assert sum(b.count * b.mean_score for b in bins) == pytest.approx(scores.sum())
    assert all(b.low <= b.mean_score <= b.high for b in bins)


def test_ece_refuses_numbers_that_are_no_probabilities() -> None:
    """Calibration of anything outside of [0, 1] is an error."""
    with pytest.raises(ValueError, match="probabilities"):
        metrics.ece([True], [1.2])


def test_intervals_are_seeded_and_hold_the_estimate() -> None:
    """One seed gives one interval, another seed another; the estimate lies inside."""
    rng = np.random.default_rng(0)
    labels = rng.random(200) < 0.5
    scores = rng.normal(labels * 1.5)
    first = metrics.curve_interval(metrics.curve_auroc, labels, scores, samples=200, seed=5)
    assert first == metrics.curve_interval(metrics.curve_auroc, labels, scores, samples=200, seed=5)
    assert first != metrics.curve_interval(metrics.curve_auroc, labels, scores, samples=200, seed=6)
    assert first.low < metrics.auroc(labels, scores) < first.high


def test_blocks_do_not_change_an_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory bound of the bootstrap changes no result."""
    labels, scores = [True, False, True, False, True], [0.9, 0.8, 0.7, 0.3, 0.2]
    whole = metrics.curve_interval(metrics.curve_auprc, labels, scores, samples=50)
    monkeypatch.setattr(metrics, "_BLOCK", 12)
    assert metrics.curve_interval(metrics.curve_auprc, labels, scores, samples=50) == whole


def test_rate_interval_has_the_width_of_the_binomial() -> None:
    """The interval of a recall is that of a proportion: about 1.96 standard errors to each side."""
    counts = metrics.confusion([True] * 400 + [False] * 400, [True] * 300 + [False] * 500)
    found = metrics.rate_interval(metrics.recall, counts, samples=4000)
    error = 1.96 * math.sqrt(0.75 * 0.25 / 400)
    assert found.low == pytest.approx(0.75 - error, abs=0.006)
    assert found.high == pytest.approx(0.75 + error, abs=0.006)


def test_lengths_that_differ_are_refused() -> None:
    """Labels and scores of different length are a ValueError, not a broadcast."""
    with pytest.raises(ValueError, match="one length"):
        metrics.auroc([True, False], [0.5])
    with pytest.raises(ValueError, match="one length"):
        metrics.confusion([True, False], [True])


def test_auroc_and_auprc_of_hand_computed_cases() -> None:
    """AUROC counts ordered pairs with ties as half; AUPRC averages precision over the gains in recall."""
    # Pairs (positive, negative): .9>.5 .9>.1 .5=.5 .5>.1 -> 3.5 of 4.
    labels, scores = [True, True, False, False], [0.9, 0.5, 0.5, 0.1]
    assert metrics.auroc(labels, scores) == pytest.approx(3.5 / 4)
    assert metrics.auprc(labels, scores) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert metrics.recall_at_fpr(labels, scores, 0.4) == 0.5
    assert metrics.recall_at_fpr(labels, scores, 0.5) == 1.0


def test_rates_of_a_hand_computed_case() -> None:
    """Precision, recall, F1 and false alarms follow from the four counts."""
    counts = metrics.confusion([True] * 4 + [False] * 6, [True, True, True, False, True] + [False] * 5)
    assert metrics.precision(counts)[0] == 0.75
    assert metrics.recall(counts)[0] == 0.75
    assert metrics.f1(counts)[0] == 0.75
    assert metrics.fpr(counts)[0] == pytest.approx(1 / 6)
