"""Do the sentences of the SparseZip page follow from its tables?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from focal_evaluation.zip_study.accuracies import read_by
from focal_evaluation.zip_study.curve_chapter import curve
from focal_evaluation.zip_study.more_chapters import adaptive
from focal_evaluation.zip_study.page import page
from focal_evaluation.zip_study.published_chapter import published
from focal_evaluation.zip_study.results import Results
from focal_evaluation.zip_study.square_chapter import two_by_two
from focal_evaluation.zip_study.sweep_chapter import sweep

_LAYERS = {"before": "21 21 21 21", "inside": "75 3 3 3", "onecut": "144 144 21 21"}


def _effect(equal: str, effect: str, value: float, low: float, high: float) -> dict[str, Any]:
    found = {"equal": equal, "budget": 21, "group": "shapes-mme", "effect": effect}
    return found | {"value": value, "low": low, "high": high, "is_apart_from_zero": low > 0 or high < 0}


def _square(layers: dict[str, str]) -> Results:
    cells = [f"{place}-{kind}-21" for place in layers for kind in ("agnostic", "aware")]
    configurations = pd.DataFrame(
        {
            "configuration": cells, "part": "two_by_two", "status": "done", "flops": 1e6, "budget": 21,
            "layer_tokens": [layers[name.partition("-")[0]] for name in cells],
        }
    )  # fmt: skip
    accuracy = pd.DataFrame({"configuration": cells, "group": "shapes-mme", "accuracy": 0.9})
    effects = pd.DataFrame(
        [
            _effect("layer mean", "timing", -0.30, -0.34, -0.27),
            _effect("kept tokens", "timing", 0.02, 0.01, 0.03),
        ]
    )
    return Results(
        Path(), pd.DataFrame(), pd.DataFrame(), configurations, {"effects": effects, "accuracy": accuracy}, {}
    )


def test_a_schedule_that_starves_the_last_layers_is_not_called_timing() -> None:
    page = two_by_two(_square(_LAYERS), "repo")
    assert "cutting before the decoder is better" not in page
    assert (
        "21 (-30.0 points; the last layer has 3 tokens against 21), so nothing is said of timing there"
        in page
    )
    assert (
        "equal kept tokens, shapes-mme, timing: cutting inside the decoder is better at 21 (+2.0 points)"
        in page
    )


def test_a_schedule_that_keeps_enough_gives_a_sentence_on_timing() -> None:
    page = two_by_two(_square(_LAYERS | {"inside": "30 18 18 18"}), "repo")
    assert "cutting before the decoder is better at 21 (-30.0 points)" in page


def test_a_cut_that_finds_nothing_to_drop_at_one_budget_is_seen_at_another() -> None:
    results = _square(_LAYERS)
    more = results.configurations[results.configurations["configuration"] == "inside-agnostic-21"]
    more = more.assign(configuration="inside-agnostic-64", layer_tokens="90 70 50 46")
    results = replace(results, configurations=pd.concat([results.configurations, more], ignore_index=True))
    page = two_by_two(results, "repo")
    assert "`inside` cuts after layers 0, 1 and 2 (counted from 0)" in page
    assert "`onecut` cuts after layer 1 (counted from 0)" in page


@pytest.mark.parametrize("cell", ["21, 21, 21, 21", "75, 3, 3, 3", "144, 144, 21, 21"])
def test_every_cell_shows_the_tokens_of_each_layer(cell: str) -> None:
    assert f"| {cell} |" in two_by_two(_square(_LAYERS), "repo")


def _curve(published: list[str]) -> Results:
    """Dense and three forms of VisionZip at 64 tokens; ``published`` is what the renumbered one says."""
    truths = ["yes", "no"] * 10
    said = {
        "dense": truths,
        "visionzip-64": published,
        "visionzip_placed-64": truths,
        "visionzip_text-64": truths,
    }
    questions = pd.DataFrame(
        {
            "benchmark": "shapes-mme",
            "split": "count",
            "truth": truths,
            "picture_id": [f"p-{n // 2}" for n in range(20)],
        }
    )
    configurations = pd.DataFrame({"configuration": list(said), "part": "curve", "status": "done"})
    pairs = pd.DataFrame(
        {"part": ["equal budget"], "group": "shapes-mme", "first": "visionzip_placed-64", "second": "visionzip-64",
         "verdict": "first", "difference": 0.5}
    )  # fmt: skip
    tables = {"pairs": pairs, "accuracy": pd.DataFrame({"x": [0]})}
    return Results(Path(), questions, pd.DataFrame(said), configurations, tables, {"visual_tokens": 144})


def test_accuracies_that_stand_on_unparsed_answers_are_marked_and_come_second() -> None:
    mute = ["yes", "no"] * 5 + ["<|im_end|>"] * 10
    page = curve(read_by(_curve(mute), "repo"), "repo")
    assert "| 64 (44 %) | 50.0 % [29.9, 70.1] (50.0 %)† |" in page
    assert "| 64 (44 %) | 100.0 % [83.9, 100.0] (0.0 %) |" in page
    assert page.index("positions kept:") < page.index("as published, positions renumbered:")
    assert "1 of 2 accuracies are marked, 1 of them as published" in page


def test_the_cause_is_said_only_where_the_text_alone_brings_the_answers_back() -> None:
    mute = ["yes", "no"] * 5 + ["<|im_end|>"] * 10
    results = _curve(mute)
    assert "what hurts this model is the text, shifted" in curve(read_by(results, "repo"), "repo")
    results.answers["visionzip_text-64"] = mute
    page = curve(read_by(results, "repo"), "repo")
    assert "0 % of the loss by renumbering comes back" in page
    assert "the text, shifted" not in page


def test_the_parser_decides_what_an_answer_without_yes_or_no_counts() -> None:
    results = _curve(["yes", "no"] * 5 + ["<|im_end|>"] * 10)
    both = [read_by(results, parser).tables["accuracy"] for parser in ("repo", "official")]  # type: ignore[arg-type]
    found = [one.set_index(["configuration", "group"]).loc[("visionzip-64", "shapes-mme")] for one in both]
    assert [(one["accuracy"], one["unparsed"]) for one in found] == [(0.5, 0.5), (0.75, 0.0)]


def test_a_page_by_another_parser_says_what_it_did_not_change() -> None:
    results = _curve(["yes", "no"] * 5 + ["<|im_end|>"] * 10)
    facts = {"configuration": {"questions": {"questions": 20, "pictures": 10, "sha256": "a" * 64}}}
    facts |= {"model": "m", "model_sha256": "b" * 64, "visual_tokens": 144, "layers": 8, "seed": 0}
    configurations = results.configurations.assign(
        model="m", method="m", config_hash="0", reason="", visual_tokens=64.0, flops=1e6
    )
    whole = replace(results, manifest=facts, configurations=configurations)
    repo, official = (page(read_by(whole, parser), parser, []) for parser in ("repo", "official"))  # type: ignore[arg-type]
    assert "50.0 % [29.9, 70.1] (50.0 %)†" in repo
    assert "75.0 % [53.1, 88.8] (0.0 %) |" in official
    assert "whatever `--parser` says: who beats whom." in official
    assert "whatever `--parser` says" not in repo


def test_a_comparison_at_unequal_budgets_says_so() -> None:
    audit = {"configuration": "adaptive-mass-64", "knob": 0.8, "k_mean": 45.0, "k_least": 16, "k_largest": 85}
    audit |= {"total_mean": 62.4, "aimed_total": 64, "at_k_min": 0.0, "at_k_max": 0.0, "status": "done"}
    pair = {
        "first": "adaptive-mass-64",
        "first_accuracy": 0.98,
        "second_accuracy": 0.98,
        "second_tokens": 64.0,
    }
    pair |= {"difference": 0.0, "low": -0.01, "high": 0.01, "verdict": "tie"}
    pairs = [
        pair | {"group": "shapes-pope", "first_tokens": 61.8, "is_equal_budget": False},
        pair | {"group": "shapes-mme", "first_tokens": 63.5, "is_equal_budget": True},
    ]
    tables = {"adaptive": pd.DataFrame([audit]), "adaptive_pairs": pd.DataFrame(pairs)}
    found = adaptive(Results(Path(), None, None, None, tables, {}), "repo")
    lines = {line.partition(":")[0]: line for line in found.splitlines() if line.startswith("- ")}
    assert "at 61.8 tokens" in lines["- shapes-pope"]
    assert "**not at equal budgets**" in lines["- shapes-pope"]
    assert "**not at equal budgets**" not in lines["- shapes-mme"]


def _sweep(is_base_done: bool) -> Results:
    shared = {
        "budget": 21,
        "reason": "",
        "coverage": 0.5,
        "error": 0.1,
        "overlap": 1.0,
        "lost": 0.0,
        "is_on_front": True,
    }
    rows: list[dict[str, Any]] = []
    for knob, value, tokens, right in (
        ("defaults", "", 21.0, 0.9),
        ("dynk_c", "12", 25.0, 0.95),
        ("alphas", "1/0/0", 21.0, 0.8),
    ):
        row = shared | {
            "knob": knob,
            "value": value,
            "status": "done",
            "shapes-mme accuracy": right,
            "shapes-mme tokens": tokens,
        }
        if is_base_done:
            verdict = "tie" if knob == "defaults" else "first"
            row |= {"shapes-mme difference": right - 0.9, "shapes-mme verdict": verdict}
            row |= {"shapes-mme is_equal_budget": tokens == 21.0}
        elif knob == "defaults":
            row = {
                "knob": knob,
                "value": value,
                "status": "failed",
                "reason": "gone",
                "budget": 21,
                "is_on_front": False,
            }
        rows.append(row)
    accuracy = pd.DataFrame([{"configuration": "dense", "group": "shapes-mme", "accuracy": 0.97}])
    return Results(Path(), None, None, None, {"sweep": pd.DataFrame(rows), "accuracy": accuracy}, {})


def test_a_knob_that_moves_the_budget_is_told_from_one_that_does_not() -> None:
    found = sweep(_sweep(is_base_done=True), "repo")
    assert found.startswith("## Sweep at 21 visual tokens")
    assert "Room to win: shapes-mme: defaults 90.0 %, dense 97.0 %." in found
    assert "at equal budgets: alphas 1/0/0 (shapes-mme -10.0);" in found
    assert "cannot be told apart: dynk_c 12 (shapes-mme +5.0 at 25.0 tokens)." in found


def test_a_sweep_without_its_defaults_is_still_shown() -> None:
    found = sweep(_sweep(is_base_done=False), "repo")
    assert "**The defaults failed, so nothing is compared with them.**" in found
    assert "| alphas | 1/0/0 | 21.0 | 0 | 80.0 % to 80.0 % |" in found


def test_every_published_number_has_ours_beside_it_or_a_reason() -> None:
    results = _curve(["yes", "no"] * 5 + ["<|im_end|>"] * 10)
    pope = results.questions.assign(benchmark="shapes-pope", split="random")
    whole = replace(
        results,
        questions=pd.concat([results.questions, pope], ignore_index=True),
        answers=pd.concat([results.answers] * 2, ignore_index=True),
        configurations=results.configurations.assign(
            model="m", method="m", config_hash="0", reason="", visual_tokens=64.0, flops=1e6
        ),
    )
    page = published(whole, "repo")
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith(("| POPE", "| MME"))]
    assert all(cell.strip() for row in rows for cell in row)
    visionzip = next(row for row in rows if row[1] == "VisionZip" and row[3] == "F1")
    assert visionzip[5:7] == ["100.0 % (0.0 %), visionzip_placed-64", "100.0 % (50.0 %), visionzip-64"]
    assert "64 tokens are 11 % of theirs and 44 % of ours" in page
    assert "none: the latency part was not run" in page
    assert "none: sparsezip-64 was not run, or failed" in page
