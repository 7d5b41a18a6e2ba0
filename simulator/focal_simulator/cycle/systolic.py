"""Lowering shared by systolic arrays: the machine, and the bytes its folds move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from focal_common.errors import ConfigError
from focal_simulator.cycle.context import CycleContext
from focal_simulator.cycle.jobs import GemmJob, Movement
from focal_simulator.kernels.pipeline import Pipeline
from focal_simulator.layer_table import Traffic, add_traffic

__all__ = ["SystolicArray", "systolic_machine", "systolic_traffic", "with_systolic_traffic"]


def systolic_machine(
    hardware: Any,
    context: CycleContext,
    *,
    scatter_rows_per_cycle: int = 0,
    gather_cycles_per_row: int = 0,
    map_read_bytes: int = 0,
    map_write_bytes: int = 0,
) -> Pipeline:
    """Return the kernel's constants for a weight-stationary array.

    Args:
        hardware: Has ``core.array_rows``, ``core.array_columns``, ``tiles.n_tile``, ``dataflow``.
        context: For the DRAM.
        scatter_rows_per_cycle: Rows restored per cycle; 0 if the array accumulates directly.
        gather_cycles_per_row: Of the gather unit.
        map_read_bytes: Similarity map fetched per row and slice.
        map_write_bytes: Similarity map written per row and array column.

    Raises:
        ConfigError: The n-tile does not hold one array column.
    """
    height, width = hardware.core.array_rows.value, hardware.core.array_columns.value
    if hardware.tiles.n_tile.value < width:
        raise ConfigError(
            f"{hardware.accelerator}: tiles.n_tile is {hardware.tiles.n_tile.value}, expected at least "
            f"core.array_columns ({width}): the output buffer must hold one array column"
        )
    return Pipeline(
        slice_elements=height,
        array_columns=width,
        skew_cycles=height + width - 3,
        row_lanes=1,
        cycles_per_pass=1,
        columns_per_buffer=hardware.tiles.n_tile.value // width,
        weight_load_cycles=height,
        is_weight_double_buffered=int(hardware.dataflow.is_weight_double_buffered),
        scatter_rows_per_cycle=scatter_rows_per_cycle,
        gather_cycles_per_row=gather_cycles_per_row,
        element_bytes=hardware.element_bytes.value,
        map_read_bytes=map_read_bytes,
        map_write_bytes=map_write_bytes,
        **context.channel,
    )


def systolic_traffic(job: Movement, extra: Mapping[Traffic, Any]) -> dict[Traffic, Any]:
    """Return the bytes that folds move, all copies, with ``extra``.

    Model: a fold reads its rows and h x w weights; partial sums go to the output buffer and back, through the
    concentrate buffer where rows are restored. DRAM fills the input and weight buffers and empties the output.
    """
    machine, shape = job.machine, job.shape
    element, width = machine.element_bytes, machine.array_columns
    streamed, restored = shape.streamed_rows * width * element, shape.scattered_rows * width * element
    fetched, weights = shape.fetched_elements * element, shape.weight_elements * element
    written = shape.written_elements * element
    counters: dict[Traffic, Any] = {
        ("sram", "read", "input"): shape.streamed_rows * machine.slice_elements * element,
        ("sram", "write", "input"): fetched,
        ("sram", "read", "wgt"): shape.folds * machine.slice_elements * width * element,
        ("sram", "write", "wgt"): weights,
        ("dram", "read", "input"): fetched,
        ("dram", "read", "wgt"): weights,
        ("dram", "write", "output"): written,
        ("dram", "read", "similarity_map"): shape.map_read_bytes,
        ("dram", "write", "similarity_map"): shape.map_written_bytes,
    }
    if machine.scatter_rows_per_cycle:
        counters[("sram", "write", "concentrate_out")] = streamed
        counters[("sram", "read", "concentrate_out")] = restored
        counters[("sram", "write", "output")] = restored
        counters[("sram", "read", "output")] = restored + written
    else:
        counters[("sram", "write", "output")] = streamed
        counters[("sram", "read", "output")] = streamed + written
    scaled = {key: job.scaled(value) for key, value in counters.items() if _is_any(value)}
    if job.extra_read_bytes:
        for key in (("dram", "read", "input"), ("sram", "write", "input")):
            scaled[key] = scaled.get(key, 0) + job.extra_read_bytes
    return add_traffic([(1, scaled), (1, extra)])


def _is_any(value: Any) -> bool:
    return bool(value if isinstance(value, int) else value.any())


def with_systolic_traffic(job: GemmJob, extra: Mapping[Traffic, int] | None = None) -> GemmJob:
    """Return the job with the bytes its folds move, all copies."""
    return job.changed(traffic=systolic_traffic(job, extra or {}))


@dataclass(frozen=True)
class SystolicArray:
    """A systolic array without concentration.

    Attributes:
        hardware: As `systolic_machine` needs it.
        context: For the DRAM.
        tile_rows: Rows of a full m-tile.
    """

    hardware: Any
    context: CycleContext
    tile_rows: int

    def machine(self, inputs: int) -> Pipeline:
        """Return the kernel's constants; they do not depend on the inputs."""
        return systolic_machine(self.hardware, self.context)

    def with_traffic(self, job: GemmJob, extra: Mapping[Traffic, int] | None = None) -> GemmJob:
        """Return the job with the bytes of its folds."""
        return with_systolic_traffic(job, extra)
