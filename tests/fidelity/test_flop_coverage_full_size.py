"""Does the operator list hold all the work of a model at its published size? Meta tensors: shapes without numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
hf = pytest.importorskip("transformers")

from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from focal_simulator.whole_model import operators  # noqa: E402
from focal_simulator.whole_model.presets import shape_preset  # noqa: E402
from focal_traces.model_shape.model_shape import ModelShape  # noqa: E402
from shape_support import work_by_phase  # noqa: E402

CLASSES = {
    "internvl": ("InternVL", "qwen2"),
    "llava": ("Llava", "llama"),
    "llava_next": ("LlavaNext", "llama"),
    "llava_onevision": ("LlavaOnevision", "qwen2"),
    "smolvlm": ("SmolVLM", "llama"),
}
"""Stem of transformers' class and kind of decoder, by family."""


def _configuration(shape: ModelShape, attention: str) -> Any:
    tower, decoder = shape.vision, shape.decoder
    vision: dict[str, Any] = {
        "model_type": f"{tower.kind}_vision" + ("" if tower.kind in ("internvl", "smolvlm") else "_model"),
        "hidden_size": tower.hidden_elements,
        "intermediate_size": tower.intermediate_elements,
        "num_hidden_layers": tower.layers,
        "num_attention_heads": tower.heads,
        "image_size": tower.patch_rows * tower.patch_pixels,
        "patch_size": tower.patch_pixels,
    }
    text = {
        "model_type": CLASSES[shape.family][1],
        "hidden_size": decoder.hidden_elements,
        "intermediate_size": decoder.intermediate_elements,
        "num_hidden_layers": decoder.layers,
        "num_attention_heads": decoder.heads,
        "num_key_value_heads": decoder.kv_heads,
        "vocab_size": shape.vocabulary_size,
    }
    if tower.kind == "siglip":
        vision["vision_use_head"] = False
    build = getattr(hf, CLASSES[shape.family][0] + "Config")
    own = {"scale_factor": 3} if shape.family == "smolvlm" else {}
    return build(vision_config=vision, text_config=text, attn_implementation=attention, **own)


def _smolvlm_features(tower: Any, pixels: Any) -> Any:
    """Return what the tower's parts give; as a whole it looks at values of its mask, and meta tensors have none."""
    side = tower.embeddings.num_patches_per_side
    hidden = tower.embeddings(
        pixels, torch.ones(len(pixels), side, side, dtype=torch.bool, device=pixels.device)
    )
    return tower.post_layernorm(tower.encoder(inputs_embeds=hidden).last_hidden_state)


def _counted(call: Callable[[], Any]) -> tuple[int, Any]:
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), counter:
        output = call()
    return counter.get_total_flops(), output


@pytest.mark.parametrize(
    "name", ["llava_onevision_7b", "llava_1_5_7b", "llava_1_6_7b", "internvl3_8b", "smolvlm2_2_2b"]
)
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_published_model_is_covered_exactly(name: str, attention: str) -> None:
    shape = shape_preset(name)
    configuration = _configuration(shape, attention)
    build = getattr(hf, CLASSES[shape.family][0] + "ForConditionalGeneration")
    with torch.device("meta"):
        model = build(configuration).eval()
        side = shape.vision.patch_rows * shape.vision.patch_pixels
        pixels = torch.empty(shape.frames, shape.vision.channels, side, side)
        tokens = shape.visual_tokens + shape.text_tokens
        embedded = torch.empty(1, tokens, shape.decoder.hidden_elements)
        positions = torch.arange(tokens)[None]
        # A mask of four axes is used as given: meta tensors have no values to look at. torch counts masked scores.
        mask = torch.empty(1, 1, tokens, tokens)
    inner = model.model
    counted = {}
    if shape.family == "smolvlm":
        counted["vision"], patches = _counted(lambda: _smolvlm_features(inner.vision_model, pixels))
        counted["projector"], _ = _counted(lambda: inner.connector(patches))
    else:
        counted["vision"], seen = _counted(lambda: inner.vision_tower(pixels).last_hidden_state)
        patches = seen[:, shape.vision.class_tokens :]
        patches = patches.reshape(shape.frames, -1, shape.projector.input_elements)
        counted["projector"], _ = _counted(lambda: inner.multi_modal_projector(patches))
    counted["prefill"], hidden = _counted(
        lambda: (
            model.get_decoder()(
                inputs_embeds=embedded,
                position_ids=positions,
                use_cache=False,
                attention_mask=mask,
            ).last_hidden_state
        )
    )
    counted["lm_head"], _ = _counted(lambda: model.lm_head(hidden[:, -1:]))
    assert {work.phase: work.flops for work in work_by_phase(operators(shape))} == counted
