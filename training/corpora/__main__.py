"""Corpora on the command line: fetch public ones, convert your own, keep them clear of benchmarks.

Usage:
    python -m training.corpora list
    python -m training.corpora fetch --output DIR [--cache DIR] [NAME ...]
    python -m training.corpora convert FILE --output FILE.parquet [--map text=body] [--set licence_class=permissive]
        [--label toxic=noncompliant] [--kind labelled|pairs|plain]
    python -m training.corpora hub OWNER/NAME --output FILE.parquet [--split train] [--revision COMMIT] [--map ...]
    python -m training.corpora dedupe DIR --against BENCH_DIR --output DIR
    python -m training.corpora relabel DIR [--labels FILE.tsv] --output DIR

Every command ends in Parquet files that the training stages read. Exit codes: 0 fine, 2 bad usage or input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from guard.errors import GuardError
from training.corpora.columns import Columns
from training.corpora.dedupe import THRESHOLD, clear_of
from training.corpora.fetch import BASE
from training.corpora.files import UNLABELLED, read_file, read_hub, read_unlabelled
from training.corpora.parquet import read_parquet_dir, write_parquet, write_records
from training.corpora.relabel import SECOND_READING, read_labels, relabel
from training.corpora.row import LICENCE_CLASSES, Row
from training.corpora.sources import CORPORA


def _list(_: argparse.Namespace) -> None:
    for corpus in CORPORA.values():
        pin = f"{corpus.repository.name}@{corpus.repository.commit[:10]}"
        print(f"{corpus.name:20} {corpus.purpose:6} {corpus.licence_class:11} {corpus.licence:45} {pin}")


def _fetch(args: argparse.Namespace) -> None:
    unknown = sorted(set(args.names) - set(CORPORA))
    if unknown:
        raise ValueError(f"unknown corpora {', '.join(unknown)}: one of {', '.join(CORPORA)}")
    for name in args.names or CORPORA:
        corpus = CORPORA[name]
        rows = corpus.rows(args.cache, base=args.base)
        path = args.output / corpus.purpose / f"{name}.parquet"
        print(f"{path}: {write_parquet(path, rows)} rows")


def _convert(args: argparse.Namespace) -> None:
    if args.kind != "labelled":
        records = [record for file in args.files for record in read_unlabelled(file, args.kind)]
        print(f"{args.output}: {write_records(args.output, records, UNLABELLED[args.kind])} {args.kind}")
        return
    columns = Columns.parse(args.map, args.set, args.label)
    rows: list[Row] = []
    for file in args.files:
        rows += read_file(file, columns)
    print(f"{args.output}: {write_parquet(args.output, rows)} rows")


def _hub(args: argparse.Namespace) -> None:
    columns = Columns.parse(args.map, args.set, args.label)
    rows = read_hub(args.name, columns, split=args.split, config=args.config, revision=args.revision)
    print(f"{args.output}: {write_parquet(args.output, rows)} rows")


def _dedupe(args: argparse.Namespace) -> None:
    benchmark = [row.text for row in read_parquet_dir(args.against, licence=LICENCE_CLASSES)]
    cleared = clear_of(read_parquet_dir(args.directory, licence=LICENCE_CLASSES), benchmark, args.threshold)
    _write_sources(args.output, cleared.kept)
    print(f"{args.output}: {len(cleared.kept)} rows, {len(cleared.dropped)} near-duplicates of benchmarks left out")


def _relabel(args: argparse.Namespace) -> None:
    labels = read_labels(args.labels)
    read = relabel(read_parquet_dir(args.directory, licence=LICENCE_CLASSES), labels)
    _write_sources(args.output, read.rows)
    absent = f"; {len(read.unknown)} of its ids are in no row" if read.unknown else ""
    print(f"{args.output}: {len(read.rows)} rows, {read.changed} with another label after the second reading{absent}")


def _write_sources(directory: Path, rows: Iterable[Row]) -> None:
    """One file a source."""
    by_source: dict[str, list[Row]] = {}
    for row in rows:
        by_source.setdefault(row.source, []).append(row)
    for source, members in by_source.items():
        write_parquet(directory / f"{source}.parquet", members)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training.corpora", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(required=True)
    commands.add_parser("list", help="public corpora with licence and pin").set_defaults(run=_list)

    fetch = commands.add_parser("fetch", help="rebuild public corpora from their repositories")
    fetch.add_argument("names", nargs="*", help="which; all if none is named")
    fetch.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "guard-corpora")
    fetch.add_argument("--base", default=BASE, help="where archives come from")
    fetch.set_defaults(run=_fetch)

    own = argparse.ArgumentParser(add_help=False)
    own.add_argument("--map", action="append", default=[], metavar="FIELD=COLUMN", help="column of a field")
    own.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="one value for every row")
    own.add_argument("--label", action="append", default=[], metavar="VALUE=LABEL", help="meaning of a label")
    convert = commands.add_parser("convert", parents=[own], help="JSONL, CSV or TSV files")
    convert.add_argument("files", nargs="+", type=Path)
    convert.add_argument("--kind", choices=("labelled", *UNLABELLED), default="labelled", help="what the files hold")
    convert.set_defaults(run=_convert)
    hub = commands.add_parser("hub", parents=[own], help="a data set of the Hugging Face hub")
    hub.add_argument("name", help="OWNER/NAME, or a directory in the hub's layout")
    hub.add_argument("--split", default="train")
    hub.add_argument("--config")
    hub.add_argument("--revision", help="commit; without one a run cannot be repeated")
    hub.set_defaults(run=_hub)

    dedupe = commands.add_parser("dedupe", help="leave out near-duplicates of benchmark texts")
    dedupe.add_argument("directory", type=Path)
    dedupe.add_argument("--against", type=Path, required=True, help="directory of benchmarks")
    dedupe.add_argument("--threshold", type=float, default=THRESHOLD, help="Jaccard overlap of character 5-grams")
    dedupe.set_defaults(run=_dedupe)
    second = commands.add_parser("relabel", help="give rows the labels of a second reading")
    second.add_argument("directory", type=Path)
    second.add_argument(
        "--labels", type=Path, default=SECOND_READING, help="id<TAB>label; without it the project's own"
    )
    second.set_defaults(run=_relabel)
    for command in (fetch, convert, hub, dedupe, second):
        command.add_argument("--output", type=Path, required=True)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    args = _arguments(argv)
    try:
        args.run(args)
    except (GuardError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
