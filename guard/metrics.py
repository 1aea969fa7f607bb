"""Precision to calibration, with intervals: one implementation for policy tools and for training.

Numpy only. Labels are booleans (True = noncompliant), scores any numbers where higher means more so.
A rate whose denominator is empty is NaN, never 0 or 1: a corpus without violations has no recall.
Scores that tie are one threshold, everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]
#: A metric of threshold curves: one value per curve.
CurveMetric: TypeAlias = "Callable[[Curves], Floats]"
#: A rate of confusion counts: one value per confusion.
Rate: TypeAlias = "Callable[[Confusion], Floats]"

#: Cells of one block of resampled weights; bounds the memory of a bootstrap to some 100 MB.
_BLOCK = 2_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A bootstrap percentile interval; both ends NaN where the metric is undefined."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of decisions against labels; numbers, or arrays with one entry per resample.

    Attributes:
        tp: Positive decisions on positives.
        fp: Positive decisions on negatives.
        fn: Negative decisions on positives.
        tn: Negative decisions on negatives.
    """

    tp: Floats
    fp: Floats
    fn: Floats
    tn: Floats


def confusion(labels: ArrayLike, decisions: ArrayLike) -> Confusion:
    """Count decisions against labels.

    Args:
        labels: Truth, [n] booleans.
        decisions: What was decided, [n] booleans.

    Raises:
        ValueError: The lengths differ.
    """
    truth, decided = np.asarray(labels, bool), np.asarray(decisions, bool)
    if truth.shape != decided.shape or truth.ndim != 1:
        raise ValueError(f"labels {truth.shape} and decisions {decided.shape} must be two vectors of one length")
    return Confusion(*(np.array([np.sum(mask)], np.float64) for mask in _cells(truth, decided)))


def precision(counts: Confusion) -> Floats:
    """Share of the positive decisions that are right."""
    return _ratio(counts.tp, counts.tp + counts.fp)


def recall(counts: Confusion) -> Floats:
    """Share of the positives that were decided so (true-positive rate)."""
    return _ratio(counts.tp, counts.tp + counts.fn)


def fpr(counts: Confusion) -> Floats:
    """Share of the negatives that were decided positive (false alarms)."""
    return _ratio(counts.fp, counts.fp + counts.tn)


def f1(counts: Confusion) -> Floats:
    """Harmonic mean of precision and recall (van Rijsbergen 1979); 0 if nothing was found but should be."""
    return _ratio(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn)


@dataclass(frozen=True, slots=True)
class Curves:
    """Counts at every distinct threshold, highest first; one row per weighting of the same texts.

    Attributes:
        tp: Weight of the positives at or above each threshold, [curves, thresholds].
        fp: Weight of the negatives there, [curves, thresholds].
        thresholds: The distinct scores, descending, [thresholds].
    """

    tp: Floats
    fp: Floats
    thresholds: Floats


def curves(labels: ArrayLike, scores: ArrayLike) -> Curves:
    """The one curve of unweighted labels and scores.

    Raises:
        ValueError: The lengths differ, nothing is there, or a score is NaN.
    """
    ordered = _Ordered.of(labels, scores)
    return ordered.curves(np.ones((1, len(ordered.positive))))


def auroc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Probability that a positive scores above a negative, ties counting half.

    Mann & Whitney 1947; equal to the area under the ROC curve (Hanley & McNeil 1982). NaN for one class.
    """
    return float(curve_auroc(curves(labels, scores))[0])


def auprc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Average precision: the sum of precision times gain in recall over the distinct thresholds.

    Not interpolated, since interpolation in precision-recall space is optimistic (Davis & Goadrich 2006).
    NaN without positives.
    """
    return float(curve_auprc(curves(labels, scores))[0])


def recall_at_fpr(labels: ArrayLike, scores: ArrayLike, max_fpr: float) -> float:
    """Highest recall of any threshold whose share of false alarms is at most ``max_fpr``; NaN for one class."""
    return float(curve_recall_at_fpr(max_fpr)(curves(labels, scores))[0])


