from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from training.int8.smoothing import smooth
from training.network import load_encoder


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> nn.Module:
    """A tiny encoder, two of whose channels are thirty times larger than the rest."""
    encoder = load_encoder(str(tiny_encoder)).eval()
    with torch.no_grad():
        for layer in encoder.encoder.layer:  # type: ignore[union-attr]
            layer.attention.output.LayerNorm.weight[:2] *= 30
    return encoder


def _vectors(encoder: nn.Module, ids: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    return found


def _feed(encoder: nn.Module, ids: Tensor) -> None:
    _vectors(encoder, ids)


def test_a_smoothed_encoder_computes_the_same(encoder: nn.Module) -> None:
    """Only the distribution of the numbers changes, not what comes out."""
    ids = torch.randint(5, 100, (4, 12), generator=torch.Generator().manual_seed(0))
    even = copy.deepcopy(encoder)
    smooth(even, lambda: _feed(even, ids))
    assert torch.allclose(_vectors(encoder, ids), _vectors(even, ids), atol=1e-3)


def test_channels_are_more_even_where_they_are_quantised(encoder: nn.Module) -> None:
    """The largest channel in front of a product stands out less than before."""
    ids = torch.randint(5, 100, (4, 12), generator=torch.Generator().manual_seed(0))
    even = copy.deepcopy(encoder)
    smooth(even, lambda: _feed(even, ids))

    def spread(network: nn.Module, name: str) -> float:
        seen: list[float] = []

        def watch(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            ranges = args[0].abs().flatten(0, -2).amax(dim=0)
            seen.append(float(ranges.max() / ranges.median()))

        module = dict(network.named_modules())[name]
        hook = module.register_forward_pre_hook(watch)
        _vectors(network, ids)
        hook.remove()
        return seen[0]

    before = spread(encoder, "encoder.layer.0.intermediate.dense")
    after = spread(even, "encoder.layer.0.intermediate.dense.inner")
    assert after < before / 2


def test_outlying_channels_are_multiplied_apart(encoder: nn.Module) -> None:
    """The channel that is large on both sides of the last product leaves it: its int8 weights are zero there."""
    ids = torch.randint(5, 100, (4, 12), generator=torch.Generator().manual_seed(0))
    even = copy.deepcopy(encoder)
    with torch.no_grad():
        first: Any = even.encoder.layer[0]  # type: ignore[index, union-attr]
        first.intermediate.dense.bias[3] = 25.0
        first.output.dense.weight[:2, 3] = 8.0
    before = _vectors(even, ids)
    smooth(even, lambda: _feed(even, ids))
    last = first.output.dense
    assert last.channels.tolist() == [3]
    assert not last.inner.inner.weight[:, last.channels].any()
    assert torch.allclose(before, _vectors(even, ids), atol=1e-3)
