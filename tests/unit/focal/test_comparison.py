"""Are methods compared as ``focal arena`` compares them, and can a method of one's own take part?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

import focal
from focal.studies.arena.plan import ArenaPlan, ModelFolder
from focal.studies.arena.run import run_arena
from focal_algorithm.models.weights import shipped_model
from focal_common.errors import ConfigError

torch.set_num_threads(1)

QUESTIONS, TRACED = 6, 2


@dataclass(frozen=True)
class EverySecond(focal.TokenSelector):
    """Keeps every other visual token first; not registered."""

    def score(self, hidden: Tensor, tokens: focal.TokenStream) -> Tensor:
        return -(tokens.visual_positions % 2).float()


def test_rows_are_those_of_the_arena(tmp_path: Path) -> None:
    place = ModelFolder("shapes_image", str(shipped_model("shapes_image")))
    plan = ArenaPlan((place,), ("shapes-pope",), ("visionzip", "focus"), (0.25,), "tokens", QUESTIONS, TRACED)
    arena = run_arena(plan, tmp_path, 1).rows
    tokens = arena[0]["visual_tokens"] / 4
    found = focal.compare_methods(
        "shapes_image",
        "shapes-pope",
        ["focus", "visionzip"],
        tokens=tokens,
        questions=QUESTIONS,
        traced=TRACED,
    )
    # The arena loads a folder, whose name is no part of a refusal's sentence.
    skipped = {name for name in arena[0] if name.startswith("refused_")}
    for theirs, ours in zip(arena, found.rows, strict=True):
        assert {k: v for k, v in theirs.items() if k not in skipped} == {
            k: v for k, v in ours.items() if k not in skipped
        }
        assert [bool(theirs[name]) for name in skipped] == [bool(ours[name]) for name in skipped]
    table = found.frame().set_index("method")
    assert table.loc["visionzip", "equivalent_tokens"] == pytest.approx(tokens, rel=0.03)
    assert table.loc["dense", "speedup_over_dense"] == 1
    assert table.loc["visionzip", "accelerator"] == "focus_sec_only"
    assert (
        table.loc["visionzip", "speedup_over_dense"]
        == arena[0]["cycles_simulated_dense"] / table.loc["visionzip", "cycles"]
    )
    assert "visionzip" in found._repr_html_()


def test_ones_own_method_and_questions_take_part() -> None:
    model, _ = focal.load_model("shapes_image")
    samples = focal.samples("shapes-pope", QUESTIONS)
    found = focal.compare_methods(model, samples, [EverySecond(layer=1), "dense"], traced=1)
    table = found.frame().set_index("method")
    assert table.index.tolist() == ["dense", "everysecond"]
    tokens = table.loc["dense", "visual_tokens"]
    layers = model.config.text_config.num_hidden_layers
    assert table.loc["everysecond", "equivalent_tokens"] == pytest.approx(
        (tokens + (layers - 1) * tokens / 2) / layers, rel=0.01
    )
    by_name = focal.compare_methods(
        model, "shapes-pope", ["dense"], questions=QUESTIONS, simulate=False, traced=1
    )
    assert by_name.rows[0]["accuracy_measured"] == found.rows[0]["accuracy_measured"]
    assert by_name.rows[0]["questions"] == QUESTIONS
    target = 0.6 * tokens
    budget = focal.compare_methods(
        model, samples[:1], [EverySecond(layer=1)], tokens=target, traced=1, simulate=False
    )
    row = budget.frame().set_index("method").loc["everysecond"]
    assert (row["status"], row["equivalent_tokens"]) == ("ok", pytest.approx(target, rel=0.03))


def test_budgets_and_lists_that_make_no_sense() -> None:
    model, _ = focal.load_model("shapes_image")
    samples = focal.samples("shapes-pope", 1)
    for tokens in (0, 100_000):
        with pytest.raises(ConfigError, match="expected a budget above 0 and below the"):
            focal.compare_methods(model, samples, ["focus"], tokens=tokens, traced=1)
    with pytest.raises(ConfigError, match="focus was given twice"):
        focal.compare_methods(model, samples, ["focus", focal.Focus()])
    with pytest.raises(ConfigError, match="expected a list of methods"):
        focal.compare_methods(model, samples, "focus")
