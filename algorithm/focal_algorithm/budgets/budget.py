"""Setting a method's parameter so that a budget is met: bisection over runs, and a scan where the budget turns back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from focal_algorithm.methods.study import BudgetParameter
from focal_common.errors import ConfigError

TOLERANCE = 0.01
_MOST_RUNS = 40
_FIRST_TRIES = (0.5, 0.25, 0.1, 0.75, 0.0, 1.0)
_SCAN_STEPS = 6
"""From the start to each end of the range, denser near the start: settings like those in force are preferred."""
_LEAST_STEP = 1e-6
"""Of a real parameter, relative to its range: below it, steps of the budget are those of its grid."""


@dataclass(frozen=True)
class Match:
    """A solved parameter.

    Attributes:
        parameter: Its name.
        value: Its value.
        budget: What is reached there.
        target: What was asked for.
        runs: Runs that it took.
        beyond: First parameter and its value where this is a further one, such as ``schedule scale 10``.
    """

    parameter: str
    value: float
    budget: float
    target: float
    runs: int
    beyond: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the budget lies within `TOLERANCE`."""
        return abs(self.budget - self.target) <= TOLERANCE * abs(self.target)


class OutOfReach(ConfigError):
    """No value of a parameter gives the budget.

    Attributes:
        nearest: The value that comes nearest.
        end: End of the parameter's range on the side of the budget; of the values that run, the one nearest to it.
    """

    def __init__(self, message: str, nearest: Match, end: float) -> None:
        super().__init__(message)
        self.nearest, self.end = nearest, end


def solve(
    parameter: BudgetParameter,
    target: float,
    evaluate: Callable[[float], float | None],
    what: str,
    beyond: str = "",
) -> Match:
    """Return the parameter's value whose budget is nearest to ``target``.

    Where the range from the parameters in force to its end does not enclose the budget, the whole range is scanned
    before it is called out of reach: the budget of some methods turns back on the way.

    Args:
        parameter: See `BudgetParameter`.
        target: Budget, above 0.
        evaluate: Budget at a value of the parameter; None where the method refuses it.
        what: Name of the budget, for messages, such as ``equivalent tokens``.
        beyond: As of `Match`.

    Raises:
        OutOfReach: The sentence gives the range.
        ConfigError: The target is no budget, or the method refuses every value.
    """
    if not (math.isfinite(target) and target > 0):
        raise ConfigError(f"the budget must be a number above 0, got {target:g}", about=("match",))
    search = _Search(parameter, target, evaluate)
    near = search.first_that_runs()
    start = search.at(near)
    if start is None:
        raise ConfigError(
            f"the method refuses every {parameter.name} from {parameter.least:g} to {parameter.most:g}",
            about=("match",),
        )
    end = parameter.most if (start < target) == parameter.rises else parameter.least
    if not search.is_met():
        last = search.at(end)
        # Behind a refused end the search goes on.
        if last is None or (last > target) != (start > target):
            search.halve(near, end)
        if not (search.is_met() or search.is_enclosed()):
            search.scan(near, end)
    value, budget = search.nearest()
    found = Match(parameter.name, value, budget, target, search.runs, beyond)
    if not found.is_met and not search.is_enclosed():
        low, high = search.range()
        where = f"beyond {beyond}" if beyond else "with the other parameters as they are"
        sentence = f"{where}, {parameter.name} reaches {low:,.6g} to {high:,.6g} {what}, not {target:,.6g}"
        raise OutOfReach(sentence, found, search.end(is_high=(high < target) == parameter.rises))
    return found


class _Search:
    def __init__(
        self, parameter: BudgetParameter, target: float, evaluate: Callable[[float], float | None]
    ) -> None:
        self._parameter, self._target, self._evaluate = parameter, target, evaluate
        self._seen: dict[float, float | None] = {}

    @property
    def runs(self) -> int:
        return len(self._seen)

    def at(self, value: float) -> float | None:
        if value not in self._seen:
            self._seen[value] = self._evaluate(value)
        return self._seen[value]

    def first_that_runs(self) -> float:
        """Return a value that the method takes, that of the parameters in force if it can; else any."""
        span = self._parameter.most - self._parameter.least
        tries = [self._parameter.start, *(self._parameter.least + share * span for share in _FIRST_TRIES)]
        for value in tries:
            value = float(round(value)) if self._parameter.is_integer else value
            if self.at(value) is not None:
                return value
        return self._parameter.start

    def halve(self, near: float, far: float) -> None:
        """Narrow the interval between a value that runs and one beyond the target, or one that is refused."""
        is_above = self.at(near) > self._target  # type: ignore[operator]
        while not self.is_met() and self.runs < _MOST_RUNS:
            middle = self._middle(near, far)
            if middle is None:
                return
            budget = self.at(middle)
            if budget is not None and (budget > self._target) == is_above:
                near = middle
            else:
                far = middle

    def scan(self, near: float, end: float) -> None:
        """Halve between the first neighbours that enclose the target, from ``near`` to ``end``, then the other way."""
        other = self._parameter.least if end == self._parameter.most else self._parameter.most
        is_above = self.at(near) > self._target  # type: ignore[operator]
        for far in (end, other):
            before = near
            for step in range(1, _SCAN_STEPS + 1):
                value = near + (far - near) * (step / _SCAN_STEPS) ** 2
                value = float(round(value)) if self._parameter.is_integer else value
                budget = self.at(value)
                if budget is None:
                    continue
                if self.is_met() or (budget > self._target) != is_above:
                    self.halve(before, value)
                    return
                before = value

    def is_met(self) -> bool:
        return any(abs(budget - self._target) <= TOLERANCE * self._target for _, budget in self._known())

    def is_enclosed(self) -> bool:
        """Return whether budgets on both sides were reached, so that only the grid of the parameter is in the way."""
        budgets = [budget for _, budget in self._known()]
        return min(budgets) <= self._target <= max(budgets)

    def nearest(self) -> tuple[float, float]:
        return min(self._known(), key=lambda one: (abs(one[1] - self._target), one[0]))

    def end(self, is_high: bool) -> float:
        """Return the largest value that runs, or the smallest."""
        values = [value for value, _ in self._known()]
        return max(values) if is_high else min(values)

    def range(self) -> tuple[float, float]:
        budgets = [budget for _, budget in self._known()]
        return min(budgets), max(budgets)

    def _known(self) -> list[tuple[float, float]]:
        return [(value, budget) for value, budget in self._seen.items() if budget is not None]

    def _middle(self, near: float, far: float) -> float | None:
        if self._parameter.is_integer:
            middle = float(math.floor((near + far) / 2))
            return None if middle in (near, far) else middle
        if self._parameter.is_logarithmic:
            return None if abs(math.log(near / far)) < _LEAST_STEP else math.sqrt(near * far)
        small = abs(near - far) < _LEAST_STEP * (self._parameter.most - self._parameter.least)
        return None if small else (near + far) / 2
