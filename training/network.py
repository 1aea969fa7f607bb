"""The classifier's network: a BERT-type encoder and a multiple-instance head over its tokens.

Every token gets a logit and an attention weight per category; a text's logit is the attention-weighted
mean (attention-based multiple-instance pooling, Ilse et al. 2018). The same forward pass therefore says
both how non-compliant a text is and where. The attention starts at zero, so that training begins
from plain mean pooling, which is what the sentence encoder was trained for.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel


class GuardNetwork(nn.Module):
    """Encoder and head; scores texts per category."""

    def __init__(self, encoder: nn.Module, hidden: int, categories: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.mix = nn.Linear(hidden, hidden)
        self.value = nn.Linear(hidden, categories)
        self.attention = nn.Linear(hidden, categories)
        nn.init.zeros_(self.attention.weight)
        nn.init.zeros_(self.attention.bias)

    def hidden(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """Token vectors [batch, tokens, hidden] of the encoder."""
        output: Tensor = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).last_hidden_state
        return output

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of whole sequences and of their tokens; only the text's own tokens are pooled.

        Args:
            input_ids: int64 [batch, tokens].
            attention_mask: int64 [batch, tokens], 1 for real tokens.
            token_type_ids: int64 [batch, tokens], 0 for the text, 1 for its context.

        Returns:
            Logits [batch, categories], each a weighted mean of its column of the second; and those token logits
            [batch, tokens, categories].
        """
        hidden = self.hidden(input_ids, attention_mask, token_type_ids)
        mixed = torch.tanh(self.mix(self.dropout(hidden)))
        values = self.value(self.dropout(mixed))
        weights = self.attention(mixed)
        pooled = (attention_mask * (1 - token_type_ids)).unsqueeze(-1).to(weights.dtype)
        weights = weights + (pooled - 1) * 10000.0
        return (torch.softmax(weights, dim=1) * values).sum(dim=1), values


def load_encoder(path: str) -> nn.Module:
    """An encoder from a Hugging Face directory or hub id, with eager attention and without dropout.

    Eager, because the fused attention leaves guard nodes in an exported graph, and its bf16 backward pass on a CPU
    takes as long as the rest of the step. Without dropout, because a text is seen a few times at most; it costs a
    fifth of a step.
    """
    config = AutoConfig.from_pretrained(path)
    extra = {"add_pooling_layer": False} if config.model_type in {"bert", "roberta", "xlm-roberta"} else {}
    encoder: nn.Module = AutoModel.from_pretrained(path, attn_implementation="eager", **extra)
    for module in encoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return encoder


def save_network(network: GuardNetwork, directory: Path) -> None:
    """Write the encoder as a Hugging Face directory and the head beside it."""
    directory.mkdir(parents=True, exist_ok=True)
    network.encoder.save_pretrained(directory)  # type: ignore[operator]  # nn.Module hides the HF class
    head = {k: v for k, v in network.state_dict().items() if not k.startswith("encoder.")}
    torch.save(head, directory / "head.pt")


def load_network(directory: Path, categories: int) -> GuardNetwork:
    """Read what :func:`save_network` wrote."""
    encoder = load_encoder(str(directory))
    network = GuardNetwork(encoder, int(encoder.config.hidden_size), categories)  # type: ignore[union-attr, arg-type]
    head = torch.load(directory / "head.pt", weights_only=True)
    missing, unexpected = network.load_state_dict(head, strict=False)
    stray = [k for k in missing if not k.startswith("encoder.")] + list(unexpected)
    if stray:
        raise ValueError(f"{directory / 'head.pt'}: does not fit the network: {stray} (train again)")
    return network
