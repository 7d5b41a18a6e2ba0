"""The one number by which a method's budget is set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["MatchKnob"]


@dataclass(frozen=True)
class MatchKnob:
    """What `focal_algorithm.budget.solve` turns to meet a budget.

    Attributes:
        name: As a user reads it, such as ``schedule scale``.
        start: Value of the parameters in force.
        least: Smallest value worth trying; the method may refuse it.
        most: Largest value, likewise.
        rises: Whether the budget rises with the knob, if only on the whole: a budget may turn back on the way.
        parameters: Hyper-parameters at a value, over those in force.
        is_integer: Whether only whole numbers count.
        is_logarithmic: Whether halving is by ratio rather than by difference; ``least`` is then above 0.
        shares: Of a further knob: whether it and the first are to save the same factor each, so that both act.
            Otherwise the first stays at its end.
    """

    name: str
    start: float
    least: float
    most: float
    rises: bool
    parameters: Callable[[float], dict[str, Any]]
    is_integer: bool = False
    is_logarithmic: bool = False
    shares: bool = False
