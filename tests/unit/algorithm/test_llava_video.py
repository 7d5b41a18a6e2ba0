"""Does LLaVA-Video pool and end rows as published, and does a converted checkpoint hold the same model?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from focal.commands.convert_model import app
from focal.commands.running import run_command
from focal.testing import prompts as families
from focal_algorithm.checkpoints import llava_video
from focal_algorithm.checkpoints.llava_video import convert_llava_video
from focal_algorithm.checkpoints.loading import load_model, random_model
from focal_algorithm.models.architectures.llava_video import LlavaVideoForConditionalGeneration
from focal_algorithm.models.llava_video import LlavaVideo
from focal_common.errors import ConfigError, UnsupportedError
from focal_traces.header.schema import QWEN2_7B


def original_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Spell the tensors of our class as the original code saved them."""
    spelled = {}
    for name, value in state.items():
        inner = name.removeprefix("model.")
        if inner.startswith("vision_tower."):
            name = f"model.vision_tower.vision_tower.vision_model.{inner.removeprefix('vision_tower.')}"
        elif inner.startswith("multi_modal_projector."):
            place = {"linear_1": "0", "linear_2": "2"}[inner.split(".")[1]]
            name = f"model.mm_projector.{place}.{inner.split('.')[2]}"
        elif inner.startswith("language_model."):
            name = f"model.{inner.removeprefix('language_model.')}"
        spelled[name] = value.clone()
    return spelled


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """A tiny checkpoint in the layout of the original code, in two files."""
    model = families.tiny("llava_video").model
    folder = tmp_path / "LLaVA-Video-tiny"
    tower = folder / "siglip-tiny"
    tower.mkdir(parents=True)
    vision = model.config.vision_config.to_dict()
    vision["num_hidden_layers"] += 1  # the original drops the last layer of the tower it names
    (tower / "config.json").write_text(json.dumps({"model_type": "siglip", "vision_config": vision}))
    text = model.config.text_config
    fields = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    settings: dict[str, Any] = {name: getattr(text, name) for name in fields}
    settings |= {"num_key_value_heads": text.num_key_value_heads, "vocab_size": text.vocab_size}
    settings |= {"model_type": "llava_qwen", "architectures": ["LlavaQwenForCausalLM"]}
    settings |= {"mm_vision_tower": "siglip-tiny", "mm_projector_type": "mlp2x_gelu"}
    settings |= {"mm_newline_position": "grid", "mm_spatial_pool_mode": "bilinear", "torch_dtype": "float32"}
    settings |= {"rms_norm_eps": text.rms_norm_eps, "tie_word_embeddings": False}
    settings |= {"eos_token_id": 258, "bos_token_id": 257, "pad_token_id": 256}
    (folder / "config.json").write_text(json.dumps(settings))
    named = original_names(model.state_dict())
    named["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
    names = sorted(named)
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        save_file({n: named[n] for n in part}, folder / f"model-0000{number}-of-00002.safetensors")
    return folder


def load(name: str) -> Any:
    return load_model(
        name, size="tiny", seed=7, dtype="fp32", attention="sdpa", device="cpu", is_offline=True
    )


def test_the_converted_checkpoint_gives_the_same_logits_to_the_bit(original: Path, tmp_path: Path) -> None:
    assert run_command(app, [str(original), str(tmp_path / "new")]) == 0
    source = families.tiny("llava_video")
    converted = load(str(tmp_path / "new"))
    assert converted.adapter.family == "llava_video"
    assert converted.model.config.video_token_id == 319
    inputs = families.prompt(source, "video").inputs
    with torch.inference_mode():
        expected = source.model(**inputs).logits
        inputs["input_ids"][inputs["input_ids"] == source.model.config.video_token_id] = 319
        assert torch.equal(converted.model(**inputs).logits, expected)


def test_an_original_checkpoint_is_refused_with_the_way_to_convert_it(original: Path) -> None:
    with pytest.raises(UnsupportedError, match="convert it with 'focal convert-model"):
        load(str(original))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"model_type": "llava_llama"}, "model_type is 'llava_llama'; expected 'llava_qwen'"),
        ({"mm_projector_type": "linear"}, "mm_projector_type is 'linear'; expected 'mlp2x_gelu'"),
        ({"mm_vision_tower": "openai/clip"}, "mm_vision_tower 'openai/clip' is unknown"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling is .*; expected none"),
        ({"hidden_size": 32}, r"has shape .*; expected"),
        ({"num_hidden_layers": 5}, r"tensors are missing, such as 'model.language_model.layers.4"),
        ({"num_hidden_layers": 3}, r"unknown tensor 'model.layers.3"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_nothing(
    original: Path, tmp_path: Path, damage: dict[str, Any], message: str
) -> None:
    path = original / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    with pytest.raises((ConfigError, UnsupportedError), match=message):
        convert_llava_video(original, tmp_path / "new")
    assert [p.name for p in tmp_path.iterdir()] == [original.name]


def test_the_published_settings_describe_the_published_model(tmp_path: Path) -> None:
    settings = {"model_type": "llava_qwen", "mm_projector_type": "mlp2x_gelu", "rope_theta": 1000000.0}
    settings |= {"mm_vision_tower": "google/siglip-so400m-patch14-384", "vocab_size": 152064}
    settings |= {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28}
    settings |= {"num_attention_heads": 28, "num_key_value_heads": 4, "torch_dtype": "bfloat16"}
    with torch.device("meta"):
        model = LlavaVideoForConditionalGeneration(llava_video._config(tmp_path, settings, tower_layers=26))
    assert LlavaVideo().points(model).geometry == QWEN2_7B
    assert model.config.text_config.rope_parameters["rope_theta"] == 1000000.0
    assert 8.0e9 < sum(parameter.numel() for parameter in model.parameters()) < 8.1e9  # 7.6 and 0.4 billion


def test_pickled_weights_are_converted_and_nothing_in_them_runs(original: Path, tmp_path: Path) -> None:
    named = {k: v for path in original.glob("*.safetensors") for k, v in load_file(path).items()}
    for path in original.glob("*.safetensors"):
        path.unlink()
    torch.save(named, original / "pytorch_model.bin")
    assert convert_llava_video(original, tmp_path / "new") == len(named) - 1  # one computed buffer
    torch.save({"model.norm.weight": Path("anything")}, original / "pytorch_model.bin")
    with pytest.raises(ConfigError, match=r"pytorch_model\.bin: refused: it holds objects"):
        convert_llava_video(original, tmp_path / "other")


def test_a_tokenizer_that_leaves_no_free_ids_is_refused(original: Path, tmp_path: Path) -> None:
    (original / "vocab.json").write_text(json.dumps({"a": 0, "b": 317}))
    convert_llava_video(original, tmp_path / "new")
    assert (tmp_path / "new" / "vocab.json").is_file()
    (original / "added_tokens.json").write_text(json.dumps({"<|im_end|>": 318}))
    with pytest.raises(UnsupportedError, match="the tokenizer uses all 320 ids; expected two free"):
        convert_llava_video(original, tmp_path / "other")


def test_broken_files_are_named(original: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exists already"):
        convert_llava_video(original, original)
    (original / "model-00001-of-00002.safetensors").write_bytes(b"not weights")
    with pytest.raises(ConfigError, match=r"model-00001-of-00002\.safetensors: not readable as weights"):
        convert_llava_video(original, tmp_path / "new")
    with pytest.raises(ConfigError, match=r"config\.json: no such file"):
        convert_llava_video(tmp_path / "absent", tmp_path / "new")


def test_rows_are_pooled_by_the_mean_and_end_with_the_newline() -> None:
    # Plain loops over the projected patches of the tower: 7 x 7 give 3 x 3, and a fourth column of newlines.
    model = families.tiny("llava_video").model.model
    pixels = torch.randn(2, 3, 3, 98, 98, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        features = model.get_video_features(pixels, return_dict=True).pooler_output
        tower = model.vision_tower(pixels.flatten(0, 1), output_hidden_states=True)
        patches = model.multi_modal_projector(tower.hidden_states[-1]).view(2, 3, 7, 7, -1)
    assert features.shape == (2, 3 * 12, 64)
    for video, frame, row in torch.cartesian_prod(*(torch.arange(n) for n in (2, 3, 3))).tolist():
        own = features[video, frame * 12 + row * 4 : frame * 12 + row * 4 + 4]
        assert torch.equal(own[3], model.image_newline)
        for column in range(3):
            window = patches[video, frame, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            assert torch.allclose(own[column], window.mean(dim=(0, 1)), atol=1e-6)


def test_the_published_sizes_follow_from_the_real_geometry() -> None:
    with torch.device("meta"):
        model = random_model(LlavaVideo, "tiny", "sdpa")
    model.config.vision_config.image_size, model.config.vision_config.patch_size = 384, 14
    layout = LlavaVideo().layouts(model, {"input_ids": torch.tensor([[1] + [260] * 11648 + [2]])})[0]
    assert layout.grid is not None
    assert layout.visual_tokens == 64 * 182
    assert (layout.grid.frames, layout.grid.rows, layout.grid.columns) == (64, 13, 14)
    assert (layout.grid.frame_stride, layout.grid.row_stride, layout.query_tokens) == (182, 14, 1)
