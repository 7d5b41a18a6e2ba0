"""What models with random weights share: a byte vocabulary, sizes, and weights that keep tokens apart."""

from __future__ import annotations

import math
from functools import cache
from importlib.resources import files
from typing import Any

import torch

from focal_common.errors import ConfigError, near_matches
from focal_common.reading.yaml_files import parse_yaml

BYTE_TEXT: dict[str, Any] = {
    "vocab_size": 320,
    "max_position_embeddings": 32768,
    "pad_token_id": 256,
    "bos_token_id": 257,
    "eos_token_id": 258,
}
"""Decoder settings for `focal_algorithm.prompts.media.tokens.ByteTokenizer`."""

IMAGE_TOKEN, VIDEO_TOKEN = 259, 260


@cache
def _families() -> dict[str, Any]:
    text = (files("focal_algorithm.models") / "sizes.yaml").read_text(encoding="utf-8")
    return parse_yaml(text, "sizes.yaml")


def settings(family: str, size: str) -> dict[str, Any]:
    """Return the fields of the configuration of a named size; raises `ConfigError` if there is none."""
    sizes = _families().get(family, {}).get("sizes", {})
    if size not in sizes:
        raise ConfigError(f"{family} has no size '{size}'; {near_matches(size, sizes)}")
    chosen = dict(_families()[family]["common"])
    for name, value in sizes[size].items():
        chosen[name] = chosen.get(name, {}) | value if isinstance(value, dict) else value
    if "text_config" not in chosen:  # the decoder's fields stand beside the others
        return BYTE_TEXT | chosen
    return chosen | {"text_config": BYTE_TEXT | chosen["text_config"]}


@torch.no_grad()
def keep_tokens_apart(family: str, model: Any) -> None:
    """Change random weights so that patches of real pictures stay distinguishable through all layers.

    With stock initialisation every vector resembles every other: filters see little but brightness, and
    uniform attention adds the same mean to all tokens. Factors are assumed: chosen by trying two
    settings so that tokens stay distinguishable through the depth; no published figure was fitted.

    Args:
        family: Only those of ``sizes.yaml`` say which weights to change; models of others stay as they are.
        model: The model.
    """
    if family not in _families():
        return
    patches, projection = map(model.get_parameter, _families()[family]["distinct"])
    if not projection.is_meta and not projection.any():  # as Gemma's is made
        torch.nn.init.normal_(projection, std=model.config.initializer_range)
    patches -= patches.mean(dim=tuple(range(2, patches.ndim)), keepdim=True)
    projection *= 10
    layers = list(model.get_decoder().layers)
    for layer in layers:
        # Residual branches scaled by depth as in GPT-2 (Radford et al. 2019, sec. 2.3).
        layer.self_attn.o_proj.weight /= math.sqrt(2 * len(layers))
        layer.mlp.down_proj.weight /= math.sqrt(2 * len(layers))
        layer.self_attn.q_proj.weight *= 4
        layer.self_attn.k_proj.weight *= 4
        if hasattr(
            layer, "post_feedforward_layernorm"
        ):  # undoes the scale of its branch; its factor is 1 + weight
            for norm in (layer.post_attention_layernorm, layer.post_feedforward_layernorm):
                norm.weight += 1 / math.sqrt(2 * len(layers)) - 1
