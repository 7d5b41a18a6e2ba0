"""A stock Llama decoder with the weights of an end-to-end golden file, and a method attached to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import LlavaConfig, LlavaForConditionalGeneration

from focal_algorithm.hooks import attach
from focal_algorithm.hooks.ahead import is_looking_ahead
from focal_algorithm.hooks.cache import held_tokens
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.models.llava_onevision import LlavaOnevision
from focal_algorithm.prompts.layout import SampleLayout
from focal_algorithm.transformers_versions import cache_name, cache_of
from focal_traces.header.schema import TokenGrid
from goldens.comparing import Arrays, Settings

TOWER = {
    "model_type": "clip_vision_model",
    "hidden_size": 8,
    "intermediate_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}


def stored_decoder(params: Settings, arrays: Arrays) -> Any:
    """Return the model with the weights ``state_dict/NAME`` of a file."""
    weights = {
        name.removeprefix("state_dict/"): torch.from_numpy(array)
        for name, array in arrays.items()
        if name.startswith("state_dict/")
    }
    text = {
        "model_type": "llama",
        "vocab_size": 32,
        "hidden_size": params["hidden_size"],
        "intermediate_size": params["intermediate_size"],
        "num_hidden_layers": params["layers"],
        "num_attention_heads": params["heads"],
        "num_key_value_heads": params["kv_heads"],
        "hidden_act": params["hidden_act"],
        "rms_norm_eps": params["rms_norm_eps"],
        "rope_parameters": {"rope_type": "default", "rope_theta": params["rope_theta"]},
        "max_position_embeddings": 4096,
    }
    config = LlavaConfig(vision_config=TOWER, text_config=text, image_token_index=31)
    model = LlavaForConditionalGeneration(config).eval()
    left = model.get_decoder().load_state_dict(weights, strict=False)
    unset = [name for name in left.missing_keys if name != "embed_tokens.weight"]
    if unset or left.unexpected_keys:
        raise ValueError(
            f"weights do not fit the decoder: missing {unset}, unexpected {left.unexpected_keys}"
        )
    rotary = model.get_decoder().rotary_emb
    frequencies = rotary.inv_freq
    model = model.to(getattr(torch, params["dtype"]))
    rotary.inv_freq = frequencies  # float32 in a checkpoint loaded in half precision, too
    return model


@dataclass(frozen=True)
class Prefill:
    """What a decoder did with a prompt.

    Attributes:
        inputs: Input of each layer after what was dropped there, each axes (tokens, hidden).
        last_hidden: After the final norm, axes (tokens, hidden).
        cache_lengths: Tokens in the cache of each layer.
        decode_positions: Position of the first token after the prompt in each layer.
    """

    inputs: list[Tensor]
    last_hidden: Tensor
    cache_lengths: list[int]
    decode_positions: list[int]


@contextmanager
def layer_inputs(decoder: Any) -> Iterator[list[Tensor]]:
    """Collect the input of each layer after what was dropped there, axes (batch, tokens, hidden)."""
    inputs: list[Tensor] = []
    handles = [
        layer.input_layernorm.register_forward_pre_hook(
            lambda _module, args: None if is_looking_ahead() else inputs.append(args[0])
        )
        for layer in decoder.layers
    ]
    yield inputs
    for handle in handles:
        handle.remove()


def prefill(model: Any, method: CompressionMethod, embeddings: Tensor, layout: SampleLayout) -> Prefill:
    """Run a prompt of embeddings, axes (tokens, hidden), and a token after it."""
    decoder, positions = model.get_decoder(), []

    def note(_module: Any, _args: Any, inputs: dict[str, Any]) -> None:
        positions.append(int(inputs["position_ids"].flatten()[-1]))

    with torch.inference_mode(), attach(model, LlavaOnevision(), method, layouts=[layout]):
        with layer_inputs(decoder) as inputs:
            output = decoder(inputs_embeds=embeddings[None].to(decoder.dtype), use_cache=True)
        cache = cache_of(output)
        lengths = [held_tokens(cache, layer) for layer in range(len(inputs))]
        handles = [layer.register_forward_pre_hook(note, with_kwargs=True) for layer in decoder.layers]
        last = embeddings[None, -1:].to(decoder.dtype)
        decoder(inputs_embeds=last, use_cache=True, **{cache_name(): cache})
        for handle in handles:
            handle.remove()
    return Prefill([one[0] for one in inputs], output.last_hidden_state[0], lengths, positions)


def layout_of(start: int, visual: int, after: int) -> SampleLayout:
    """Return a prompt of ``start`` text tokens, a picture of one row, and text."""
    grid = TokenGrid(
        frames=1, rows=1, columns=visual, frame_stride=visual, row_stride=visual, column_stride=1
    )
    return SampleLayout("golden", start + visual + after, start, visual, grid)
