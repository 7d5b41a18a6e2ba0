"""The budget parameters of each method, solved so that the mean cost of some prompts meets a budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from focal.studies.arena.plan import DENSE, Candidate
from focal_algorithm.budgets.search import multi_parameter_search
from focal_algorithm.evaluation.offline.costs import Cost, costs_of, mean_cost
from focal_algorithm.evaluation.offline.evaluator import Evaluator
from focal_algorithm.methods.base import CompressionMethod, changes_length, hook_points
from focal_algorithm.methods.study import BudgetParameter
from focal_common.errors import ConfigError, FocalError
from focal_common.provenance import content_hash
from focal_traces.header.schema import SampleHeader

MET, NEAREST, REFUSED = "ok", "nearest", "refused"

TOLERANCE = 0.03
"""Relative distance within which a budget counts as met; one token of 36 is as much."""


@dataclass(frozen=True)
class Setting:
    """A method set for a budget.

    Attributes:
        budget: Share of the dense quantity; 1 for dense.
        status: ``ok``; ``nearest`` where no value reaches the budget; ``refused`` where nothing runs.
        reason: Why it is not ``ok``.
        quantity: What was matched.
        target: Of the quantity.
        reached: Of the quantity, mean over the traced questions; None where refused.
        knob: Name of the budget parameter; empty where there is none.
        value: Its value.
        parameters: Over published or fitted ones.
    """

    budget: float
    status: str
    reason: str
    quantity: str
    target: float
    reached: float | None
    knob: str = ""
    value: float | None = None
    parameters: dict[str, Any] = field(default_factory=dict)


def settings_of(
    evaluator: Evaluator,
    chosen: Candidate,
    budgets: tuple[float, ...],
    quantity: str,
    traced: tuple[int, ...],
) -> list[Setting]:
    """Return the settings of a method for each budget; refusals are settings too.

    Args:
        evaluator: Model and questions.
        chosen: Method under a name.
        budgets: Shares of the dense quantity.
        quantity: ``tokens`` or ``macs``.
        traced: Numbers of the questions whose mean cost is matched.
    """
    dense = evaluator.method(DENSE)
    replies = list(evaluator.replies(dense, traced, frozenset(traced)))
    whole = mean_cost(costs_of(evaluator, dense, replies))
    total = _amount(whole, quantity)
    if chosen.method == DENSE:
        return [Setting(1.0, MET, "", _name(dense, quantity), total, total)]
    header = next(one.recorded.header for one in replies if one.recorded is not None)
    search = _Search(evaluator, chosen, quantity, traced, header)
    return [search.setting(budget, budget * total) for budget in budgets]


class _Search:
    """Solves the budgets of one method; they share their runs, and no budget's setting depends on the others."""

    def __init__(
        self,
        evaluator: Evaluator,
        chosen: Candidate,
        quantity: str,
        traced: tuple[int, ...],
        header: SampleHeader,
    ) -> None:
        self._evaluator, self._candidate, self._quantity = evaluator, chosen, quantity
        self._traced, self._header = traced, header
        self._seen: dict[str, float | None] = {}
        self._refusal = ""

    def setting(self, budget: float, target: float) -> Setting:
        chosen = self._candidate.build(self._evaluator)
        name = _name(chosen, self._quantity)
        geometry = self._evaluator.loaded.geometry
        first = chosen.study.budget(chosen, geometry, self._header)
        if first is None:
            reason = f"method {self._candidate.method} has no budget parameter with these settings and inputs"
            return Setting(budget, REFUSED, reason, name, target, None)

        def further(turned: Mapping[str, Any]) -> tuple[BudgetParameter, ...]:
            changed = self._candidate.build(self._evaluator, turned)
            return changed.study.further_budgets(changed, geometry, self._header)

        try:
            found = multi_parameter_search(first, further, target, self._cost, name, TOLERANCE)
        except ConfigError as error:  # it refuses every value
            reason = self._refusal or str(error)
            return Setting(budget, REFUSED, reason, name, target, None, first.name)
        reached = found.match.budget
        is_met = abs(reached - target) <= TOLERANCE * target
        steps = f"the steps of {found.match.parameter} allow no nearer value"
        return Setting(
            budget=budget,
            status=MET if is_met else NEAREST,
            reason="" if is_met else found.reason or steps,
            quantity=name,
            target=target,
            reached=reached,
            knob=found.match.parameter,
            value=found.match.value,
            parameters=found.parameters,
        )

    def _cost(self, parameters: Mapping[str, Any]) -> float | None:
        key = content_hash(dict(parameters))
        if key not in self._seen:
            self._seen[key] = self._measured(parameters)
        return self._seen[key]

    def _measured(self, parameters: Mapping[str, Any]) -> float | None:
        try:
            method = self._candidate.build(self._evaluator, parameters)
            replies = list(self._evaluator.replies(method, self._traced, frozenset(self._traced)))
        except FocalError as error:  # the method cannot work at this value
            self._refusal = str(error)
            return None
        return _amount(mean_cost(costs_of(self._evaluator, method, replies)), self._quantity)


def _amount(cost: Cost, quantity: str) -> float:
    return cost.equivalent_tokens if quantity == "tokens" else cost.macs


def _name(method: CompressionMethod, quantity: str) -> str:
    """Return what is matched. Where every token stays, equivalent tokens are MACs of linear layers in another unit."""
    if quantity == "macs":
        return "prefill MACs"
    stays = not changes_length(method) and hook_points(method)
    return "linear MACs as equivalent tokens" if stays else "equivalent tokens"
