"""From the records of a benchmark to its table: pure functions, no model and no corpus files needed.

One line per (side, language, source) and one per family (side, language). Texts are ranked by one number:
the ``noncompliant`` score, or, where the label speaks about some categories only, the highest of those.
The operating point of a line is the threshold with 5 % false alarms over all compliant texts of its side and
language, so a source of one class has a recall or a rate of false alarms although it has no ranking.

A family has more lines than its own where its sources differ in what they say about a model: those that it was
not trained on, those without a violation, and pools, in which some sources' violations meet others' benign texts.
The source of such a line begins with a star.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guard import metrics
from guard.metrics import Floats, Interval
from guard.records import Record
from guard.types import CATEGORIES, NONCOMPLIANT
from training.bench.columns import Bench

#: Share of false alarms that sets the operating point.
POINT_FPR = 0.05
#: Lines of fewer texts say nothing.
MIN_TEXTS = 20
#: Source of the line over a whole family, over its sources without violations, over those the model never saw.
FAMILY, BENIGN, UNSEEN = "*", "*benign", "*unseen"
#: Upper borders of the buckets of text lengths, in tokens; the last bucket is open.
LENGTHS = (32, 64, 128, 512)

# Benchmarks made from another corpus: trained on that one, a model has seen these texts in another dress.
_DERIVED: Mapping[str, str] = {"toxicloakcn": "toxicn"}


@dataclass(frozen=True, slots=True)
class Pool:
    """Violations of some sources against benign texts of others, with an operating point of its own.

    Attributes:
        name: The line's source, without the star.
        side: prompt, response or content.
        lang: Language.
        harmful: Sources whose noncompliant texts count.
        benign: Sources whose compliant texts count, and set the threshold.
    """

    name: str
    side: str
    lang: str
    harmful: tuple[str, ...]
    benign: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table. Rates are 0..1 and None where they are undefined (one class only).

    Attributes:
        side: prompt, response or content.
        lang: Language.
        source: The corpus; ``*`` for the whole family, ``*benign`` for its sources without violations, ``*unseen``
            for those that the model was not trained on, ``*NAME`` for a pool.
        texts: Number of texts.
        positives: How many of them are noncompliant.
        auroc: Ranking of both classes, with its interval.
        auprc: Average precision, with its interval.
        recall_at_1: Recall at 1 % false alarms within the line.
        recall_at_5: Recall at 5 % false alarms within the line.
        threshold: The operating point: the family's, or a pool's own.
        f1: At the operating point, as for the two below.
        fpr: False alarms.
        recall: Recall.
        policy_f1: Of the policy's decisions, any action but allow being positive; as for the two below.
        policy_fpr: False alarms.
        policy_recall: Recall.
        recall_at_1_interval: Interval, on lines over several sources only; as for those below.
        recall_at_5_interval: Of ``recall_at_5``.
        recall_interval: Of ``recall``, the threshold being taken as given.
        fpr_interval: Of ``fpr``, the same.
        policy_f1_interval: Of ``policy_f1``.
        policy_fpr_interval: Of ``policy_fpr``.
        policy_recall_interval: Of ``policy_recall``.
    """

    side: str
    lang: str
    source: str
    texts: int
    positives: int
    auroc: float | None
    auroc_interval: Interval | None
    auprc: float | None
    auprc_interval: Interval | None
    recall_at_1: float | None
    recall_at_5: float | None
    threshold: float | None
    f1: float | None
    fpr: float | None
    recall: float | None
    policy_f1: float | None
    policy_fpr: float | None
    policy_recall: float | None
    recall_at_1_interval: Interval | None = None
    recall_at_5_interval: Interval | None = None
    recall_interval: Interval | None = None
    fpr_interval: Interval | None = None
    policy_f1_interval: Interval | None = None
    policy_fpr_interval: Interval | None = None
    policy_recall_interval: Interval | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """(side, lang, source): what a baseline's line is found by."""
        return self.side, self.lang, self.source


@dataclass(frozen=True, slots=True)
class CategoryLine:
    """How a category's own score ranks the texts whose label speaks about it, per side."""

    category: str
    side: str
    texts: int
    positives: int
    auroc: float | None
    auprc: float | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """Expected calibration error of ``noncompliant`` where labels speak about everything.

    Of labels with a limited ``about`` only the noncompliant ones speak about it: they would look miscalibrated.
    """

    side: str
    lang: str
    texts: int
    ece: float


