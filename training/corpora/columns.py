"""The user's own columns -> rows: which column is which field, fixed values, and what their labels mean.

Written as on the command line: ``--map text=body``, ``--set licence_class=permissive``,
``--label toxic=noncompliant``. Nothing is guessed that changes what a model learns: a label that has no
meaning here and a licence that nobody stated are errors.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from guard.language import language_of
from guard.types import NONCOMPLIANT, Role, Turn
from training.corpora.row import ALL, LABELS, OTHER, CorpusError, Row, parse_context

#: Fields that can be mapped or set.
FIELDS: tuple[str, ...] = (
    *("id", "source", "lang", "side", "text", "context", "label"),
    *("categories", "about", "licence_class", "label_basis"),
)
#: Other names of a side: the product speaks of directions.
_SIDES = {"output": "response", "user": "prompt", "assistant": "response"}


@dataclass(frozen=True, slots=True)
class Columns:
    """How records of a file become rows.

    Attributes:
        columns: Field -> column, where the names differ.
        constants: Field -> value for every row; a column of that field is not read.
        labels: Value of the label column -> compliant, noncompliant or ambiguous.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, maps: Iterable[str] = (), constants: Iterable[str] = (), labels: Iterable[str] = ()) -> Columns:
        """From ``field=column``, ``field=value`` and ``value=label`` arguments.

        Raises:
            CorpusError: An argument is malformed, or names an unknown field or label.
        """
        columns, values, meanings = _pairs("--map", maps), _pairs("--set", constants), _pairs("--label", labels)
        for option, names, legal in (
            ("--map", columns, FIELDS),
            ("--set", values, FIELDS),
            ("--label", meanings.values(), LABELS),
        ):
            for name in names:
                if name not in legal:
                    raise CorpusError.of(option, 0, name, "unknown", f"one of {', '.join(legal)}")
        return cls(columns, values, meanings)

    def row(self, record: Mapping[str, object], *, file: str, number: int) -> Row:
        """One record as a row; values are of the right type, but not yet checked against the vocabulary.

        Args:
            record: Column -> value: strings, numbers, lists or None.
            file: Named in errors; its stem is the source where nothing else is said.
            number: The record's line, from 1; stands for a missing id.

        Raises:
            CorpusError: A needed field is missing, or a value cannot be read.
        """

        def raw(name: str) -> object:
            if name in self.constants:
                return self.constants[name]
            return record.get(self.columns.get(name, name))

        def text(name: str, default: str | None) -> str:
            value = raw(name)
            if value is None or value == "":
                if default is None:
                    column = self.columns.get(name, name)
                    cure = f"--map {name}=COLUMN or --set {name}=VALUE"
                    raise CorpusError.of(file, number, name, f"no value in column {column!r}", cure)
                return default
            return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

        body = text("text", None)
        label = text("label", None)
        label = self.labels.get(label, label)
        categories = _names(raw("categories"))
        if label == NONCOMPLIANT and not categories:
            categories = (OTHER,)
        side = text("side", "prompt")
        stem = file.rsplit("/", 1)[-1].split(".")[0]
        source = text("source", stem)
        return Row(
            id=text("id", f"{source}-{number}"),
            source=source,
            lang=text("lang", language_of(body)),
            side=_SIDES.get(side, side),
            text=body,
            context=_context(raw("context"), file, number),
            label=label,
            categories=categories,
            about=_names(raw("about")) or (ALL,),
            licence_class=text("licence_class", None),
            label_basis=text("label_basis", ""),
        )


def _pairs(option: str, arguments: Iterable[str]) -> dict[str, str]:
    out: dict[str, str] = {}
    for argument in arguments:
        name, sign, value = argument.partition("=")
        if not sign or not name or not value:
            raise CorpusError.of(option, 0, argument, "not of the form NAME=VALUE", f"e.g. {option} text=body")
        out[name] = value
    return out


def _names(value: object) -> tuple[str, ...]:
    """Category names from a list, or from a string such as ``hate, violence``."""
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(part.strip() for part in value.replace(";", ",").split(",") if part.strip())
    if isinstance(value, Sequence):
        return tuple(str(part) for part in value)
    return (str(value),)


def _context(value: object, file: str, number: int) -> tuple[Turn, ...]:
    """A string (one user turn, or a transcript), or a list of {role, text} (``content`` is read as text)."""
    if value is None or isinstance(value, str):
        return parse_context(value)
    turns: list[Turn] = []
    items: Sequence[object] = value if isinstance(value, Sequence) else [value]
    for item in items:
        said: Mapping[str, object] = item if isinstance(item, Mapping) else {}
        role, text = said.get("role"), said.get("text") or said.get("content")
        if role not in tuple(Role) or not isinstance(text, str):
            cure = f"a string, or a list of {{role, text}} with role one of {', '.join(Role)}"
            raise CorpusError.of(file, number, "context", "not a conversation", cure)
        turns.append(Turn(Role(str(role)), text))
    return tuple(turn for turn in turns if turn.text.strip())
