from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guard.classifier.artifact import (
    FILES,
    ActivationScales,
    Platt,
    Source,
    TokenLimits,
    _checksum,
    add_card,
    read_artifact,
    write_artifact,
)
from guard.errors import ArtifactError
from guard.normalize import NORMALIZER_VERSION
from guard.types import CATEGORIES, Direction


@pytest.fixture
def directory(tiny_model_dir: Path, tmp_path: Path) -> Path:
    """A copy of the tiny artifact that a test may damage."""
    return Path(shutil.copytree(tiny_model_dir, tmp_path / "model"))


def _edit(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    file = directory / FILES.description
    description = json.loads(file.read_text(encoding="utf-8"))
    change(description)
    file.write_text(json.dumps(description), encoding="utf-8")


def _seal(directory: Path) -> None:
    """Make an edited description whole again, as if it had been written so."""
    _edit(directory, lambda raw: raw.update(checksum=_checksum(raw)))


def _refusal(directory: Path) -> str:
    with pytest.raises(ArtifactError) as refused:
        read_artifact(directory)
    message = str(refused.value)
    assert str(directory) in message and message.endswith(")")
    return message


def test_what_was_written_is_read(directory: Path) -> None:
    """Everything that the exporter says about a model comes back from the file."""
    written = write_artifact(
        directory,
        name="some",
        unsupported=("privacy",),
        calibration={Direction.OUTPUT: {"hate": Platt(1.5, -0.25, 0.125)}},
        limits=TokenLimits(chunk=64, overlap=16, context=32, max_text=1000),
        outputs=("scores", "token_scores"),
        sources=(Source("corpus", "MIT", "permissive", 7),),
        metrics={"auroc": 0.9},
        created="2026-01-31",
        activation_scales=ActivationScales.STATIC,
    )
    assert read_artifact(directory) == written
    assert written.activation_scales is ActivationScales.STATIC
    assert written.calibration[Direction.OUTPUT]["hate"] == Platt(1.5, -0.25, 0.125)
    assert written.limits == TokenLimits(64, 16, 32, 1000)
    assert written.identity == f"some@{written.revision}"
    assert written.categories == CATEGORIES
    assert written.normalizer_version == NORMALIZER_VERSION
    assert written.path(FILES.model) == directory / "model.onnx"


def test_what_the_exporter_leaves_out_is_the_identity(directory: Path) -> None:
    """Categories without a calibration of their own keep the graph's probabilities."""
    artifact = write_artifact(directory, name="some")
    assert all(platt == Platt(1, 0, 0) for per in artifact.calibration.values() for platt in per.values())
    assert {direction: tuple(per) for direction, per in artifact.calibration.items()} == dict.fromkeys(
        Direction, CATEGORIES
    )


def test_an_artifact_that_does_not_say_shares_no_runs(directory: Path) -> None:
    """Artifacts from before the field was there have dynamic scales; a word that is none is refused."""
    artifact = write_artifact(directory, name="some")
    assert artifact.activation_scales is ActivationScales.DYNAMIC
    _edit(directory, lambda raw: raw.pop("activation_scales"))
    _seal(directory)
    assert read_artifact(directory) == artifact
    _edit(directory, lambda raw: raw.update(activation_scales="some"))
    assert "some" in _refusal(directory)


def test_the_revision_names_what_scores(directory: Path) -> None:
    """A revision changes with the graph, the calibration and the chunks, and with nothing that leaves scores alone."""
    revision = write_artifact(directory, name="a").revision
    same = write_artifact(directory, name="b", metrics={"x": 1.0}, limits=TokenLimits(max_text=777))
    calibrated = write_artifact(directory, name="a", calibration={Direction.PROMPT: {"hate": Platt(b=0.5)}})
    chunked = write_artifact(directory, name="a", limits=TokenLimits(chunk=64))
    with (directory / FILES.model).open("ab") as file:
        file.write(b"\x00")
    changed = write_artifact(directory, name="a")
    assert same.revision == revision
    assert len({revision, calibrated.revision, chunked.revision, changed.revision}) == 4


@pytest.mark.parametrize("name", [*FILES.hashed, FILES.description, FILES.card])
def test_a_missing_file_is_named(directory: Path, name: str) -> None:
    """A model directory without one of its files is refused with the file's name."""
    (directory / name).unlink()
    assert name in _refusal(directory)
    if name in FILES.hashed:
        with pytest.raises(ArtifactError, match=name):
            write_artifact(directory, name="some")


def test_a_card_is_added_and_described(directory: Path) -> None:
    """The card comes last: an artifact without one loads, and adding one changes no revision."""
    (directory / FILES.card).unlink()
    bare = write_artifact(directory, name="some", unsupported=("privacy",))
    described = add_card(bare, "# some\n")
    assert (directory / FILES.card).read_text() == "# some\n"
    assert described.identity == bare.identity and described.unsupported == ("privacy",)
    assert set(described.sha256) == {*FILES.hashed, FILES.card} and set(bare.sha256) == set(FILES.hashed)
    assert add_card(described, "# another\n").identity == bare.identity


@pytest.mark.parametrize("name", [*FILES.hashed, FILES.card])
def test_a_truncated_or_altered_file_is_named(directory: Path, name: str) -> None:
    """One byte less, or one byte changed, and the file is refused with its name."""
    content = (directory / name).read_bytes()
    for damaged in (content[:-1], bytes([content[0] ^ 1]) + content[1:], b""):
        (directory / name).write_bytes(damaged)
        message = _refusal(directory)
        assert str(directory / name) in message and "sha256" in message


def test_a_directory_without_description_is_refused(tmp_path: Path) -> None:
    """A directory that is no artifact, or does not exist, is told what an artifact is."""
    assert FILES.description in _refusal(tmp_path)
    assert FILES.description in _refusal(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format_version": 99}', "\udcff"])
def test_a_description_that_cannot_be_read_is_refused(directory: Path, text: str) -> None:
    """A description that is no JSON, or of another format, is refused with its name."""
    (directory / FILES.description).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert FILES.description in _refusal(directory)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda d: d.pop("categories"), "categories"),
        (lambda d: d.update(categories=["hate"]), "categories"),
        (lambda d: d["categories"].reverse(), "categories"),
        (lambda d: d.update(unsupported=["nonsense"]), "nonsense"),
        (lambda d: d.update(normalizer_version="0"), "normaliser version 0"),
        (lambda d: d["calibration"].pop("output"), "output"),
        (lambda d: d["calibration"]["prompt"].pop("hate"), "hate"),
        (lambda d: d["calibration"].update(sideways={}), "sideways"),
        (lambda d: d["calibration"]["prompt"].update(hate={"a": "x", "b": 0, "c": 0}), "malformed"),
        (lambda d: d["calibration"]["prompt"].update(hate={"a": 0, "b": 0, "c": 0}), "hate"),
        (lambda d: d["calibration"]["prompt"].update(hate={"a": 1, "b": float("nan"), "c": 0}), "hate"),
        (lambda d: d["calibration"]["prompt"]["hate"].update(b=0.5), "revision"),
        (lambda d: d.update(limits={"chunk": 128, "overlap": 128, "context": 64, "max_text": 1000}), "overlap"),
        (lambda d: d.update(limits={"chunk": 128, "overlap": 32, "context": -1, "max_text": 1000}), "context"),
        (lambda d: d.update(limits={"chunk": 128, "overlap": 32, "context": 64, "max_text": 64}), "max_text"),
        (lambda d: d.update(limits={"chunks": 128}), "chunks"),
        (lambda d: d.update(sources=[{"title": "x"}]), "title"),
        (lambda d: d.update(metrics={"auroc": "high"}), "malformed"),
        (lambda d: d["sha256"].pop("model.onnx"), "model.onnx"),
        (lambda d: d.update(unsupported=[]), "altered"),
        (lambda d: d.update(name="other"), "altered"),
        (lambda d: d["limits"].update(max_text=9999), "altered"),
        (lambda d: d["sha256"].pop(FILES.card), "altered"),
        (lambda d: d.pop("checksum"), "altered"),
    ],
)
def test_a_description_with_a_mistake_is_refused(
    directory: Path, change: Callable[[dict[str, Any]], object], word: str
) -> None:
    """What the description gets wrong is named."""
    _edit(directory, change)
    assert word in _refusal(directory)
