"""Make an encoder easy to quantise: move the outliers of activations into the weights.

Dynamic int8 takes one scale for all channels of an activation, and a few channels of a BERT encoder are many times
larger than the rest, which then share few steps. Dividing every channel by a factor, and multiplying the weights behind
it by the same, changes nothing in exact arithmetic and evens the channels out (SmoothQuant, Xiao et al. 2023). The
division is one more elementwise operation before a product; behind the attention, where the channels are
linear in the value projection, it is folded into that and costs nothing.

A channel that is large in the activation and in the weights behind it cannot be evened out: what it loses in one it
gains in the other. The lower layers have one or two such channels before their last product, and they cost more than
all the rest; they are taken out of that product and multiplied in float (after LLM.int8, Dettmers et al. 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

#: Share of the range of activations that moves into the weights, 0..1: of several the one that moved the scores of
#: held-out texts least.
STRENGTH = 0.8
#: A channel is taken out whose largest contribution to a product is so many times the median channel's. In the released
#: model those taken out are at 130 and more, the next at 20; taking out more was measured to give nothing.
OUTLYING = 50.0
_SMALLEST = 1e-3


class Divided(nn.Module):
    """A module whose first argument is divided by a factor per channel."""

    def __init__(self, inner: nn.Module, factors: Tensor) -> None:
        super().__init__()
        self.inner = inner
        self.inverse = nn.Parameter(1 / factors, requires_grad=False)

    def forward(self, states: Tensor, *args: Any, **kwargs: Any) -> Any:
        """What the inner module gives for the divided states [..., channels]."""
        return self.inner(states * self.inverse, *args, **kwargs)


class Apart(nn.Module):
    """A linear layer some of whose input channels are multiplied by weights of their own.

    Attributes:
        inner: The layer, its weights of these channels zero.
        apart: Their weights; the name is how the export knows that it stays in float.
    """

    def __init__(self, linear: nn.Linear, channels: Tensor) -> None:
        super().__init__()
        self.channels = nn.Parameter(channels, requires_grad=False)
        self.apart = nn.Linear(len(channels), linear.out_features, bias=False)
        self.apart.weight = nn.Parameter(linear.weight[:, channels].clone(), requires_grad=False)
        linear.weight[:, channels] = 0
        self.inner: nn.Module = linear

    def forward(self, states: Tensor) -> Tensor:
        """What the layer gave for the states [..., channels]."""
        product: Tensor = self.inner(states) + self.apart(states[..., self.channels])
        return product


@torch.no_grad()
def smooth(encoder: nn.Module, feed: Callable[[], None], strength: float = STRENGTH) -> None:
    """Even out a BERT encoder in place.

    Args:
        encoder: Hugging Face's BertModel.
        feed: Runs the encoder on sample texts; the ranges of activations are taken meanwhile.
        strength: See :data:`STRENGTH`.
    """
    layers: list[Any] = list(encoder.encoder.layer)  # type: ignore[union-attr, arg-type]  # HF's parts are untyped
    ranges: dict[nn.Module, Tensor] = {}

    def watch(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        found = args[0].detach().abs().flatten(0, -2).amax(dim=0)
        ranges[module] = torch.maximum(ranges[module], found) if module in ranges else found

    watched = [m for layer in layers for m in _inputs(layer)]
    hooks = [module.register_forward_pre_hook(watch) for module in watched]
    feed()
    for hook in hooks:
        hook.remove()
    for layer in layers:
        attention = layer.attention
        own = attention.self
        linear = (own.query, own.key, own.value)
        factors = _factors(ranges[own.query], linear, strength)
        _scale_columns(linear, factors)
        attention.self = Divided(own, factors)
        # The attention mixes positions, never channels, so the factor may stand before it.
        factors = _factors(ranges[attention.output.dense], (attention.output.dense,), strength)
        own.value.weight /= factors.unsqueeze(1)
        own.value.bias /= factors
        _scale_columns((attention.output.dense,), factors)
        layer.intermediate.dense = _evened(layer.intermediate.dense, ranges[layer.intermediate.dense], strength)
        layer.output.dense = _last(layer.output.dense, ranges[layer.output.dense], strength)


def _inputs(layer: Any) -> Iterable[nn.Module]:
    attention = layer.attention
    return (attention.self.query, attention.output.dense, layer.intermediate.dense, layer.output.dense)


def _last(linear: nn.Linear, activations: Tensor, strength: float) -> nn.Module:
    """A layer's last product, evened out, its outlying channels apart."""
    contributions = activations * linear.weight.abs().amax(dim=0)
    channels = (contributions > OUTLYING * contributions.median()).nonzero().flatten()
    if not len(channels):
        return _evened(linear, activations, strength)
    apart = Apart(linear, channels)
    apart.inner = _evened(linear, activations, strength)
    return apart


def _evened(linear: nn.Linear, activations: Tensor, strength: float) -> Divided:
    factors = _factors(activations, (linear,), strength)
    _scale_columns((linear,), factors)
    return Divided(linear, factors)


def _factors(activations: Tensor, linear: Iterable[nn.Linear], strength: float) -> Tensor:
    weights = torch.stack([module.weight.abs().amax(dim=0) for module in linear]).amax(dim=0)
    factors = activations.clamp_min(_SMALLEST) ** strength / weights.clamp_min(_SMALLEST) ** (1 - strength)
    return (factors / factors.log().mean().exp()).clamp(0.02, 50.0)


def _scale_columns(linear: Iterable[nn.Linear], factors: Tensor) -> None:
    for module in linear:
        module.weight *= factors
