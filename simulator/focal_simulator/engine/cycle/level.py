"""The cycle engine behind the interface of a fidelity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from focal_simulator.accelerators.base import Accelerator, all_components
from focal_simulator.accelerators.corrections import ALL, parse_corrections
from focal_simulator.costs.buffer_costs import BufferCost, SramChoice
from focal_simulator.dram.specs import load_dram_spec
from focal_simulator.engine.base import Fidelity, RunResult
from focal_simulator.engine.cycle.design_cache import DesignCache
from focal_simulator.engine.cycle.simulate import CycleResult, cycle_costs, simulate_cycles
from focal_simulator.engine.cycle.timing import layer_rows
from focal_simulator.hardware.specs import Component, HardwareSpec
from focal_simulator.jobs.jobs import CAUSES
from focal_simulator.workload.workload import Workload

_DRAM_ACTIONS = ("read", "write", "standby")


@dataclass(frozen=True)
class CycleFidelity(Fidelity):
    """Every fold timed, one cause per cycle.

    Attributes:
        corrections: Names that are on.
    """

    corrections: frozenset[str] = ALL
    name = "cycle"

    def simulate(
        self,
        accelerator: Accelerator[Any],
        workload: Workload,
        sram: SramChoice,
        cache: DesignCache | None = None,
    ) -> RunResult:
        """Run the engine."""
        return simulate_cycles(accelerator, workload, sram, self.corrections, cache)

    def costs(self, accelerator: Accelerator[Any], sram: SramChoice) -> tuple[BufferCost, ...]:
        """Return the buffers that the corrections leave, by energy per access if so corrected."""
        return cycle_costs(accelerator, self.corrections, sram)

    def components(self, accelerator: Accelerator[Any]) -> tuple[Component, ...]:
        """Return the logic of all arrays that the corrections leave."""
        return all_components(accelerator, self.corrections)

    def columns(self, result: RunResult) -> Mapping[str, str | int | float]:
        """Return the cycles by cause and which corrections were on."""
        if not isinstance(result, CycleResult):
            return {}
        dram = [item for item in result.breakdown if item.group == "dram"]
        return {
            **{f"{name}_cycles": value for name, value in result.causes.items()},
            **{
                f"dram_{action}_energy_mj": math.fsum(
                    item.energy_mj for item in dram if item.name.startswith(action)
                )
                for action in _DRAM_ACTIONS
            },
            "corrections": self.label,
        }

    def column_names(self) -> Sequence[str]:
        """Return the names of `columns`."""
        causes = [f"{name}_cycles" for name in CAUSES]
        return (*causes, *(f"dram_{action}_energy_mj" for action in _DRAM_ACTIONS), "corrections")

    @property
    def label(self) -> str:
        """Return ``all``, ``none`` or the names that are on; ``all`` and the assumptions changed beside it."""
        if self.corrections >= ALL:
            return "+".join(("all", *sorted(self.corrections - ALL)))
        return "+".join(sorted(self.corrections)) or "none"

    def unused_fields(self) -> Mapping[str, str]:
        """Return what only the published formulas look at."""
        unused = {"dram_bandwidth": "set dram_system, a preset of the memory model"}
        if "dram_energy" in self.corrections:
            unused["dram_energy"] = "set dram_system, or take away the correction dram_energy"
        return unused

    def check_hardware(self, hardware: HardwareSpec) -> None:
        """Refuse a memory preset that does not exist."""
        if hardware.dram is None:
            load_dram_spec(hardware.dram_system)

    def check_trace(self, accelerator: Accelerator[Any], workload: Workload) -> None:
        """Refuse traces of other tiles or vectors."""
        if not workload.operators:
            accelerator.check_trace(workload, self.corrections)

    def unit_energy_mj(self, result: RunResult) -> Mapping[str, float]:
        """Return the energy of each unit of the core, if it was counted by activity."""
        if not isinstance(result, CycleResult) or "core_energy" not in self.corrections:
            return {}
        return {item.name: item.energy_mj for item in result.breakdown if item.group == "core"}

    def layer_rows(self, result: RunResult) -> list[dict[str, Any]]:
        """Return one row per timed GEMM."""
        if not isinstance(result, CycleResult):
            return []
        return layer_rows(result.times, result.job_energies)


def cycle(settings: Any) -> CycleFidelity:
    """Make the level for a run.

    Raises:
        ConfigError: An unknown correction.
    """
    return CycleFidelity(parse_corrections(settings.corrections))
