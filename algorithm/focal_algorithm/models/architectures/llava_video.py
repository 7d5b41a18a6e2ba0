"""LLaVA-Video in terms of transformers' LLaVA-OneVision: other pooling, and a newline after every row."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration, LlavaOnevisionModel


class LlavaVideoConfig(LlavaOnevisionConfig):
    """Settings of LLaVA-OneVision under a name of its own."""

    model_type = "llava_video"


class LlavaVideoModel(LlavaOnevisionModel):
    """Pools each frame by the mean of 2 x 2 patches and ends each pooled row with the newline vector.

    With the real tower, 27 x 27 patches become 13 rows of 13 tokens and a newline: 182 tokens per frame
    (LLaVA-Video, arXiv 2410.02713; grid newlines and average pooling as its evaluation sets them).
    """

    config_class = LlavaVideoConfig

    def apply_pooling(self, image_features: Tensor) -> Tensor:
        """Average 2 x 2 patches; a last odd row and column are left out.

        Args:
            image_features: Axes (frames, patches, width).

        Returns:
            Axes (frames, pooled patches, width).
        """
        side = math.isqrt(image_features.shape[1])
        maps = image_features.transpose(1, 2).unflatten(2, (side, side))
        return torch.nn.functional.avg_pool2d(maps, 2).flatten(2).transpose(1, 2)

    def get_video_features(self, pixel_values_videos: Tensor, **settings: Any) -> Any:
        """Encode videos, axes (batch, frames, channels, rows, columns); one newline per row, none after the video."""
        settings["return_dict"] = True
        outputs = super().get_video_features(pixel_values_videos, **settings)
        batch, frames = pixel_values_videos.shape[:2]
        features = outputs.pooler_output[:, :-1]
        side = math.isqrt(features.shape[1] // frames)
        rows = features.unflatten(1, (frames, side, side))
        newlines = self.image_newline.to(features).expand(batch, frames, side, 1, -1)
        outputs.pooler_output = torch.cat([rows, newlines], dim=3).flatten(1, 3)
        return outputs


class LlavaVideoForConditionalGeneration(LlavaOnevisionForConditionalGeneration):
    """`LlavaVideoModel` with a language-modelling head."""

    config_class = LlavaVideoConfig

    def __init__(self, config: LlavaVideoConfig) -> None:
        # Past the stock constructor, which would build the stock inner model.
        super(LlavaOnevisionForConditionalGeneration, self).__init__(config)
        self.model = LlavaVideoModel(config)
        text = config.text_config
        self.lm_head = nn.Linear(text.hidden_size, text.vocab_size, bias=False)
        self.post_init()
