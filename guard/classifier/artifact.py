"""The model directory: which files it has, what ``artifact.json`` says, and how both are checked.

The exporter writes and the loader reads through the classes here, so there is one list of file names and
one schema. Everything a score depends on is data in this directory: the graph, the tokenizer, the input
template's limits, the calibration and the normaliser's version.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias

from guard.errors import ArtifactError
from guard.normalize import NORMALIZER_VERSION
from guard.types import CATEGORIES, Direction

#: Version of the directory's layout and of ``artifact.json``.
FORMAT_VERSION = 1

#: The artifact that is part of the package.
DEFAULT_MODEL_DIR = Path(__file__).resolve().parent.parent / "models" / "default"


@dataclass(frozen=True, slots=True)
class ArtifactFiles:
    """Names of the files of an artifact directory."""

    model: str = "model.onnx"
    tokenizer: str = "tokenizer.json"
    description: str = "artifact.json"
    card: str = "MODEL_CARD.md"

    @property
    def hashed(self) -> tuple[str, ...]:
        """The files that make scores: always there, and part of the revision.

        The sha256 of each stands in the description and is checked at load, as is the card's once it is written.
        """
        return (self.model, self.tokenizer)


FILES = ArtifactFiles()


@dataclass(frozen=True, slots=True)
class Platt:
    """Calibration of one category and direction: ``sigmoid(a * logit + b + c * log2(chunks))``.

    Platt (1999) with the number of chunks as covariate, because a maximum over chunks grows with their
    number and is no probability by itself. ``a`` must be positive: calibration never reorders.
    """

    a: float = 1.0
    b: float = 0.0
    c: float = 0.0


#: A :class:`Platt` of every direction and category.
Calibration: TypeAlias = Mapping[Direction, Mapping[str, Platt]]


@dataclass(frozen=True, slots=True)
class TokenLimits:
    """Token counts the graph was trained with.

    Attributes:
        chunk: Text tokens of one chunk.
        overlap: Text tokens that neighbouring chunks share.
        context: Tokens of the context beside the text; the newest turns are kept.
        max_text: Tokens of one text; above it a text is refused.
    """

    chunk: int = 128
    overlap: int = 32
    context: int = 64
    max_text: int = 32768


class ActivationScales(StrEnum):
    """Where the scales of the graph's rounded activations come from, and so whether texts may share a run.

    Dynamic scales are those of whatever is in the run, so one text would move another's scores. Static ones stand in
    the graph as constants; a graph without rounded activations counts as static, too.
    """

    DYNAMIC = "dynamic"
    STATIC = "static"


@dataclass(frozen=True, slots=True)
class Source:
    """One corpus the weights were trained on."""

    name: str
    licence: str
    licence_class: str
    rows: int


@dataclass(frozen=True, slots=True)
class Artifact:
    """The checked description of a model directory.

    Attributes:
        directory: Where it was loaded from.
        name: The model's name.
        revision: First 12 hex digits of the content hash over the hashed files and the calibration.
        categories: Categories in the order of the graph's output columns.
        unsupported: Categories that the training data could not carry; scored, but not to be relied on.
        calibration: ``direction -> category -> Platt``.
        limits: Token limits.
        outputs: Names of the graph's outputs.
        sha256: Hex digest of each hashed file, and of the card if there is one.
        sources: Corpora and licences.
        metrics: Figures of the training run, for the card and for ``info``.
        created: ISO date of the export.
        activation_scales: Whether runs may be shared; dynamic where the description does not say.
    """

    directory: Path
    name: str
    revision: str
    categories: tuple[str, ...]
    unsupported: tuple[str, ...]
    calibration: Calibration
    limits: TokenLimits
    outputs: tuple[str, ...]
    sha256: Mapping[str, str]
    sources: tuple[Source, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    created: str = ""
    normalizer_version: str = NORMALIZER_VERSION
    activation_scales: ActivationScales = ActivationScales.DYNAMIC

    @property
    def identity(self) -> str:
        """``name@revision``, as decisions and records carry it."""
        return f"{self.name}@{self.revision}"

    def path(self, file: str) -> Path:
        """Absolute path of one of the artifact's files."""
        return self.directory / file


