"""What the training's tests share."""

from __future__ import annotations

import torch

# The tests' networks are tiny: a second thread costs more than it brings, and on a busy machine a hundred times more.
torch.set_num_threads(1)
