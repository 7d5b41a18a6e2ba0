"""A tiny model with a CLIP tower: CLS token, features of the last layer but one, one token per patch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch
from transformers import LlavaConfig, LlavaForConditionalGeneration

from focal_algorithm.models.base import ModelAdapter
from focal_algorithm.models.llava_onevision import LlavaOnevision
from focal_algorithm.prompts.layout import SampleLayout
from focal_traces.header.schema import TokenGrid

PLACEHOLDER, SIDE, PATCHES = 290, 5, 25


class ClipFamily(LlavaOnevision):
    """LLaVA-1.5's layout with everything about the tower left to the defaults."""

    visual_map = ModelAdapter.visual_map  # type: ignore[assignment]

    def layouts(
        self, model: Any, inputs: Mapping[str, Any], sample_ids: Sequence[str] | None = None
    ) -> tuple[SampleLayout, ...]:
        mask = inputs.get("attention_mask")
        found = []
        for number, row in enumerate(inputs["input_ids"]):
            own = row if mask is None else row[mask[number].bool()]
            places = (own == PLACEHOLDER).nonzero().flatten()
            start = int(places[0]) if len(places) else 0
            grid = TokenGrid(
                frames=1, rows=SIDE, columns=SIDE, frame_stride=PATCHES, row_stride=SIDE, column_stride=1
            )
            found.append(
                SampleLayout(str(number), len(own), start, len(places), grid if len(places) else None)
            )
        return tuple(found)


@cache
def clip_model(attention: str = "sdpa", strategy: str = "default") -> Any:
    tower = {
        "model_type": "clip_vision_model",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "image_size": 14 * SIDE,
        "patch_size": 14,
        "projection_dim": 32,
    }
    text = {
        "model_type": "llama",
        "vocab_size": 300,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "pad_token_id": 0,
    }
    config = LlavaConfig(
        vision_config=tower,
        text_config=text,
        image_token_index=PLACEHOLDER,
        image_seq_length=PATCHES,
        vision_feature_layer=-2,
        vision_feature_select_strategy=strategy,
        attn_implementation=attention,
    )
    # The first call may come from inside inference mode, which would make the weights unchangeable.
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False):
        torch.manual_seed(3)
        model = LlavaForConditionalGeneration(config).eval()
        with torch.no_grad():  # stock initialisation makes all patches alike
            for parameter in model.parameters():
                parameter.mul_(4 if parameter.ndim > 1 else 1)
    return model


def clip_inputs(seed: int = 0, text_before: int = 3, text_after: int = 4) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    words = torch.randint(1, 280, (text_before + text_after,), generator=generator).tolist()
    ids = [*words[:text_before], *[PLACEHOLDER] * PATCHES, *words[text_before:]]
    pixels = torch.randn(1, 3, 14 * SIDE, 14 * SIDE, generator=generator)
    token_ids = torch.tensor([ids])
    return {"input_ids": token_ids, "attention_mask": torch.ones_like(token_ids), "pixel_values": pixels}
