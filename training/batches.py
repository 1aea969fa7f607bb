"""Token sequences to padded tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from training.run import device


def collate(items: Sequence[tuple[Sequence[int], Sequence[int]]], pad_id: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Pad to the longest.

    Args:
        items: Pairs of (input ids, token type ids).
        pad_id: Fills short rows.

    Returns:
        input_ids, attention_mask and token_type_ids, each int64 [len(items), longest].
    """
    length = max(len(ids) for ids, _ in items)
    ids = torch.full((len(items), length), pad_id, dtype=torch.long)
    mask = torch.zeros((len(items), length), dtype=torch.long)
    types = torch.zeros((len(items), length), dtype=torch.long)
    for row, (tokens, kinds) in enumerate(items):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
        types[row, : len(kinds)] = torch.tensor(kinds)
    where = device()
    return ids.to(where), mask.to(where), types.to(where)
