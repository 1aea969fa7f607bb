"""From a row of a file to what is screened: content, and what the row says about it in truth."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from guard.cli.rows import RawRow, RowFile
from guard.content import make_content
from guard.errors import InvalidInput, Violation
from guard.records import LABELS, Annotation
from guard.types import BUILT_IN_CATEGORIES, DIRECTION_ALIASES, Content, is_category

#: The columns that mean something; all but ``text`` may be missing, and every other one is kept as it is.
FIELDS = ("text", "direction", "context", "id", "label", "categories", "about", "tags")

_AMBIGUOUS = "ambiguous"
_OTHER = "other"
_ALL = "all"
_KNOWN = frozenset(BUILT_IN_CATEGORIES) | {_OTHER}
#: Characters of a row's names that an error repeats.
_SHOWN = 60
_TURNS = re.compile(r"\s*\[\s*(?:\{|\]\s*$)")
_BETWEEN_NAMES = re.compile(r"[\s,;|]+")


@dataclass(frozen=True, slots=True)
class InputRow:
    """A row that can be screened: its id (its number where it has none), its content and its truth."""

    id: str
    content: Content
    annotation: Annotation


def parse_map(pairs: Sequence[str], columns: tuple[str, ...] | None) -> dict[str, str]:
    """The column map of ``--map COLUMN=FIELD`` options.

    Args:
        pairs: The options' values.
        columns: The file's columns where it has a header.

    Returns:
        The file's name of each mapped field.

    Raises:
        InvalidInput: Every option that is not such a pair, or names an unknown field or column; or none of the
            columns holds the text.
    """
    found: list[Violation] = []
    columns_by_field: dict[str, str] = {}
    for pair in pairs:
        column, equals, field = pair.rpartition("=")
        if not equals or not column:
            found.append(Violation("--map", f"{pair!r} is not COLUMN=FIELD", "such as --map side=direction"))
        elif field not in FIELDS:
            found.append(Violation("--map", f"unknown field {field!r}", f"one of {', '.join(FIELDS)}"))
        elif field in columns_by_field:
            found.append(Violation("--map", f"two columns for {field}", "map one column to a field"))
        elif columns is not None and column not in columns:
            found.append(Violation("--map", f"the file has no column {column!r}", f"one of {', '.join(columns)}"))
        else:
            columns_by_field[field] = column
    if not found and columns is not None and "text" not in {*columns, *columns_by_field}:
        # Said once, and not of every row.
        cure = f"name the one that holds the text with --map COLUMN=text; there are {', '.join(columns)}"
        found.append(Violation("--input", "no column 'text'", cure))
    if found:
        raise InvalidInput(found)
    return columns_by_field


class RowParser:
    """Parses the rows of one file. Not thread-safe; remembers which columns it has seen."""

    def __init__(self, file: RowFile, columns_by_field: Mapping[str, str], *, direction: str, policy: str) -> None:
        """Take the file and what holds for all of its rows.

        Args:
            file: Where the rows come from.
            columns_by_field: The file's name of each mapped field. A row that lacks that column may still have
                the field under its own name.
            direction: The direction of rows that have none.
            policy: Name of the policy that decides; empty for the default.
        """
        self._columns = {field: columns_by_field.get(field, field) for field in FIELDS}
        self._cells = file.cells
        self._direction = direction
        self._policy = policy
        self._unseen = set(columns_by_field.values())
        self._seen: set[str] = set()

    def check_columns(self) -> None:
        """Refuse mapped columns that no row has had so far: they are most likely mistyped.

        Raises:
            InvalidInput: Every such column is named; none as long as no row could be read.
        """
        if self._unseen and self._seen:
            cure = f"they have {', '.join(sorted(self._seen))}"
            raise InvalidInput(
                Violation("--map", f"none of the first rows has the column {column!r}", cure)
                for column in sorted(self._unseen)
            )

    def parse(self, row: RawRow) -> InputRow:
        """The input of one row.

        Raises:
            InvalidInput: Every broken field is named; the row's error if it could not be read.
        """
        if row.error is not None:
            raise row.error
        if self._unseen:
            self._unseen.difference_update(row.values)
            self._seen.update(row.values)
        found: list[Violation] = []
        columns = {field: self._column(row, field) for field in FIELDS}
        used = frozenset(columns.values())
        extra = {name: value for name, value in row.values.items() if name not in used}
        given = {field: self._value(row, columns[field], field) for field in FIELDS}
        row_id = _id(found, given["id"], row.number)
        direction = given["direction"] if given["direction"] is not None else self._direction
        if isinstance(direction, str) and direction in DIRECTION_ALIASES:
            extra[columns["direction"]] = direction
        if given["label"] == _AMBIGUOUS:
            extra[columns["label"]] = _AMBIGUOUS
            given["label"] = None
        annotation = Annotation(
            _label(found, given["label"]),
            self._names(found, "categories", given["categories"], _KNOWN),
            self._names(found, "about", given["about"], _KNOWN | {_ALL}),
            extra,
        )
        content = self._content(found, given, direction)
        _check_writable(found, row_id, extra)
        if found or content is None:
            raise InvalidInput(found)
        return InputRow(row_id, content, annotation)

    def _column(self, row: RawRow, field: str) -> str:
        """Where a row has a field: in the mapped column, or else under the field's own name."""
        column = self._columns[field]
        return field if row.values.get(column) in (None, "") and field in row.values else column

    def _value(self, row: RawRow, column: str, field: str) -> object:
        """A field's value; None where it is missing, null, or an empty cell (a text stays as it is)."""
        value = row.values.get(column)
        return None if self._cells and value == "" and field != "text" else value

    def _content(self, found: list[Violation], given: Mapping[str, object], direction: object) -> Content | None:
        if given["text"] is None:
            found.append(
                Violation("text", "missing", "give every row a text, or name its column with --map COLUMN=text")
            )
            return None
        context, tags = given["context"], given["tags"]
        if self._cells:
            context, tags = _context_cell(found, context), _json_cell(found, "tags", tags)
        try:
            # It checks what it is given; a row's values may be anything.
            return make_content(given["text"], direction, context, self._policy, tags)  # type: ignore[arg-type]
        except InvalidInput as error:
            found.extend(error.violations)
            return None

    def _names(
        self, found: list[Violation], field: str, value: object, known: frozenset[str]
    ) -> tuple[str, ...] | None:
        """A list of category names; in a cell as JSON, or separated by commas, semicolons, bars or spaces."""
        if self._cells and isinstance(value, str):
            text = value.strip()
            value = _json_cell(found, field, text) if text.startswith("[") else _BETWEEN_NAMES.split(text)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            found.append(Violation(field, "not a list of strings", "give a list of category names"))
            return None
        unknown = [name for name in value if name not in known and not is_category(name)]
        if unknown:
            found.append(
                Violation(field, f"unknown category {unknown[0][:_SHOWN]!r}", f"of {', '.join(sorted(known))}")
            )
        return tuple(value)


