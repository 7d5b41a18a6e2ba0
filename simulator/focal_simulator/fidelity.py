"""What a level of modelling must offer, so that the runner and the tables never ask which one they hold."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from focal_common.errors import ConfigError
from focal_simulator.accelerators.base import Accelerator
from focal_simulator.buffer_costs import BufferCost, SramChoice, buffer_costs
from focal_simulator.energy import RunResult, TableSums, charged, simulate, table_sums
from focal_simulator.series import Remember, RememberingSeries, Series, defined_together
from focal_simulator.specs import Component, HardwareSpec
from focal_simulator.workload import Workload

__all__ = ["Fidelity", "Parity", "ParityLayer"]


class Fidelity(ABC):
    """One level of modelling with the settings of a run.

    Attributes:
        name: Registry name, as in the column ``fidelity``.
        file_prefix: Start of its result files.
    """

    name: str
    file_prefix: str

    @abstractmethod
    def simulate(self, accelerator: Accelerator[Any], workload: Workload, sram: SramChoice) -> RunResult:
        """Run one workload on one accelerator; raises `UnsupportedError` if it is not accepted."""

    @abstractmethod
    def costs(self, accelerator: Accelerator[Any], sram: SramChoice) -> tuple[BufferCost, ...]:
        """Return the buffers it charges."""

    @abstractmethod
    def components(self, accelerator: Accelerator[Any]) -> tuple[Component, ...]:
        """Return the core logic it charges."""

    def series(self, fields: Collection[str]) -> Series:
        """Return what evaluates many designs that differ in these hardware fields; nothing is remembered by default.

        A level whose `simulate` is `priced` of `counted` may return a `RememberingSeries`.
        """
        if defined_together(type(self), "simulate", "counted", "priced"):
            return RememberingSeries(self, fields)
        return Series(self)

    def counted(self, accelerator: Accelerator[Any], workload: Workload, remember: Remember) -> Any:
        """Return what a run counts before anything is priced; see `series`.

        Args:
            accelerator: Plug-in that accepts the workload.
            workload: What to run.
            remember: See `Accelerator.placed_groups`.
        """
        raise NotImplementedError

    def priced(
        self,
        accelerator: Accelerator[Any],
        counts: Any,
        costs: tuple[BufferCost, ...],
        components: tuple[Component, ...],
    ) -> RunResult:
        """Return the result of a run, without its layers; see `series`.

        Args:
            accelerator: Plug-in with its hardware.
            counts: What `counted` returned.
            costs: What `costs` returned.
            components: What `components` returned.
        """
        raise NotImplementedError

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


class Parity(Fidelity):
    """The published simulator, bit for bit."""

    name = "parity"
    file_prefix = ""

    def unused_fields(self) -> Mapping[str, str]:
        """Return what only fidelity ``cycle`` looks at."""
        only = "only fidelity cycle uses it"
        return dict.fromkeys(("dram_system", "leakage_fraction", "dataflow", "dram_bandwidth"), only)

    def simulate(self, accelerator: Accelerator[Any], workload: Workload, sram: SramChoice) -> RunResult:
        """Apply the published formulas."""
        return simulate(accelerator, workload, sram)

    def counted(self, accelerator: Accelerator[Any], workload: Workload, remember: Remember) -> TableSums:
        """Return the sums of the layer table."""
        return table_sums(accelerator.layers(workload))

    def priced(
        self,
        accelerator: Accelerator[Any],
        counts: TableSums,
        costs: tuple[BufferCost, ...],
        components: tuple[Component, ...],
    ) -> RunResult:
        """Charge the energy of the sums."""
        return charged(accelerator, counts, costs)

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
    file_prefix = "layer_"

    def simulate(self, accelerator: Accelerator[Any], workload: Workload, sram: SramChoice) -> RunResult:
        """Time block 9, ``o_proj``."""
        from focal_simulator.vector_size_study import simulate_layer

        return simulate_layer(accelerator, workload, sram)


def parity_layer(settings: Any) -> ParityLayer:
    """Make the level for a run; it has no settings of its own."""
    return ParityLayer()
