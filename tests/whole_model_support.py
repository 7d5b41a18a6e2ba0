"""Tiny random models of real families with a prompt each, and the shapes we read from their configurations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import transformers as hf

from focal_traces.model_shape.families import model_shape
from focal_traces.model_shape.model_shape import ModelShape, PromptLengths

IMAGE, VIDEO = 150, 151
TEXT = {
    "vocab_size": 208,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
TOWER = {
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 70,
    "patch_size": 14,
}


@dataclass(frozen=True)
class Case:
    """A model, keyword arguments of its prefill, and our shape of both."""

    model: Any
    inputs: dict[str, Any]
    shape: ModelShape


def _ids(tokens: int, placeholder: int) -> torch.Tensor:
    return torch.tensor([[1, 5, 6] + [placeholder] * tokens + [7, 8, 9, 10]])


def llava(attention: str) -> Case:
    config = hf.LlavaConfig(
        vision_config={"model_type": "clip_vision_model", "projection_dim": 48, **TOWER},
        text_config={"model_type": "llama", **TEXT},
        image_token_index=IMAGE,
        image_seq_length=25,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        attn_implementation=attention,
    )
    prompt = PromptLengths(frames=1, text_tokens_before=3, text_tokens_after=4)
    inputs = {"input_ids": _ids(25, IMAGE), "pixel_values": torch.randn(1, 3, 70, 70)}
    shape = model_shape(config.to_dict(), prompt)
    return Case(hf.LlavaForConditionalGeneration(config), inputs, shape)


def llava_onevision(attention: str) -> Case:
    frames, per_frame = 5, 9
    config = hf.LlavaOnevisionConfig(
        vision_config={"model_type": "siglip_vision_model", "vision_use_head": False, **TOWER},
        text_config={"model_type": "qwen2", **TEXT},
        image_token_index=IMAGE,
        video_token_index=VIDEO,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        image_grid_pinpoints=[[70, 70], [140, 140]],
        attn_implementation=attention,
    )
    # The newline at the end of a video is text: 4 tokens after it and itself.
    prompt = PromptLengths(frames=frames, text_tokens_before=3, text_tokens_after=5)
    inputs = {
        "input_ids": _ids(frames * per_frame + 1, VIDEO),
        "pixel_values_videos": torch.randn(1, frames, 3, 70, 70),
    }
    shape = model_shape(config.to_dict(), prompt)
    return Case(hf.LlavaOnevisionForConditionalGeneration(config), inputs, shape)


def qwen2_5_vl(attention: str) -> Case:
    times, rows, columns = 3, 12, 10
    config = hf.Qwen2_5_VLConfig(
        vision_config={
            "depth": 3,
            "hidden_size": 64,
            "intermediate_size": 80,
            "num_heads": 4,
            "out_hidden_size": 64,
            "fullatt_block_indexes": [1],
            "window_size": 112,
        },
        text_config={
            **TEXT,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e6},
        },
        image_token_id=IMAGE,
        video_token_id=VIDEO,
        vision_start_token_id=152,
        vision_end_token_id=153,
        attn_implementation=attention,
    )
    prompt = PromptLengths(
        frames=2 * times, text_tokens_before=3, text_tokens_after=3, patch_rows=rows, patch_columns=columns
    )
    patches = times * rows * columns
    ids = torch.tensor([[1, 5, 152] + [VIDEO] * (patches // 4) + [153, 8, 9]])
    inputs = {
        "input_ids": ids,
        "pixel_values_videos": torch.randn(patches, 3 * 2 * 14 * 14),
        "video_grid_thw": torch.tensor([[times, rows, columns]]),
        "mm_token_type_ids": (ids == VIDEO).long() * 2,
    }
    shape = model_shape(config.to_dict(), prompt)
    return Case(hf.Qwen2_5_VLForConditionalGeneration(config), inputs, shape)


CASES = {"llava": llava, "llava_onevision": llava_onevision, "qwen2_5_vl": qwen2_5_vl}
