"""Record: one decided text with EVERY score, one JSON object a line; the only exchange format.

The decision log, ``guard screen --output`` and the training's evaluation write it, so whatever replays,
tunes or compares policies reads one thing and needs neither model nor server. A record never carries the
text that a detection matched, and carries the screened text itself only if the writer asked for it.

Within schema 1 fields may be added but never change their meaning: a reader ignores names that it does
not know and refuses another schema number.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from guard.errors import InvalidInput, Violation
from guard.fields import Fields
from guard.types import Action, Content, Decision, Detection, Direction, FiredRule, Operator, Span

#: The version of the format that this module writes and reads.
SCHEMA = 1

#: What the truth of a text can be.
LABELS = ("compliant", "noncompliant")


@dataclass(frozen=True, slots=True)
class Annotation:
    """What an input row brought beside its content; it passes through to the record untouched.

    Attributes:
        label: ``compliant``, ``noncompliant``, or None where the truth is not known.
        categories: Which categories the text is in, in truth; None if the row did not say.
        about: Which categories ``label`` speaks about (``all`` for every one); None if the row did not say.
        extra: Keys of the row that have no meaning here.
    """

    label: str | None = None
    categories: tuple[str, ...] | None = None
    about: tuple[str, ...] | None = None
    extra: Mapping[str, object] = field(default_factory=dict)


_NOTHING = Annotation()


@dataclass(frozen=True, slots=True)
class Place:
    """One place that a decision rewrote; what it became is in the record's ``output_text``, if texts are kept.

    Attributes:
        span: The place, in code points of the original.
        operator: What was done there.
        category: What was found there.
    """

    span: Span
    operator: Operator
    category: str


@dataclass(frozen=True, slots=True)
class Record:
    """One decided text. Immutable; equal if every field is.

    Attributes:
        id: Unique within a file.
        request_id: The caller's id; empty if there was none.
        time: When it was decided, in UTC.
        direction: prompt or output.
        lang: ``zh``, ``en`` or ``other``.
        action: What the policy decided.
        text: The original; None if the writer does not keep texts.
        output_text: What was passed on instead; None if the text was unchanged or texts are not kept.
        text_hash: SHA-256 of the text's UTF-8, in hex; HMAC-SHA-256 where there is a ``hash_key``.
        tokens: Model tokens of the text.
        chunks: Pieces it was scored in.
        rules: Every rule that fired, shadow rules included.
        scores: Every category's probability, and what terms left (see :class:`guard.types.Decision`); empty only where
            ``degraded``.
        detections: Places in the text; spans are code points of the original.
        policy: ``name@revision``.
        model: ``name@revision``.
        degraded: True if the text could not be screened and ``on_error`` decided.
        tags: The content's tags.
        transforms: Which disguises were undone to decide so; empty in records that are older than the field.
        label: See :class:`Annotation`, as for the three below.
        hash_key: Names the key of ``text_hash``, in hex; empty if it has none. Only hashes of one key can be compared.
        characters: Code points of the text; None if the writer did not say.
        rewrites: Which places were rewritten, and how; empty in records that are older than the field.
        message: True if what was passed on is the policy's message (of a stream: ends with it); None in records that
            are older than the field.
    """

    id: str
    request_id: str
    time: datetime
    direction: Direction
    lang: str
    action: Action
    text: str | None
    output_text: str | None
    text_hash: str
    tokens: int
    chunks: int
    rules: tuple[FiredRule, ...]
    scores: Mapping[str, float]
    detections: tuple[Detection, ...]
    policy: str
    model: str
    degraded: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    label: str | None = None
    categories: tuple[str, ...] | None = None
    about: tuple[str, ...] | None = None
    extra: Mapping[str, object] = field(default_factory=dict)
    transforms: tuple[str, ...] = ()
    hash_key: str = ""
    characters: int | None = None
    rewrites: tuple[Place, ...] = ()
    message: bool | None = None

    @classmethod
    def of(
        cls,
        content: Content,
        decision: Decision,
        *,
        id: str,  # noqa: A002 - the name of the field that it fills
        time: datetime | None = None,
        keep_text: bool = True,
        annotation: Annotation = _NOTHING,
    ) -> Record:
        """The record of a decision.

        Args:
            content: What was screened.
            decision: What was decided about it.
            id: Unique within the file that the record goes to.
            time: When, with a time zone; now if None.
            keep_text: False leaves out the text and what it was rewritten to.
            annotation: What the input row brought.
        """
        changed = keep_text and decision.output_text != content.text
        return cls(
            id=id,
            request_id=decision.request_id or content.request_id,
            time=(time or datetime.now(UTC)).astimezone(UTC),
            direction=content.direction,
            lang=decision.language,
            action=decision.action,
            text=content.text if keep_text else None,
            output_text=decision.output_text if changed else None,
            text_hash=hash_text(content.text),
            tokens=decision.tokens,
            chunks=decision.chunks,
            rules=decision.rules,
            scores=decision.scores,
            detections=decision.detections,
            policy=decision.policy,
            model=decision.model,
            degraded=decision.degraded,
            tags=content.tags,
            label=annotation.label,
            categories=annotation.categories,
            about=annotation.about,
            extra=annotation.extra,
            transforms=decision.transforms,
            rewrites=tuple(Place(done.span, done.operator, done.category) for done in decision.rewrites),
            message=decision.message,
        )

    def to_json(self) -> str:
        """One line of JSON without its line end; characters beyond ASCII stand as they are."""
        return json.dumps(
            {
                "schema": SCHEMA,
                "id": self.id,
                "request_id": self.request_id,
                "time": self.time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
                "direction": self.direction.value,
                "lang": self.lang,
                "action": self.action.value,
                "text": self.text,
                "output_text": self.output_text,
                "text_hash": self.text_hash,
                **({"hash_key": self.hash_key} if self.hash_key else {}),
                **({} if self.characters is None else {"characters": self.characters}),
                "tokens": self.tokens,
                "chunks": self.chunks,
                "rules": [_rule_to_json(rule) for rule in self.rules],
                "scores": dict(self.scores),
                "detections": [_detection_to_json(detection) for detection in self.detections],
                "policy": self.policy,
                "model": self.model,
                "degraded": self.degraded,
                "tags": dict(self.tags),
                "label": self.label,
                "categories": None if self.categories is None else list(self.categories),
                "about": None if self.about is None else list(self.about),
                "extra": dict(self.extra),
                "transforms": list(self.transforms),
                "rewrites": [_place_to_json(place) for place in self.rewrites],
                **({} if self.message is None else {"message": self.message}),
            },
            ensure_ascii=False,
            allow_nan=False,
        )

    @classmethod
    def from_json(cls, line: str) -> Record:
        """Read one line back.

        Raises:
            InvalidInput: Not a record; every broken field is named, none of its content is repeated.
        """
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InvalidInput.of("record", f"not JSON: {_where(error)}", "one JSON object a line") from None
        if not isinstance(value, dict):
            raise InvalidInput.of("record", "not a JSON object", "one JSON object a line")
        if value.get("schema") != SCHEMA or isinstance(value.get("schema"), bool):
            raise InvalidInput.of(
                "schema", "missing or unknown", f"this version reads schema {SCHEMA}; write the records again with it"
            )
        fields = Fields(value)
        record = _parse(fields)
        fields.raise_broken()
        return record


def hash_text(text: str) -> str:
    """SHA-256 of a text's UTF-8 in hex: how records name a text that they do not carry."""
    return hashlib.sha256(text.encode()).hexdigest()


