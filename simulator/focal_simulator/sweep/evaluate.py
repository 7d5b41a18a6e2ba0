"""What one point is worth: the only place where a design of a study is simulated."""

from __future__ import annotations

from math import isfinite
from typing import Any

from focal_common import __version__
from focal_common.errors import ConfigError, FocalError, RunError, TraceError, UnsupportedError
from focal_common.provenance import code_revision
from focal_simulator.accelerators.base import Accelerator, run_remarks
from focal_simulator.costs.buffer_costs import SramChoice, sram_label
from focal_simulator.engine.cycle.design_cache import DesignCache
from focal_simulator.sweep.axes import METHOD, SRAM_MODEL, Point, Settings
from focal_simulator.sweep.hardware_points import PointHardware
from focal_simulator.sweep.metrics import CHIP_METRICS, RUN_METRICS, breach, chip_metrics, joined, run_metrics
from focal_simulator.sweep.plan import Plan, hardware_settings, study_fidelity
from focal_simulator.sweep.providers.base import Traced
from focal_simulator.sweep.rows import FAILED, INFEASIBLE, OK, Row

_KEPT_TRACES = 16


class Evaluator:
    """Evaluates points of one study in one process.

    Kept between points: workloads of each set of method parameters, checked hardware values, and what a `DesignCache`
    remembers of the runs.

    Args:
        plan: The study.
        finished: Simulated rows of an earlier study by configuration hash, without its axes; such points are not
            simulated again.
    """

    def __init__(self, plan: Plan, finished: dict[str, Row] | None = None) -> None:
        self._plan = plan
        self._finished = finished or {}
        self._fidelity, self._cache = study_fidelity(plan.study), DesignCache()
        self._hardware = PointHardware(plan.study.accelerator, plan.hardware, plan.where, plan.memories)
        self._provider = plan.provider()
        self._traced: dict[str, Traced | FocalError] = {}
        revision = code_revision()
        self._code = f"{revision['commit'] or 'unknown'}{'+changes' if revision['is_dirty'] else ''}"

    def row(self, point: Point) -> Row:
        """Return the row of a point; a point that cannot be evaluated becomes a row with the reason.

        Raises:
            RunError: The machine failed (disk, memory), which says nothing about the point.
        """
        plan, study = self._plan, self._plan.study
        settings = plan.space.settings(point.choices)
        sha256 = plan.configuration_sha256(settings)
        row: Row = {"index": point.index, "status": OK, "reason": ""}
        labels = plan.space.labels(point.choices)
        row |= {axis.label: text for axis, text in zip(study.axes, labels, strict=True) if axis.choices}
        row |= settings
        metrics = dict.fromkeys([*RUN_METRICS, *CHIP_METRICS, *self._provider.measures()], None)
        facts = {
            "accelerator": plan.accelerator,
            "fidelity": study.fidelity,
            "sram_model": None,
            "origin": None,
            "remarks": None,
            "focal_version": __version__,
            "code_version": self._code,
            "configuration_sha256": sha256,
        }
        try:
            found = self._inherited(sha256) or self._measured(settings)
            facts |= {name: found.pop(name) for name in facts if name in found}
            metrics |= found
            if limit := breach(study.constraints, metrics):
                row |= {"status": INFEASIBLE, "reason": limit}
            elif unknown := self._unknown(metrics):
                row |= {"status": FAILED, "reason": f"{unknown} is not known for this point"}
        except (FocalError, ArithmeticError) as error:
            if isinstance(error, RunError):
                raise
            row |= {"status": FAILED, "reason": _reason(error)}
        return row | metrics | facts

    def _measured(self, settings: Settings) -> Row:
        accelerator, sram = self.design(settings)
        costs = self._fidelity.costs(accelerator, sram)
        found: Row = dict(
            chip_metrics(self._fidelity.components(accelerator), costs, accelerator.hardware.clock.value)
        )
        found["sram_model"] = sram_label(costs)
        if breach(self._plan.study.constraints, found):
            return found
        traced = self._workloads(settings)
        per_workload = []
        remarks: list[str] = []
        for workload in traced.workloads:
            result = self._fidelity.simulate(accelerator, workload, sram, self._cache)
            columns = self._fidelity.columns(result)
            numbers = {name: float(value) for name, value in columns.items() if not isinstance(value, str)}
            per_workload.append(run_metrics(result) | numbers)
            remarks += run_remarks(accelerator, workload, costs)
        found |= joined(per_workload)
        found |= {name: float(value) for name, value in traced.measured.items()}
        origins = {workload.origin_for(accelerator.study.uses_counts) for workload in traced.workloads}
        found["origin"] = " + ".join(sorted(origins))
        found["remarks"] = "; ".join(dict.fromkeys(remarks))
        if len(per_workload) > 1:
            for workload, values in zip(traced.workloads, per_workload, strict=True):
                found |= {f"{workload.label}:{name}": value for name, value in values.items()}
        return found

    def _unknown(self, metrics: Row) -> str:
        """Return an objective or a limited metric without a finite value; empty if there is none."""
        study = self._plan.study
        names = [one.metric for one in study.objectives] + [one.metric for one in study.constraints]
        return next((name for name in names if metrics[name] is None or not isfinite(metrics[name])), "")

    def design(self, settings: Settings) -> tuple[Accelerator[Any], SramChoice]:
        """Return the accelerator of a point and its buffer cost model."""
        base = self._plan.space.base
        accelerator = self._hardware.accelerator(hardware_settings(settings, base))
        return accelerator, settings.get(SRAM_MODEL, self._plan.study.sram)

    def _workloads(self, settings: Settings) -> Traced:
        parameters = {
            field.removeprefix(METHOD): value
            for field, value in settings.items()
            if field.startswith(METHOD) and value is not None
        }
        key = repr(sorted(parameters.items()))
        if key not in self._traced:
            if len(self._traced) >= _KEPT_TRACES:
                self._traced.pop(next(iter(self._traced)))
            try:
                self._traced[key] = self._provider.traced(parameters)
            except (ConfigError, TraceError, UnsupportedError) as error:
                # Kept as well: a trace that cannot be made is not tried again for every design.
                self._traced[key] = error
        found = self._traced[key]
        if isinstance(found, FocalError):
            raise found
        return found

    def _inherited(self, sha256: str) -> Row | None:
        row = self._finished.get(sha256)
        if row is None:
            return None
        # All else is a number or a fact of the run; it keeps the version of the code that made it.
        own = {"index", "status", "reason", "accelerator", "fidelity", "configuration_sha256"}
        return {name: value for name, value in row.items() if name not in own}


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, FocalError) else f"{type(error).__name__}: {text}"
