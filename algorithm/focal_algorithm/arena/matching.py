"""One knob of each method, solved so that the mean cost of some prompts meets a budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from focal_algorithm.arena.plan import DENSE
from focal_algorithm.budget import TOLERANCE, solve
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.methods.knobs import MatchKnob
from focal_algorithm.offline.costs import Cost, costs_of, mean_cost
from focal_algorithm.offline.evaluator import Evaluator
from focal_common.errors import ConfigError, FocalError

__all__ = ["Setting", "settings_of"]

MET, NEAREST, REFUSED = "ok", "nearest", "refused"


@dataclass(frozen=True)
class Setting:
    """A method set for a budget.

    Attributes:
        budget: Share of the dense quantity; 1 for dense.
        status: ``ok``; ``nearest`` where the knob does not reach the budget; ``refused`` where nothing runs.
        reason: Why it is not ``ok``.
        quantity: What was matched.
        target: Of the quantity.
        reached: Of the quantity, mean over the traced questions; None where refused.
        knob: Its name; empty where there is none.
        value: Of the knob.
        parameters: Over published or fitted ones.
        runs: Evaluations that the solution took.
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
    runs: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return JSON values; tuples become lists, which `build_method` takes back."""
        return asdict(self)


def settings_of(
    evaluator: Evaluator, method: str, budgets: tuple[float, ...], quantity: str, traced: tuple[int, ...]
) -> list[Setting]:
    """Return the settings of a method for each budget; refusals are settings too.

    Args:
        evaluator: Model and questions.
        method: Name.
        budgets: Shares of the dense quantity.
        quantity: ``tokens`` or ``macs``.
        traced: Numbers of the questions whose mean cost is matched.
    """
    dense = evaluator.method(DENSE)
    replies = list(evaluator.replies(dense, traced, frozenset(traced)))
    whole = mean_cost(costs_of(evaluator, dense, replies))
    if method == DENSE:
        total = _amount(whole, quantity)
        return [Setting(1.0, MET, "", _name(dense, quantity), total, total)]
    chosen = evaluator.method(method)
    name = _name(chosen, quantity)
    header = replies[0].recorded.header if replies[0].recorded is not None else None
    geometry = evaluator.loaded.adapter.geometry(evaluator.loaded.model)
    knob = chosen.match_knob(geometry, header) if header is not None else None
    memory = _Memory(evaluator, method, quantity, traced)
    found = []
    for budget in budgets:
        target = budget * _amount(whole, quantity)
        if knob is None:
            reason = f"method {method} has no knob to turn with these parameters and inputs"
            found.append(Setting(budget, REFUSED, reason, name, target, None))
            continue
        found.append(_solved(memory, knob, budget, target, name))
    return found


def _solved(memory: _Memory, knob: MatchKnob, budget: float, target: float, name: str) -> Setting:
    before = len(memory.seen)
    reason = ""
    try:
        solve(knob, target, memory.evaluator_of(knob), name)
    except ConfigError as error:
        reason = str(error).removeprefix("--match: ")
    known = [(value, cost) for value, cost in memory.seen.items() if cost is not None]
    runs = len(memory.seen) - before
    if not known:
        return Setting(budget, REFUSED, memory.refusal or reason, name, target, None, knob.name, runs=runs)
    value, reached = min(known, key=lambda one: (abs(one[1] - target), one[0]))
    is_met = abs(reached - target) <= TOLERANCE * target
    if not is_met and not reason:
        reason = f"the steps of {knob.name} allow no nearer value"
    return Setting(
        budget=budget,
        status=MET if is_met else NEAREST,
        reason="" if is_met else reason,
        quantity=name,
        target=target,
        reached=reached,
        knob=knob.name,
        value=value,
        parameters=knob.parameters(value),
        runs=runs,
    )


class _Memory:
    """Mean cost by value of the knob: the first steps of a search are the same for all budgets."""

    def __init__(self, evaluator: Evaluator, method: str, quantity: str, traced: tuple[int, ...]) -> None:
        self.seen: dict[float, float | None] = {}
        self.refusal = ""
        self._evaluator, self._method, self._quantity = evaluator, method, quantity
        self._traced = traced

    def evaluator_of(self, knob: MatchKnob) -> Callable[[float], float | None]:
        def evaluate(value: float) -> float | None:
            if value not in self.seen:
                self.seen[value] = self._cost(knob.parameters(value))
            return self.seen[value]

        return evaluate

    def _cost(self, parameters: dict[str, Any]) -> float | None:
        try:
            method = self._evaluator.method(self._method, parameters)
            replies = list(self._evaluator.replies(method, self._traced, frozenset(self._traced)))
        except FocalError as error:  # the method cannot work at this value
            self.refusal = str(error)
            return None
        return _amount(mean_cost(costs_of(self._evaluator, method, replies)), self._quantity)


def _amount(cost: Cost, quantity: str) -> float:
    return cost.equivalent_tokens if quantity == "tokens" else cost.macs


def _name(method: CompressionMethod, quantity: str) -> str:
    """Return what is matched. Where every token stays, equivalent tokens are MACs of linear layers in another unit."""
    if quantity == "macs":
        return "prefill MACs"
    stays = not method.changes_length and method.hook_points
    return "linear MACs as equivalent tokens" if stays else "equivalent tokens"
