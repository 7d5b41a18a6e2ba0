"""The published formulas behind the interface of a fidelity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from focal_simulator.accelerators.base import Accelerator, published_formulas
from focal_simulator.costs.buffer_costs import BufferCost, SramChoice, buffer_costs
from focal_simulator.engine.base import Fidelity
from focal_simulator.engine.cycle.design_cache import DesignCache
from focal_simulator.engine.parity.run import simulate, simulate_layer
from focal_simulator.engine.run_result import RunResult
from focal_simulator.hardware.specs import Component
from focal_simulator.workload.workload import Workload

__all__ = ["Parity", "ParityLayer", "parity", "parity_layer"]


class Parity(Fidelity):
    """The published simulator, bit for bit."""

    name = "parity"

    def unused_fields(self) -> Mapping[str, str]:
        """Return what only fidelity ``cycle`` looks at."""
        only = "only fidelity cycle uses it"
        return dict.fromkeys(("dram_system", "leakage_fraction", "dataflow", "dram_bandwidth"), only)

    def simulate(
        self,
        accelerator: Accelerator[Any],
        workload: Workload,
        sram: SramChoice,
        cache: DesignCache | None = None,
    ) -> RunResult:
        """Apply the published formulas."""
        return simulate(accelerator, workload, sram)

    def check_trace(self, accelerator: Accelerator[Any], workload: Workload) -> None:
        """Refuse an accelerator without published formulas."""
        published_formulas(accelerator)

    def costs(self, accelerator: Accelerator[Any], sram: SramChoice) -> tuple[BufferCost, ...]:
        """Return all buffers, with power as published."""
        return buffer_costs(accelerator, sram)

    def components(self, accelerator: Accelerator[Any]) -> tuple[Component, ...]:
        """Return all of the core."""
        return accelerator.components()


def parity(settings: Any) -> Parity:
    """Make the level for a run; it has no settings of its own."""
    return Parity()


class ParityLayer(Parity):
    """The one layer that the published vector-size sweep times."""

    name = "parity_layer"

    def simulate(
        self,
        accelerator: Accelerator[Any],
        workload: Workload,
        sram: SramChoice,
        cache: DesignCache | None = None,
    ) -> RunResult:
        """Time that layer."""
        return simulate_layer(accelerator, workload, sram)


def parity_layer(settings: Any) -> ParityLayer:
    """Make the level for a run; it has no settings of its own."""
    return ParityLayer()