@dataclass(frozen=True, slots=True)
class LengthLine:
    """False alarms of the policy among the compliant texts of a length; labels about everything only.

    Attributes:
        side: prompt, response or content; ``*`` for all of them.
        lang: Language.
        shortest: Fewest tokens of the bucket.
        longest: Most tokens; None for no end.
        texts: Compliant texts of that length.
        alarms: How many of them the policy did not allow.
    """

    side: str
    lang: str
    shortest: int
    longest: int | None
    texts: int
    alarms: int


@dataclass(frozen=True, slots=True)
class Table:
    """Everything that is computed from the records of one model and one policy.

    Attributes:
        lines: One a source.
        families: Lines over several sources; their source begins with a star.
        categories: Ranking by each category's own score.
        calibration: Calibration error of ``noncompliant``.
        lengths: False alarms by length; empty where no model counted tokens.
        unseen: Sources that the model was not trained on; None where its sources are not known.
    """

    lines: tuple[Line, ...]
    families: tuple[Line, ...]
    categories: tuple[CategoryLine, ...]
    calibration: tuple[Calibration, ...]
    lengths: tuple[LengthLine, ...] = ()
    unseen: tuple[str, ...] | None = None


def tabulate(
    records: Iterable[Record],
    *,
    samples: int = 500,
    trained_on: Collection[str] | None = None,
    pools: Sequence[Pool] = (),
    threshold: float | None = None,
) -> Table:
    """The table of a set of records.

    Args:
        records: Of one model and one policy; those without a label are left out.
        samples: Bootstrap resamples of an interval; 0 for none.
        trained_on: Names of the model's training sources; None if they are not known.
        pools: Lines to add; one that lacks a source is left out, since it would be another measure.
        threshold: Operating point of every line, for a system that has one of its own; None for 5 % false alarms.
    """
    bench = Bench.of(records)
    unseen = None if trained_on is None else unseen_sources({str(s) for s in bench.source}, trained_on)
    lines: list[Line] = []
    families: list[Line] = []
    for side, lang in sorted({(str(s), str(g)) for s, g in zip(bench.side, bench.lang, strict=True)}):
        family = (bench.side == side) & (bench.lang == lang)
        point = _point(bench, family, threshold)
        sources = sorted({str(s) for s in bench.source[family]})
        families.append(_line(bench, family, (side, lang, FAMILY), point, samples))
        for name, members in ((BENIGN, _benign_sources(bench, family)), (UNSEEN, unseen or ())):
            inside = family & np.isin(bench.source, list(members))
            if np.count_nonzero(inside) >= MIN_TEXTS:
                families.append(_line(bench, inside, (side, lang, name), point, samples))
        for source in sources:
            inside = family & (bench.source == source)
            if np.count_nonzero(inside) >= MIN_TEXTS:
                lines.append(_line(bench, inside, (side, lang, source), point, samples))
    families += [line for pool in pools if (line := _pool_line(bench, pool, threshold, samples))]
    return Table(
        tuple(lines),
        tuple(families),
        tuple(_categories(bench)),
        tuple(_calibration(bench)),
        tuple(_lengths(bench)),
        unseen,
    )


def unseen_sources(benchmarks: Iterable[str], trained_on: Collection[str]) -> tuple[str, ...]:
    """Benchmarks of which a model saw neither a training part nor paragraphs nor the corpus they were made from."""
    seen = {name.removeprefix("plain_") for name in trained_on} | set(trained_on)
    return tuple(sorted(s for s in benchmarks if s not in seen and _DERIVED.get(s) not in seen))


def _point(bench: Bench, inside: NDArray[np.bool_], threshold: float | None) -> float | None:
    if threshold is not None:
        return threshold
    benign = bench.rank[inside & ~bench.label]
    return metrics.threshold_at_fpr(benign, POINT_FPR) if len(benign) else None


def _benign_sources(bench: Bench, family: NDArray[np.bool_]) -> set[str]:
    return {str(s) for s in bench.source[family]} - {str(s) for s in bench.source[family & bench.label]}


def _pool_line(bench: Bench, pool: Pool, threshold: float | None, samples: int) -> Line | None:
    family = (bench.side == pool.side) & (bench.lang == pool.lang)
    harmful = family & bench.label & np.isin(bench.source, pool.harmful)
    benign = family & ~bench.label & np.isin(bench.source, pool.benign)
    inside = harmful | benign
    if {str(s) for s in bench.source[inside]} != {*pool.harmful, *pool.benign}:
        return None
    return _line(bench, inside, (pool.side, pool.lang, f"*{pool.name}"), _point(bench, inside, threshold), samples)


