"""One knob of each method, solved so that the mean cost of some prompts meets a budget."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from focal_algorithm.arena.entrants import entrant
from focal_algorithm.arena.plan import DENSE
from focal_algorithm.budget import solve
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.methods.knobs import MatchKnob
from focal_algorithm.offline.costs import Cost, costs_of, mean_cost
from focal_algorithm.offline.evaluator import Evaluator
from focal_common.errors import ConfigError, FocalError
from focal_common.provenance import content_hash
from focal_traces.schema import SampleHeader

__all__ = ["MET", "NEAREST", "REFUSED", "TOLERANCE", "Setting", "settings_of"]

MET, NEAREST, REFUSED = "ok", "nearest", "refused"

TOLERANCE = 0.03
"""Relative distance within which a budget counts as met; one token of 36 is as much."""


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

    def as_json(self) -> dict[str, Any]:
        """Return JSON values; tuples become lists, which `build_method` takes back."""
        return asdict(self)


def settings_of(
    evaluator: Evaluator, method: str, budgets: tuple[float, ...], quantity: str, traced: tuple[int, ...]
) -> list[Setting]:
    """Return the settings of a method for each budget; refusals are settings too.

    Args:
        evaluator: Model and questions.
        method: Name of an `entrant`.
        budgets: Shares of the dense quantity.
        quantity: ``tokens`` or ``macs``.
        traced: Numbers of the questions whose mean cost is matched.
    """
    dense = evaluator.method(DENSE)
    replies = list(evaluator.replies(dense, traced, frozenset(traced)))
    whole = mean_cost(costs_of(evaluator, dense, replies))
    total = _amount(whole, quantity)
    if method == DENSE:
        return [Setting(1.0, MET, "", _name(dense, quantity), total, total)]
    header = next(one.recorded.header for one in replies if one.recorded is not None)
    search = _Search(evaluator, method, quantity, traced, header)
    return [search.setting(budget, budget * total) for budget in budgets]


@dataclass
class _Tried:
    """Values of one knob with their mean cost; None where the method refuses. Shared by the budgets."""

    knob: MatchKnob
    base: dict[str, Any]
    seen: dict[float, float | None] = field(default_factory=dict)

    def parameters(self, value: float) -> dict[str, Any]:
        return self.base | self.knob.parameters(value)

    def nearest(self, target: float) -> tuple[float, float] | None:
        known = [(value, cost) for value, cost in self.seen.items() if cost is not None]
        return min(known, key=lambda one: (abs(one[1] - target), one[0])) if known else None


class _Search:
    """Turns the knobs of a method one after the other: the next one where those before fall short."""

    def __init__(
        self, evaluator: Evaluator, method: str, quantity: str, traced: tuple[int, ...], header: SampleHeader
    ) -> None:
        self._evaluator, self._entrant, self._quantity = evaluator, entrant(method), quantity
        self._traced, self._header = traced, header
        self._tried: dict[tuple[str, str], _Tried] = {}
        self._refusal = ""

    def setting(self, budget: float, target: float) -> Setting:
        chosen = self._entrant.build(self._evaluator)
        name = _name(chosen, self._quantity)
        geometry = self._evaluator.loaded.adapter.geometry(self._evaluator.loaded.model)
        first = chosen.match_knob(geometry, self._header)
        if first is None:
            reason = f"method {self._entrant.method} has no knob to turn with these parameters and inputs"
            return Setting(budget, REFUSED, reason, name, target, None)
        knobs, reasons = [first], list[str]()
        base: dict[str, Any] = {}
        best: tuple[_Tried, float, float] | None = None
        while knobs:
            tried = self._of(knobs.pop(0), base)
            reasons.append(self._solve(tried, target, name))
            found = tried.nearest(target)
            if found is None:
                break
            if best is None or abs(found[1] - target) < abs(best[2] - target):
                best = (tried, *found)
            if abs(found[1] - target) <= TOLERANCE * target or not reasons[-1]:
                break
            if tried.knob.name == first.name:
                base = tried.parameters(found[0])
                knobs = list(self._entrant.build(self._evaluator, base).further_knobs(geometry, self._header))
        return self._named(budget, target, name, best, [one for one in reasons if one], first)

    def _of(self, knob: MatchKnob, base: dict[str, Any]) -> _Tried:
        return self._tried.setdefault((knob.name, content_hash(base)), _Tried(knob, base))

    def _solve(self, tried: _Tried, target: float, name: str) -> str:
        """Search, and return why the budget is out of reach; empty if it is enclosed."""

        def evaluate(value: float) -> float | None:
            if value not in tried.seen:
                tried.seen[value] = self._cost(tried.parameters(value))
            return tried.seen[value]

        try:
            solve(tried.knob, target, evaluate, name)
        except ConfigError as error:
            return str(error).removeprefix("--match: ")
        return ""

    def _named(
        self,
        budget: float,
        target: float,
        name: str,
        best: tuple[_Tried, float, float] | None,
        reasons: list[str],
        first: MatchKnob,
    ) -> Setting:
        if best is None:
            return Setting(budget, REFUSED, self._refusal or reasons[-1], name, target, None, first.name)
        tried, value, reached = best
        is_met = abs(reached - target) <= TOLERANCE * target
        steps = f"the steps of {tried.knob.name} allow no nearer value"
        return Setting(
            budget=budget,
            status=MET if is_met else NEAREST,
            reason="" if is_met else (reasons[-1] if reasons else steps),
            quantity=name,
            target=target,
            reached=reached,
            knob=tried.knob.name,
            value=value,
            parameters=tried.parameters(value),
        )

    def _cost(self, parameters: dict[str, Any]) -> float | None:
        try:
            method = self._entrant.build(self._evaluator, parameters)
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
    stays = not method.changes_length and method.hook_points
    return "linear MACs as equivalent tokens" if stays else "equivalent tokens"
