"""Do configurations of published families give the right shapes, and strange ones one sentence?"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest

from focal_common.config import packaged_yaml
from focal_common.errors import ConfigError
from focal_traces.header.recorded_shape import recorded_shape
from focal_traces.header.schema import QWEN2_7B, SampleHeader, TokenGrid
from focal_traces.header.text import header_to_text, text_to_header
from focal_traces.model_shape.families import DEFAULTS, model_shape
from focal_traces.model_shape.model_shape import PromptLengths, VisionTower
from focal_traces.model_shape.tower_families import TOWER_DEFAULTS
from shape_support import small_shape
from traces_support import tiny_trace

QWEN = {
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "tie_word_embeddings": False,
}
LLAVA_VIDEO = QWEN | {
    "model_type": "llava",
    "mm_vision_tower": "google/siglip-so400m-patch14-384",
    "mm_hidden_size": 1152,
}
ONEVISION = {
    "model_type": "llava_onevision",
    "text_config": QWEN | {"model_type": "qwen2"},
    "vision_config": {
        "model_type": "siglip_vision_model",
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_attention_heads": 16,
        "image_size": 384,
        "patch_size": 14,
    },
}
LLAVA = {
    "model_type": "llava",
    "text_config": {"model_type": "llama", "vocab_size": 32064},
    "vision_feature_layer": -2,
    "vision_feature_select_strategy": "default",
    "vision_config": {
        "model_type": "clip_vision_model",
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": 336,
        "patch_size": 14,
    },
}
INTERNVL = {
    "model_type": "internvl",
    "text_config": QWEN | {"model_type": "qwen2", "vocab_size": 151674},
    "vision_config": {"model_type": "internvl_vision"},
    "downsample_ratio": 0.5,
}
SMOLVLM = {
    "model_type": "smolvlm",
    "text_config": {
        "model_type": "llama",
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 24,
        "head_dim": 64,
        "vocab_size": 49280,
    },
    "vision_config": {
        "model_type": "smolvlm_vision",
        "intermediate_size": 4304,
        "num_hidden_layers": 27,
        "image_size": 384,
        "patch_size": 14,
    },
    "scale_factor": 3,
}
LLAVA_NEXT = LLAVA | {"model_type": "llava_next"}
QWEN_VL = QWEN | {
    "model_type": "qwen2_5_vl",
    "vision_config": {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "out_hidden_size": 3584},
}
MINICPM = QWEN | {
    "model_type": "minicpmv",
    "query_num": 64,
    "vision_config": {
        "model_type": "siglip",
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_hidden_layers": 27,
        "num_attention_heads": 16,
        "image_size": 980,
        "patch_size": 14,
    },
}
SLICE = {"patch_rows": 32, "patch_columns": 32}
CASES: dict[str, tuple[dict[str, Any], PromptLengths]] = {
    "llava_video_7b": (LLAVA_VIDEO, PromptLengths(frames=64)),
    "llava_onevision_7b": (ONEVISION, PromptLengths(frames=32)),
    "llava_1_5_7b": (LLAVA, PromptLengths()),
    "internvl3_8b": (INTERNVL, PromptLengths(frames=13)),
    "smolvlm2_2_2b": (SMOLVLM, PromptLengths(frames=13)),
    "llava_1_6_7b": (LLAVA_NEXT, PromptLengths(frames=5, visual_tokens=2928)),
    "qwen2_5_vl_7b": (QWEN_VL, PromptLengths(patch_rows=36, patch_columns=46)),
    "minicpm_v_2_6": (MINICPM, PromptLengths(frames=192, visual_tokens=12736, **SLICE)),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", CASES)
def test_a_published_configuration_gives_the_packaged_shape(name: str) -> None:
    presets = pytest.importorskip("focal_simulator.whole_model.presets")
    config, prompt = CASES[name]
    made, packaged = model_shape(config, prompt), presets.shape_preset(name)
    assert made.vision == packaged.vision
    assert made.projector == packaged.projector
    assert made.decoder == packaged.decoder
    assert (made.frames, made.visual_tokens) == (packaged.frames, packaged.visual_tokens)


def test_presets_cite_a_source_for_every_number() -> None:
    presets = pytest.importorskip("focal_simulator.whole_model.presets")
    assert set(presets.shape_names()) == set(CASES)
    for name in presets.shape_names():
        tree = packaged_yaml(files("focal_simulator.whole_model") / "shapes", name, "")
        sections = [tree[section] for section in ("vision", "projector", "decoder", "head", "prompt")]
        assert all(len(str(leaf["source"])) > 10 for section in sections for leaf in section.values())


def test_defaults_are_those_of_the_library() -> None:
    hf = pytest.importorskip("transformers")
    classes = {
        "llama": hf.LlamaConfig,
        "qwen2": hf.Qwen2Config,
        "clip_vision_model": hf.CLIPVisionConfig,
        "siglip_vision_model": hf.SiglipVisionConfig,
        "internvl_vision": hf.InternVLConfig.sub_configs["vision_config"],
        "smolvlm_vision": hf.SmolVLMConfig.sub_configs["vision_config"],
        "qwen2_5_vl_text": hf.Qwen2_5_VLConfig.sub_configs["text_config"],
        "qwen2_5_vl_vision": hf.Qwen2_5_VLConfig.sub_configs["vision_config"],
    }
    for kind, fields in (DEFAULTS | TOWER_DEFAULTS).items():
        library = classes[kind]()
        assert {name: getattr(library, name) for name in fields} == fields


def test_windows_cover_the_picture_once() -> None:
    base = small_shape().vision.model_dump()
    for rows in range(1, 20):
        for columns in (1, 7, 8, 16, 19):
            tower = VisionTower(
                **base
                | {
                    "patch_rows": rows,
                    "patch_columns": columns,
                    "window_patches": 8,
                    "full_attention_layers": (1,),
                }
            )
            # Walk over windows instead of dividing lengths.
            windows: dict[int, int] = {}
            for top in range(0, rows, 8):
                for left in range(0, columns, 8):
                    tokens = (min(top + 8, rows) - top) * (min(left + 8, columns) - left)
                    windows[tokens] = windows.get(tokens, 0) + 1
            assert dict(tower.attention_segments(0)) == windows
            assert tower.attention_segments(1) == ((rows * columns, 1),)


def test_a_llava_keeps_its_class_token_only_if_asked() -> None:
    full = LLAVA | {"vision_feature_select_strategy": "full"}
    assert model_shape(full).visual_tokens == 577
    assert model_shape(LLAVA | {"vision_feature_layer": [-2, -5]}).projector.input_elements == 2048


@pytest.mark.parametrize(
    ("change", "family", "message"),
    [
        ({"model_type": "llava_onvision"}, None, "did you mean 'llava_onevision'"),
        ({}, "qwen2_5vl", "did you mean 'qwen2_5_vl'"),
        ({"vision_config": None}, None, "field 'vision_config' must be a mapping"),
        ({"vision_config": {"model_type": "siglip2"}}, None, "unknown tower 'siglip2'"),
        ({"vision_config": {"num_attention_heads": 7}}, None, "must divide hidden_elements"),
        ({"vision_config": {"hidden_act": "relu6"}}, None, "unknown hidden_act"),
        ({"vision_config": {"image_size": [384, 300]}}, None, "must be whole numbers"),
        ({"text_config": {"model_type": "gemma"}}, None, "unknown decoder 'gemma'"),
        ({"text_config": {"model_type": "qwen2", "num_key_value_heads": 3}}, None, "must divide heads"),
    ],
)
def test_strange_configurations_give_one_sentence(
    change: dict[str, Any], family: str | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        model_shape(ONEVISION | change, family=family)


def test_a_tower_with_normalised_queries_is_refused() -> None:
    with pytest.raises(ConfigError, match="use_qk_norm"):
        model_shape(INTERNVL | {"vision_config": {"model_type": "internvl_vision", "use_qk_norm": True}})


def test_a_decoder_with_windows_is_refused() -> None:
    with pytest.raises(ConfigError, match="'gemma3': most of its layers attend within a window"):
        model_shape({"model_type": "gemma3"})


def test_a_cropped_image_needs_its_token_count() -> None:
    with pytest.raises(ConfigError, match="give visual_tokens"):
        model_shape(ONEVISION, PromptLengths(frames=5, is_video=False))
    with pytest.raises(ConfigError, match=r"llava_next: .*give visual_tokens"):
        model_shape(LLAVA_NEXT, PromptLengths(frames=5))
    shape = model_shape(ONEVISION, PromptLengths(frames=5, is_video=False, visual_tokens=3000))
    assert (shape.projector.pooled_tokens, shape.visual_tokens) == (None, 3000)


def _sample(tokens: int, frames: int, rows: int, columns: int) -> SampleHeader:
    grid = TokenGrid(
        frames=frames,
        rows=rows,
        columns=columns,
        frame_stride=rows * columns,
        row_stride=columns,
        column_stride=1,
    )
    return SampleHeader(
        sample_id="a", sequence_tokens=tokens + 30, visual_start=10, visual_tokens=tokens, grid=grid
    )


def test_a_recorded_prompt_gives_its_shape_where_pictures_are_known() -> None:
    shape = recorded_shape(ONEVISION, "llava_onevision", _sample(8 * 196, 8, 14, 14))
    assert shape is not None
    assert (shape.frames, shape.text_tokens_before, shape.text_tokens_after) == (8, 10, 20)
    assert shape.decoder == QWEN2_7B
    qwen = recorded_shape(QWEN_VL, "qwen2_5_vl", _sample(3 * 30, 3, 5, 6))
    assert qwen is not None
    assert (qwen.frames, qwen.vision.patch_rows, qwen.vision.patch_columns) == (3, 10, 12)
    assert recorded_shape(ONEVISION, "llava_onevision", _sample(3149, 16, 27, 27)) is None
    assert recorded_shape(ONEVISION, "deepseek_vl", _sample(196, 1, 14, 14)) is None


def test_a_header_keeps_its_bytes_without_a_shape_and_its_shape_with_one() -> None:
    header = tiny_trace().header
    assert "model_shape" not in json.loads(header_to_text(header))
    assert text_to_header(header_to_text(header), "x") == header
    with_shape = header.model_copy(update={"model_shape": small_shape()})
    again = text_to_header(header_to_text(with_shape), "x")
    assert again.model_shape == small_shape()
