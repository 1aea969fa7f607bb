"""The user's own corpora: JSONL, CSV and hub data sets, through one column map, checked as a whole."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from training.corpora.columns import Columns
from training.corpora.row import LICENCE_CLASSES, CorpusError, Row, RowCheck, RowProblem

#: Column -> value, as a file has it.
Record: TypeAlias = Mapping[str, object]

#: Suffixes of :func:`read_file`.
SUFFIXES: tuple[str, ...] = (".jsonl", ".csv", ".tsv")


def read_file(path: Path, columns: Columns | None = None) -> list[Row]:
    """Rows of one JSONL, CSV or TSV file.

    Args:
        path: UTF-8; a CSV has a header line. Blank lines are skipped.
        columns: How its columns map; None where they have the fields' names.

    Raises:
        CorpusError: All mistakes of the file: lines that are not JSON objects, missing or unknown values.
    """
    return _collect(_records(path), path.name, columns or Columns())


def _records(path: Path) -> Iterator[tuple[int, Record | RowProblem]]:
    """(line, record) of a file; what cannot be read at all is an error at once."""
    if path.suffix not in SUFFIXES:
        raise CorpusError.of(str(path), 0, "file", f"suffix {path.suffix!r}", f"one of {', '.join(SUFFIXES)}")
    try:
        yield from (_jsonl if path.suffix == ".jsonl" else _csv)(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        # A decoding error would quote the text.
        reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise CorpusError.of(str(path), 0, "file", reason, "save the file as UTF-8 text") from None


#: What is not labelled: columns of sentence pairs and of general paragraphs.
UNLABELLED: Mapping[str, tuple[str, ...]] = {
    "pairs": ("zh", "en", "source", "licence_class"),
    "plain": ("text", "lang", "source", "licence_class"),
}


def read_unlabelled(path: Path, kind: str) -> list[dict[str, str]]:
    """Sentence pairs or paragraphs of a JSONL, CSV or TSV file, with exactly the columns of their kind.

    Args:
        path: See :func:`read_file`; other columns are left out.
        kind: A name of :data:`UNLABELLED`.

    Raises:
        CorpusError: All mistakes of the file: a value that is missing or blank, or an unknown licence class.
    """
    names = UNLABELLED[kind]
    records: list[dict[str, str]] = []
    problems: list[RowProblem] = []
    for number, record in _records(path):
        if isinstance(record, RowProblem):
            problems.append(record)
            continue
        values = {name: str(record.get(name) or "") for name in names}
        for name, value in values.items():
            if not value.strip():
                problems.append(RowProblem(path.name, number, name, "empty", "fill it in, or drop the row"))
            elif name == "licence_class" and value not in LICENCE_CLASSES:
                cure = f"one of {', '.join(LICENCE_CLASSES)}"
                problems.append(RowProblem(path.name, number, name, f"unknown value {value!r}", cure))
        records.append(values)
    if problems:
        raise CorpusError(problems)
    return records


def read_hub(
    name: str,
    columns: Columns,
    *,
    split: str = "train",
    config: str | None = None,
    revision: str | None = None,
    cache: Path | None = None,
) -> list[Row]:
    """Rows of a data set on the Hugging Face hub, or of a local directory in its layout.

    Args:
        name: Hub id (``owner/name``) or directory.
        columns: How its columns map.
        split: Which split.
        config: Which configuration, where there are several.
        revision: Commit on the hub; name one, or a run cannot be repeated.
        cache: Where ``datasets`` keeps its files; its default if None.

    Raises:
        CorpusError: The data set or split is not there, or rows have mistakes.
    """
    # Imported here: it takes seconds, and the other readers do without it.
    import datasets

    try:
        data = datasets.load_dataset(
            name, config, split=split, revision=revision, cache_dir=None if cache is None else str(cache)
        )
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        cure = "check the id, the split and the network"
        raise CorpusError.of(name, 0, "dataset", str(error).splitlines()[0], cure) from None
    numbered = ((number, record) for number, record in enumerate(data, start=1))
    return _collect(numbered, name, columns)


def _collect(records: Iterator[tuple[int, Record | RowProblem]], file: str, columns: Columns) -> list[Row]:
    check = RowCheck()
    rows: list[Row] = []
    problems: list[RowProblem] = []
    for number, record in records:
        if isinstance(record, RowProblem):
            problems.append(record)
            continue
        try:
            row = columns.row(record, file=file, number=number)
        except CorpusError as error:
            problems += error.problems
            continue
        problems += check.problems(row, file, number)
        rows.append(row)
    if problems:
        raise CorpusError(problems)
    if not rows:
        raise CorpusError.of(file, 0, "file", "no rows", "is it the right file and split?")
    return rows


def _jsonl(path: Path) -> Iterator[tuple[int, Record | RowProblem]]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except json.JSONDecodeError as error:
                value = None
                reason = f"not JSON: {error.msg} at column {error.colno}"
            else:
                reason = "not a JSON object"
            if isinstance(value, dict):
                yield number, value
            else:
                yield number, RowProblem(path.name, number, "record", reason, "one JSON object a line")


def _csv(path: Path) -> Iterator[tuple[int, Record | RowProblem]]:
    # utf-8-sig: spreadsheets write a byte order mark, which would become part of the first column's name.
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines, delimiter="\t" if path.suffix == ".tsv" else ",")
        for record in reader:
            if None in record or None in record.values():
                reason = "more or fewer cells than the header"
                yield reader.line_num, RowProblem(path.name, reader.line_num, "record", reason, "quote the cells")
            else:
                yield reader.line_num, record
