"""Lowering shared by systolic arrays: the machine, and the bytes its folds move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from focal_common.errors import ConfigError
from focal_simulator.hardware.specs import HardwareSpec
from focal_simulator.jobs.context import CycleContext
from focal_simulator.jobs.jobs import Movement
from focal_simulator.kernels.pipeline import Pipeline
from focal_simulator.workload.arithmetic import bytes_of, ceil_div
from focal_simulator.workload.layer_table import Traffic


def check_slice(hardware: Any) -> None:
    """Refuse a k-tile that does not hold one slice: as many inputs as the array has rows.

    Raises:
        ConfigError: ``tiles.k_tile`` is smaller.
    """
    deep, height = hardware.tiles.k_tile.value, hardware.core.array_rows.value
    if deep < height:
        raise ConfigError(
            f"{hardware.accelerator}: tiles.k_tile is {deep}, expected at least core.array_rows ({height}): the input "
            "and weight buffers must hold one slice of the array"
        )


def operand_bits(hardware: HardwareSpec) -> dict[str, int]:
    """Return the fields of a `Pipeline` that say how wide operands of linear layers are."""
    precision = hardware.precision
    return {
        "input_bits": precision.bits("activations"),
        "weight_bits": precision.bits("weights"),
        "output_bits": precision.bits("activations"),
        "sum_bits": precision.bits("partial_sums"),
        "score_bits": precision.bits("scores"),
    }


def systolic_machine(hardware: Any, context: CycleContext) -> Pipeline:
    """Return the kernel's constants for a weight-stationary array without units beside it.

    Args:
        hardware: Has ``core.array_rows``, ``core.array_columns``, ``tiles.n_tile``, ``dataflow``.
        context: For the DRAM.

    Raises:
        ConfigError: The n-tile does not hold one array column.
    """
    height, width = hardware.core.array_rows.value, hardware.core.array_columns.value
    core, dataflow = hardware.core, hardware.dataflow
    if hardware.tiles.n_tile.value < width:
        raise ConfigError(
            f"{hardware.accelerator}: tiles.n_tile is {hardware.tiles.n_tile.value}, expected at least "
            f"core.array_columns ({width}): the output buffer must hold one array column"
        )
    is_timed = context.has("array_latencies")
    return Pipeline(
        slice_elements=height,
        array_columns=width,
        # The formula of SCALE-Sim, which is -1 for an array of one multiplier.
        skew_cycles=max(height + width - 3, 0),
        output_latency_cycles=core.output_latency.value if is_timed else 0,
        scatter_latency_cycles=0,
        row_lanes=1,
        # A partial sum is read and written; a word of several rows costs no more than one of one.
        cycles_per_pass=accesses_per_word(core.output_ports.value, core.output_word_rows),
        columns_per_buffer=hardware.tiles.n_tile.value // width,
        **_weight_cycles(hardware),
        is_weight_double_buffered=int(dataflow.is_weight_double_buffered),
        is_weight_wavefront=int(dataflow.is_weight_wavefront),
        scatter_rows_per_cycle=0,
        concentrate_reads_per_cycle=0,
        accumulate_cycles=1,
        gather_cycles_per_row=0,
        mean_cycles_per_vector=0,
        **operand_bits(hardware),
        map_read_bytes=0,
        map_write_bytes=0,
        **context.channel,
    )


def accesses_per_word(ports: int, rows: int = 1) -> int:
    """Return the cycles of reading and writing a row that lies with others in a word of ``rows``.

    Args:
        ports: Of the buffer; 0 for as many as it needs.
        rows: In one word.
    """
    return ceil_div(2, ports * rows) if ports else 1


def _weight_cycles(hardware: Any) -> dict[str, int]:
    """Return the fields of a `Pipeline` on loading the weights of a fold, and keys or values in their place.

    Model: array rows come one after the other. In a wavefront row r of the array may take its first activation as soon
    as its weights are there, r cycles after row 0.
    """
    core, dataflow = hardware.core, hardware.dataflow
    height, width, port = core.array_rows.value, core.array_columns.value, core.weight_port.value
    row_bytes, key_bytes = (
        bytes_of(width, hardware.precision.bits(operand)) for operand in ("weights", "activations")
    )
    load, keys = (height * (ceil_div(one, port) if port else 1) for one in (row_bytes, key_bytes))
    cycles = {"weight_load_cycles": load, "key_load_cycles": keys, "weight_lead_cycles": load}
    if not dataflow.is_weight_wavefront:
        return cycles
    if dataflow.is_weight_double_buffered:
        raise ConfigError(
            f"{hardware.accelerator}: dataflow.is_weight_wavefront and dataflow.is_weight_double_buffered are both "
            "true, expected one of them: a wavefront needs no second set of registers"
        )
    if not port:
        raise ConfigError(
            f"{hardware.accelerator}: dataflow.is_weight_wavefront is true and core.weight_port is 0 B, expected the "
            f"bytes of weights a cycle, such as {row_bytes}: a wavefront is as fast as the port that feeds it"
        )
    return {**cycles, "weight_lead_cycles": load - height + 1}


def systolic_traffic(job: Movement) -> dict[Traffic, Any]:
    """Return the bytes that folds move, all copies.

    Model: a fold reads its rows and h x w weights; partial sums go to the output buffer and back, through the
    concentrate buffer where rows are restored. DRAM fills the input and weight buffers and empties the output.
    """
    machine, shape = job.machine, job.shape
    width, sums = machine.array_columns, machine.sum_bits
    streamed = bytes_of(shape.streamed_rows * width, sums)
    restored = bytes_of(shape.scattered_rows * width, sums)
    fetched = bytes_of(shape.fetched_elements, machine.input_bits)
    weights = bytes_of(shape.weight_elements, machine.weight_bits)
    written = bytes_of(shape.written_elements, machine.output_bits)
    counters: dict[Traffic, Any] = {
        ("sram", "read", "input"): bytes_of(shape.streamed_rows * machine.slice_elements, machine.input_bits),
        ("sram", "write", "input"): fetched,
        ("sram", "read", "wgt"): bytes_of(shape.folds * machine.slice_elements * width, machine.weight_bits),
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
    return {key: job.scaled(value) for key, value in counters.items() if value.any()}


@dataclass(frozen=True, slots=True)
class SystolicUnits:
    """A systolic array, with or without scatter and gather beside it.

    Attributes:
        machine: Constants of the kernel.
    """

    machine: Pipeline

    def traffic(self, job: Movement) -> Mapping[Traffic, Any]:
        """Return the bytes of its folds."""
        return systolic_traffic(job)


@dataclass(frozen=True, slots=True)
class SystolicArray:
    """A systolic array without concentration.

    Attributes:
        constants: Constants of the kernel.
        tile_rows: Rows of a full m-tile.
    """

    constants: Pipeline
    tile_rows: int

    def machine(self, inputs: int) -> Pipeline:
        """Return the kernel's constants; they do not depend on the inputs."""
        return self.constants

    def units(self, role: Pipeline) -> SystolicUnits:
        """Return the array for the machine that a job names."""
        return SystolicUnits(role)


def systolic_array(hardware: Any, context: CycleContext, tile_rows: int) -> SystolicArray:
    """Return the array of a hardware file; arguments and errors as of `systolic_machine`, and the rows of an m-tile."""
    return SystolicArray(systolic_machine(hardware, context), tile_rows)
