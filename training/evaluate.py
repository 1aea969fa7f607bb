"""Score benchmarks through the shipped artifact and print one table beside other systems'.

Usage:
    python -m training.evaluate --data DIR --model guard/models/default --policy policies/default.yaml \
        --output runs/eval [--baseline FILE] [--compare NAME=TABLE ...] [--limit-per-source N] [--threads N]
    python -m training.evaluate --records runs/eval/records.jsonl --output runs/eval [--baseline FILE] [--compare ...]

The texts go through what serves them: normalisation, chunks, the int8 graph, calibration, the policy's rules.
Recognizers take no part, since a masked phone number says nothing about compliance. Records (scores, no texts)
are appended to ``records.jsonl``; a second run over the same output skips what is there. The table is a pure
function of that file and of ``trained_on.json``, the names of the model's training sources. With
--limit-per-source every source weighs the same, so the operating point (5 % false alarms over a side and
language) is not that of the whole benchmark.

``--compare`` puts the ``table.json`` of another run of this program, or of training.keyword_filter, in a column. Lines
over unseen sources leave out what the model was trained on; ``--trained-on ARTIFACT`` names another model for that,
so that two models are compared over the same sources.
Output: ``records.jsonl``, ``trained_on.json``, ``table.json``, ``table.md``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from guard import records
from guard.classifier.artifact import DEFAULT_MODEL_DIR, Artifact, read_artifact
from guard.classifier.classifier import Classifier, Scored
from guard.errors import GuardError, InvalidInput
from guard.policy.evaluate import evaluate, message_for
from guard.policy.load import load_policy, resolve_policy
from guard.policy.policy import Policy
from guard.records import Annotation, Record
from guard.types import Action, Content, Decision
from training.bench.comparison import System, contests, read_baseline, read_system
from training.bench.report import to_json, to_markdown
from training.bench.table import tabulate
from training.bench.targets import POOLS
from training.corpora.parquet import read_parquet_dir
from training.corpora.row import LICENCE_CLASSES, Row, directions_of
from training.corpora.splits import sample
from training.queries import query_of

#: Texts of one task of the pool; they are of like length, so the tasks of a moment take about as long.
_BLOCK = 256
_REPORT_SECONDS = 10.0
_TRAINED_ON = "trained_on.json"


@dataclass(frozen=True, slots=True)
class Scorer:
    """A classifier and a policy; turns rows into records. Thread-safe."""

    classifier: Classifier
    policy: Policy

    def score(self, rows: Sequence[Row]) -> list[Record]:
        """Records of rows, in order; a text over the model's limit has none.

        Args:
            rows: Labelled rows; a person's post is evaluated as a prompt.
        """
        results = self.classifier.score_batch([query_of(row, directions_of(row, training=False)[0]) for row in rows])
        return [
            self._record(row, scored)
            for row, scored in zip(rows, results, strict=True)
            if not isinstance(scored, InvalidInput)
        ]

    def _record(self, row: Row, scored: Scored) -> Record:
        content = Content(row.text, directions_of(row, training=False)[0], row.context)
        outcome = evaluate(self.policy, content.direction, scored.scores, ())
        allowed = outcome.action is Action.ALLOW
        decision = Decision(
            action=outcome.action,
            output_text=row.text if allowed else message_for(self.policy, outcome, row.lang),
            rules=outcome.rules,
            scores=scored.scores,
            detections=(),
            policy=self.policy.identity,
            model=self.classifier.artifact.identity,
            chunks=scored.chunks,
            tokens=scored.tokens,
            language=row.lang if row.lang in ("zh", "en") else "other",
            timings=scored.timings,
        )
        extra = {"source": row.source, "side": row.side, "lang": row.lang, "licence_class": row.licence_class}
        annotation = Annotation(row.label, row.categories, row.about, extra)
        # The texts stay where they are: some may not be copied, and the table does not need them.
        return Record.of(content, decision, id=row.id, time=datetime.now(UTC), keep_text=False, annotation=annotation)


def score_to_file(scorer: Scorer, rows: Iterable[Row], path: Path, *, threads: int = 1) -> int:
    """Append the records of all rows that the file does not have yet; returns how many were added.

    Args:
        scorer: Scores them.
        rows: Labelled rows.
        path: JSONL; a last line that a killed run left incomplete is dropped.
        threads: Blocks that are scored side by side, each on one core.

    Raises:
        InvalidInput: The file's records are of another model or policy.
    """
    done = _resume(path, scorer)
    todo = sorted((row for row in rows if row.id not in done), key=lambda row: len(row.text))
    blocks = [todo[start : start + _BLOCK] for start in range(0, len(todo), _BLOCK)]
    # Long blocks first: no thread is left alone with the longest texts at the end, and the time left is never
    # promised too short.
    blocks.reverse()
    began = reported = time.monotonic()
    added = 0
    with path.open("a", encoding="utf-8") as out, ThreadPoolExecutor(threads) as pool:
        for scored in pool.map(scorer.score, blocks):
            out.writelines(record.to_json() + "\n" for record in scored)
            out.flush()
            added += len(scored)
            if time.monotonic() - reported > _REPORT_SECONDS:
                reported = time.monotonic()
                rate = added / (reported - began)
                print(
                    f"{added}/{len(todo)} texts, {rate:.0f}/s, {(len(todo) - added) / rate:.0f} s left at this rate",
                    file=sys.stderr,
                    flush=True,
                )
    return added


def write_table(
    path: Path,
    output: Path,
    *,
    baseline: Path | None = None,
    compare: Sequence[System] = (),
    trained_on: Collection[str] | None = None,
    samples: int = 500,
) -> str:
    """Table of a records file as ``table.json`` and ``table.md`` in ``output``; returns the Markdown.

    Args:
        path: Records of one model and one policy.
        output: Directory, made if it is missing.
        baseline: Another system's printed table; what lines are won and lost against.
        compare: Other systems, each a column.
        trained_on: The model's training sources; None for no lines over unseen ones.
        samples: Bootstrap resamples of an interval; 0 for none.

    Raises:
        InvalidInput: A line is not a record, or the records are of several models or policies.
    """
    seen = list(records.read(path))
    about = {
        "model": _only(seen, path, "model"),
        "policy": _only(seen, path, "policy"),
        "texts": len(seen),
    }
    table = tabulate(seen, samples=samples, trained_on=trained_on, pools=POOLS)
    known = read_baseline(baseline) if baseline else {}
    systems = [*([System.of_baseline("n-gram", known)] if known else []), *compare]
    document = to_json(table, contests(table.lines, known), about, systems)
    return write_document(document, output)


def write_document(document: dict[str, Any], output: Path) -> str:
    """Write ``table.json`` and ``table.md``; returns the Markdown."""
    markdown = to_markdown(document)
    output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, ensure_ascii=False, indent=1)
    (output / "table.json").write_text(text + "\n", encoding="utf-8")
    (output / "table.md").write_text(markdown, encoding="utf-8")
    return markdown


def _only(seen: Sequence[Record], path: Path, field: str) -> str:
    values = sorted({str(getattr(record, field)) for record in seen})
    if len(values) != 1:
        raise InvalidInput.of(
            f"{path}: {field}", f"{len(values)} of them: {', '.join(values)}", "score into a new file"
        )
    return values[0]


def _resume(path: Path, scorer: Scorer) -> set[str]:
    """Ids that the file has; its incomplete last line is cut off."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        return set()
    data = path.read_bytes()
    complete = data.rfind(b"\n") + 1
    if complete < len(data):
        with path.open("r+b") as file:
            file.truncate(complete)
    done: set[str] = set()
    expected = (scorer.classifier.artifact.identity, scorer.policy.identity)
    for record in records.read(path):
        if (record.model, record.policy) != expected:
            raise InvalidInput.of(
                f"{path}: model, policy",
                f"{record.model}, {record.policy} differ from {', '.join(expected)}",
                "give another --output",
            )
        done.add(record.id)
    return done


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", type=Path, help="directory of labelled Parquet files")
    what.add_argument("--records", type=Path, help="a records file: make the table of it, score nothing")
    parser.add_argument("--output", type=Path, required=True, help="directory for records.jsonl and the table")
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL_DIR, help="artifact directory")
    parser.add_argument("--policy", default="default", help="name of a shipped policy, or a file")
    parser.add_argument(
        "--baseline", type=Path, help="another system's printed table: lines are won and lost against it"
    )
    parser.add_argument(
        "--compare", action="append", default=[], metavar="NAME=TABLE", help="another run's table.json as a column"
    )
    parser.add_argument("--trained-on", type=Path, help="artifact whose sources count as seen (default: the model's)")
    parser.add_argument("--sources", nargs="*", help="only these sources")
    parser.add_argument("--limit-per-source", type=int, help="at most so many texts a source, side and language")
    parser.add_argument("--threads", type=int, default=1, help="cores to score on")
    parser.add_argument("--bootstrap", type=int, default=500, help="resamples of an interval; 0 for none")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run; returns the exit code: 0 fine, 2 bad usage or input."""
    args = _arguments(argv)
    try:
        path = args.records or args.output / "records.jsonl"
        if args.data:
            rows = sample(_rows(args.data, args.sources), args.limit_per_source)
            scorer = Scorer(Classifier.load(args.model), load_policy(resolve_policy(args.policy)))
            score_to_file(scorer, rows, path, threads=args.threads)
            _write_trained_on(path, scorer.classifier.artifact)
        print(
            write_table(
                path,
                args.output,
                baseline=args.baseline,
                compare=[read_system(named) for named in args.compare],
                trained_on=_trained_on(path, args.trained_on, args.model),
                samples=args.bootstrap,
            )
        )
    except (GuardError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _write_trained_on(path: Path, artifact: Artifact) -> None:
    """Note beside the records what their model was trained on: the records alone must give the table again."""
    names = sorted(source.name for source in artifact.sources)
    text = json.dumps({"model": artifact.identity, "sources": names}, ensure_ascii=False, indent=1)
    path.with_name(_TRAINED_ON).write_text(text + "\n", encoding="utf-8")


def _trained_on(path: Path, named: Path | None, model: Path) -> set[str] | None:
    """Training sources of the named artifact, else those noted beside the records, else of the records' model.

    None if none of these is known.
    """
    if named is not None:
        return {source.name for source in read_artifact(named).sources}
    first = next(records.read(path), None)
    identity = first.model if first is not None else ""
    note = path.with_name(_TRAINED_ON)
    if note.exists():
        known = json.loads(note.read_text(encoding="utf-8"))
        if known["model"] == identity:
            return set(known["sources"])
    artifact = read_artifact(model)
    if artifact.identity == identity:
        return {source.name for source in artifact.sources}
    print(f"{model} is not the records' model: no lines over unseen sources (give --trained-on)", file=sys.stderr)
    return None


def _rows(data: Path, sources: Sequence[str] | None) -> Iterator[Row]:
    """Benchmarks are only measured on, so their licences do not restrict the choice."""
    yield from read_parquet_dir(data, sources=sources, licence=LICENCE_CLASSES)


if __name__ == "__main__":
    sys.exit(main())
