"""Does the search for an equal budget find it, stay within the parameter's range, and say what is out of reach?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from focal.studies.match_budget import check_quantity, match_budget, match_note
from focal_algorithm.budgets.budget import TOLERANCE, solve
from focal_algorithm.budgets.search import multi_parameter_search
from focal_algorithm.checkpoints.loading import LoadedModel
from focal_algorithm.methods import METHODS
from focal_algorithm.methods.study import BudgetParameter
from focal_algorithm.tracing.runner import (
    method_of,
    prepare,
    run,
    sample_sources,
    trace_of,
    trace_sample,
)
from focal_algorithm.tracing.settings import RunSettings
from focal_common.errors import ConfigError, UnsupportedError
from focal_simulator.results.run import run_root
from focal_simulator.results.runner import Settings
from focal_traces.root.root import TraceRoot
from focal_traces.work.ledger import ledger


def parameter(**changes: object) -> BudgetParameter:
    fields = {"name": "k", "start": 1.0, "least": 0.01, "most": 10.0, "rises": True, "parameters": dict}
    return BudgetParameter(**(fields | changes))  # type: ignore[arg-type]


def test_a_real_parameter_meets_the_budget_within_one_percent() -> None:
    for target in (0.02, 3.0, 90.0):
        found = solve(parameter(), target, lambda value: value**2, "tokens")
        assert abs(found.budget - target) <= TOLERANCE * target
        assert found.is_met
        assert found.runs < 30


def test_a_falling_parameter_over_decades_is_halved_by_ratio() -> None:
    falling = parameter(least=1e-4, most=1e4, rises=False, is_logarithmic=True)
    found = solve(falling, 5.0, lambda value: 10 - math.log10(value * 1e4), "tokens")
    assert found.value == pytest.approx(10, rel=0.1)


def test_an_integer_parameter_gives_the_nearest_step_and_says_so() -> None:
    found = solve(
        parameter(start=3, least=1, most=50, is_integer=True), 105, lambda value: 10 * value, "tokens"
    )
    assert found.value in (10, 11)
    assert not found.is_met
    assert "nearest that the parameter's steps allow" in match_note(found, "tokens")


def test_out_of_reach_is_one_sentence_with_the_range() -> None:
    runs: list[float] = []

    def counted(value: float) -> float:
        runs.append(value)
        return value

    with pytest.raises(ConfigError, match=r"k reaches 0\.01 to 10 tokens, not 50"):
        solve(parameter(), 50, counted, "tokens")
    assert len(runs) <= 14  # start, end, and a coarse scan of the rest
    with pytest.raises(ConfigError, match="above 0"):
        solve(parameter(), 0, lambda value: value, "tokens")


def hill(value: float) -> float:
    """Rises from 0 to 28 at 2 and falls to 12 at 10."""
    return 14 * value if value < 2 else 32 - 2 * value


def test_a_budget_that_turns_back_is_found_on_its_near_side() -> None:
    # The start gives 14 and the end 12: neither tells that 26 lies between, and at 3 again.
    found = solve(parameter(), 26, hill, "tokens")
    assert found.is_met
    assert found.value < 2
    # It may lie on the other side of the start, too, where the parameter should not rise.
    assert solve(parameter(start=6.0), 26, hill, "tokens").is_met
    with pytest.raises(ConfigError, match=r"k reaches 0\.14 to 28 tokens, not 40"):
        solve(parameter(), 40, hill, "tokens")


def focus_like(parameters: Mapping[str, Any]) -> float:
    return hill(parameters["scale"]) + 100 * float(parameters.get("threshold", 0.0))


SCALE = parameter(parameters=lambda value: {"scale": value})
THRESHOLD = parameter(name="t", start=0.0, least=0.0, parameters=lambda value: {"threshold": value})


def test_further_parameters_start_at_the_end_of_the_first_and_not_at_its_nearest_value() -> None:
    starts: list[Mapping[str, Any]] = []

    def further(parameters: Mapping[str, Any]) -> tuple[BudgetParameter, ...]:
        starts.append(parameters)
        return (THRESHOLD,)

    near = multi_parameter_search(SCALE, further, 26, focus_like, "tokens", TOLERANCE)
    assert (near.match.parameter, starts) == ("k", [])  # as long as the first reaches it, it alone is turned
    far = multi_parameter_search(SCALE, further, 112, focus_like, "tokens", TOLERANCE)
    assert starts == [{"scale": 10.0}]  # although the cost is nearer to 112 at 2
    assert (far.match.parameter, far.match.beyond, far.reason) == ("t", "k 10", "")
    assert far.parameters == {"scale": 10.0, "threshold": pytest.approx(1, rel=0.02)}
    reason = multi_parameter_search(SCALE, further, 5000, focus_like, "tokens", TOLERANCE).reason
    assert "with the other parameters as they are, k reaches 0.14 to 28 tokens" in reason
    assert "beyond k 10, t reaches 12 to 1,012 tokens" in reason


def test_a_parameter_that_shares_and_the_first_save_the_same_factor() -> None:
    def cost(parameters: Mapping[str, Any]) -> float:
        return 10 * parameters["scale"] * (0.01 + float(parameters.get("threshold", 0.0)))

    shared = replace(THRESHOLD, most=0.99, shares=True)
    found = multi_parameter_search(SCALE, lambda _: (shared,), 25, cost, "tokens", TOLERANCE)
    assert found.reason == ""
    # 100 at most: the first alone saves a factor of two, and the other the second one.
    assert found.parameters == {
        "scale": pytest.approx(5, rel=0.02),
        "threshold": pytest.approx(0.49, rel=0.05),
    }
    assert multi_parameter_search(SCALE, lambda _: (shared,), 500, cost, "tokens", TOLERANCE).reason


def test_refused_values_bound_the_search() -> None:
    # The method works only from 2 to 5.
    def within(value: float) -> float | None:
        return value if 2 <= value <= 5 else None

    assert solve(parameter(), 4.9, within, "tokens").is_met  # start 1 is refused, so another is found
    with pytest.raises(ConfigError, match="not 8"):
        solve(parameter(start=3), 8, within, "tokens")
    with pytest.raises(ConfigError, match="refuses every k"):
        solve(parameter(), 8, lambda value: None, "tokens")


def test_words_of_the_option_are_checked() -> None:
    with pytest.raises(ConfigError, match="did you mean 'tokens'"):
        check_quantity("token", "3")
    with pytest.raises(ConfigError, match="expected a number"):
        check_quantity("macs", "many")
    assert check_quantity("macs", "1.5e12") == 1.5e12


def settings(method: str, **parameters: object) -> RunSettings:
    return RunSettings(
        output=Path("unused"),
        size="tiny",
        method=method,
        parameters=parameters,
        samples=1,
        frames=9,
        new_tokens=0,
    )


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return prepare(settings("dense"))


def tokens_of(one: RunSettings, model: LoadedModel) -> float:
    method, _ = method_of(one, model)
    traced = trace_sample(one, model, method, sample_sources(one)[0])
    return ledger(trace_of(one, model, method, [traced])).value("equivalent_tokens")


OWN: dict[str, dict[str, object]] = {
    "holitom": {"threshold": 2.0},  # static places merge over time whatever the ratio is
    "sparsevlm": {"pruning_layers": [0, 1, 2]},
    "sparsezip": {"contextual": 2},
    "zip_parts": {"contextual": 2},
}
"""Where defaults leave no room on this clip."""


@pytest.mark.parametrize("method", [name for name in METHODS if name != "dense"])
def test_every_method_comes_as_near_as_its_steps_allow(method: str, model: LoadedModel) -> None:
    one = settings(method, **OWN.get(method, {}))
    target = 60.0  # of 81; Focus turns its second parameter, for without pruning it leaves 27 on this clip
    solved, found = match_budget(one, model, "tokens", target, "dense")
    # The parameters that are handed on give the budget that was promised.
    assert tokens_of(solved, model) == pytest.approx(found.budget)
    # One token of nine frames per picture is the coarsest step.
    assert abs(found.budget - target) <= 9


def test_a_given_parameter_is_not_turned_by_a_further_one(model: LoadedModel) -> None:
    with pytest.raises(ConfigError, match=r"schedule scale reaches .* not 60$"):
        match_budget(settings("focus", similarity_threshold=0.9), model, "tokens", 60.0, "dense")


def test_a_method_without_a_parameter_is_refused(model: LoadedModel) -> None:
    with pytest.raises(UnsupportedError, match="dense has no budget parameter"):
        match_budget(settings("dense"), model, "tokens", 10, "dense")


@pytest.mark.parametrize(
    ("quantity", "column", "target"), [("cycles", "cycles", 50_000), ("energy", "energy_mj", 0.15)]
)
def test_a_matched_cost_is_what_focal_sim_says_of_the_trace(
    quantity: str, column: str, target: float, model: LoadedModel, tmp_path: Path
) -> None:
    solved, found = match_budget(settings("focus"), model, quantity, target, "focus")
    run(replace(solved, output=tmp_path), loaded=model)
    (done,) = run_root(Settings(("focus",)), TraceRoot.open(tmp_path)).runs
    assert done.row[column] == found.budget
    assert found.is_met
