"""One sidecar and one guard in process over the same tiny model and the same policies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from guard import Guard
from tests.serving import Sidecar, sidecar, write_policies


@pytest.fixture(scope="session")
def policy_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two policies."""
    return write_policies(tmp_path_factory.mktemp("policies"))


@pytest.fixture(scope="session")
def served(tiny_model_dir: Path, policy_dir: Path) -> Iterator[Sidecar]:
    """A sidecar with the tiny model at a free port."""
    with sidecar(tiny_model_dir, policy_dir, max_tokens=200) as running:
        yield running


@pytest.fixture(scope="session")
def in_process(tiny_model_dir: Path, policy_dir: Path) -> Guard:
    """The same in this process."""
    return Guard(tiny_model_dir, policy_dir, max_tokens=200)
