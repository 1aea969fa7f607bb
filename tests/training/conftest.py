"""What the training's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from training.tiny_backbone import write_tiny_backbone

# The tests' networks are tiny: a second thread costs more than it brings, and on a busy machine a hundred times more.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny English encoder: two layers of width 64, twice as wide between, two heads. To be read only."""
    directory = tmp_path_factory.mktemp("tiny_encoder")
    write_tiny_backbone(directory)
    return directory
