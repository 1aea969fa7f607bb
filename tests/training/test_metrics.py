from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as reference

from guard import metrics

PAIRS = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=60)


def both_classes(pairs: list[tuple[bool, int]]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Labels and tied scores in [0, 1] with at least one text of each class."""
    labels = np.array([label for label, _ in pairs])
    labels[0], labels[1] = True, False
    return labels, np.array([score / 8 for _, score in pairs])


@given(PAIRS)
def test_auroc_equals_the_reference_with_ties(pairs: list[tuple[bool, int]]) -> None:
    """AUROC counts ties as half, as scikit-learn does."""
    labels, scores = both_classes(pairs)
    assert metrics.auroc(labels, scores) == pytest.approx(reference.roc_auc_score(labels, scores))


@given(PAIRS)
def test_auprc_equals_the_reference_with_ties(pairs: list[tuple[bool, int]]) -> None:
    """AUPRC is average precision over distinct thresholds, as scikit-learn has it."""
    labels, scores = both_classes(pairs)
    assert metrics.auprc(labels, scores) == pytest.approx(reference.average_precision_score(labels, scores))


@given(PAIRS, st.sampled_from([0.0, 0.01, 0.05, 0.3, 1.0]))
def test_recall_at_fpr_equals_the_best_point_of_the_reference_curve(
    pairs: list[tuple[bool, int]], max_fpr: float
) -> None:
    """Recall at a false-alarm rate is the highest true-positive rate of the ROC points within it."""
    labels, scores = both_classes(pairs)
    false, true, _ = reference.roc_curve(labels, scores, drop_intermediate=False)
    assert metrics.recall_at_fpr(labels, scores, max_fpr) == pytest.approx(true[false <= max_fpr + 1e-9].max())


@given(PAIRS)
def test_rates_of_decisions_equal_the_reference(pairs: list[tuple[bool, int]]) -> None:
    """Precision, recall and F1 of decisions agree with scikit-learn; FPR is one minus the negatives' recall."""
    labels, scores = both_classes(pairs)
    decisions = scores >= 0.5
    counts = metrics.confusion(labels, decisions)
    assert metrics.recall(counts)[0] == pytest.approx(reference.recall_score(labels, decisions))
    assert metrics.f1(counts)[0] == pytest.approx(reference.f1_score(labels, decisions))
    assert metrics.fpr(counts)[0] == pytest.approx(1 - reference.recall_score(~labels, ~decisions))
    if decisions.any():
        assert metrics.precision(counts)[0] == pytest.approx(reference.precision_score(labels, decisions))


@pytest.mark.parametrize(
    ("metric", "sklearn_metric"),
    [(metrics.curve_auroc, reference.roc_auc_score), (metrics.curve_auprc, reference.average_precision_score)],
)
def test_curve_interval_matches_a_plain_bootstrap(metric: metrics.CurveMetric, sklearn_metric: object) -> None:
    """The vectorised bootstrap gives the interval of a loop over scikit-learn, within sampling error."""
    rng = np.random.default_rng(3)
    labels = rng.random(300) < 0.4
    scores = np.round(rng.normal(labels * 1.0), 1)
    found = metrics.curve_interval(metric, labels, scores, samples=1500, seed=1)
    assert callable(sklearn_metric)
    drawn = [rng.integers(0, 300, 300) for _ in range(1000)]
    low, high = np.percentile([sklearn_metric(labels[i], scores[i]) for i in drawn], [2.5, 97.5])
    assert found.low == pytest.approx(low, abs=0.02)
    assert found.high == pytest.approx(high, abs=0.02)