def _line(
    bench: Bench, inside: NDArray[np.bool_], key: tuple[str, str, str], threshold: float | None, samples: int
) -> Line:
    label, rank = bench.label[inside], bench.rank[inside]
    positives = int(np.count_nonzero(label))
    mixed = 0 < positives < len(label)

    def interval(metric: metrics.CurveMetric, *, wanted: bool = True) -> Interval | None:
        return metrics.curve_interval(metric, label, rank, samples=samples) if mixed and samples and wanted else None

    at_point = metrics.confusion(label, rank >= threshold) if threshold is not None else None
    decided = metrics.confusion(label, bench.acted[inside])
    policy_f1, policy_fpr, policy_recall = _rates(decided, mixed)
    f1, fpr, recall = _rates(at_point, mixed)
    several = key[2].startswith("*")

    def rate_interval(rate: metrics.Rate, counts: metrics.Confusion | None, value: float | None) -> Interval | None:
        if counts is None or value is None or not samples or not several:
            return None
        return metrics.rate_interval(rate, counts, samples=samples)

    return Line(
        *key,
        texts=len(label),
        positives=positives,
        auroc=metrics.auroc(label, rank) if mixed else None,
        auroc_interval=interval(metrics.curve_auroc),
        auprc=metrics.auprc(label, rank) if mixed else None,
        auprc_interval=interval(metrics.curve_auprc),
        recall_at_1=metrics.recall_at_fpr(label, rank, 0.01) if mixed else None,
        recall_at_5=metrics.recall_at_fpr(label, rank, POINT_FPR) if mixed else None,
        threshold=threshold,
        f1=f1,
        fpr=fpr,
        recall=recall,
        policy_f1=policy_f1,
        policy_fpr=policy_fpr,
        policy_recall=policy_recall,
        recall_at_1_interval=interval(metrics.curve_recall_at_fpr(0.01), wanted=several),
        recall_at_5_interval=interval(metrics.curve_recall_at_fpr(POINT_FPR), wanted=several),
        recall_interval=rate_interval(metrics.recall, at_point, recall),
        fpr_interval=rate_interval(metrics.fpr, at_point, fpr),
        policy_f1_interval=rate_interval(metrics.f1, decided, policy_f1),
        policy_fpr_interval=rate_interval(metrics.fpr, decided, policy_fpr),
        policy_recall_interval=rate_interval(metrics.recall, decided, policy_recall),
    )


def _rates(counts: metrics.Confusion | None, mixed: bool) -> tuple[float | None, float | None, float | None]:
    """F1 (of both classes only), false alarms, recall."""
    return _rate(metrics.f1, counts) if mixed else None, _rate(metrics.fpr, counts), _rate(metrics.recall, counts)


def _rate(rate: Callable[[metrics.Confusion], Floats], counts: metrics.Confusion | None) -> float | None:
    value = math.nan if counts is None else float(rate(counts)[0])
    return None if math.isnan(value) else value


def _categories(bench: Bench) -> Iterable[CategoryLine]:
    for side in sorted({str(s) for s in bench.side}):
        for column, category in enumerate(CATEGORIES):
            speaks = (bench.side == side) & ~np.isnan(bench.known[:, column])
            label, score = bench.known[speaks, column] == 1, bench.scores[speaks, column]
            positives = int(np.count_nonzero(label))
            if not positives:
                continue
            mixed = positives < len(label)
            yield CategoryLine(
                category,
                side,
                len(label),
                positives,
                metrics.auroc(label, score) if mixed else None,
                metrics.auprc(label, score) if mixed else None,
            )


def _calibration(bench: Bench) -> Iterable[Calibration]:
    column = CATEGORIES.index(NONCOMPLIANT)
    for side, lang in sorted({(str(s), str(g)) for s, g in zip(bench.side, bench.lang, strict=True)}):
        inside = bench.about_all & (bench.side == side) & (bench.lang == lang)
        if inside.any():
            error = metrics.ece(bench.label[inside], bench.scores[inside, column])
            yield Calibration(side, lang, int(np.count_nonzero(inside)), error)


def _lengths(bench: Bench) -> Iterable[LengthLine]:
    """Per language over all sides, then per side."""
    benign = bench.about_all & ~bench.label & (bench.tokens > 0)
    borders = [*zip((1, *(n + 1 for n in LENGTHS)), (*LENGTHS, None), strict=True)]
    for side in ("*", *sorted({str(s) for s in bench.side[benign]})):
        of_side = benign if side == "*" else benign & (bench.side == side)
        for lang in sorted({str(g) for g in bench.lang[of_side]}):
            for shortest, longest in borders:
                fits = (bench.tokens >= shortest) & (bench.tokens <= (longest or np.iinfo(np.int64).max))
                inside = of_side & (bench.lang == lang) & fits
                texts = int(np.count_nonzero(inside))
                if texts:
                    yield LengthLine(side, lang, shortest, longest, texts, int(np.count_nonzero(bench.acted[inside])))
