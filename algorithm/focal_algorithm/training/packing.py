"""Many questions about one video in one forward: they share the visual prefix and do not see each other.

The decoder's own modules are used; only the attention function is replaced while training. A row of the packed
sequence gets the numbers it would get in a prompt of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["PACKED_ATTENTION", "Packing", "packed_decoder", "packed_positions"]

PACKED_ATTENTION = "focal_packed"


@dataclass
class Packing:
    """How one batch is packed, and what its attention shows.

    Attributes:
        prefix: Tokens shared by all questions of a sample.
        questions: Q, slots after the prefix.
        slot: Tokens of a slot, padding at the end.
        columns: Indicators over the prefix, axes (batch, prefix, C): which tokens belong to which target.
        masses: Per layer, the attention that text rows pay to each target; axes (batch, heads, Q * slot, C).
        keeps_probabilities: Whether to remember the last layer's attention of text rows.
        probabilities: That attention, axes (batch, heads, Q * slot, prefix + Q * slot).
    """

    prefix: int
    questions: int
    slot: int
    columns: Tensor | None = None
    masses: list[Tensor] = field(default_factory=list)
    keeps_probabilities: bool = False
    probabilities: Tensor | None = None

    def text_mask(self, device: torch.device) -> Tensor:
        """Return what text rows may see, axes (Q * slot, prefix + Q * slot)."""
        index = torch.arange(self.questions * self.slot, device=device)
        is_same = index[:, None] // self.slot == index[None, :] // self.slot
        is_seen = torch.ones(len(index), self.prefix, dtype=torch.bool, device=device)
        return torch.cat([is_seen, is_same & (index[None, :] <= index[:, None])], 1)


def packed_positions(packing: Packing, device: torch.device) -> Tensor:
    """Return the position of every row, axes (1, prefix + Q * slot): each slot continues the prefix."""
    prefix = torch.arange(packing.prefix, device=device)
    slots = packing.prefix + torch.arange(packing.slot, device=device).repeat(packing.questions)
    return torch.cat([prefix, slots])[None]


@contextmanager
def packed_decoder(decoder: nn.Module) -> Iterator[None]:
    """Let a decoder use packed attention inside the block."""
    from transformers import AttentionInterface

    AttentionInterface.register(PACKED_ATTENTION, _packed_attention)
    config: Any = decoder.config
    before = config._attn_implementation
    config._attn_implementation = PACKED_ATTENTION
    try:
        yield
    finally:
        config._attn_implementation = before


def _packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    packing: Packing,
    **_: Any,
) -> tuple[Tensor, None]:
    repeats = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
    end = packing.prefix
    prefix = functional.scaled_dot_product_attention(
        query[:, :, :end], key[:, :, :end], value[:, :, :end], is_causal=True, scale=scaling
    )
    scores = (query[:, :, end:] * scaling) @ key.transpose(2, 3)
    scores = scores.masked_fill(~packing.text_mask(scores.device), torch.finfo(scores.dtype).min)
    probabilities = scores.softmax(-1).to(value.dtype)
    if packing.columns is not None:
        seen = probabilities[..., :end]
        packing.masses.append((seen @ packing.columns[:, None].to(seen.dtype)).float())
    if packing.keeps_probabilities:
        packing.probabilities = probabilities
    text = probabilities @ value
    return torch.cat([prefix, text], 2).transpose(1, 2).contiguous(), None
