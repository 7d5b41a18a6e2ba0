"""Are weights of sharded checkpoints read once, straight to their place, and left there?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AwqConfig, PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

import attach_support as support
import focal
from focal.testing import prompts
from focal_algorithm.checkpoints.loading import LoadedModel, load_model
from focal_algorithm.checkpoints.places import Place
from focal_algorithm.hooks import attach
from focal_algorithm.hooks.placement import input_device, is_spread
from focal_algorithm.models import MODELS
from focal_algorithm.tracing.settings import RunSettings
from focal_common.errors import FocalError, UnsupportedError

ON_DISK = {
    **dict.fromkeys(
        ("model.vision_tower", "model.multi_modal_projector", "model.image_newline", "lm_head"), "cpu"
    ),
    **{f"model.language_model.{name}": "cpu" for name in ("layers.0", "layers.2", "norm", "rotary_emb")},
    **{f"model.language_model.{name}": "disk" for name in ("embed_tokens", "layers.1", "layers.3")},
}


@pytest.fixture(scope="session")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sharded")
    support.tiny().model.save_pretrained(folder, max_shard_size="100KB")
    assert len(list(folder.glob("*.safetensors"))) > 5
    return folder


def load(name: str | Path, device: str = "cpu", **options: Any) -> LoadedModel:
    common = {"size": "tiny", "seed": 7, "dtype": "fp32", "attention": "sdpa", "is_offline": True}
    return load_model(str(name), device=device, **(common | options))


def prefill(loaded: LoadedModel, name: str) -> tuple[Any, torch.Tensor]:
    samples, output = prompts.record(loaded, support.suited(name), support.prompt().inputs)
    return samples[0], output.logits


@pytest.mark.parametrize("name", ["focus", "sparsevlm", "visionzip", "cdpruner", "fastv"])
@pytest.mark.parametrize("device", ["cpu", "auto", json.dumps(ON_DISK)])
def test_weights_left_on_disk_give_the_same_bits(sharded: Path, device: str, name: str) -> None:
    pytest.importorskip("accelerate")
    loaded = load(sharded, device)
    assert is_spread(loaded.model) == ("disk" in device)
    assert input_device(loaded.model).type == "cpu"
    (found, logits), (wanted, plain) = prefill(loaded, name), prefill(support.tiny(), name)
    assert torch.equal(logits, plain)
    assert found.masks == wanted.masks
    assert np.array_equal(found.counts.unique, wanted.counts.unique)
    kept = {weight.device.type for weight in loaded.model.parameters()}
    assert kept == ({"cpu", "meta"} if "disk" in device else {"cpu"})


def test_eight_bits_of_torch_are_not_put_in_place_of_weights_on_disk(sharded: Path) -> None:
    pytest.importorskip("accelerate")
    with pytest.raises(UnsupportedError, match="needs all weights in memory"):
        load(sharded, json.dumps(ON_DISK), precision="int8")


def test_a_trace_of_a_model_that_its_user_quantised_says_so(sharded: Path) -> None:
    _, processor = focal.load_model(sharded)
    own = MODELS.load("llava_onevision").model_class.from_pretrained(sharded)
    own.is_quantized, own.config.quantization_config = True, AwqConfig()
    with focal.compress(own, "dense") as run:
        own(**processor("What?", videos=[prompts.picture(0)] * 2))
    assert run.trace().header.quantization == "awq: as the checkpoint brings it"


def test_a_model_spread_inside_a_layer_is_refused(sharded: Path) -> None:
    pytest.importorskip("accelerate")
    loaded = load(sharded, json.dumps(ON_DISK))
    layer = loaded.adapter.points(loaded.model).layers[1].layer
    layer.mlp.down_proj._hf_hook.execution_device = torch.device("cuda:1")
    with (
        pytest.raises(UnsupportedError, match="layer 1 lies on cpu and cuda:1; expected each layer whole"),
        attach(loaded.model, loaded.adapter, support.suited("focus")),
    ):
        pass


@pytest.mark.parametrize(
    ("device", "sentence"),
    [
        ('{"model": "cuda:7"}', "finds no CUDA device"),
        ('{"model": 0}', "finds no CUDA device"),
        ('{"model": "gpu"}', "'gpu' is no torch device"),
        ('{"model": "cpu"', "device map .*: not valid YAML"),
        ('{"model": [0]}', "expected a device for each module"),
        ("{}", "expected a device for each module"),
        ("automatic", "or auto, balanced"),
        ('{"model.vision_tower": "disk"}', "a device map that names every part"),
        ('{"model.vision": "disk", "lm_head": "cpu"}', "a device map that names every part"),
    ],
)
def test_a_place_that_is_not_there_is_one_sentence(sharded: Path, device: str, sentence: str) -> None:
    with pytest.raises(FocalError, match=sentence):
        load(sharded, device)


def test_random_weights_are_not_spread_and_accelerate_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnsupportedError, match="draws random ones"):
        load("llava_onevision", "auto")
    monkeypatch.setitem(sys.modules, "accelerate", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UnsupportedError, match="needs accelerate"):
        Place.read("auto")


def test_bf16_weights_leave_rotary_frequencies_as_the_library_does(sharded: Path) -> None:
    plain = MODELS.load("llava_onevision").model_class.from_pretrained(sharded, dtype=torch.bfloat16)
    for name in (str(sharded), "llava_onevision"):
        loaded = load(name, dtype="bf16")
        assert {value.dtype for value in loaded.model.parameters()} == {torch.bfloat16}
        for (found, ours), (_, theirs) in zip(
            loaded.model.named_buffers(), plain.named_buffers(), strict=True
        ):
            assert ours.dtype == theirs.dtype, found
            assert torch.equal(ours, theirs), found


def test_the_names_that_users_expect(sharded: Path) -> None:
    model, _ = focal.load_model(sharded, dtype="bfloat16", quantize="8bit", device_map={"": "cpu"})
    assert model.dtype == torch.bfloat16
    assert any(type(module).__name__ == "Int8Linear" for module in model.modules())
    settings = RunSettings(output=Path(), dtype="float16", precision="4bit", attention="flash")
    assert (settings.dtype, settings.precision, settings.attention) == ("fp16", "nf4", "flash_attention_2")


def test_quantised_weights_are_not_quantised_again(sharded: Path, tmp_path: Path) -> None:
    for path in sharded.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "config.json").unlink()
    config = json.loads((sharded / "config.json").read_text()) | {
        "quantization_config": {"quant_method": "x"}
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnsupportedError, match="quantised already; expected precision float"):
        load(tmp_path, precision="int8")


@pytest.mark.parametrize("precision", ["int8", "nf4"])
def test_bitsandbytes_quantises_while_weights_are_read(precision: str, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    load("llava_onevision", size="small").model.save_pretrained(tmp_path)
    loaded = load(tmp_path, precision=precision)
    assert loaded.quantization.startswith(f"{precision}: ")
    if precision == "nf4":
        assert loaded.model.is_quantized
        assert torch.uint8 in {value.dtype for value in loaded.model.parameters()}
    samples, _ = prompts.record(loaded, support.suited("focus"), prompts.prompt(loaded, "video").inputs)
    assert 0 < samples[0].header.weighted_sparsity < 1


def test_flash_attention_is_refused_where_it_is_not_there_or_cannot_compute(
    sharded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnsupportedError, match="needs a CUDA device and the package flash-attn"):
        load(sharded, attention="flash_attention_2")
    monkeypatch.setattr("transformers.utils.is_flash_attn_2_available", lambda: True)
    with pytest.raises(UnsupportedError, match="expected dtype bf16 or fp16"):
        load(sharded, attention="flash_attention_2")


@pytest.mark.parametrize("name", ["focus", "sparsevlm", "visionzip", "fastv", "cmc"])
def test_flash_attention_is_called_where_nothing_is_masked(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks: list[Any] = []

    def flash(module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **settings: Any) -> Any:
        masks.append(attention_mask)
        return ALL_ATTENTION_FUNCTIONS["sdpa"](module, query, key, value, attention_mask, **settings)

    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS._global_mapping, "flash_attention_2", flash)
    loaded, method = support.tiny(), support.suited(name)
    single, batch = support.prompt().inputs, prompts.padded(prompts.two(loaded, "video"), "left")
    wanted = [prompts.record(loaded, method, inputs) for inputs in (single, batch)]
    config = loaded.model.get_decoder().config
    check = "_check_and_adjust_attn_implementation"  # which looks for the package
    monkeypatch.setattr(PreTrainedModel, check, lambda self, name, **_: name)
    monkeypatch.setattr(config, "_attn_implementation_internal", "flash_attention_2")
    for inputs, (samples, output) in zip((single, batch), wanted, strict=True):
        masks.clear()
        found = prompts.record(loaded, method, inputs)
        assert torch.equal(found[1].logits, output.logits)
        assert found[0][0].masks == samples[0].masks
        assert all(mask is None for mask in masks)
        assert bool(masks) == (inputs is single)


MEASURED = """
import sys
from pathlib import Path
from focal_algorithm.checkpoints.loading import load_model
def kib(name):
    return int(next(line for line in Path("/proc/self/status").open() if line.startswith(name)).split()[1])
def load(model):
    return load_model(model, size="tiny", seed=0, dtype="fp32", attention="sdpa", device="cpu", is_offline=True).model
load("llava_onevision")
Path("/proc/self/clear_refs").write_text("5")  # the peak starts again
before = kib("VmRSS")
model = load(sys.argv[1])
weights = sum(one.numel() * one.element_size() for one in model.parameters())
print((kib("VmHWM") - before) * 1024 / weights)
"""


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="the peak of memory cannot be asked for"
)
def test_loading_takes_hardly_more_memory_than_the_weights(tmp_path: Path) -> None:
    load("llava_onevision", size="small").model.save_pretrained(
        tmp_path, max_shard_size="5MB"
    )  # 82 MB in all
    found = subprocess.run(
        [sys.executable, "-c", MEASURED, tmp_path], capture_output=True, text=True, check=True
    )
    assert float(found.stdout) < 1.2
