"""A method's parameter solved on one sample, so that methods can be compared at one budget: ``focal trace --match``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from focal.recording import Recording
from focal.simulation import simulate
from focal_algorithm.budgets.budget import TOLERANCE, Match
from focal_algorithm.budgets.search import multi_parameter_search
from focal_algorithm.checkpoints.loading import LoadedModel
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.methods.build import build_method
from focal_algorithm.methods.study import BudgetParameter
from focal_algorithm.tracing.runner import (
    SampleSource,
    method_of,
    sample_sources,
    trace_of,
    trace_sample,
)
from focal_algorithm.tracing.settings import RunSettings
from focal_common.console import errors_console
from focal_common.errors import ConfigError, FocalError, RunError, UnsupportedError, near_matches
from focal_common.reading.values import real_number
from focal_traces.header.schema import MOST_TOKENS
from focal_traces.work.ledger import ledger

QUANTITIES = {
    "tokens": "equivalent tokens",
    "macs": "MACs of the decoder's prefill",
    "cycles": "cycles",
    "energy": "mJ",
}
_SIMULATED = {"cycles": "total_cycles", "energy": "total_mj"}


def check_quantity(quantity: str, text: str) -> float:
    """Return a budget of a quantity from text; raises `ConfigError` where either is none."""
    if quantity not in QUANTITIES:
        raise ConfigError(f"quantity '{quantity}': {near_matches(quantity, QUANTITIES)}", about=("match",))
    try:
        number = real_number(text)
    except ValueError:
        number = 0.0
    if number <= 0 or (quantity == "tokens" and number > MOST_TOKENS):
        raise ConfigError(f"{quantity} '{text}': expected a number such as 64 or 1.5e12", about=("match",))
    return number


def match_budget(
    settings: RunSettings, loaded: LoadedModel, quantity: str, target: float, accelerator: str
) -> tuple[RunSettings, Match]:
    """Return the settings with the parameter at its solution, and the solution.

    Further budget parameters are tuned where the first one does not reach the budget, except those of fields that the
    settings give: what was asked for stays. Runs the chosen sample, or the first, once per step.

    Args:
        settings: Of the run that is to follow.
        loaded: Its model.
        quantity: One of `QUANTITIES`.
        target: Budget, in the unit of `QUANTITIES`.
        accelerator: Simulated for cycles and energy.

    Raises:
        UnsupportedError: The method has no parameter on this prompt.
        ConfigError: The budget is out of reach; the sentence gives the range.
    """
    one = replace(
        settings,
        keep_masks=False,
        keep_frames=False,
        new_tokens=0,
        chosen_sample=None,
        against_dense=False,
    )
    source = sample_sources(settings)[settings.chosen_sample or 0]
    dense = trace_sample(one, loaded, build_method("dense", {}), source).recorded.header
    method, _ = method_of(settings, loaded)
    geometry = loaded.geometry
    parameter = method.study.budget(method, geometry, dense)
    if parameter is None or not dense.visual_tokens:
        raise UnsupportedError(
            f"method {settings.method} has no budget parameter with these settings and inputs",
            about=("match",),
        )
    measure = _measure(one, loaded, source, quantity, accelerator)

    refusals: list[str] = []

    def evaluate(turned: Mapping[str, Any]) -> float | None:
        try:
            changed = _changed(one, turned)
            return measure(changed, method_of(changed, loaded)[0])
        except _SimulationError:
            raise
        except FocalError as error:  # the method cannot work at this value
            refusals.append(str(error))
            return None

    kept = settings.parameters.keys() - parameter.parameters(parameter.start).keys()

    def further(turned: Mapping[str, Any]) -> tuple[BudgetParameter, ...]:
        changed, _ = method_of(_changed(one, turned), loaded)
        others = changed.study.further_budgets(changed, geometry, dense)
        return tuple(other for other in others if not kept & other.parameters(other.start).keys())

    errors_console().print(f"matching {parameter.name} to {target:,.6g} {QUANTITIES[quantity]}", markup=False)
    found = multi_parameter_search(parameter, further, target, evaluate, QUANTITIES[quantity], TOLERANCE)
    if found.reason:
        why = f" (beyond, the method refuses: {refusals[-1]})" if refusals else ""
        raise ConfigError(f"{found.reason}{why}", about=("match",))
    return _changed(settings, found.parameters), found.match


def _changed(settings: RunSettings, parameters: Mapping[str, Any]) -> RunSettings:
    return replace(settings, parameters={**settings.parameters, **parameters})


def match_note(found: Match, quantity: str) -> str:
    """Return the sentence that says what was reached."""
    unit = QUANTITIES[quantity]
    miss = (
        "" if found.is_met else f", the nearest that the parameter's steps allow (over {TOLERANCE:.0%} off)"
    )
    parameter = f"{found.beyond} and {found.parameter}" if found.beyond else found.parameter
    return (
        f"matched on one sample in {found.runs} runs: {parameter} {found.value:.6g} gives {found.budget:,.6g} "
        f"{unit} for {found.target:,.6g} asked{miss}"
    )


class _SimulationError(RunError):
    """The simulator failed, which is no matter of the parameter's value."""


_Measure = Callable[[RunSettings, CompressionMethod], float]


def _measure(
    one: RunSettings, loaded: LoadedModel, source: SampleSource, quantity: str, accelerator: str
) -> _Measure:
    if quantity in _SIMULATED:
        figure = _SIMULATED[quantity]
        return lambda changed, method: _simulated(changed, loaded, source, method, figure, accelerator)
    lines = {"tokens": ("equivalent_tokens",), "macs": ("prefill_linear_macs", "prefill_attention_macs")}[
        quantity
    ]

    def recorded(changed: RunSettings, method: CompressionMethod) -> float:
        trace = trace_of(changed, loaded, method, [trace_sample(changed, loaded, method, source)])
        return math.fsum(ledger(trace, 0).value(line) for line in lines)

    return recorded


def _simulated(
    changed: RunSettings,
    loaded: LoadedModel,
    source: SampleSource,
    method: CompressionMethod,
    figure: str,
    accelerator: str,
) -> float:
    traced = trace_sample(changed, loaded, method, source)
    samples = (traced.recorded,)
    recording = Recording(loaded, method, samples, (), changed.dataset_name, changed.seed, keep_masks=False)
    try:
        (run,) = simulate(recording.trace(), accelerator).runs
    except FocalError as error:
        raise _SimulationError(f"the simulation failed ({error})") from error
    return float(getattr(run.result, figure))
