"""Are effects, budgets, audits and adaptive counts of the SparseZip study what they are called?"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from focal.studies.sparsezip.adaptive import calibrated, normalised_entropy
from focal.studies.sparsezip.analysis import Scores, effect_rows, pair_row
from focal.studies.sparsezip.audit import audited
from focal.studies.sparsezip.budgets import (
    flops,
    inside_schedule,
    one_cut_schedule,
    require_equal_budgets,
    visual_counts,
)
from focal.studies.sparsezip.cells import Cell
from focal.studies.sparsezip.configuration import Configuration
from focal.studies.sparsezip.design import as_published, sweep
from focal.studies.sparsezip.evaluate import Outcome
from focal.studies.sparsezip.latency import latency_rows, spread
from focal.studies.sparsezip.policy import best_table, route
from focal.studies.sparsezip.questions import Asked, QuestionSet, require_same_questions
from focal_algorithm.methods.build import build_method
from focal_common.errors import ConfigError
from focal_traces.header.schema import DecoderGeometry

_CELLS = ("before-agnostic", "before-aware", "inside-agnostic", "inside-aware")


def _questions(pictures: int, per_picture: int = 2) -> QuestionSet:
    asked = [
        Asked("shapes-mme", "existence", picture, f"shapes-mme-{picture}", f"question {number}?", "yes")
        for picture in range(pictures)
        for number in range(per_picture)
    ]
    return QuestionSet(np.zeros((pictures, 1, 1, 3), np.uint8), tuple(asked), {})


def _cell(name: str, answers: list[str], tokens: float = 64.0) -> Cell:
    outcome = Outcome(tuple(answers), (tokens,) * len(answers), (tokens,), tokens, 1.0, (), (), 0.0)
    return Cell(Configuration(name, "two_by_two", "before", "visionzip"), "done", outcome)


def _answers(right: int, count: int, shift: int = 0) -> list[str]:
    said = ["yes" if number < right else "no" for number in range(count)]
    return said[shift:] + said[:shift]


def test_constructed_effects_of_a_two_by_two_design_are_recovered() -> None:
    questions = _questions(100)
    count = len(questions.questions)
    right = {"before-agnostic": 100, "before-aware": 110, "inside-agnostic": 140, "inside-aware": 180}
    scores = Scores(questions, [_cell(f"{name}-64", _answers(right[name], count)) for name in _CELLS])
    found = {row["effect"]: row for row in effect_rows(scores, 64) if row["group"] == "shapes-mme"}
    # Aware less agnostic: (10 + 40) / 2; inside less before: (40 + 70) / 2; 40 - 10; each over 200 questions.
    assert found["text awareness"]["value"] == pytest.approx(25 / count)
    assert found["timing"]["value"] == pytest.approx(55 / count)
    assert found["interaction"]["value"] == pytest.approx(30 / count)
    assert all(row["low"] <= row["value"] <= row["high"] for row in found.values())
    assert all(row["is_apart_from_zero"] for row in found.values())


def test_no_effect_is_found_where_the_cells_answer_alike() -> None:
    questions = _questions(30)
    same = _answers(40, len(questions.questions))
    scores = Scores(questions, [_cell(f"{name}-64", same) for name in _CELLS])
    for row in effect_rows(scores, 64):
        assert (row["value"], row["low"], row["high"]) == (0, 0, 0)
        assert not row["is_apart_from_zero"]


def test_a_missing_cell_gives_no_effects_instead_of_wrong_ones() -> None:
    questions = _questions(4)
    same = _answers(4, len(questions.questions))
    assert effect_rows(Scores(questions, [_cell(f"{name}-64", same) for name in _CELLS[:3]]), 64) == []


def test_verdict_needs_more_than_a_small_difference() -> None:
    questions = _questions(100)
    count = len(questions.questions)
    cells = [
        _cell("a", _answers(150, count)),
        _cell("b", _answers(149, count)),
        _cell("c", _answers(90, count)),
    ]
    scores = Scores(questions, cells)
    assert pair_row(scores, "", "shapes-mme", "a", "b")["verdict"] == "tie"
    assert pair_row(scores, "", "shapes-mme", "a", "c")["verdict"] == "first"
    assert pair_row(scores, "", "shapes-mme", "c", "a")["verdict"] == "second"


def test_unequal_budgets_are_refused_unless_allowed() -> None:
    questions = _questions(4)
    cells = [_cell("a", _answers(4, 8), 64.0), _cell("b", _answers(4, 8), 21.0)]
    scores = Scores(questions, cells)
    with pytest.raises(ConfigError, match=r"a uses 64\.0 visual tokens per layer and b 21\.0"):
        pair_row(scores, "", "shapes-mme", "a", "b")
    assert pair_row(scores, "", "shapes-mme", "a", "b", allow_unequal=True)["first_tokens"] == 64.0


def test_tokens_are_those_of_the_group_that_is_compared() -> None:
    asked = [
        Asked(name, "s", n, f"{name}-{n}", "?", "yes")
        for name in ("shapes-pope", "shapes-mme")
        for n in (0, 1)
    ]
    questions = QuestionSet(np.zeros((2, 1, 1, 3), np.uint8), tuple(asked), {})
    outcome = Outcome(("yes",) * 4, (60.0, 62.0, 63.0, 65.0), (62.5,), 62.5, 1.0, (), (), 0.0)
    moving = Cell(Configuration("a", "adaptive", "before", "sparsezip"), "done", outcome)
    scores = Scores(questions, [moving, _cell("b", ["yes"] * 4)])
    rows = [pair_row(scores, "", one, "a", "b", allow_unequal=True) for one in ("shapes-pope", "shapes-mme")]
    assert [(row["first_tokens"], row["is_equal_budget"]) for row in rows] == [(61.0, False), (64.0, True)]


@pytest.mark.parametrize(("second", "is_refused"), [(64.9, False), (65.0, False), (65.4, True), (62.5, True)])
def test_budgets_one_token_or_two_percent_apart_are_equal(second: float, is_refused: bool) -> None:
    if is_refused:
        with pytest.raises(ConfigError):
            require_equal_budgets(64.0, second, ("a", "b"))
    else:
        require_equal_budgets(64.0, second, ("a", "b"))


def test_runs_on_different_questions_are_refused() -> None:
    first = {"sha256": "a" * 64, "questions": 6, "pictures": 1}
    require_same_questions(first, dict(first), ("one", "two"))
    with pytest.raises(ConfigError, match="one and two were asked different questions"):
        require_same_questions(first, first | {"sha256": "b" * 64}, ("one", "two"))


def test_audit_catches_a_constant_k() -> None:
    found = audited([8] * 50, [12] * 50, k_min=8, k_max=64, is_dynamic=True)
    assert "8 (k_min) for every one of 50 pictures" in found["warning"]
    assert (found["total_least"], found["total_mean"], found["total_largest"]) == (21, 21.0, 21)
    assert found["at_k_min"] == 1


def test_audit_says_nothing_of_a_k_that_moves_or_is_meant_to_be_fixed() -> None:
    assert audited([8, 20, 31, 12], [12] * 4, k_min=4, k_max=64, is_dynamic=True)["warning"] == ""
    assert audited([8] * 4, [12] * 4, k_min=4, k_max=64, is_dynamic=False)["warning"] == ""


def test_audit_catches_a_k_that_is_pinned_or_hardly_moves() -> None:
    pinned = audited([8] * 97 + [30] * 3, [0] * 100, k_min=8, k_max=64, is_dynamic=True)
    assert "pinned at 8 for 97%" in pinned["warning"]
    hardly = audited([8] * 60 + [9] * 40, [0] * 100, k_min=4, k_max=64, is_dynamic=True)
    assert "between 8 and 9 only" in hardly["warning"]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), rule=st.sampled_from(["mass", "entropy"]), mean=st.integers(15, 60))
def test_adaptive_k_meets_its_mean(seed: int, rule: str, mean: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    peaks = 1 + 5 * torch.rand(60, 1, 1, generator=generator)
    attentions = list((peaks * torch.randn(60, 2, 100, generator=generator)).softmax(-1))
    found = calibrated(rule, mean, attentions, k_min=4, k_max=90)  # type: ignore[arg-type]
    counts = [found.k(one) for one in attentions]
    assert abs(sum(counts) / len(counts) - mean) <= 0.5
    assert all(4 <= k <= 90 for k in counts)


def test_adaptive_k_follows_how_spread_the_attention_is() -> None:
    peaked, even = torch.full((1, 50), 1e-4), torch.ones(1, 50)
    peaked[0, 3] = 1.0
    assert normalised_entropy(peaked) < 0.1 < normalised_entropy(even) == pytest.approx(1.0)
    for rule in ("mass", "entropy"):
        found = calibrated(rule, 20, [peaked, even], k_min=1, k_max=50)  # type: ignore[arg-type]
        assert found.k(peaked) < found.k(even)


@pytest.mark.parametrize(("budget", "recycles"), list(product((21, 32, 64, 87, 128), (False, True))))
def test_schedules_inside_the_decoder_average_their_budget(budget: int, recycles: bool) -> None:
    found = inside_schedule(budget, 144, 8, recycles)
    assert abs(found.mean - budget) <= max(0.5, 0.01 * budget)
    assert found.counts == visual_counts(found.kept_at, 144, 8, recycles)
    assert list(found.counts) == sorted(found.counts, reverse=True)


def test_one_cut_keeps_the_same_tokens_from_there_on() -> None:
    found = one_cut_schedule(21, 144, 8, 2)
    assert found.counts == (144, 144, 144, 21, 21, 21, 21, 21)
    for budget, after in ((145, 2), (21, 7), (0, 2)):
        with pytest.raises(ConfigError, match="expected a layer of 0 to 6 and 1 to 144 tokens"):
            one_cut_schedule(budget, 144, 8, after)


def test_timing_at_equal_kept_tokens_is_told_from_timing_at_equal_means() -> None:
    questions = _questions(100)
    count = len(questions.questions)
    right = {"before-agnostic": 150, "before-aware": 150, "inside-agnostic": 90, "inside-aware": 90}
    right |= {"onecut-agnostic": 150, "onecut-aware": 150}
    scores = Scores(questions, [_cell(f"{name}-64", _answers(n, count)) for name, n in right.items()])
    timing = {
        equal: next(row["value"] for row in effect_rows(scores, 64, equal) if row["effect"] == "timing")
        for equal in ("layer mean", "kept tokens")
    }
    assert timing == {"layer mean": pytest.approx(-60 / count), "kept tokens": 0}


def test_the_published_schedule_averages_what_was_published() -> None:
    # Its log books a pruning layer as pruned although that layer works on every token: 64.81 booked, 82.25 worked on.
    counts = visual_counts({2: 66, 6: 30, 15: 17}, 576, 32, recycles=True)
    assert (counts[2], counts[3], counts[7], counts[16]) == (576, 82, 32, 18)
    assert sum((*counts[1:], counts[-1])) / 32 == pytest.approx(64.81, abs=0.01)
    assert sum(counts) / 32 == pytest.approx(82.25)


def test_a_budget_that_no_schedule_reaches_is_refused() -> None:
    with pytest.raises(ConfigError, match="no schedule of 8 layers averages 10 visual tokens"):
        inside_schedule(10, 144, 8, recycles=False)
    with pytest.raises(ConfigError, match="at most 144"):
        inside_schedule(200, 144, 8, recycles=False)


def test_flops_are_the_sum_of_every_multiplication() -> None:
    n, d, m = 5, 3, 7
    by_hand = 4 * n * d * d + 2 * n * n * d + 3 * n * d * m
    geometry = DecoderGeometry(
        layers=2, heads=1, kv_heads=1, head_dim_elements=d, hidden_elements=d, intermediate_elements=m
    )
    assert flops(geometry, [n, n]) == 2 * by_hand
    assert flops(geometry, [n, n - 1]) < 2 * by_hand


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("is there a red dot in the image?", "existence"),
        ("are there 3 red objects?", "count"),
        ("How many cars are there?", "count"),
        ("is the red dot left of the blue ring?", "position"),
        ("is the object above the red ring white?", "reference"),
        ("is the red dot larger than the blue ring?", "size"),
        ("is the dot red?", "attribute"),
        ("What is written on the sign?", "text"),
    ],
)
def test_router_reads_the_question_only(text: str, kind: str) -> None:
    assert route(text) == kind


def test_best_table_beats_every_other_table_of_its_budget() -> None:
    counts = {"count": 10, "color": 30}
    right = {("count", 21): 2.0, ("count", 64): 5.0, ("count", 128): 9.0, ("color", 21): 20.0,
             ("color", 64): 22.0, ("color", 128): 23.0}  # fmt: skip
    found = best_table(right, counts, (21, 64, 128), 64)
    options = {}
    for pair in product((21, 64, 128), repeat=2):
        tokens = (10 * pair[0] + 30 * pair[1]) / 40
        if tokens <= 64:
            options[pair] = right["count", pair[0]] + right["color", pair[1]]
    assert right["count", found["count"]] + right["color", found["color"]] == max(options.values())
    with pytest.raises(ConfigError, match="exceeds the mean"):
        best_table(right, counts, (64, 128), 32)


def test_the_sweep_moves_every_knob_it_should_and_keeps_its_total_where_k_is_fixed() -> None:
    settings = sweep(21)
    knobs = [knob for knob, *_ in settings]
    for knob in ("contextual", "tau_feat", "tau_sim", "alphas", "k_min", "k_max", "dynk_c"):
        assert knobs.count(knob) >= 3, knob
    assert len({one.digest for *_, one in settings}) == len(settings)
    for knob, _, one in settings:
        method: Any = build_method(one.method, one.parameters)
        if knob in ("k_min", "k_max", "dynk_c"):
            assert (method.rules.k_min, method.rules.k_max) == (
                one.parameters["k_min"],
                one.parameters["k_max"],
            )
            continue
        assert method.dominant + method.contextual + 1 == 21


def test_the_audit_marks_the_rule_that_nobody_published() -> None:
    for name, parameters in as_published().items():
        assert name.startswith("ours: ") == ("k_rule" in parameters)


def _timed(noise: float) -> pd.DataFrame:
    generator = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "configuration": "dense", "picture": picture, "new_tokens": length, "vision": 5.0, "compress": 0.0,
            "projector": 0.0, "prefill": 5.0, "decode": 2.0 * (length - 1) + noise * generator.random(),
        }
        for picture in range(8)
        for length in (1, 4, 16)
    )  # fmt: skip


def test_the_line_through_latencies_has_an_interval_that_widens_with_noise() -> None:
    still, noisy = (latency_rows(_timed(noise))[0] for noise in (0.0, 10.0))
    assert (
        still["fit_per_token_ms_low"] == pytest.approx(still["fit_per_token_ms_high"]) == pytest.approx(2.0)
    )
    assert noisy["fit_per_token_ms_low"] < noisy["fit_ms_per_token"] < noisy["fit_per_token_ms_high"]
    assert noisy["fit_r_squared_low"] < noisy["fit_r_squared"] < 1
    assert spread(_timed(0.0)) == 0 < noisy["spread"]
