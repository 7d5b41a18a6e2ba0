"""How much attention each visual token draws inside the vision tower (VisionZip, arXiv 2412.04467, sec. 3.2)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@torch.no_grad()
def tower_attention(model: Any, pixels: Tensor) -> Tensor:
    """Return the attention that CLS pays, or where there is none that all patches pay, to each visual token.

    Args:
        model: Video or image model.
        pixels: Pixels of one sample, axes (1, frames, channels, rows, columns).

    Returns:
        Mean over heads in the layer whose output the decoder gets, axes (visual). Where the model pools patches,
        so are the scores.
    """
    tower = model.model.vision_tower
    before = tower.config._attn_implementation
    tower.set_attn_implementation("eager")
    try:
        attentions = tower(pixels[0], output_attentions=True).attentions
    finally:
        tower.set_attn_implementation(before)
    # hidden_states[-1] is the output of the last layer, hence of attentions[-1].
    chosen = attentions[model.config.vision_feature_layer].mean(1)
    if model.config.vision_feature_select_strategy == "default":
        scores: Tensor = chosen[:, 0, 1:]
        return scores.flatten()
    received = chosen.mean(1)[..., None]
    return model.model.apply_pooling(received).flatten()


_EVERY_QUERY = 3
"""Every third patch asks: no divisor of a row of 16, so that all columns ask, for a third of the cost."""


@dataclass
class WatchedAttention:
    """Projections of one forward.

    Attributes:
        heads: Attention heads.
        projected: Queries and keys, each with axes (pictures, patches, width).
    """

    heads: int
    projected: dict[str, Tensor] = field(default_factory=dict)

    def received(self, every: int = _EVERY_QUERY) -> Tensor:
        """Return the mean over heads and queries, axes (pictures, patches); sums to 1 over patches.

        Args:
            every: Count one query out of so many; 1 is exact.
        """
        query, key = (
            self.projected[name].unflatten(-1, (self.heads, -1)).transpose(1, 2).float()
            for name in ("query", "key")
        )
        scores = query[:, :, ::every] @ key.transpose(2, 3) / query.shape[-1] ** 0.5
        return scores.softmax(-1).mean((1, 2))


@contextmanager
def watched_attention(tower: Any) -> Iterator[WatchedAttention]:
    """Keep queries and keys of the tower's last layer (VisionZip, arXiv 2412.04467, ranks by it).

    Args:
        tower: SigLIP tower.
    """
    attention = tower.encoder.layers[-1].self_attn
    watched = WatchedAttention(attention.num_heads)

    def keep(name: str) -> Any:
        def hook(_module: torch.nn.Module, _inputs: Any, output: Tensor) -> None:
            watched.projected[name] = output

        return hook

    handles = [
        attention.q_proj.register_forward_hook(keep("query")),
        attention.k_proj.register_forward_hook(keep("key")),
    ]
    try:
        yield watched
    finally:
        for handle in handles:
            handle.remove()
