"""Fixtures that the whole test suite shares."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.classifier.classifier import Classifier
from tests.tiny import build_tiny_artifact


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of the tiny artifact; shared, so a test that alters it works on a copy."""
    return build_tiny_artifact(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tiny_classifier(tiny_model_dir: Path) -> Classifier:
    """The tiny artifact, loaded; immutable."""
    return Classifier.load(tiny_model_dir)
