"""How much attention each visual token draws inside the vision tower (VisionZip, arXiv 2412.04467, sec. 3.2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["tower_attention"]


@torch.no_grad()
def tower_attention(model: Any, pixels: Tensor) -> Tensor:
    """Return the attention that CLS pays, or where there is none that all patches pay, to each visual token.

    Args:
        model: Video or image model.
        pixels: Of one sample, axes (1, frames, channels, rows, columns).

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
