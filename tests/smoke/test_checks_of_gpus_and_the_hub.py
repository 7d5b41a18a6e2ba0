"""Do the checks for machines with a GPU or the Hub run, and tell what is wrong? Tiny checkpoints stand in."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import gpu_check
import hub_check
import pytest
import torch

from focal_algorithm.checkpoints.loading import load_model

ROOT = Path(__file__).resolve().parents[2]


def run(main: Any, monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["check", *map(str, words)])
    return int(main())


@pytest.mark.parametrize("script", ["gpu_check", "hub_check"])
def test_the_scripts_start_their_programs(script: str) -> None:
    if not (ROOT / ".venv/bin/python").exists():
        pytest.skip("another environment runs these tests")
    path = ROOT / "benchmarks" / f"{script}.sh"
    found = subprocess.run(
        ["sh", path, "--help"], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert found.returncode == 0, found.stderr
    assert "--output" in found.stdout


def test_a_rehearsal_passes_and_says_what_it_saw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        gpu_check, "CHECKS", gpu_check.CHECKS[:-2]
    )  # the last two start commands of their own
    output = tmp_path / "checks.json"
    words = ("--device", "cpu", "--methods", "dense,focus,visionzip", "--output", output)
    assert run(gpu_check.main, monkeypatch, *words) == 0
    checks = {one["check"]: one for one in json.loads(output.read_text())["checks"]}
    assert len(checks) == 6
    assert {one["status"] for one in checks.values()} == {"passed", "skipped"}
    assert "equal to the bit" in checks["a spread model gives the bits of one device"]["seen"]
    assert "3 methods" in checks["traces are those of a cpu"]["seen"]


@pytest.mark.slow
def test_a_rehearsal_of_what_starts_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_check, "CHECKS", gpu_check.CHECKS[-2:])
    assert run(gpu_check.main, monkeypatch, "--device", "cpu", "--output", tmp_path / "checks.json") == 0


def test_a_fault_fails_its_check_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spread = gpu_check.a_spread_model_gives_the_bits_of_one_device
    monkeypatch.setattr(gpu_check, "CHECKS", (spread, gpu_check.the_fused_kernel_is_the_plain_one))
    stock = gpu_check.traced

    def wrong(loaded: Any, name: str, prompt: Any = None) -> Any:
        found, logits = stock(loaded, name, prompt)
        return found, logits + float(any(hasattr(one, "_hf_hook") for one in loaded.model.modules()))

    monkeypatch.setattr(gpu_check, "traced", wrong)
    words = ("--device", "cpu", "--methods", "focus", "--output", tmp_path / "checks.json")
    assert run(gpu_check.main, monkeypatch, *words) == 1
    assert "focus, disk: other logits" in capsys.readouterr().out


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_check_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(gpu_check.main, monkeypatch) == 2
    assert "finds no CUDA device; --device cpu rehearses" in capsys.readouterr().err


MATRIX = """
models:
  llava_onevision: {{family: llava_onevision, checkpoint: {folder}, frames: 4, dtype: bf16}}
  still: {{family: llava, checkpoint: shapes_image, frames: 1}}
datasets:
  videomme: {{modality: video, task: shapes-video}}
  mlvu: {{modality: video, hub: somewhere/MLVU}}
  shapes-pope: {{modality: image, task: shapes-pope}}
suites:
  adaptiv: {{models: [llava_onevision], datasets: [videomme, mlvu], method: adaptiv}}
  bad: {{models: [llava_onevision], datasets: [videomme], method: fastv, parameters: {{layer: 90}}}}
  accuracy: {{models: [still], datasets: [shapes-pope], method: dense, measure: accuracy}}
"""


def test_published_figures_stand_beside_what_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, output = tmp_path / "checkpoint", tmp_path / "out"
    tiny = load_model(
        "llava_onevision", size="tiny", seed=7, dtype="bf16", attention="sdpa", device="cpu", is_offline=True
    )
    tiny.model.save_pretrained(folder, max_shard_size="100KB")
    (tmp_path / "matrix.yaml").write_text(MATRIX.format(folder=folder))
    words = ["--profile", tmp_path / "matrix.yaml", "--offline", "--device-map", "cpu", "--threads", "1"]
    words += ["--samples", "2", "--questions", "6", "--output", output]
    assert run(hub_check.main, monkeypatch, *words) == 1  # a row failed
    with (output / "hub_check.csv").open(newline="") as source:
        lines = list(csv.DictReader(source))
    exact = [line for line in lines if line["quantity"] == "largest difference of logits"]
    assert [(line["model"], line["found"], line["note"]) for line in exact] == [
        ("llava_onevision", "0.0", "equal to the bit"),
        ("still", "0.0", "equal to the bit"),
    ]
    found = {(line["dataset"], line["method"]): line for line in lines if line not in exact}
    assert found["mlvu", "adaptiv"]["note"] == "no --data"
    assert "layer" in found["videomme", "fastv"]["note"]
    assert found["videomme", "adaptiv"]["of"] == "2 samples"
    assert found["videomme", "adaptiv"]["published"] == "36.8"  # Table II
    difference = float(found["videomme", "adaptiv"]["found"]) - 36.8
    assert float(found["videomme", "adaptiv"]["difference"]) == pytest.approx(difference)
    assert found["shapes-pope", "dense"]["of"] == "6 questions"
    assert float(found["shapes-pope", "dense"]["found"]) > 80


def test_other_logits_than_those_of_transformers_alone_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock = hub_check.load_model

    def cast(name: str, **options: Any) -> Any:
        loaded = stock(name, **options)
        loaded.model.to(torch.bfloat16)  # as was done here once: rotary frequencies are rounded, too
        return loaded

    monkeypatch.setattr(hub_check, "load_model", cast)
    folder = tmp_path / "checkpoint"
    tiny = stock(
        "llava_onevision", size="tiny", seed=7, dtype="bf16", attention="sdpa", device="cpu", is_offline=True
    )
    tiny.model.save_pretrained(folder)
    (tmp_path / "matrix.yaml").write_text(MATRIX.format(folder=folder))
    words = [
        "--profile",
        tmp_path / "matrix.yaml",
        "--offline",
        "--device-map",
        "cpu",
        "--only",
        "adaptiv/*/mlvu",
    ]
    assert run(hub_check.main, monkeypatch, *words, "--output", tmp_path) == 1
    assert "differ" in (tmp_path / "hub_check.csv").read_text()
