"""The parameters of a method one after the other: the next one where those before fall short of a budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from focal_algorithm.budgets.budget import Match, OutOfReach, solve
from focal_algorithm.methods.study import BudgetParameter
from focal_common.errors import ConfigError


@dataclass(frozen=True)
class SearchResult:
    """What the parameters of a method reach.

    Attributes:
        match: Match of the parameter that comes nearest; an earlier one where it is near enough.
        parameters: Hyper-parameters there, over those in force.
        reason: Why the budget is out of reach, with the range of each parameter; empty if it is enclosed.
    """

    match: Match
    parameters: dict[str, Any]
    reason: str


def multi_parameter_search(
    first: BudgetParameter,
    further: Callable[[Mapping[str, Any]], tuple[BudgetParameter, ...]],
    target: float,
    evaluate: Callable[[Mapping[str, Any]], float | None],
    what: str,
    tolerance: float,
) -> SearchResult:
    """Return the setting nearest to a budget.

    The first parameter is tuned with everything else as it is. Where nothing in its range comes within the tolerance,
    it stays at the end of its range on the side of the budget, and the further ones are tuned from there. The end,
    not its nearest value: a budget that turns back on the way would hold the further ones at a setting in between.
    Before a further parameter that shares (`BudgetParameter.shares`), the first is set such that it alone goes half of
    the way, by ratio, from the most that both can spend to the budget.

    Args:
        first: Of `MethodStudy.budget`.
        further: `MethodStudy.further_budgets` of the method with some parameters over those in force.
        target: Budget, above 0.
        evaluate: Budget with some parameters over those in force; None where the method refuses them.
        what: Name of the budget, for messages.
        tolerance: Relative distance within which no further parameter is tuned.

    Raises:
        ConfigError: The method refuses every value of the first parameter, or the target is no budget.
    """
    best, end = _tuned(first, {}, target, evaluate, what, "")
    if not best.reason or _miss(best.match) <= tolerance:
        return best
    reasons = [best.reason]
    for parameter in further(first.parameters(end)):
        start = _half_way(first, end, parameter, target, evaluate, what) if parameter.shares else end
        try:
            another, _ = _tuned(
                parameter, first.parameters(start), target, evaluate, what, f"{first.name} {start:.6g}"
            )
        except ConfigError as error:  # it refuses every value
            reasons.append(str(error))
            continue
        reasons.append(another.reason)
        if _miss(another.match) < _miss(best.match):
            best = another
        if not another.reason or _miss(another.match) <= tolerance:
            break
    reason = "; ".join(filter(None, reasons)) if best.reason else ""
    return SearchResult(best.match, best.parameters, reason)


def _half_way(
    first: BudgetParameter,
    end: float,
    further: BudgetParameter,
    target: float,
    evaluate: Callable[[Mapping[str, Any]], float | None],
    what: str,
) -> float:
    """Return the value of the first parameter that saves half of what is to be saved, the further one being idle."""
    idle = further.parameters(further.most if further.rises else further.least)
    most = evaluate(first.parameters(end) | idle)
    if most is None or most <= target:
        return end
    try:
        best = solve(
            first, math.sqrt(most * target), lambda value: evaluate(first.parameters(value) | idle), what
        )
    except OutOfReach as error:
        return error.nearest.value
    return best.value


def _tuned(
    parameter: BudgetParameter,
    base: dict[str, Any],
    target: float,
    evaluate: Callable[[Mapping[str, Any]], float | None],
    what: str,
    beyond: str,
) -> tuple[SearchResult, float]:
    """Return what one parameter reaches, and the end of its range on the side of the budget."""

    def at(value: float) -> dict[str, Any]:
        return base | parameter.parameters(value)

    try:
        match, end, reason = (
            solve(parameter, target, lambda value: evaluate(at(value)), what, beyond),
            0.0,
            "",
        )
    except OutOfReach as error:
        match, end, reason = error.nearest, error.end, str(error)
    return SearchResult(match, at(match.value), reason), end


def _miss(match: Match) -> float:
    return abs(match.budget - match.target) / match.target
