"""From a file of records to arrays of the labelled ones, line by line.

Of each record only its scores for the asked categories, its truth and what it is sliced by are kept, a number each.
"""

from __future__ import annotations

import json
import zlib
from array import array
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from guard.errors import InvalidInput
from guard.policy.labelled import MOST_VALUES, UNSCORED, Facet, Labelled
from guard.policy.record_file import RecordFile
from guard.policy.truth import Truth, is_known
from guard.records import LABELS, SCHEMA, Record
from guard.types import Direction

_CURE_LABELS = "add `label` (compliant or noncompliant), and `categories`, to the rows and screen them again"
#: Upper ends of the length buckets, in tokens of the model.
_LENGTHS = (16, 64, 256)
_LENGTH_NAMES = ("1-16", "17-64", "65-256", "257+")
_SHOWN_NAMES = 5
_DIRECTIONS = tuple(Direction)


def read_labelled(path: Path, categories: Collection[str], tags: Collection[str] = ()) -> Labelled:
    """Read the labelled records of a file.

    Args:
        path: Records of one model, in JSON Lines.
        categories: What the rules look at: :attr:`guard.policy.policy.Policy.columns`.
        tags: Tags that rules ask for, which are kept however many values they have.

    Raises:
        InvalidInput: The file has no record, none with a label, broken lines, duplicate ids or records of several
            models; all broken lines are counted and the first ones named.
        OSError: It cannot be read.
    """
    notes: list[str] = []
    builder = _Builder(tuple(dict.fromkeys(categories)), frozenset(tags))
    with path.open("rb") as lines:
        file = RecordFile(path, lines, notes, _parse)
        for _, line in file.records():
            builder.add(line.value)
    if not builder.labelled:
        raise InvalidInput.of(f"{path}: label", f"none of {builder.seen} records has one", _CURE_LABELS)
    return builder.result(file.model, notes)


@dataclass(frozen=True, slots=True)
class _Line:
    """A record as its decoded JSON, of which every field that is read here is sound."""

    id: str
    model: str
    value: dict[str, Any]


