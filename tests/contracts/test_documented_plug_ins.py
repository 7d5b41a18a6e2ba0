"""Do the family and the method of the documentation run as printed?"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

import attach_support
from focal.commands.running import run_command
from focal.commands.trace import app
from focal.studies.match_budget import match_budget
from focal.testing import prompts as families
from focal_algorithm.checkpoints.loading import load_model
from focal_algorithm.hooks import attach
from focal_algorithm.methods import METHODS
from focal_algorithm.methods.build import build_method
from focal_algorithm.models import MODELS
from focal_algorithm.tracing.runner import prepare
from focal_algorithm.tracing.settings import RunSettings
from focal_common.errors import UnsupportedError
from focal_traces.files.store import open_trace

DOCS = Path(__file__).parents[2] / "docs"


def printed(page: str, name: str, lines: int, folder: Path) -> None:
    """Write the page's template to a module of its own."""
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    (code,) = [block for block in blocks if block.startswith(f'"""{name}.py')]
    assert len(code.splitlines()) <= lines
    (folder / f"{name}.py").write_text(code, encoding="utf-8")


@pytest.fixture
def method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    printed("adding_a_method.md", "normprune", 25, tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(METHODS._table, "normprune", "normprune:NormPrune")
    return "normprune"


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    printed("adding_a_model.md", "deepseek_vl", 80, tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(MODELS._table, "deepseek_vl", "deepseek_vl:DeepSeekVl")
    return "deepseek_vl"


def loaded(name: str) -> Any:
    return load_model(
        name, size="tiny", seed=0, dtype="fp32", attention="sdpa", device="cpu", is_offline=True
    )


def test_the_printed_method_runs_in_the_printed_family_through_the_command(
    family: str, method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", family, "--method", method, "--size", "tiny", "--samples", "1", "--json"]
    assert run_command(app, [*words, "--output", str(tmp_path / "out")]) == 0
    printed_json = json.loads(capsys.readouterr().out)
    header = open_trace(Path(printed_json["files"]["counts"])).header
    assert (header.model, header.method, header.samples[0].visual_tokens) == ("deepseek_vl", "normprune", 16)
    assert printed_json["samples"][0]["visual_tokens_by_layer"] == [16, 16, 4, 4]


def test_the_printed_family_is_lawful(family: str, tmp_path: Path) -> None:
    model = loaded(family)
    prompts = families.two(model, "image")
    batch = attach_support.padded(prompts, "left")
    with torch.inference_mode():
        untouched = model.model(**batch).logits
    _, output = families.record(model, build_method("dense", {}), batch)
    assert torch.equal(output.logits, untouched)
    focus = build_method("focus", attach_support.PRUNING)
    with attach(model.model, model.adapter, focus):
        cached = families.generate(model, batch)
    with attach(model.model, model.adapter, focus, layouts=[p.layout for p in prompts]):
        recomputed = families.generate(model, batch, use_cache=False)
    assert cached.sequences.tolist() == recomputed.sequences.tolist()
    with pytest.raises(UnsupportedError, match="deepseek_vl takes no videos; expected image"):
        families.prompt(model, "video")
    model.model.save_pretrained(tmp_path / "checkpoint")
    assert loaded(str(tmp_path / "checkpoint")).adapter.family == "deepseek_vl"


def test_the_printed_method_meets_a_budget_of_the_arena_and_does_nothing_at_full_budget(method: str) -> None:
    settings = RunSettings(
        output=Path("unused"), size="tiny", method=method, samples=1, frames=9, new_tokens=0
    )
    _, found = match_budget(settings, prepare(settings), "tokens", 60.0, "dense")
    assert abs(found.budget - 60) <= 1
    built = build_method(method, {})
    assert build_method(method, built.study.without_effect(built)).keep == 1.0  # type: ignore[attr-defined]


def test_the_printed_method_drops_the_smallest_and_nothing_else(method: str) -> None:
    model = families.tiny("llava")
    prompt = families.prompt(model, "image")
    samples, _ = families.record(model, build_method(method, {"keep": 0.5}), prompt.inputs)
    with torch.inference_mode():
        hidden = model.model(**prompt.inputs, output_hidden_states=True).hidden_states[2][0]
    norms = hidden[prompt.layout.visual_start : prompt.layout.visual_stop].norm(dim=-1)
    expected = norms >= norms.sort(descending=True).values[len(norms) // 2 - 1]
    masks = samples[0].masks
    assert masks is not None
    assert (~masks.gemm(2, "q_proj").is_zero()).any(axis=1).tolist() == expected.tolist()