def write_artifact(
    directory: Path,
    *,
    name: str,
    unsupported: tuple[str, ...] = (),
    calibration: Calibration | None = None,
    limits: TokenLimits | None = None,
    outputs: tuple[str, ...] = ("scores", "token_scores"),
    sources: tuple[Source, ...] = (),
    metrics: Mapping[str, float] | None = None,
    created: str = "",
    activation_scales: ActivationScales = ActivationScales.DYNAMIC,
) -> Artifact:
    """Describe a directory that already holds the hashed files; writes ``artifact.json`` into it.

    Args:
        directory: Holds ``model.onnx`` and ``tokenizer.json``; a card that is there is described, too.
        name: The model's name.
        unsupported: Categories that the training data could not carry.
        calibration: May leave out directions and categories; the identity stands for them.
        limits: Token limits; the defaults if None.
        outputs: Names of the graph's outputs.
        sources: Corpora with licences and rows.
        metrics: Figures of the run.
        created: ISO date.
        activation_scales: Whether runs may be shared.

    Returns:
        The artifact as :func:`read_artifact` would load it.

    Raises:
        ArtifactError: If a hashed file is missing.
    """
    present = (*FILES.hashed, FILES.card) if (directory / FILES.card).exists() else FILES.hashed
    sha256 = {file: _digest(directory, file) for file in present}
    limits = limits or TokenLimits()
    full = {
        direction: {c: (calibration or {}).get(direction, {}).get(c, Platt()) for c in CATEGORIES}
        for direction in Direction
    }
    description = {
        "format_version": FORMAT_VERSION,
        "name": name,
        "revision": _revision(sha256, full, limits),
        "created": created,
        "categories": list(CATEGORIES),
        "unsupported": list(unsupported),
        "calibration": _table(full),
        "limits": asdict(limits),
        "normalizer_version": NORMALIZER_VERSION,
        "outputs": list(outputs),
        "activation_scales": activation_scales.value,
        "sha256": sha256,
        "sources": [asdict(source) for source in sources],
        "metrics": dict(metrics or {}),
    }
    _write_description(directory, description)
    return read_artifact(directory)


def add_card(artifact: Artifact, text: str) -> Artifact:
    """Write ``MODEL_CARD.md`` and its sha256 into an artifact that was just read; the revision stays."""
    raw = json.loads(artifact.path(FILES.description).read_text(encoding="utf-8"))
    artifact.path(FILES.card).write_text(text, encoding="utf-8")
    raw["sha256"][FILES.card] = _digest(artifact.directory, FILES.card)
    _write_description(artifact.directory, raw)
    return read_artifact(artifact.directory)


def read_artifact(directory: Path) -> Artifact:
    """Load and check a model directory.

    Raises:
        ArtifactError: A file is missing, truncated or altered (named), the description is malformed, or
            it was made for another format or normaliser version.
    """
    file = directory / FILES.description
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(
            f"{directory}: no {FILES.description} (give --model a directory written by `python -m training.export`)"
        ) from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{file}: not readable as JSON: {error} (restore the file or export again)") from None
    if not isinstance(raw, dict) or raw.get("format_version") != FORMAT_VERSION:
        found = raw.get("format_version") if isinstance(raw, dict) else None
        raise ArtifactError(f"{file}: format_version is {found!r}, this guard reads {FORMAT_VERSION} (export again)")
    try:
        artifact = _parse(directory, raw)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(f"{file}: malformed: {error!r} (restore the file or export again)") from None
    _check(artifact, file)
    if raw.get("checksum") != _checksum(raw):
        raise ArtifactError(f"{file}: altered since it was written (restore the file or export again)")
    return artifact


def _parse(directory: Path, raw: dict[str, Any]) -> Artifact:
    return Artifact(
        directory=directory,
        name=str(raw["name"]),
        revision=str(raw["revision"]),
        categories=tuple(raw["categories"]),
        unsupported=tuple(raw["unsupported"]),
        calibration={
            Direction(d): {c: Platt(float(p["a"]), float(p["b"]), float(p["c"])) for c, p in per.items()}
            for d, per in raw["calibration"].items()
        },
        limits=TokenLimits(**{k: int(v) for k, v in raw["limits"].items()}),
        outputs=tuple(raw["outputs"]),
        sha256=dict(raw["sha256"]),
        sources=tuple(Source(**s) for s in raw.get("sources", ())),
        metrics={k: float(v) for k, v in raw.get("metrics", {}).items()},
        created=str(raw.get("created", "")),
        normalizer_version=str(raw["normalizer_version"]),
        activation_scales=ActivationScales(raw.get("activation_scales", ActivationScales.DYNAMIC)),
    )