def read(path: Path) -> Iterator[Record]:
    """The records of a file in order, one at a time; blank lines are skipped.

    Raises:
        InvalidInput: A line is not a record; the field is given as ``FILE:LINE: FIELD``.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.isspace():
                continue
            where = f"{path}:{number}"
            try:
                yield Record.from_json(line.decode())
            except UnicodeDecodeError:
                raise InvalidInput.of(f"{where}: record", "invalid UTF-8", "save the file as UTF-8") from None
            except InvalidInput as error:
                raise InvalidInput(
                    Violation(f"{where}: {v.field}", v.reason, v.cure) for v in error.violations
                ) from None


def _where(error: ValueError | RecursionError) -> str:
    """Position of a JSON error; its message never quotes the document."""
    return f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else "malformed"


def _rule_to_json(rule: FiredRule) -> dict[str, object]:
    return {
        "id": rule.id,
        "category": rule.category,
        "score": rule.score,
        "threshold": rule.threshold,
        "action": rule.action.value,
        "shadow": rule.shadow,
    }


def _detection_to_json(detection: Detection) -> dict[str, object]:
    return {
        "category": detection.category,
        "start": detection.span.start,
        "end": detection.span.end,
        "score": detection.score,
        "source": detection.source,
    }


def _place_to_json(place: Place) -> dict[str, object]:
    return {
        "operator": place.operator.value,
        "category": place.category,
        "start": place.span.start,
        "end": place.span.end,
    }


def _parse(f: Fields) -> Record:
    return Record(
        id=f.string("id", empty=False),
        request_id=f.string("request_id"),
        time=f.time("time"),
        direction=Direction(f.one_of("direction", tuple(Direction))),
        lang=f.string("lang", empty=False),
        action=Action(f.one_of("action", tuple(Action))),
        text=f.string_or_none("text"),
        output_text=f.string_or_none("output_text"),
        text_hash=f.sha256("text_hash"),
        tokens=f.count("tokens"),
        chunks=f.count("chunks"),
        rules=tuple(_rule(item) for item in f.objects("rules")),
        scores=f.scores("scores"),
        detections=tuple(_detection(item) for item in f.objects("detections")),
        policy=f.string("policy"),
        model=f.string("model"),
        degraded=f.flag("degraded"),
        tags=f.strings_by_name("tags"),
        label=f.one_of_or_none("label", LABELS),
        categories=f.strings_or_none("categories"),
        about=f.strings_or_none("about"),
        extra=f.mapping("extra"),
        transforms=f.strings_or_none("transforms") or (),
        hash_key=f.string_or_none("hash_key") or "",
        characters=f.count_or_none("characters"),
        rewrites=tuple(_place(item) for item in f.objects_or_none("rewrites") or ()),
        message=f.flag_or_none("message"),
    )


def _rule(f: Fields) -> FiredRule:
    return FiredRule(
        id=f.string("id", empty=False),
        category=f.string("category", empty=False),
        score=f.probability("score"),
        threshold=f.probability("threshold"),
        action=Action(f.one_of("action", tuple(Action))),
        shadow=f.flag("shadow"),
    )


def _detection(f: Fields) -> Detection:
    return Detection(
        category=f.string("category", empty=False),
        span=_span(f),
        score=f.probability("score"),
        source=f.string("source", empty=False),
    )


def _place(f: Fields) -> Place:
    return Place(
        span=_span(f),
        operator=Operator(f.one_of("operator", tuple(Operator))),
        category=f.string("category", empty=False),
    )


def _span(f: Fields) -> Span:
    start, end = f.count("start"), f.count("end")
    if end < start:
        f.broken("end", "lies before start", "spans are [start, end)")
    return Span(start, end)
