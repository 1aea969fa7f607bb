"""Read and write directories of Parquet files: the form in which corpora lie on disk.

One row group after the other becomes rows; a file that cannot be trusted is refused whole, with all its
mistakes named, because a corpus that is silently shorter trains a silently different model.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from guard.types import Role
from training.corpora.row import ALL, LICENCE_CLASSES, CorpusError, Row, RowCheck, RowProblem, parse_context

_STRINGS = (
    *("id", "source", "lang", "side", "text", "context"),
    *("label", "label_basis", "original_label", "licence_class"),
)
_LISTS = ("categories", "about")
#: Columns a file must have; the others may be missing.
REQUIRED: tuple[str, ...] = ("id", "source", "lang", "side", "text", "label", "licence_class")

_SCHEMA = pa.schema(
    [pa.field(name, pa.string()) for name in _STRINGS if name != "original_label"]
    + [pa.field(name, pa.list_(pa.string())) for name in _LISTS]
)


def read_parquet_dir(
    path: Path,
    *,
    sources: Collection[str] | None = None,
    licence: Collection[str] = ("permissive", "sharealike"),
) -> list[Row]:
    """Rows of all ``*.parquet`` files of a directory (or of one file), in order of file name and row.

    Args:
        path: Directory, or a single file.
        sources: Only these; None for all.
        licence: Only rows of these licence classes; weights that are given away must not see ``restricted``.

    Raises:
        CorpusError: No file, a missing, unknown or mistyped column, or rows with unknown labels, empty
            texts or duplicate ids; every problem names its file and row.
    """
    unknown = sorted(set(licence) - set(LICENCE_CLASSES))
    if unknown:
        reason, cure = f"unknown class {', '.join(unknown)}", f"one of {', '.join(LICENCE_CLASSES)}"
        raise CorpusError.of(str(path), 0, "licence", reason, cure)
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise CorpusError.of(str(path), 0, "file", "no *.parquet file", "name a directory of corpora")
    check = RowCheck()
    problems: list[RowProblem] = []
    rows: list[Row] = []
    for file in files:
        for number, row in _read_file(file):
            if row.licence_class in licence and (sources is None or row.source in sources):
                problems += check.problems(row, file.name, number)
                rows.append(row)
            elif row.licence_class not in LICENCE_CLASSES:
                problems += check.problems(row, file.name, number)
    if problems:
        raise CorpusError(problems)
    absent = sorted(set(sources or ()) - {row.source for row in rows})
    if absent:
        reason = f"no row of {', '.join(absent)} with licence {'/'.join(licence)}"
        raise CorpusError.of(str(path), 0, "source", reason, "check the names")
    return rows


def write_parquet(path: Path, rows: Iterable[Row]) -> int:
    """Write one file that :func:`read_parquet_dir` reads back equal; returns the number of rows."""
    columns: dict[str, list[Any]] = {name: [] for name in _SCHEMA.names}
    for row in rows:
        for name in _SCHEMA.names:
            columns[name].append(_cell(row, name))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns, schema=_SCHEMA), path)
    return len(columns["id"])


def write_records(path: Path, records: Iterable[Mapping[str, str]], names: Sequence[str]) -> int:
    """Write sentence pairs or paragraphs, one string column a name; returns the number of rows."""
    listed = list(records)
    columns = {name: [record[name] for record in listed] for name in names}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns, schema=pa.schema([pa.field(name, pa.string()) for name in names])), path)
    return len(listed)


def _cell(row: Row, name: str) -> Any:
    """A row's value for a column; a context of several turns is written as a transcript."""
    if name in _LISTS:
        return list(getattr(row, name))
    if name != "context":
        return getattr(row, name)
    if not row.context:
        return None
    if len(row.context) == 1 and row.context[0].role is Role.USER:
        return row.context[0].text
    names = {Role.USER: "Human", Role.ASSISTANT: "Assistant"}
    return "\n\n".join(f"{names.get(turn.role, 'Human')}: {turn.text}" for turn in row.context)


def _read_file(file: Path) -> Iterator[tuple[int, Row]]:
    """(row number from 1, row) of one file, unchecked but of the right types."""
    try:
        handle = pq.ParquetFile(file)
    except (OSError, pa.ArrowInvalid) as error:
        cure = "write it again; python -m training.corpora convert makes it of JSONL, CSV or TSV"
        raise CorpusError.of(file.name, 0, "file", f"not readable as Parquet: {error}", cure) from None
    _check_columns(file.name, handle.schema_arrow)
    number = 0
    with handle:
        for batch in handle.iter_batches(batch_size=8192):
            for record in batch.to_pylist():
                number += 1
                yield number, _row(record)


def _check_columns(file: str, schema: pa.Schema) -> None:
    """Refuse unknown columns too: a misspelt ``about`` would silently turn into "all"."""
    names: Sequence[str] = schema.names
    problems = [
        RowProblem(file, 0, name, "column missing", f"a corpus needs {', '.join(REQUIRED)}")
        for name in REQUIRED
        if name not in names
    ]
    for name in names:
        kind = schema.field(name).type
        if name in _STRINGS:
            right = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)
        elif name in _LISTS:
            right = pa.types.is_list(kind) or pa.types.is_large_list(kind)
        else:
            known = ", ".join((*_STRINGS, *_LISTS))
            problems.append(RowProblem(file, 0, name, "unknown column", f"known are {known}"))
            continue
        if not right:
            expected = "strings" if name in _STRINGS else "lists of strings"
            problems.append(RowProblem(file, 0, name, f"column of {kind}, expected {expected}", "convert it"))
    if problems:
        raise CorpusError(problems)


def _row(record: dict[str, Any]) -> Row:
    return Row(
        id=record["id"] or "",
        source=record["source"] or "",
        lang=record["lang"] or "",
        side=record["side"] or "",
        text=record["text"] or "",
        context=parse_context(record.get("context")),
        label=record["label"] or "",
        categories=tuple(record.get("categories") or ()),
        about=tuple(record["about"] or ()) if "about" in record else (ALL,),
        licence_class=record["licence_class"] or "",
        label_basis=record.get("label_basis") or "",
    )