def _check(artifact: Artifact, file: Path) -> None:
    if artifact.normalizer_version != NORMALIZER_VERSION:
        raise ArtifactError(
            f"{file}: trained on normaliser version {artifact.normalizer_version}, this guard has "
            f"{NORMALIZER_VERSION} (use a model and a guard of the same release)"
        )
    if artifact.categories != CATEGORIES:
        raise ArtifactError(f"{file}: categories differ from this guard's (export again with this version)")
    unknown = sorted(set(artifact.unsupported) - set(CATEGORIES))
    if unknown:
        raise ArtifactError(f"{file}: unsupported names unknown categories {unknown} (export again)")
    _check_calibration(artifact.calibration, file)
    limits = artifact.limits
    if not (0 <= limits.overlap < limits.chunk <= limits.max_text and limits.context >= 0):
        raise ArtifactError(
            f"{file}: limits must hold 0 <= overlap < chunk <= max_text and context >= 0 (export again)"
        )
    for name in (*FILES.hashed, FILES.card) if FILES.card in artifact.sha256 else FILES.hashed:
        found = _digest(artifact.directory, name)
        if found != artifact.sha256.get(name):
            raise ArtifactError(
                f"{artifact.directory / name}: sha256 is {found[:12]}..., {FILES.description} says "
                f"{str(artifact.sha256.get(name))[:12]}... (the file is truncated or altered: restore it)"
            )
    if _revision(artifact.sha256, artifact.calibration, limits) != artifact.revision:
        raise ArtifactError(f"{file}: revision does not match the contents (the file was edited: calibrate again)")


def _check_calibration(calibration: Calibration, file: Path) -> None:
    for direction in Direction:
        missing = sorted(set(CATEGORIES) - set(calibration.get(direction, {})))
        if missing:
            raise ArtifactError(f"{file}: no calibration for {direction.value} {missing} (calibrate again)")
        # NaN would never reach a threshold, and a slope that is not positive would turn high scores low.
        wrong = sorted(c for c, p in calibration[direction].items() if not (p.a > 0 and math.isfinite(p.a + p.b + p.c)))
        if wrong:
            raise ArtifactError(
                f"{file}: calibration of {direction.value} {wrong} needs a > 0 and finite numbers (calibrate again)"
            )


def _write_description(directory: Path, raw: dict[str, Any]) -> None:
    text = json.dumps({**raw, "checksum": _checksum(raw)}, ensure_ascii=False, indent=2) + "\n"
    (directory / FILES.description).write_text(text, encoding="utf-8")


def _checksum(raw: Mapping[str, Any]) -> str:
    """Content hash of the description itself: what changes no score (``unsupported``, metrics) is checked, too."""
    payload = json.dumps({key: value for key, value in raw.items() if key != "checksum"}, sort_keys=True)
    return hashlib.sha256(payload.encode()).hexdigest()


def _digest(directory: Path, file: str) -> str:
    try:
        with (directory / file).open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ArtifactError(
            f"{directory / file}: {reason} (an artifact needs {', '.join(FILES.hashed)} and its card)"
        ) from None


def _table(calibration: Calibration) -> dict[str, dict[str, dict[str, float]]]:
    """The calibration as the description has it."""
    return {d.value: {category: asdict(platt) for category, platt in per.items()} for d, per in calibration.items()}


def _revision(sha256: Mapping[str, str], calibration: Calibration, limits: TokenLimits) -> str:
    """Content hash of all that changes scores: the hashed files, the calibration and the token limits."""
    files = {file: sha256.get(file) for file in FILES.hashed}
    payload = json.dumps([files, _table(calibration), [limits.chunk, limits.overlap, limits.context]], sort_keys=True)
    return hashlib.sha256(payload.encode()).hexdigest()[:12]
