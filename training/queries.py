"""What the classifier is asked about a row, in training as in serving: normalised text and context."""

from __future__ import annotations

from dataclasses import replace

from guard.classifier.classifier import Query
from guard.normalize import normalize
from guard.types import Direction, Turn
from training.corpora.row import Row


def normalized_context(row: Row) -> tuple[Turn, ...]:
    """The row's turns with normalised texts, oldest first."""
    return tuple(replace(turn, text=normalize(turn.text).text) for turn in row.context)


def query_of(row: Row, direction: Direction) -> Query:
    """The query for a row in one of the directions that it stands for."""
    return Query(normalize(row.text).text, direction, normalized_context(row))
