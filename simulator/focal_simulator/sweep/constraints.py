"""Which limits of a study a point breaks, and by how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from focal_simulator.sweep.study import Constraint

__all__ = ["breach", "violations"]


def violations(constraints: Sequence[Constraint], metrics: Mapping[str, float | None]) -> dict[str, float]:
    """Return how far each known metric lies outside its limits, relative to the limit; 0 or less inside.

    A metric that is not known yet is left out.
    """
    found = {}
    for constraint in constraints:
        value = metrics.get(constraint.metric)
        if value is None:
            continue
        amounts = []
        if constraint.at_most is not None:
            amounts.append((value - constraint.at_most) / (abs(constraint.at_most) or 1.0))
        if constraint.at_least is not None:
            amounts.append((constraint.at_least - value) / (abs(constraint.at_least) or 1.0))
        found[constraint.metric] = max(amounts)
    return found


def breach(constraints: Sequence[Constraint], metrics: Mapping[str, float | None]) -> str:
    """Return one sentence on the first limit a point breaks; empty if it breaks none."""
    for name, amount in violations(constraints, metrics).items():
        if amount > 0:
            limit = next(one for one in constraints if one.metric == name)
            bounds = [
                f"{words} {bound:g}"
                for words, bound in (("at most", limit.at_most), ("at least", limit.at_least))
                if bound is not None
            ]
            return f"{name} is {metrics[name]:.6g}, allowed {' and '.join(bounds)}"
    return ""
