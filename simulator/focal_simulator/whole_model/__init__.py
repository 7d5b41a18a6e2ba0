"""A whole inference as a list of operators, and what runs it besides the array."""

from focal_simulator.whole_model.listing import operators
from focal_simulator.whole_model.operator import PHASES, Operator

__all__ = ["PHASES", "Operator", "operators"]