def threshold_at_fpr(negatives: ArrayLike, max_fpr: float) -> float:
    """Lowest threshold at which at most a share ``max_fpr`` of the negatives scores at or above it.

    Args:
        negatives: Scores of compliant texts, [n], n >= 1.
        max_fpr: Tolerated share, 0..1.

    Returns:
        A threshold for ``score >= threshold``. Where even the highest score is tied too often it lies
        just above it.
    """
    values = np.sort(np.asarray(negatives, np.float64))
    if not len(values):
        raise ValueError("no negatives to set a threshold on")
    allowed = int(np.floor(max_fpr * len(values) + 1e-9))
    if allowed >= len(values):
        return float(values[0])
    # The highest score that must NOT reach the threshold; ties with it must not either.
    return float(np.nextafter(values[len(values) - 1 - allowed], np.inf))


def curve_auroc(c: Curves) -> Floats:
    """:func:`auroc` of each curve."""
    tp, fp = _from_zero(c.tp), _from_zero(c.fp)
    area = np.sum((fp[:, 1:] - fp[:, :-1]) * (tp[:, 1:] + tp[:, :-1]) / 2, axis=1)
    return _ratio(area, tp[:, -1] * fp[:, -1])


def curve_auprc(c: Curves) -> Floats:
    """:func:`auprc` of each curve."""
    gained = np.diff(_from_zero(c.tp), axis=1)
    seen = c.tp + c.fp
    at_threshold = np.divide(c.tp, seen, out=np.zeros_like(seen), where=seen > 0)
    return _ratio(np.sum(gained * at_threshold, axis=1), c.tp[:, -1])


def curve_recall_at_fpr(max_fpr: float) -> CurveMetric:
    """:func:`recall_at_fpr` at a fixed rate, of each curve."""

    def metric(c: Curves) -> Floats:
        negatives = c.fp[:, -1]
        within = c.fp <= max_fpr * negatives[:, None] + 1e-9
        best = np.max(np.where(within, c.tp, 0.0), axis=1)
        return np.where(negatives > 0, _ratio(best, c.tp[:, -1]), np.nan)

    return metric


@dataclass(frozen=True, slots=True)
class Bin:
    """Scores between two borders: how many, their mean, and the share that is truly positive."""

    low: float
    high: float
    count: int
    mean_score: float
    share_positive: float


def reliability(labels: ArrayLike, scores: ArrayLike, bins: int = 15) -> tuple[Bin, ...]:
    """Equal-width bins of a reliability diagram (Niculescu-Mizil & Caruana 2005); empty bins are left out.

    Args:
        labels: Truth, [n] booleans.
        scores: Probabilities, [n], each in [0, 1].
        bins: Number of bins over [0, 1].

    Raises:
        ValueError: A score is outside of [0, 1], or the lengths differ.
    """
    truth, values = np.asarray(labels, bool), np.asarray(scores, np.float64)
    if truth.shape != values.shape or truth.ndim != 1:
        raise ValueError(f"labels {truth.shape} and scores {values.shape} must be two vectors of one length")
    if not np.all((values >= 0) & (values <= 1)):
        raise ValueError("calibration is a property of probabilities: scores must lie in [0, 1]")
    index = np.minimum((values * bins).astype(int), bins - 1)
    out = []
    for i in np.unique(index):
        inside = index == i
        mean, share = float(values[inside].mean()), float(truth[inside].mean())
        out.append(Bin(float(i) / bins, float(i + 1) / bins, int(inside.sum()), mean, share))
    return tuple(out)


def ece(labels: ArrayLike, scores: ArrayLike, bins: int = 15) -> float:
    """Expected calibration error: mean distance of score and share of positives over equal-width bins.

    Naeini et al. 2015, Guo et al. 2017. NaN without texts.
    """
    parts = reliability(labels, scores, bins)
    total = sum(part.count for part in parts)
    if not total:
        return float("nan")
    return sum(part.count * abs(part.mean_score - part.share_positive) for part in parts) / total


