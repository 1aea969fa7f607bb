"""How far a score is a probability: bins of a reliability diagram over sources that nothing was fitted on.

Usage:
    python -m training.reliability --artifact runs/NAME/artifact --data DATA/train --output runs/NAME/reliability
    python -m training.reliability --records RECORDS.jsonl --output DIR

With ``--data`` a sample of the restricted rows is scored: neither the training nor the calibration has seen their
sources. ``--records`` takes what ``training.evaluate`` wrote; records of sources that were trained on flatter.
Only ``noncompliant`` of texts whose label speaks about everything is looked at.
Output: ``reliability.json``: ``model``, ``sources`` and ``groups`` (overall, per language, per side).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from guard import metrics, records
from guard.classifier.artifact import DEFAULT_MODEL_DIR
from guard.classifier.classifier import Classifier, Scored
from guard.errors import GuardError
from guard.types import CATEGORIES, NONCOMPLIANT
from training.bench.columns import Bench
from training.corpora import Row, directions_of, read_parquet_dir
from training.corpora.splits import sample
from training.queries import query_of

#: Bins of the plot; the error itself is over the bins of :func:`guard.metrics.ece`.
BINS = 10


def document(
    model: str, groups: Mapping[str, tuple[ArrayLike, ArrayLike]], sources: Sequence[str] = ()
) -> dict[str, Any]:
    """What ``reliability.json`` holds.

    Args:
        model: Identity of the model.
        groups: Name (``all``, ``en``, ``prompt`` ...) -> labels [n] and calibrated scores [n], 0..1; empty ones are
            left out.
        sources: The corpora.
    """
    found = []
    for name, (labels, scores) in groups.items():
        if len(np.asarray(labels)):
            bins = [asdict(part) for part in metrics.reliability(labels, scores, BINS)]
            error = metrics.ece(labels, scores)
            found.append({"name": name, "texts": len(np.asarray(labels)), "ece": error, "bins": bins})
    return {"model": model, "sources": sorted(sources), "groups": found}


def of_records(path: Path) -> dict[str, Any]:
    """The document of a records file.

    Raises:
        ValueError: The records are of several models, or none has a label that speaks about everything.
    """
    seen = list(records.read(path))
    models = sorted({record.model for record in seen})
    bench = Bench.of(seen)
    usable = bench.about_all
    if len(models) != 1 or not usable.any():
        raise ValueError(
            f"{path}: records of one model with labels about everything are needed (score into a new file)"
        )
    scores = bench.scores[usable, CATEGORIES.index(NONCOMPLIANT)]
    columns = (bench.lang[usable], bench.side[usable], bench.source[usable])
    return _grouped(models[0], bench.label[usable], scores, *columns)


def of_rows(classifier: Classifier, rows: Sequence[Row]) -> dict[str, Any]:
    """The document of labelled rows, scored as serving scores them; a text over the model's limit is left out.

    Raises:
        ValueError: There is no row.
    """
    results = classifier.score_batch([query_of(row, directions_of(row, training=False)[0]) for row in rows])
    kept = [(row, scored) for row, scored in zip(rows, results, strict=True) if isinstance(scored, Scored)]
    if not kept:
        raise ValueError("no row with a label about everything is restricted (give records of other unseen sources)")
    return _grouped(
        classifier.artifact.identity,
        np.array([row.label == NONCOMPLIANT for row, _ in kept]),
        np.array([scored.scores[NONCOMPLIANT] for _, scored in kept]),
        np.array([row.lang for row, _ in kept]),
        np.array([row.side for row, _ in kept]),
        np.array([row.source for row, _ in kept]),
    )


def _grouped(
    model: str,
    labels: NDArray[np.bool_],
    scores: NDArray[np.float64],
    lang: NDArray[np.str_],
    side: NDArray[np.str_],
    source: NDArray[np.str_],
) -> dict[str, Any]:
    """The document overall, per language and per side; all arrays are [n]."""
    groups: dict[str, tuple[ArrayLike, ArrayLike]] = {"all": (labels, scores)}
    for column in (lang, side):
        for value in sorted({str(v) for v in column}):
            groups[value] = (labels[column == value], scores[column == value])
    return document(model, groups, sorted({str(s) for s in source}))


def restricted_rows(path: Path, per_group: int, trained_on: Collection[str]) -> list[Row]:
    """A sample of the restricted rows whose label is decided and speaks about everything.

    A source of mixed licences is left out where its free rows were trained on.

    Args:
        path: Directory of labelled Parquet files.
        per_group: Rows of a source, side, language and label at most.
        trained_on: Names of the model's training sources.
    """
    rows = read_parquet_dir(path, licence=("restricted",))
    found = (row for row in rows if row.about_all and row.source not in trained_on)
    return sample(found, per_group, by_label=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run; returns the exit code: 0 fine, 2 bad usage or input."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--records", type=Path, help="records.jsonl of training.evaluate")
    what.add_argument("--data", type=Path, help="directory of labelled Parquet files: its restricted rows are scored")
    parser.add_argument("--artifact", type=Path, default=DEFAULT_MODEL_DIR, help="scores the rows")
    parser.add_argument("--per-group", type=int, default=100, help="rows of a source, side, language and label at most")
    parser.add_argument("--output", type=Path, required=True, help="directory for reliability.json")
    args = parser.parse_args(argv)
    try:
        if args.records:
            found = of_records(args.records)
        else:
            classifier = Classifier.load(args.artifact)
            trained_on = {source.name for source in classifier.artifact.sources}
            found = of_rows(classifier, restricted_rows(args.data, args.per_group, trained_on))
        args.output.mkdir(parents=True, exist_ok=True)
        text = json.dumps(found, ensure_ascii=False, indent=1)
        (args.output / "reliability.json").write_text(text + "\n", encoding="utf-8")
    except (GuardError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(args.output / "reliability.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
