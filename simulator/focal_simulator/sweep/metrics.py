"""What a point is measured by: names, units, and how several workloads become one number."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from focal_common.errors import ConfigError, near_matches
from focal_simulator.costs.buffer_costs import BufferCost
from focal_simulator.engine.base import RunResult, peak_power_mw
from focal_simulator.hardware.specs import Component
from focal_simulator.sweep.study import Constraint


@dataclass(frozen=True, slots=True)
class RunMetric:
    """A number of one workload on one design.

    Attributes:
        unit: Its unit.
        of: Takes it from a result.
        mean: How workloads are joined: geometric for times and energies, as the papers of the field do,
            arithmetic for quantities that may be 0.
    """

    unit: str
    of: Callable[[RunResult], float]
    mean: Literal["geometric", "arithmetic"] = "arithmetic"


def _power_mw(result: RunResult) -> float:
    return result.total_mj / result.seconds


RUN_METRICS: Mapping[str, RunMetric] = {
    "seconds": RunMetric("s", lambda result: result.seconds, "geometric"),
    "total_cycles": RunMetric("cycles", lambda result: result.total_cycles, "geometric"),
    "total_mj": RunMetric("mJ", lambda result: result.total_mj, "geometric"),
    "edp_mj_s": RunMetric("mJ s", lambda result: result.total_mj * result.seconds, "geometric"),
    "power_mw": RunMetric("mW", _power_mw, "geometric"),
    "compute_cycles": RunMetric("cycles", lambda result: result.compute_cycles),
    "stall_cycles": RunMetric("cycles", lambda result: result.stall_cycles),
    "dram_mj": RunMetric("mJ", lambda result: result.dram_mj),
    "sram_mj": RunMetric("mJ", lambda result: result.sram_mj),
    "core_mj": RunMetric("mJ", lambda result: result.core_mj),
    "dram_bytes": RunMetric("B", lambda result: result.dram_bytes),
    "macs": RunMetric("MAC", lambda result: result.macs),
    "dense_macs": RunMetric("MAC", lambda result: result.dense_macs),
}

CHIP_METRICS: Mapping[str, str] = {
    "area_mm2": "mm2",
    "buffer_area_mm2": "mm2",
    "peak_on_chip_power_mw": "mW",
    "buffer_bytes": "B",
}
"""Units of what a design has before anything runs on it, and so decides constraints without a simulation."""


def chip_metrics(
    components: Sequence[Component], costs: Sequence[BufferCost], clock_hz: float
) -> dict[str, float]:
    """Return the values of `CHIP_METRICS`."""
    core_mm2 = math.fsum(part.area.value * part.count.value for part in components)
    buffers_mm2 = math.fsum(cost.area_mm2 for cost in costs)
    return {
        "area_mm2": float(core_mm2 + buffers_mm2),
        "buffer_area_mm2": float(buffers_mm2),
        "peak_on_chip_power_mw": peak_power_mw(components, costs, clock_hz),
        "buffer_bytes": float(sum(cost.capacity_bytes for cost in costs)),
    }


def run_metrics(result: RunResult) -> dict[str, float]:
    """Return the values of `RUN_METRICS` of one workload."""
    return {name: float(metric.of(result)) for name, metric in RUN_METRICS.items()}


def joined(per_workload: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean over workloads of every number; of one workload, its values unchanged.

    Numbers that only some levels of modelling have are joined by arithmetic means.
    """
    if len(per_workload) == 1:
        return dict(per_workload[0])
    found = {}
    for name in per_workload[0]:
        values = [row[name] for row in per_workload]
        if name in RUN_METRICS and RUN_METRICS[name].mean == "geometric":
            logs = [math.log(value) if value > 0 else -math.inf for value in values]
            found[name] = math.exp(math.fsum(logs) / len(values))
        else:
            found[name] = math.fsum(values) / len(values)
    return found


def check_metric(name: str, measured: Sequence[str], where: str) -> None:
    """Raise `ConfigError` with the nearest name unless ``name`` is a metric.

    Args:
        name: What the study names.
        measured: What the trace provider measures beside, such as ``accuracy``.
        where: Study and field for the message.
    """
    valid = [*RUN_METRICS, *CHIP_METRICS, *measured]
    if name not in valid:
        raise ConfigError(f"{where}: unknown metric '{name}'; {near_matches(name, valid)}")


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
