"""The level of modelling of a study, behind one interface: what it charges and how it simulates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from focal_simulator.accelerators.base import Accelerator
from focal_simulator.buffer_costs import BufferCost, SramChoice, buffer_costs
from focal_simulator.energy import RunResult
from focal_simulator.runner import FIDELITIES
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
        self._simulate = FIDELITIES.load(study.fidelity)

    def simulate(self, accelerator: Accelerator[Any], workload: Workload, sram: SramChoice) -> RunResult:
        """Run one workload on one accelerator; raises `UnsupportedError` if it is not accepted."""
        result: RunResult = self._simulate(accelerator, workload, sram)
        return result

    def costs(self, accelerator: Accelerator[Any], sram: SramChoice) -> tuple[BufferCost, ...]:
        """Return the buffers it charges."""
        return buffer_costs(accelerator, sram)

    def components(self, accelerator: Accelerator[Any]) -> tuple[Component, ...]:
        """Return the core logic it charges."""
        return accelerator.components()

    def columns(self, result: RunResult) -> Mapping[str, float]:
        """Return further numbers of one run, such as cycles by cause; none in parity."""
        return {}
