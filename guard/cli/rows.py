"""Rows of a file, one at a time: JSON Lines, CSV, or Parquet with the extra ``bulk``.

Reading never stops at a bad row: what cannot be read comes out as a row with its error, because one broken
line among a million must not cost the others. Nothing is read ahead beyond a buffer, so memory stays flat.
"""

from __future__ import annotations

import csv
import importlib
import json
import math
import re
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any

from guard.errors import InvalidInput

#: Stands for standard input or output in place of a path.
STANDARD_STREAM = Path("-")

_BOM = b"\xef\xbb\xbf"
# Characters of a cell: above any text that is screened, and the end of what a missing quote can swallow.
_MAX_CELL = 4 * 1024 * 1024
_PARQUET_ROWS = 256
# Bytes that are no UTF-8, as they are read from a CSV file.
_UNDECODED = re.compile("[\udc80-\udcff]")
_NOT_UTF8 = "not UTF-8"
_SAVE_JSON = "save the file as UTF-8"
_SAVE_CSV = "save the file as UTF-8; in Excel: Save As, CSV UTF-8"


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row as it stands in its file.

    Attributes:
        number: The line of the file where it begins, or the row of a Parquet file; from 1.
        position: How far into the file its end is, in the unit of :attr:`RowFile.total`.
        values: Its columns by the file's names; empty if it could not be read.
        error: Why it could not be read.
    """

    number: int
    position: int
    values: Mapping[str, object] = field(default_factory=dict)
    error: InvalidInput | None = None


@dataclass(frozen=True, slots=True)
class RowFile:
    """An opened file of rows.

    Attributes:
        name: As messages name it.
        total: Bytes or rows in all; 0 if unknown.
        columns: The columns, where the format has a header.
        cells: True if every value is a string, as in CSV, so that lists and objects stand in them as JSON.
        rows: The rows, to be taken once.
    """

    name: str
    total: int
    columns: tuple[str, ...] | None
    cells: bool
    rows: Iterator[RawRow]


def open_rows(path: Path) -> RowFile:
    """Open a file of rows; its suffix says the format, and ``-`` is JSON Lines on standard input.

    Raises:
        InvalidInput: No such file, an unknown suffix, or a Parquet file without pyarrow installed.
    """
    if path == STANDARD_STREAM:
        return RowFile("<stdin>", 0, None, False, _json_rows(sys.stdin.buffer))
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(_READERS)
        raise InvalidInput.of("--input", f"unknown kind of file {path.name!r}", f"name it with one of {known}")
    if not path.is_file():
        raise InvalidInput.of("--input", f"no file {str(path)!r}", "give the path of a file")
    return reader(path)


def _open_json_lines(path: Path) -> RowFile:
    return RowFile(str(path), path.stat().st_size, None, False, _json_file_rows(path))


def _json_file_rows(path: Path) -> Iterator[RawRow]:
    with path.open("rb") as stream:
        yield from _json_rows(stream)


def _json_rows(stream: IO[bytes]) -> Iterator[RawRow]:
    position = 0
    for number, line in enumerate(stream, start=1):
        position += len(line)
        row = line.removeprefix(_BOM) if number == 1 else line
        if not row.isspace():
            yield _json_row(number, position, row)


def _json_row(number: int, position: int, line: bytes) -> RawRow:
    try:
        value = json.loads(line.decode(), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        reason = f"{_NOT_UTF8} at byte {error.start}"
        return RawRow(number, position, error=InvalidInput.of("row", reason, _SAVE_JSON))
    except json.JSONDecodeError as error:
        reason = f"not JSON: {error.msg} at column {error.colno}"
        return RawRow(number, position, error=InvalidInput.of("row", reason, "one JSON object a line"))
    except (ValueError, RecursionError) as error:
        reason = f"not JSON: {error if isinstance(error, _Constant) else 'beyond what can be read'}"
        return RawRow(number, position, error=InvalidInput.of("row", reason, "one JSON object a line"))
    if not isinstance(value, dict):
        return RawRow(number, position, error=InvalidInput.of("row", "not a JSON object", "one JSON object a line"))
    return RawRow(number, position, value)


class _Constant(ValueError):
    """NaN or an infinity, which Python's reader takes and JSON does not have."""


def _refuse_constant(name: str) -> object:
    raise _Constant(f"{name} is no JSON value")


