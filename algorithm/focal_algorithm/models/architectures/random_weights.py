"""What models with random weights share: a byte vocabulary, sizes, and weights that keep tokens apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from focal_common.errors import ConfigError, near_matches

__all__ = ["BYTE_TEXT", "IMAGE_TOKEN", "VIDEO_TOKEN", "keep_tokens_apart", "size_of"]

BYTE_TEXT: dict[str, Any] = {
    "vocab_size": 320,
    "max_position_embeddings": 32768,
    "pad_token_id": 256,
    "bos_token_id": 257,
    "eos_token_id": 258,
}
"""Decoder settings for `focal_algorithm.prompts.media.tokens.ByteTokenizer`."""

IMAGE_TOKEN, VIDEO_TOKEN = 259, 260


def size_of(family: str, size: str, sizes: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the settings of a named size; raises `ConfigError` if there is none."""
    if size not in sizes:
        raise ConfigError(f"{family} has no size '{size}'; {near_matches(size, sizes)}")
    return sizes[size]


@torch.no_grad()
def keep_tokens_apart(patch_embedding: Tensor, projection: Tensor, layers: Iterable[Any]) -> None:
    """Change random weights so that patches of real pictures stay distinguishable through all layers.

    With stock initialisation every vector resembles every other: filters see little but brightness, and
    uniform attention adds the same mean to all tokens. Factors are assumed: chosen by trying two
    settings so that tokens stay distinguishable through the depth; no published figure was fitted.

    Args:
        patch_embedding: Weight of the convolution over patches, axes (filters, channels, ...).
        projection: Weight of the last linear layer before the decoder.
        layers: Decoder layers.
    """
    patch_embedding -= patch_embedding.mean(dim=tuple(range(2, patch_embedding.ndim)), keepdim=True)
    projection *= 10
    layers = list(layers)
    for layer in layers:
        # Residual branches scaled by depth as in GPT-2 (Radford et al. 2019, sec. 2.3).
        layer.self_attn.o_proj.weight /= math.sqrt(2 * len(layers))
        layer.mlp.down_proj.weight /= math.sqrt(2 * len(layers))
        layer.self_attn.q_proj.weight *= 4
        layer.self_attn.k_proj.weight *= 4
