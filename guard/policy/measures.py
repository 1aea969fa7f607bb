"""How well something that fires finds what it should: counts and rates with bootstrap intervals. Pure, numpy only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from guard import metrics
from guard.metrics import Confusion, CurveMetric, Curves, Floats, Interval, Rate

Bools: TypeAlias = NDArray[np.bool_]

#: Resamples of a curve's interval: they fix its ends to a hundredth of its width or so.
_SAMPLES = 500
#: Distinct thresholds of a resampled curve; above, neighbours are drawn together.
_CELLS = 256
#: Up to this share of the negatives a resampled curve keeps more of its thresholds: there 1 % and 5 % lie.
_TAIL = 0.1


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and its bootstrap 95 % interval; all None where it is not defined, such as recall without positives."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Measures:
    """Decisions against truths.

    Attributes:
        positives: Records that should fire.
        negatives: Records that should not.
        found: Positives that fire.
        false_alarms: Negatives that fire.
        precision: Of what fires, the share that should.
        recall: Of what should fire, the share that does.
        f1: Harmonic mean of the two.
        fpr: Of what should not fire, the share that does.
    """

    positives: int
    negatives: int
    found: int
    false_alarms: int
    precision: Estimate
    recall: Estimate
    f1: Estimate
    fpr: Estimate


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a score can do at any threshold.

    Attributes:
        recall_at_1: Recall at 1 % false alarms at most.
        recall_at_5: The same at 5 %.
        auprc: Area under the precision-recall curve (average precision).
    """

    recall_at_1: Estimate
    recall_at_5: Estimate
    auprc: Estimate


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Scores between two borders: how many, their mean, and the share that should fire."""

    low: float
    high: float
    count: int
    mean_score: float
    share_positive: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Whether a score is a probability: the expected calibration error, None without scores, and its parts."""

    ece: float | None
    bins: tuple[ReliabilityBin, ...]


def measure(truth: NDArray[np.int8], fired: Bools) -> Measures:
    """Count decisions against truths.

    Args:
        truth: 1, 0, or -1 for unknown, which is left out; [n].
        fired: What was decided, [n].
    """
    counts = metrics.confusion(truth[truth >= 0] == 1, fired[truth >= 0])
    tp, fp, fn, tn = (int(cell[0]) for cell in (counts.tp, counts.fp, counts.fn, counts.tn))
    return Measures(
        positives=tp + fn,
        negatives=fp + tn,
        found=tp,
        false_alarms=fp,
        precision=_rate(metrics.precision, counts),
        recall=_rate(metrics.recall, counts),
        f1=_rate(metrics.f1, counts),
        fpr=_rate(metrics.fpr, counts),
    )


def rank(truth: NDArray[np.int8], scores: Floats) -> Ranking:
    """What a score can do at any threshold.

    Args:
        truth: 1, 0, or -1 for unknown, which is left out; [n].
        scores: [n], any numbers, -inf included.
    """
    known = truth >= 0
    positive, values = truth[known] == 1, scores[known]
    if not len(values):
        nothing = Estimate(None, None, None)
        return Ranking(nothing, nothing, nothing)
    kinds: tuple[CurveMetric, ...] = (
        metrics.curve_recall_at_fpr(0.01),
        metrics.curve_recall_at_fpr(0.05),
        metrics.curve_auprc,
    )
    exact = metrics.curves(positive, values)
    drawn = _resampled(exact)
    at_1, at_5, auprc = (_curve_estimate(kind, exact, drawn) for kind in kinds)
    return Ranking(at_1, at_5, auprc)


def calibrate(truth: NDArray[np.int8], scores: Floats, bins: int = 10) -> Calibration:
    """Compare scores with shares; records without a score, and without a truth, are left out.

    Args:
        truth: 1, 0, or -1 for unknown; [n].
        scores: [n], in [0, 1] or -inf.
        bins: Parts of [0, 1].
    """
    known = (truth >= 0) & np.isfinite(scores)
    positive, values = truth[known] == 1, scores[known]
    parts = metrics.reliability(positive, values, bins)
    return Calibration(
        _number(metrics.ece(positive, values, bins)),
        tuple(ReliabilityBin(b.low, b.high, b.count, b.mean_score, b.share_positive) for b in parts),
    )


def _rate(rate: Rate, counts: Confusion) -> Estimate:
    return _estimate(float(rate(counts)[0]), metrics.rate_interval(rate, counts))


def _curve_estimate(kind: CurveMetric, exact: Curves, drawn: tuple[Curves, Curves]) -> Estimate:
    """The exact value; the interval is moved by what drawing neighbours together moved its centre."""
    value = float(kind(exact)[0])
    coarse, resampled = float(kind(drawn[0])[0]), kind(drawn[1])
    defined = resampled[~np.isnan(resampled)]
    if math.isnan(value) or not len(defined):
        return Estimate(_number(value), None, None)
    low, high = np.clip(np.percentile(defined, [2.5, 97.5]) + (value - coarse), 0.0, 1.0)
    return _estimate(value, Interval(min(float(low), value), max(float(high), value)))


def _resampled(exact: Curves) -> tuple[Curves, Curves]:
    """A curve with its neighbouring thresholds drawn together, and resamples of it: the percentile bootstrap.

    Drawing texts with replacement makes the counts between the thresholds multinomial, so they are drawn directly: a
    million texts cost no more than a few hundred cells (Efron 1979).
    """
    kept = _thinned(exact)
    tp, fp = exact.tp[0, kept], exact.fp[0, kept]
    coarse = Curves(tp[None], fp[None], exact.thresholds[kept])
    cells = np.concatenate([np.diff(tp, prepend=0.0), np.diff(fp, prepend=0.0)])
    drawn = np.random.default_rng(0).multinomial(int(cells.sum()), cells / cells.sum(), size=_SAMPLES)
    positives, negatives = drawn[:, : len(kept)], drawn[:, len(kept) :]
    return coarse, Curves(
        np.cumsum(positives, axis=1).astype(np.float64),
        np.cumsum(negatives, axis=1).astype(np.float64),
        coarse.thresholds,
    )


def _thinned(exact: Curves) -> NDArray[np.intp]:
    """Indexes of the thresholds that a resampled curve keeps, the last one always."""
    size = len(exact.thresholds)
    if size <= _CELLS:
        return np.arange(size)
    part = _CELLS // 3
    tp, fp = exact.tp[0], exact.fp[0]
    steps = (
        np.searchsorted(tp, np.linspace(0, tp[-1], part)),
        np.searchsorted(fp, np.linspace(0, fp[-1], part)),
        np.searchsorted(fp, np.linspace(0, fp[-1] * _TAIL, part)),
    )
    return np.unique(np.minimum(np.concatenate([*steps, [size - 1]]), size - 1))


def _estimate(value: float, interval: Interval) -> Estimate:
    return Estimate(_number(value), _number(interval.low), _number(interval.high))


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