def _parse(line: str) -> _Line:
    """One line. A :class:`Record` a line takes ten times as long: it is made only of those that may be broken."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not _sound(value):
        value = json.loads(Record.from_json(line).to_json())
    return _Line(value["id"], value["model"], value)


def _sound(v: Any) -> bool:
    return (
        type(v) is dict
        and type(v.get("schema")) is int
        and v["schema"] == SCHEMA
        and type(v.get("id")) is str
        and v["id"] != ""
        and type(v.get("model")) is str
        and type(v.get("direction")) is str
        and v["direction"] in _DIRECTIONS
        and type(v.get("lang")) is str
        and v["lang"] != ""
        and type(v.get("tokens")) is int
        and v["tokens"] >= 0
        and type(v.get("text_hash")) is str
        and type(v.get("degraded")) is bool
        and (v.get("label") is None or (type(v["label"]) is str and v["label"] in LABELS))
        and _names(v.get("categories"))
        and _names(v.get("about"))
        and _probabilities(v.get("scores"))
        and _tags(v.get("tags"))
        and _detections(v.get("detections"))
    )


def _names(value: object) -> bool:
    return value is None or (type(value) is list and all(type(name) is str for name in value))


def _probabilities(scores: object) -> bool:
    return type(scores) is dict and all(type(score) is float and 0.0 <= score <= 1.0 for score in scores.values())


def _tags(tags: object) -> bool:
    return type(tags) is dict and all(type(value) is str for value in tags.values())


def _detections(found: object) -> bool:
    return type(found) is list and all(
        type(item) is dict
        and type(item.get("category")) is str
        and item["category"] != ""
        and type(item.get("score")) is float
        and 0.0 <= item["score"] <= 1.0
        for item in found
    )


class _Interned:
    """Values as small numbers. Used once."""

    def __init__(self, records: int) -> None:
        """Begin, for a file of which ``records`` were read without such a value."""
        self.numbers: dict[str, int] = {}
        self.codes = array("i", [-1]) * records

    def add(self, value: str) -> None:
        self.codes.append(self.numbers.setdefault(value, len(self.numbers)))

    def facet(self, key: str) -> Facet:
        return Facet(key, tuple(self.numbers), np.frombuffer(self.codes, np.int32))


class _Builder:
    """Adds records up into arrays. Used once."""

    def __init__(self, categories: tuple[str, ...], asked: frozenset[str]) -> None:
        self.seen = 0
        self._asked = asked
        self._categories = categories
        self._scores = [array("d") for _ in categories]
        self._plans: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
        self._outputs = array("b")
        # Plain tuples: a million are looked up, a few are distinct.
        self._truths: dict[tuple[str | None, tuple[str, ...] | None, tuple[str, ...] | None], int] = {}
        self._truth = array("i")
        self._language, self._length = _Interned(0), array("i")
        self._tags: dict[str, _Interned | None] = {}
        self._order = array("I")
        self._degraded = self._unlabelled = 0
        self._detected: set[str] = set()

    @property
    def labelled(self) -> int:
        """Records that were kept."""
        return len(self._truth)

    def add(self, value: dict[str, Any]) -> None:
        """Add a sound record."""
        self.seen += 1
        if value["degraded"]:
            self._degraded += 1
            return
        truth = _truth_of(value)
        if truth[0] is None and not truth[1]:
            self._unlabelled += 1
            return
        self._add_scores(value["scores"], value["detections"])
        self._outputs.append(value["direction"] == Direction.OUTPUT.value)
        self._truth.append(self._truths.setdefault(truth, len(self._truths)))
        self._language.add(value["lang"])
        self._length.append(min(value["tokens"], _LENGTHS[-1] + 1))
        self._order.append(zlib.crc32(value["text_hash"].encode()))
        if value["tags"] or self._tags:
            self._add_tags(value["tags"])

    def result(self, model: str, notes: Sequence[str]) -> Labelled:
        """The arrays, which are the builder's own memory."""
        lengths = np.searchsorted(_LENGTHS, np.frombuffer(self._length, np.int32)).astype(np.int32)
        facets = [self._language.facet("language"), Facet("length", _LENGTH_NAMES, lengths)]
        facets += [tag.facet(f"tags.{name}") for name, tag in sorted(self._tags.items()) if tag is not None]
        return Labelled(
            model=model,
            scores={c: np.frombuffer(s, np.float64) for c, s in zip(self._categories, self._scores, strict=True)},
            outputs=np.frombuffer(self._outputs, np.int8).astype(bool),
            truths=self._distinct(),
            truth=np.frombuffer(self._truth, np.int32),
            facets=tuple(facets),
            order=np.frombuffer(self._order, np.uint32),
            notes=(*notes, *self._notes(model)),
        )

    def _distinct(self) -> tuple[Truth, ...]:
        return tuple(Truth(*truth) for truth in self._truths)

    def _unknown(self) -> Counter[str]:
        """Names in the labels that are no categories, with their records."""
        records = np.bincount(np.frombuffer(self._truth, np.int32), minlength=len(self._truths))
        unknown: Counter[str] = Counter()
        for truth, count in zip(self._distinct(), records.tolist(), strict=True):
            unknown.update(dict.fromkeys(truth.unknown_names, count))
        return unknown

    def _add_scores(self, scores: Mapping[str, float], detections: Sequence[Mapping[str, Any]]) -> None:
        names = tuple(scores)
        plan = self._plans.get(names)
        if plan is None:
            plan = self._plans[names] = [
                tuple(name for name in names if name == category or name.startswith(category + "."))
                for category in self._categories
            ]
        for column, sources in zip(self._scores, plan, strict=True):
            if len(sources) == 1:
                column.append(scores[sources[0]])
            else:
                column.append(max((scores[name] for name in sources), default=UNSCORED))
        for found in detections:
            name: str = found["category"]
            self._detected.add(name)
            for category, column in zip(self._categories, self._scores, strict=True):
                if name == category or name.startswith(category + "."):
                    column[-1] = max(column[-1], found["score"])

    def _add_tags(self, tags: Mapping[str, str]) -> None:
        records = len(self._truth) - 1
        for name in tags:
            if name not in self._tags:
                self._tags[name] = _Interned(records)
        for name, column in self._tags.items():
            if column is None:
                continue
            if name in tags:
                column.add(tags[name])
                if len(column.numbers) > MOST_VALUES and name not in self._asked:
                    self._tags[name] = None
            else:
                column.codes.append(-1)

    def _notes(self, model: str) -> Iterator[str]:
        if self._degraded:
            yield f"left out: {self._degraded} records that could not be screened (screen their texts again)"
        if self._unlabelled:
            yield f"left out: {self._unlabelled} records without a label"
        if unknown := self._unknown():
            named = ", ".join(f"{name!r} ({count})" for name, count in unknown.most_common(_SHOWN_NAMES))
            more = ", ..." * (len(unknown) > _SHOWN_NAMES)
            yield f"unknown categories in labels, which say nothing about any rule: {named}{more}"
        scored = {name for names in self._plans for name in names} | self._detected
        if strange := sorted(name for name in scored if not is_known(name)):
            yield f"scores of {model} that no rule can name: {', '.join(strange[:_SHOWN_NAMES])}"
        if wide := sorted(name for name, tag in self._tags.items() if tag is None):
            named = ", ".join(wide[:_SHOWN_NAMES])
            yield f"not sliced by tags with more than {MOST_VALUES} values: {named}"


def _truth_of(value: Mapping[str, Any]) -> tuple[str | None, tuple[str, ...] | None, tuple[str, ...] | None]:
    """Label, categories and ``about`` of a record."""
    categories, about = value.get("categories"), value.get("about")
    return (
        value.get("label"),
        None if categories is None else tuple(categories),
        None if about is None else tuple(about),
    )
