"""Stage 6: calibrate an exported artifact on rows that were held out of its training.

    python -m training.calibrate --artifact runs/NAME/artifact --model runs/NAME/train --data ../shared/data/train

Fits, per direction and category, ``sigmoid(a * logit + b + c * log2(chunks))`` (Platt 1999, with the chunk
count as covariate) to the int8 graph's own raw scores of whole texts, as serving sees them. The covariate takes
back what the highest of many chunks overstates and nothing else: it is fitted with texts of every length weighed as
if non-compliant ones were as frequent among them as among all, because how long the harmful texts of a corpus are is
no property of a text; one that would raise the scores of long texts is left out. A category with too few held-out
positives in a direction takes the fit over both directions, else keeps the identity.
The overall column is fitted on labels that speak about everything: of a narrow one only the non-compliant rows say
something about it, and a fit to them learns a share of non-compliant texts that no source has.
Sources that were held out as a whole count as much as all held-out rows of the others together: what users write is
as unlike the training corpora as one corpus is unlike another. ``training.reliability`` measures the error on sources
that neither the training nor the fit has seen.
Rewrites ``artifact.json``, and so the revision. The probabilities refer to the training mixture's share of
non-compliant texts, which is far higher than that of real traffic.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from guard.classifier.artifact import FILES, Platt, read_artifact, write_artifact
from guard.classifier.classifier import Classifier
from guard.metrics import auroc, ece
from guard.types import CATEGORIES, NONCOMPLIANT, Direction
from training.corpora import Row, directions_of, read_parquet_dir, targets_of
from training.corpora.splits import sample
from training.mixture import HELD_OUT_SOURCES
from training.queries import query_of

_MIN_POSITIVES = 20
_MIN_LONG = 50
_EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class Sample:
    """Raw scores of held-out texts of one direction.

    Attributes:
        logits: Logit of the pooled raw score [texts, categories].
        chunks: log2 of the number of chunks [texts].
        values: Targets [texts, categories].
        mask: Where the row speaks [texts, categories]; of the overall column, only where it speaks about all.
        weights: What each text counts in a fit [texts].
    """

    logits: NDArray[np.float64]
    chunks: NDArray[np.float64]
    values: NDArray[np.float64]
    mask: NDArray[np.bool_]
    weights: NDArray[np.float64]


def main(argv: list[str] | None = None) -> None:
    """Command line of this stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artifact", type=Path, required=True, help="directory written by training.export")
    parser.add_argument("--model", type=Path, required=True, help="directory written by training.train")
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument(
        "--per-source", type=int, default=400, help="held-out rows at most of a source, side and language"
    )
    args = parser.parse_args(argv)
    heldout = set(json.loads((args.model / "mixture.json").read_text(encoding="utf-8"))["heldout"])
    rows = [row for path in args.data for row in read_parquet_dir(path) if row.id in heldout]
    samples = {d: score(args.artifact, rows, d, args.per_source) for d in Direction}
    table = {d: fit_direction(samples, d) for d in Direction}
    for direction, fits in table.items():
        if fits[NONCOMPLIANT] == Platt():
            print(
                f"{direction.value}: {NONCOMPLIANT} keeps the raw scores: fewer than {_MIN_POSITIVES} held-out rows of "
                "a label, or no order in them (add corpora)"
            )
    old = read_artifact(args.artifact)
    artifact = write_artifact(
        args.artifact,
        name=old.name,
        unsupported=old.unsupported,
        calibration=table,
        limits=old.limits,
        outputs=old.outputs,
        sources=old.sources,
        metrics={**old.metrics, **figures(samples, table)},
        created=old.created,
        activation_scales=old.activation_scales,
    )
    print(f"{args.artifact / FILES.description}: {artifact.identity}, {dict(artifact.metrics)}")


