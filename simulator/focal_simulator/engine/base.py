"""What a level of modelling must offer, so that the runner and the tables never ask which one they hold."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from focal_common.errors import ConfigError
from focal_simulator.accelerators.base import Accelerator
from focal_simulator.costs.buffer_costs import BufferCost, SramChoice
from focal_simulator.engine.cycle.design_cache import DesignCache
from focal_simulator.hardware.specs import Component, HardwareSpec
from focal_simulator.workload.layer_table import Traffic
from focal_simulator.workload.workload import Workload


@dataclass(frozen=True)
class RunResult:
    """Totals of one workload on one accelerator.

    Attributes:
        total_cycles: Compute and stall cycles.
        compute_cycles: Cycles of the array.
        stall_cycles: Cycles added by the units beside it.
        macs: Multiply-accumulates executed.
        dense_macs: Multiply-accumulates without compression.
        activation_bytes: Layer inputs kept, in bytes.
        compression_ratio: Mean of rows before over after vector compression; None without such compression.
        dram_bytes: Reads and writes.
        moved_bytes: Bytes by (level, direction, buffer).
        seconds: Execution time.
        dram_mj: DRAM energy.
        sram_mj: Buffer energy.
        core_mj: Energy of the core logic.
        total_mj: Sum of the three.
    """

    total_cycles: int | float
    compute_cycles: int | float
    stall_cycles: int | float
    macs: int | float
    dense_macs: int | float
    activation_bytes: int | float
    compression_ratio: float | None
    dram_bytes: int | float
    moved_bytes: Mapping[Traffic, int | float]
    seconds: float
    dram_mj: float
    sram_mj: float
    core_mj: float
    total_mj: float

    @property
    def average_on_chip_power_mw(self) -> float:
        """Energy of core and buffers over the time of the run."""
        return (self.core_mj + self.sram_mj) / self.seconds if self.seconds else 0.0


def peak_power_mw(components: Iterable[Component], costs: Iterable[BufferCost], clock_hz: float) -> float:
    """Return what a chip draws while every unit works and every buffer reads and writes; DRAM is beside it."""
    core = math.fsum(part.power.value * part.count.value for part in components)
    return core + math.fsum(cost.peak_mw(clock_hz) for cost in costs)


class Fidelity(ABC):
    """One level of modelling with the settings of a run.

    Attributes:
        name: Registry name, as in the column ``fidelity``.
    """

    name: str

    @abstractmethod
    def simulate(
        self,
        accelerator: Accelerator[Any],
        workload: Workload,
        sram: SramChoice,
        cache: DesignCache | None = None,
    ) -> RunResult:
        """Run one workload on one accelerator.

        Args:
            accelerator: Plug-in with its hardware.
            workload: What to run.
            sram: Buffer cost model.
            cache: What earlier runs found, where a level remembers anything; results are the same with any.

        Raises:
            UnsupportedError: The accelerator does not accept the workload.
        """

    @abstractmethod
    def costs(self, accelerator: Accelerator[Any], sram: SramChoice) -> tuple[BufferCost, ...]:
        """Return the buffers it charges."""

    @abstractmethod
    def components(self, accelerator: Accelerator[Any]) -> tuple[Component, ...]:
        """Return the core logic it charges."""

    def columns(self, result: RunResult) -> Mapping[str, str | int | float]:
        """Return result columns beside the published ones; none by default."""
        return {}

    def column_names(self) -> Sequence[str]:
        """Return the names of `columns`, known before anything runs; none by default."""
        return ()

    def unused_fields(self) -> Mapping[str, str]:
        """Return hardware fields that this level does not look at, and what to set instead."""
        return {}

    def check_hardware(self, hardware: HardwareSpec) -> None:  # noqa: B027  (refuses nothing by default)
        """Refuse hardware that names something this level cannot find; nothing by default.

        Raises:
            ConfigError: Such as a memory preset that does not exist, with the nearest.
        """

    def check_trace(  # noqa: B027  (refuses nothing by default)
        self, accelerator: Accelerator[Any], workload: Workload
    ) -> None:
        """Refuse a trace that this level cannot bring onto the hardware; nothing by default.

        Raises:
            UnsupportedError: The reason.
        """

    def check_fields(self, fields: Iterable[str], option: str) -> None:
        """Refuse hardware fields whose change would change nothing.

        Args:
            fields: Dotted fields that a user sets.
            option: How they were given, for the message.

        Raises:
            ConfigError: One of them is not looked at.
        """
        for field in fields:
            for unused, instead in self.unused_fields().items():
                if field == unused or field.startswith(f"{unused}."):
                    raise ConfigError(f"{option} {field}: has no effect in fidelity {self.name}; {instead}")

    def unit_energy_mj(self, result: RunResult) -> Mapping[str, float]:
        """Return the energy of each unit by label; empty where every unit draws its power all the time."""
        return {}

    def layer_rows(self, result: RunResult) -> list[dict[str, Any]]:
        """Return one row per timed GEMM for ``focal explain``; empty where a level has none."""
        return []