def curve_interval(
    metric: CurveMetric,
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap interval of a curve metric (Efron 1979): texts drawn with replacement.

    Args:
        metric: :func:`curve_auroc`, :func:`curve_auprc` or one made by :func:`curve_recall_at_fpr`.
        labels: Truth, [n] booleans.
        scores: [n].
        samples: Resamples; those in which the metric is undefined are left out.
        level: Coverage, 0..1.
        seed: The same seed gives the same interval.
    """
    ordered = _Ordered.of(labels, scores)
    values = [metric(ordered.curves(weights)) for weights in _resamples(len(ordered.positive), samples, seed)]
    return _percentiles(np.concatenate(values), level)


def rate_interval(
    rate: Rate, counts: Confusion, *, samples: int = 1000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Percentile bootstrap interval of a rate of decisions.

    Drawing texts with replacement makes the four counts multinomial, so they are drawn directly.

    Args:
        rate: :func:`precision`, :func:`recall`, :func:`fpr` or :func:`f1`.
        counts: One confusion, as :func:`confusion` returns it.
        samples: Resamples.
        level: Coverage, 0..1.
        seed: The same seed gives the same interval.
    """
    cells = np.array([counts.tp[0], counts.fp[0], counts.fn[0], counts.tn[0]])
    total = cells.sum()
    if not total:
        return Interval(float("nan"), float("nan"))
    drawn = np.random.default_rng(seed).multinomial(int(total), cells / total, size=samples).astype(np.float64)
    return _percentiles(rate(Confusion(*drawn.T)), level)


@dataclass(frozen=True, slots=True)
class _Ordered:
    """Texts sorted by descending score, once for all weightings."""

    positive: Floats
    last_of_tie: NDArray[np.intp]
    thresholds: Floats

    @classmethod
    def of(cls, labels: ArrayLike, scores: ArrayLike) -> _Ordered:
        truth, values = np.asarray(labels, bool), np.asarray(scores, np.float64)
        if truth.shape != values.shape or truth.ndim != 1 or not len(truth):
            raise ValueError(f"labels {truth.shape} and scores {values.shape} must be two vectors of one length >= 1")
        if np.isnan(values).any():
            raise ValueError("a score is NaN")
        order = np.argsort(-values, kind="stable")
        ranked = values[order]
        last = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
        return cls(truth[order].astype(np.float64), last, ranked[last])

    def curves(self, weights: Floats) -> Curves:
        """Curves for weights [curves, texts], in the order of the sorted texts."""
        tp = np.cumsum(weights * self.positive, axis=1)[:, self.last_of_tie]
        fp = np.cumsum(weights * (1 - self.positive), axis=1)[:, self.last_of_tie]
        return Curves(tp, fp, self.thresholds)


def _resamples(texts: int, samples: int, seed: int) -> Iterator[Floats]:
    """Blocks [some, texts] of how often each text was drawn."""
    rng = np.random.default_rng(seed)
    rows = max(1, _BLOCK // texts)
    for start in range(0, samples, rows):
        n = min(rows, samples - start)
        drawn = rng.integers(0, texts, size=(n, texts)) + np.arange(n)[:, None] * texts
        yield np.bincount(drawn.ravel(), minlength=n * texts).reshape(n, texts).astype(np.float64)


def _percentiles(values: Floats, level: float) -> Interval:
    defined = values[~np.isnan(values)]
    if not len(defined):
        return Interval(float("nan"), float("nan"))
    low, high = np.percentile(defined, [50 * (1 - level), 50 * (1 + level)])
    return Interval(float(low), float(high))


def _cells(truth: NDArray[np.bool_], decided: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], ...]:
    return truth & decided, ~truth & decided, truth & ~decided, ~truth & ~decided


def _from_zero(counts: Floats) -> Floats:
    """The same curves with the point above the highest threshold in front."""
    return np.concatenate([np.zeros((len(counts), 1)), counts], axis=1)


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Quotient, NaN where the denominator is 0."""
    undefined: Floats = np.full(np.shape(denominator), np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator != 0)