def score(artifact: Path, rows: Sequence[Row], direction: Direction, per_source: int) -> Sample:
    """Score held-out rows that stand for a direction, uncalibrated."""
    chosen = sample((row for row in rows if direction in directions_of(row, training=True)), per_source)
    classifier = Classifier.load(artifact)
    raw = [classifier.raw_scores(query_of(row, direction)) for row in chosen]
    pooled = np.clip(
        np.array([scores.max(axis=0) for scores in raw]).reshape(-1, len(CATEGORIES)), _EPSILON, 1 - _EPSILON
    )
    targets = [targets_of(row) for row in chosen]
    mask = np.array([t.mask for t in targets], dtype=bool).reshape(-1, len(CATEGORIES))
    mask[:, CATEGORIES.index(NONCOMPLIANT)] &= np.array([row.about_all for row in chosen], dtype=bool)
    whole = np.array([row.source in HELD_OUT_SOURCES for row in chosen], dtype=bool)
    weights = np.where(whole, len(whole) / max(1, 2 * whole.sum()), len(whole) / max(1, 2 * (~whole).sum()))
    return Sample(
        logits=np.log(pooled / (1 - pooled)),
        chunks=np.log2([max(1, len(scores)) for scores in raw]),
        values=np.array([t.values for t in targets]).reshape(-1, len(CATEGORIES)),
        mask=mask,
        weights=weights,
    )


def fit_direction(samples: Mapping[Direction, Sample], direction: Direction) -> dict[str, Platt]:
    """Calibration of every category for one direction."""
    out: dict[str, Platt] = {}
    for column, category in enumerate(CATEGORIES):
        own = fit_column([samples[direction]], column)
        out[category] = own or fit_column(list(samples.values()), column) or Platt()
    return out


def fit_column(samples: Sequence[Sample], column: int) -> Platt | None:
    """Platt's fit of one column; None if it has too few rows of a class or would reverse the order."""
    rows = [s.mask[:, column] for s in samples]
    values = np.concatenate([s.values[r, column] for s, r in zip(samples, rows, strict=True)])
    logits = np.concatenate([s.logits[r, column] for s, r in zip(samples, rows, strict=True)])
    chunks = np.concatenate([s.chunks[r] for s, r in zip(samples, rows, strict=True)])
    weights = np.concatenate([s.weights[r] for s, r in zip(samples, rows, strict=True)])
    positives = int(values.sum())
    if positives < _MIN_POSITIVES or len(values) - positives < _MIN_POSITIVES:
        return None
    c = 0.0
    if int((chunks > 0).sum()) >= _MIN_LONG:
        even = weights * even_by_length(values, chunks, weights)
        both = LogisticRegression(C=10.0).fit(np.column_stack([logits, chunks]), values, sample_weight=even)
        if both.coef_[0][0] <= 0:
            return None
        c = min(0.0, float(both.coef_[0][1] / both.coef_[0][0]))
    # The slope and the intercept are fitted to what the held-out texts are, with the covariate as it is now.
    model = LogisticRegression(C=10.0).fit((logits + c * chunks)[:, None], values, sample_weight=weights)
    a = round(float(model.coef_[0][0]), 4)
    if a <= 0:
        return None
    return Platt(a, round(float(model.intercept_[0]), 4), round(a * c, 4))


def even_by_length(
    values: NDArray[np.float64], chunks: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Factors that make positives as frequent among texts of one, of two and of more chunks as among all.

    Args:
        values: 0 or 1 [texts].
        chunks: log2 of the number of chunks [texts].
        weights: What each text counts [texts].

    Returns:
        A factor per text; 0 for the texts of a length that has only one of the two.
    """
    share = np.average(values, weights=weights)
    out = np.zeros(len(values))
    length = np.minimum(np.ceil(chunks), 2)
    for group in np.unique(length):
        own = length == group
        here = np.average(values[own], weights=weights[own])
        if 0 < here < 1:
            out[own] = np.where(values[own] > 0, share / here, (1 - share) / (1 - here))
    return out


def figures(samples: Mapping[Direction, Sample], table: Mapping[Direction, Mapping[str, Platt]]) -> dict[str, float]:
    """AUROC and expected calibration error of the overall column per direction, on the fitted rows."""
    column = CATEGORIES.index(NONCOMPLIANT)
    out: dict[str, float] = {}
    for direction, s in samples.items():
        rows = s.mask[:, column]
        if not rows.any() or len(set(s.values[rows, column])) < 2:
            continue
        p = table[direction][NONCOMPLIANT]
        probability = 1 / (1 + np.exp(-(p.a * s.logits[rows, column] + p.b + p.c * s.chunks[rows])))
        labels = s.values[rows, column] > 0.5
        out[f"heldout_{direction.value}_auroc"] = round(float(auroc(labels, probability)), 4)
        out[f"heldout_{direction.value}_ece"] = round(float(ece(labels, probability)), 4)
        out[f"heldout_{direction.value}_rows"] = float(rows.sum())
    return out


if __name__ == "__main__":
    main()
