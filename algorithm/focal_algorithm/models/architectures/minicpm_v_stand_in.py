"""A stand-in for the code of a MiniCPM-V 2.6 checkpoint, put together from transformers' own parts.

It has the interface and the module names of the published class (``vpm``, ``resampler``, ``llm``), so that the
adapter can be tried without running foreign code. It does not claim to compute what the published class computes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, Qwen2Config, Qwen2ForCausalLM
from transformers.models.idefics2.configuration_idefics2 import Idefics2VisionConfig
from transformers.models.idefics2.modeling_idefics2 import Idefics2VisionTransformer

__all__ = ["MiniCpmVConfig", "Resampler", "StandInMiniCpmV"]


class MiniCpmVConfig(Qwen2Config):
    """Decoder settings, with ``vision_config``, ``query_num`` and ``slice_config`` beside them."""

    model_type = "minicpmv"


class Resampler(nn.Module):
    """Learned queries gather the patches of a picture by cross-attention (Qwen-VL, arXiv 2308.12966, sec. 2.1).

    Args:
        queries: Visual tokens per picture.
        hidden: Width of the decoder; a multiple of 4.
        vision_hidden: Width of the tower.
        heads: Attention heads.
    """

    def __init__(self, queries: int, hidden: int, vision_hidden: int, heads: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(queries, hidden) * 0.02)
        self.kv_proj = nn.Linear(vision_hidden, hidden, bias=False)
        self.attn = nn.MultiheadAttention(hidden, heads, batch_first=True)
        self.ln_q, self.ln_kv, self.ln_post = (nn.LayerNorm(hidden) for _ in range(3))
        self.proj = nn.Linear(hidden, hidden, bias=False)

    def forward(self, features: Tensor, rows: int, columns: int) -> Tensor:
        """Return one picture's tokens, axes (queries, hidden), from its patches, axes (patches, vision_hidden)."""
        values = self.ln_kv(self.kv_proj(features))
        keys = values + _sine_positions(rows, columns, values.shape[1]).to(values)
        gathered, _ = self.attn(self.ln_q(self.query)[None], keys[None], values[None], need_weights=False)
        return self.proj(self.ln_post(gathered[0]))


class StandInMiniCpmV(PreTrainedModel):
    """The interface of the published class."""

    config_class = MiniCpmVConfig
    _supports_sdpa = True

    def __init__(self, config: MiniCpmVConfig) -> None:
        super().__init__(config)
        tower = Idefics2VisionConfig(**config.vision_config, attn_implementation="eager")
        self.llm = Qwen2ForCausalLM(config)
        self.vpm = Idefics2VisionTransformer(tower)
        self.resampler = Resampler(
            config.query_num, config.hidden_size, tower.hidden_size, config.num_attention_heads
        )
        self.post_init()

    def get_vllm_embedding(self, data: dict[str, Any]) -> tuple[Tensor, list[Tensor]]:
        """Return embeddings of text and pictures, axes (batch, tokens, hidden), and the pictures' alone."""
        embeddings = self.llm.model.embed_tokens(data["input_ids"])
        features = []
        for row, (strips, sizes) in enumerate(zip(data["pixel_values"], data["tgt_sizes"], strict=True)):
            own = [self._picture(strip, *size) for strip, size in zip(strips, sizes.tolist(), strict=True)]
            features.append(torch.stack(own) if own else embeddings.new_zeros(0))
            for picture, (start, stop) in zip(own, data["image_bound"][row].tolist(), strict=True):
                embeddings[row, start:stop] = picture.to(embeddings)
        return embeddings, features

    def forward(self, data: dict[str, Any], **settings: Any) -> Any:
        """Run the decoder on `get_vllm_embedding`."""
        embeddings, _ = self.get_vllm_embedding(data)
        return self.llm(inputs_embeds=embeddings, position_ids=data["position_ids"], **settings)

    def _picture(self, strip: Tensor, rows: int, columns: int) -> Tensor:
        channels, patch, _ = strip.shape
        pixels = strip.view(channels, patch, rows, columns, patch).transpose(1, 2)
        pixels = pixels.reshape(1, channels, rows * patch, columns * patch)
        is_patch = torch.ones(1, rows, columns, dtype=torch.bool, device=strip.device)
        features = self.vpm(pixels, patch_attention_mask=is_patch).last_hidden_state[0]
        return self.resampler(features, rows, columns)


def _sine_positions(rows: int, columns: int, width: int) -> Tensor:
    """Return sines and cosines of row and column, axes (patches, width)."""
    frequencies = 10000.0 ** (-torch.arange(width // 4) / (width / 4))
    axes = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = [axis.reshape(-1, 1) * frequencies for axis in axes]
    return torch.cat([function(angle) for angle in angles for function in (torch.sin, torch.cos)], dim=1)