def _open_csv(path: Path) -> RowFile:
    csv.field_size_limit(_MAX_CELL)
    with path.open("rb") as binary, _csv_stream(binary) as stream:
        try:
            header = next(csv.reader(stream, strict=True), [])
        except csv.Error:
            header = []
    if any(map(_UNDECODED.search, header)):
        raise InvalidInput.of("--input", f"{path}:1: {_NOT_UTF8}", _SAVE_CSV)
    if not header:
        raise InvalidInput.of("--input", f"{path}: no header", "name the columns in the first line")
    doubled = sorted({name for name in header if header.count(name) > 1})
    if doubled:
        raise InvalidInput.of("--input", f"{path}: two columns named {doubled[0]!r}", "give every column its own name")
    return RowFile(str(path), path.stat().st_size, tuple(header), True, _csv_rows(path, header))


def _csv_stream(binary: IO[bytes]) -> TextIOWrapper:
    # Bytes that are not UTF-8 become lone surrogates, so that the row fails alone.
    return TextIOWrapper(binary, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _csv_rows(path: Path, header: list[str]) -> Iterator[RawRow]:
    with path.open("rb") as binary, _csv_stream(binary) as stream:
        # Strict: a quote that is missing must not make one text out of many rows without a word.
        reader = csv.reader(stream, strict=True)
        next(reader)
        while True:
            number = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as problem:
                error = InvalidInput.of("row", f"not CSV: {problem}", "quote cells as RFC 4180 says")
                yield RawRow(number, binary.tell(), error=error)
                continue
            if cells:
                yield _csv_row(number, binary.tell(), header, cells)


def _csv_row(number: int, position: int, header: list[str], cells: list[str]) -> RawRow:
    broken = next((name for name, cell in zip(header, cells, strict=False) if _UNDECODED.search(cell)), None)
    if broken is not None:
        return RawRow(number, position, error=InvalidInput.of(broken, _NOT_UTF8, _SAVE_CSV))
    if len(cells) == len(header):
        return RawRow(number, position, dict(zip(header, cells, strict=True)))
    reason = f"{len(cells)} cells, the header has {len(header)}"
    error = InvalidInput.of("row", reason, "quote cells that hold a comma, a quote or a line end")
    return RawRow(number, position, error=error)


def _open_parquet(path: Path) -> RowFile:
    try:
        # Imported by name: an extra brings it, and only here is it needed.
        arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        cure = "pip install 'guard-sidecar[bulk]', or give JSON Lines or CSV"
        raise InvalidInput.of("--input", "Parquet needs the extra 'bulk', which is not installed", cure) from None
    try:
        file = parquet.ParquetFile(path)
    except arrow.ArrowInvalid:
        raise InvalidInput.of("--input", f"{path}: not a Parquet file", "write it again") from None
    columns = tuple(file.schema_arrow.names)
    return RowFile(
        str(path), file.metadata.num_rows, columns, False, _parquet_rows(file, (arrow.ArrowException, OSError))
    )


def _parquet_rows(file: Any, damages: tuple[type[Exception], ...]) -> Iterator[RawRow]:
    number = 0
    with file:
        batches = file.iter_batches(batch_size=_PARQUET_ROWS)
        while True:
            try:
                batch = next(batches, None)
            except damages:
                error = InvalidInput.of("row", "the file is damaged from here on", "write it again")
                yield RawRow(number + 1, number + 1, error=error)
                return
            if batch is None:
                return
            for values in _batch_rows(batch):
                number += 1
                if isinstance(values, InvalidInput):
                    yield RawRow(number, number, error=values)
                else:
                    yield RawRow(number, number, {name: _plain(value) for name, value in values.items()})


def _batch_rows(batch: Any) -> Sequence[Mapping[str, object] | InvalidInput]:
    try:
        rows: list[dict[str, object]] = batch.to_pylist()
    except UnicodeDecodeError:
        return [_batch_row(batch, index) for index in range(batch.num_rows)]
    return rows


def _batch_row(batch: Any, index: int) -> dict[str, object] | InvalidInput:
    """One row of a batch in which some string is not UTF-8; if it is this row's, its column is named."""
    values: dict[str, object] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            values[name] = column[index].as_py()
        except UnicodeDecodeError:
            return InvalidInput.of(name, "invalid UTF-8", "write its text as UTF-8")
    return values


def _plain(value: object) -> object:
    """A Parquet value as JSON has it: maps become objects, times and decimals text, NaN null.

    Bytes are the text that they spell in UTF-8; others become an object, which no text may be.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": b64encode(value).decode()}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        if value and all(isinstance(item, tuple) and len(item) == 2 for item in value):
            return {str(key): _plain(item) for key, item in value}
        return [_plain(item) for item in value]
    return str(value)


_READERS: dict[str, Callable[[Path], RowFile]] = {
    ".jsonl": _open_json_lines,
    ".ndjson": _open_json_lines,
    ".csv": _open_csv,
    ".parquet": _open_parquet,
}
