"""Mean and deviation of the three colour channels that vision towers were trained with."""

from __future__ import annotations

__all__ = ["CLIP_DEVIATION", "CLIP_MEAN", "SIGLIP_DEVIATION", "SIGLIP_MEAN"]

SIGLIP_MEAN = SIGLIP_DEVIATION = (0.5, 0.5, 0.5)
"""Source: google/siglip-so400m-patch14-384 preprocessor_config.json."""

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_DEVIATION = (0.26862954, 0.26130258, 0.27577711)
"""Source: openai/clip-vit-large-patch14-336 preprocessor_config.json."""
