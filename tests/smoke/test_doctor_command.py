"""Does the doctor say what is supported for a model, and why not?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from focal.commands.doctor import app
from focal.commands.running import run_command
from focal.testing import prompts as families
from focal_algorithm.models import MODELS


def doctor(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, dict[str, str]]]:
    code = run_command(app, [*words, "--json"])
    return code, {check["subject"]: check for check in json.loads(capsys.readouterr().out)}


@pytest.mark.parametrize("family", list(MODELS))
def test_every_family_is_described(family: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = doctor(capsys, "--model", family)
    assert code == 0
    assert found["method focus"]["found"].startswith("yes")
    assert "wide" in found["decoder"]["found"]
    assert all(kind in found["inputs"]["found"] for kind in MODELS.load(family).modalities)


def test_published_parameters_are_found_under_the_published_name(capsys: pytest.CaptureFixture[str]) -> None:
    _, found = doctor(capsys, "--model", "llava_video")
    assert found["method focus"]["found"] == "yes, published parameters for videomme, mlvu, mvbench"


def test_a_checkpoint_folder_is_described_without_loading_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    families.tiny("qwen2_5_vl").model.save_pretrained(tmp_path)
    code, found = doctor(capsys, "--model", str(tmp_path))
    assert code == 0
    assert "a qwen2_5_vl checkpoint" in found["model"]["found"]
    assert found["decoder"]["found"] == "4 layers, 64 wide, 4 heads"
    for path in tmp_path.glob("*.safetensors"):
        path.unlink()
    code, found = doctor(capsys, "--model", str(tmp_path))
    assert code == 1
    assert "*.safetensors" in found["weights"]["advice"]


@pytest.mark.parametrize("kind", ["sliding_attention", "chunked_attention"])
def test_layers_of_unknown_types_rule_out_methods_that_drop_tokens(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    families.tiny("qwen2_5_vl").model.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    settings = json.loads(path.read_text())
    settings["text_config"]["layer_types"] = ["full_attention", kind] * 2
    path.write_text(json.dumps(settings))
    _, found = doctor(capsys, "--model", str(tmp_path))
    refused = "no: it drops tokens, which layers of type chunked_attention do not support"
    assert found["method focus"]["found"].startswith("yes" if kind == "sliding_attention" else refused)
    assert found["method dense"]["found"] == "yes"


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        (
            {"model_type": "bert"},
            "no adapter for model_type 'bert'; supported families: gemma3, internvl, ",
        ),
        ({"model_type": "llava_qwen"}, "convert it with 'focal convert-model"),
        ({"model_type": "minicpmv"}, "allow it with trust_remote_code"),
        ({"model_type": "minicpmv4_6"}, "another architecture"),
        ({"model_type": "qwen3_5"}, "linear attention"),
        ({}, "lacks model_type"),
    ],
)
def test_what_is_not_supported_comes_with_the_reason(
    settings: dict[str, str], advice: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(settings))
    code, found = doctor(capsys, "--model", str(tmp_path))
    assert code == 1
    assert advice in found["model"]["advice"]


def test_an_unknown_name_and_profile_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = doctor(capsys, "--model", "qwen25_vl")
    assert code == 1
    assert "did you mean 'qwen2_5_vl'" in found["model"]["advice"]
    assert run_command(app, ["--profile", "onlin"]) == 2
