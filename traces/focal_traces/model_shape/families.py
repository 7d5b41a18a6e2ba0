"""From a Hugging Face ``config.json`` to the shape of the model, one plain function per family.

Reads dictionaries only: neither torch nor transformers is imported. Fields that a published ``config.json``
leaves out take the defaults of the library's configuration class (`DEFAULTS`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from focal_common.config import validated
from focal_common.errors import ConfigError, near_matches
from focal_traces.model_shape.geometry import DecoderGeometry
from focal_traces.model_shape.model_shape import ModelShape, Projector, PromptLengths
from focal_traces.model_shape.tower_families import Fields, build_tower

DEFAULTS: dict[str, dict[str, Any]] = {
    "llama": {
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "vocab_size": 32000,
    },
    "qwen2": {
        "hidden_size": 4096,
        "intermediate_size": 22016,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "vocab_size": 151936,
    },
    "qwen2_5_vl_text": {
        "hidden_size": 8192,
        "intermediate_size": 29568,
        "num_hidden_layers": 80,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "vocab_size": 152064,
    },
}
"""Decoder defaults. Source: LlamaConfig, Qwen2Config and Qwen2_5_VLTextConfig of transformers 5.23."""

_MINICPM_RESAMPLER_HEAD_ELEMENTS = 128
"""Source: openbmb/MiniCPM-V-2_6 on the Hub, whose resampler has embed_dim / 128 heads."""


def model_shape(
    config: Mapping[str, Any], prompt: PromptLengths | None = None, family: str | None = None
) -> ModelShape:
    """Return the shape of a model.

    Args:
        config: Content of ``config.json``, or ``model.config.to_dict()``.
        prompt: Lengths of the prompt; one picture without text if None.
        family: Name in `FAMILIES`; None to take the configuration's ``model_type``.

    Raises:
        ConfigError: An unknown family, or a field that is missing or impossible.
    """
    name = str(family or config.get("model_type"))
    if family is None and "mm_vision_tower" in config:
        name = "llava_video"  # LLaVA-NeXT checkpoints call every model "llava" or "llava_qwen"
    if name in _NOT_CAUSAL:
        raise ConfigError(f"model family '{name}': {_NOT_CAUSAL[name]}; list its GEMMs in a CSV file instead")
    if name not in FAMILIES:
        raise ConfigError(f"unknown model family '{name}'; {near_matches(name, FAMILIES)}")
    tree = FAMILIES[name](config, prompt or PromptLengths())
    return validated(ModelShape, {"family": name} | tree, f"configuration of {name}")


def _llava(config: Mapping[str, Any], prompt: PromptLengths) -> dict[str, Any]:
    """LLaVA-1.5: CLIP tower, two GEMMs, no pooling."""
    tower = build_tower(_section(config, "vision_config"), "clip_vision_model", prompt)
    keeps_class = config.get("vision_feature_select_strategy", "default") == "full" and tower.class_tokens > 0
    projector = _mlp_projector(config, tower.hidden_elements, keeps_class, "llama")
    per_frame = tower.patches + (tower.class_tokens if keeps_class else 0)
    return _tree(config, "llama", tower, projector, prompt, prompt.frames, prompt.frames * per_frame)


def _llava_next(config: Mapping[str, Any], prompt: PromptLengths) -> dict[str, Any]:
    """LLaVA-NeXT: LLaVA-1.5 on an overview and the tiles of an image; a newline ends each row of the tiles."""
    tree = _llava(config, prompt)
    return tree | {"visual_tokens": _given_tokens(prompt, "llava_next")}


def _llava_onevision(config: Mapping[str, Any], prompt: PromptLengths) -> dict[str, Any]:
    """LLaVA-OneVision: SigLIP tower, two GEMMs on every patch, then bilinear halving for videos."""
    tower = build_tower(_section(config, "vision_config"), "siglip_vision_model", prompt, layers=26)
    rows, columns = -(-tower.patch_rows // 2), -(-tower.patch_columns // 2)
    pooled = rows * columns if prompt.is_video else None
    projector = _mlp_projector(config, tower.hidden_elements, False, "qwen2", pooled)
    visual = _images_need_tokens(prompt, "llava_onevision", rows * columns)
    return _tree(config, "qwen2", tower, projector, prompt, prompt.frames, visual)


def _llava_video(config: Mapping[str, Any], prompt: PromptLengths) -> dict[str, Any]:
    """LLaVA-Video: the tower and projector of LLaVA-OneVision, halved downwards, a newline after each row."""
    vision = config.get("vision_config")
    if vision is None:
        towers = {
            # Source: google/siglip-so400m-patch14-384 config.json; LLaVA-NeXT cuts the last of 27 layers off.
            "google/siglip-so400m-patch14-384": {
                "hidden_size": 1152,
                "intermediate_size": 4304,
                "num_hidden_layers": 26,
                "num_attention_heads": 16,
                "image_size": 384,
                "patch_size": 14,
            }
        }
        name = str(config.get("mm_vision_tower"))
        if name not in towers:
            raise ConfigError(f"unknown field mm_vision_tower '{name}'; {near_matches(name, towers)}")
        vision = towers[name]
    tower = build_tower(Fields(vision, "vision_config"), "siglip_vision_model", prompt, layers=26)
    rows, columns = tower.patch_rows // 2, tower.patch_columns // 2
    pooled = rows * columns if prompt.is_video else None
    projector = _mlp_projector(config, tower.hidden_elements, False, "qwen2", pooled)
    visual = _images_need_tokens(prompt, "llava_video", rows * (columns + 1))
    return _tree(config, "qwen2", tower, projector, prompt, prompt.frames, visual)


def _internvl(config: Mapping[str, Any], prompt: PromptLengths) -> dict[str, Any]:
    """InternVL 3: the tower on every tile, squares of patches side by side, two GEMMs."""
    tower = build_tower(_section(config, "vision_config"), "internvl_vision", prompt)
    merged = round(1 / float(config.get("downsample_ratio", 0.5))) ** 2
    width = _decoder(config, "qwen2").hidden_elements
    projector = Projector(
        kind="merger",
        input_elements=tower.hidden_elements * merged,
        hidden_elements=width,
        output_elements=width,
        merged_patches=merged,
    )
    visual = prompt.frames * tower.patches // merged
    return _tree(config, "qwen2", tower, projector, prompt, prompt.frames, visual)


def _smolvlm(config: Mapping[str, Any], prompt: PromptLengths) -> dict[str, Any]:
    """SmolVLM2: the tower on every tile or frame, squares of patches side by side, one GEMM."""
    tower = build_tower(_section(config, "vision_config"), "smolvlm_vision", prompt)
    merged = int(config.get("scale_factor", 2)) ** 2
    projector = Projector(
        kind="linear",
        input_elements=tower.hidden_elements * merged,
        hidden_elements=tower.hidden_elements * merged,
        output_elements=_decoder(config, "llama").hidden_elements,
        merged_patches=merged,
    )
    visual = prompt.frames * tower.patches // merged
    return _tree(config, "llama", tower, projector, prompt, prompt.frames, visual)


def _qwen2_5_vl(config: Mapping[str, Any], prompt: PromptLengths) -> dict[str, Any]:
    """Qwen2.5-VL: windowed tower over pairs of frames, then a merger of 2 x 2 patches."""
    vision = _section(config, "vision_config")
    tower = build_tower(vision, "qwen2_5_vl_vision", prompt)
    merged = int(vision.get("spatial_merge_size", 2)) ** 2
    projector = Projector(
        kind="merger",
        input_elements=tower.hidden_elements * merged,
        hidden_elements=tower.hidden_elements * merged,
        output_elements=int(vision.get("out_hidden_size", 3584)),
        merged_patches=merged,
    )
    pictures = -(-prompt.frames // tower.frames_per_patch)
    visual = pictures * tower.patches // merged
    return _tree(config, "qwen2_5_vl_text", tower, projector, prompt, pictures, visual)


def _minicpm_v(config: Mapping[str, Any], prompt: PromptLengths) -> dict[str, Any]:
    """MiniCPM-V-2.6: SigLIP tower on slices, a resampler to ``query_num`` tokens per slice."""
    tower = build_tower(_section(config, "vision_config"), "siglip_vision_model", prompt, layers=27)
    decoder = _decoder(config, "qwen2")
    queries = int(config.get("query_num", 64))
    projector = Projector(
        kind="resampler",
        input_elements=tower.hidden_elements,
        hidden_elements=decoder.hidden_elements,
        output_elements=decoder.hidden_elements,
        queries=queries,
        heads=max(1, decoder.hidden_elements // _MINICPM_RESAMPLER_HEAD_ELEMENTS),
    )
    return _tree(config, "qwen2", tower, projector, prompt, prompt.frames, prompt.frames * queries)


FAMILIES: dict[str, Callable[[Mapping[str, Any], PromptLengths], dict[str, Any]]] = {
    "internvl": _internvl,
    "llava": _llava,
    "llava_next": _llava_next,
    "llava_onevision": _llava_onevision,
    "llava_video": _llava_video,
    "minicpmv": _minicpm_v,
    "minicpm_v": _minicpm_v,
    "qwen2_5_vl": _qwen2_5_vl,
    "smolvlm": _smolvlm,
}
"""Family (``model_type`` of the configuration) to the function that reads it."""


_NOT_CAUSAL = {
    "gemma3": "most of its layers attend within a window, and tokens of an image both ways, which is not timed here"
}
"""Families that run and whose work has no list."""

PLAIN_DECODERS = ("llama", "mistral", "qwen2")
"""``model_type`` of language models whose blocks are grouped queries and a gated SiLU MLP, with nothing beside them.
Source: modeling_llama, modeling_mistral and modeling_qwen2 of transformers 5.23."""

_PLAIN_FIELDS = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")


def plain_decoder(config: Mapping[str, Any]) -> tuple[DecoderGeometry, int]:
    """Return the shape of a language model without pictures, and its vocabulary.

    Raises:
        ConfigError: Its blocks are not known, or a field is missing or impossible.
    """
    kind = str(config.get("model_type"))
    if kind not in PLAIN_DECODERS:
        raise ConfigError(
            f"field 'model_type' is '{kind}', whose blocks are not known; "
            f"{near_matches(kind, [*PLAIN_DECODERS, *FAMILIES])}; list its GEMMs in a CSV file instead"
        )
    for name in _PLAIN_FIELDS:
        if not isinstance(config.get(name), int) or config[name] < 1:
            raise ConfigError(f"field '{name}' is {config.get(name)!r}, expected a whole number above 0")
    return _decoder(config, "llama"), int(config["vocab_size"])


def _tree(
    config: Mapping[str, Any],
    text_type: str,
    tower: Any,
    projector: Projector,
    prompt: PromptLengths,
    frames: int,
    visual_tokens: int,
) -> dict[str, Any]:
    text = _text(config, text_type)
    tied = text.get("tie_word_embeddings", config.get("tie_word_embeddings", False))
    return {
        "vision": tower,
        "projector": projector,
        "decoder": _decoder(config, text_type),
        "vocabulary_size": text["vocab_size"],
        "is_lm_head_tied": bool(tied),
        "frames": frames,
        "visual_tokens": visual_tokens if prompt.visual_tokens is None else prompt.visual_tokens,
        "text_tokens_before": prompt.text_tokens_before,
        "text_tokens_after": prompt.text_tokens_after,
    }


def _images_need_tokens(prompt: PromptLengths, family: str, per_frame: int) -> int:
    """Return the visual tokens of a video; those of a cropped image follow from its pixels, not from here."""
    return prompt.frames * per_frame if prompt.is_video else _given_tokens(prompt, family)


def _given_tokens(prompt: PromptLengths, family: str) -> int:
    if prompt.visual_tokens is None:
        raise ConfigError(f"{family}: the visual tokens of an image follow from its size; give visual_tokens")
    return prompt.visual_tokens


def _mlp_projector(
    config: Mapping[str, Any], tower_width: int, keeps_class: bool, text_type: str, pooled: int | None = None
) -> Projector:
    layers = config.get("vision_feature_layer", -1)
    width = _decoder(config, text_type).hidden_elements
    return Projector(
        kind="mlp",
        input_elements=tower_width * (len(layers) if isinstance(layers, list | tuple) else 1),
        hidden_elements=width,
        output_elements=width,
        keeps_class_token=keeps_class,
        pooled_tokens=pooled,
    )


def _section(config: Mapping[str, Any], name: str) -> Fields:
    section = config.get(name)
    if not isinstance(section, Mapping):
        raise ConfigError(f"configuration: field '{name}' must be a mapping, got {section!r:.40}")
    return Fields(section, name)


def _text(config: Mapping[str, Any], text_type: str) -> dict[str, Any]:
    """Return decoder fields: of ``text_config``, or of a flat configuration, over the library's defaults."""
    nested = config.get("text_config")
    own: Mapping[str, Any] = nested if isinstance(nested, Mapping) else config
    kind = str(own.get("model_type", text_type)) if nested is not None else text_type
    if kind not in DEFAULTS:
        raise ConfigError(f"text_config: unknown decoder '{kind}'; {near_matches(kind, DEFAULTS)}")
    return DEFAULTS[kind] | {name: value for name, value in own.items() if value is not None}


def _decoder(config: Mapping[str, Any], text_type: str) -> DecoderGeometry:
    text = _text(config, text_type)
    heads = text["num_attention_heads"]
    tree = {
        "layers": text["num_hidden_layers"],
        "hidden_elements": text["hidden_size"],
        "intermediate_elements": text["intermediate_size"],
        "heads": heads,
        "kv_heads": text.get("num_key_value_heads", heads),
        "head_dim_elements": text.get("head_dim") or text["hidden_size"] // max(int(heads), 1),
    }
    return validated(DecoderGeometry, tree, "text_config")