def parse_context(text: str) -> str | list[object]:
    """A context given as a string: a JSON list of turns, or else one user turn.

    Raises:
        InvalidInput: It begins as a list of turns, ``[{``, and is no JSON: taken for one turn it would lose its roles.
    """
    if not _TURNS.match(text):
        return text
    try:
        value: list[object] = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f": {error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        cure = "one user turn as text, or a JSON list of {role, text}"
        raise InvalidInput.of("context", f"not JSON{where}", cure) from None
    return value


def _context_cell(found: list[Violation], value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return parse_context(value)
    except InvalidInput as error:
        found.extend(error.violations)
        return None


def _json_cell(found: list[Violation], field: str, value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        found.append(Violation(field, "not JSON", "write it as JSON in its cell"))
        return None


def _id(found: list[Violation], value: object, number: int) -> str:
    if value is None:
        return str(number)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and value:
        return value
    found.append(Violation("id", "neither a non-empty string nor a whole number", "give one, or leave it out"))
    return str(number)


def _label(found: list[Violation], value: object) -> str | None:
    if value is None or (isinstance(value, str) and value in LABELS):
        return value
    found.append(Violation("label", "unknown value", f"one of {', '.join((*LABELS, _AMBIGUOUS))}"))
    return None


def _check_writable(found: list[Violation], row_id: str, extra: Mapping[str, object]) -> None:
    """Note what passes through to the record and no line of JSON in UTF-8 can carry."""
    for field, value in (("id", row_id), *extra.items()):
        name = field.encode(errors="backslashreplace").decode()
        try:
            json.dumps([[[field, value]]], ensure_ascii=False).encode()
        except UnicodeEncodeError:
            found.append(Violation(name, "invalid UTF-8: a lone surrogate", "write well-formed Unicode text"))
        except RecursionError:
            found.append(Violation(name, "nested too deeply", "flatten it, or leave it out"))
