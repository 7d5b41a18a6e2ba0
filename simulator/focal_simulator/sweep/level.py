"""The level of modelling of a study, behind one interface: what it charges and how it simulates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from focal_simulator.accelerators.base import Accelerator
from focal_simulator.buffer_costs import BufferCost, SramChoice
from focal_simulator.energy import RunResult
from focal_simulator.fidelity import Fidelity
from focal_simulator.runner import FIDELITIES, Settings
from focal_simulator.specs import Component
from focal_simulator.sweep.study import Study
from focal_simulator.workload import Workload

__all__ = ["Level"]


class Level:
    """A fidelity with the settings of a study; the only place of a sweep that knows how fidelities are called.

    Args:
        study: For its fidelity.
    """

    def __init__(self, study: Study) -> None:
        settings = Settings(
            accelerators=(study.accelerator,),
            fidelity=study.fidelity,
            corrections=study.corrections,
            sram=study.sram,
        )
        self._fidelity: Fidelity = FIDELITIES.load(study.fidelity)(settings)

    def check_fields(self, fields: Iterable[str]) -> None:
        """Raise `ConfigError` if a field of the study changes nothing in this fidelity."""
        self._fidelity.check_fields(fields, "study:")

    def simulate(self, accelerator: Accelerator[Any], workload: Workload, sram: SramChoice) -> RunResult:
        """Run one workload on one accelerator; raises `UnsupportedError` if it is not accepted."""
        return self._fidelity.simulate(accelerator, workload, sram)

    def costs(self, accelerator: Accelerator[Any], sram: SramChoice) -> tuple[BufferCost, ...]:
        """Return the buffers it charges."""
        return self._fidelity.costs(accelerator, sram)

    def components(self, accelerator: Accelerator[Any]) -> tuple[Component, ...]:
        """Return the core logic it charges."""
        return self._fidelity.components(accelerator)

    def columns(self, result: RunResult) -> Mapping[str, float]:
        """Return further numbers of one run, such as cycles by cause; none in parity."""
        columns = self._fidelity.columns(result)
        return {name: float(value) for name, value in columns.items() if isinstance(value, int | float)}
