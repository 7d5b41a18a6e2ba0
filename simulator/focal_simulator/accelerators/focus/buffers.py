"""Buffers, tiles and core of the Focus family, which the dense baseline shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import model_validator

from focal_common.config import StrictModel
from focal_common.errors import ConfigError
from focal_simulator.costs.needs import DOUBLE_BUFFERED, LEAST_PORT_BYTES, BufferNeed, with_stated_ports
from focal_simulator.hardware.specs import FP16_UNITS, Count, Cycles, HardwareSpec, Ports, SystolicCore
from focal_simulator.jobs.systolic import check_slice
from focal_simulator.workload.arithmetic import bytes_of

MAP_BYTES = 2
"""A compact index of up to 1,024 rows (Focus, HPCA 2026, sec. VI-A: similarity map, 1 x m)."""

_BANKS = 8
"""Candidates of a 2 x 2 x 2 block, which lie in as many banks (Focus, HPCA 2026, sec. VI-B)."""

_BUFFER_NAMES = (
    "input",
    "wgt",
    "concentrate_out",
    "output",
    "layouter",
    "similarity_map",
    "similarity_table",
)

DENSE_BUFFERS = ("input", "wgt", "output")
"""What a systolic array needs without concentration."""


class FocusCore(SystolicCore):
    """Systolic array with scatter accumulators beside it.

    Attributes:
        row_limit: Rows streamed in one pass by the dense baseline, whatever the buffers hold.
        scatter_vectors: n_s, vectors written back per cycle by the scatter accumulators.
        gather_block: Candidates per block the similarity gather is charged for.
        gather_lanes: Candidates that it compares in a cycle.
        similarity_elements: Elements per vector of the similarity unit.
        scatter_latency: From the last register of the array to the cycle in which scatter can read a row, with
            correction ``array_latencies``.
        group_mean: Cycles a unique vector and array column in which gather reads out the mean of its group, with
            correction ``group_mean``.
        concentrate_ports: Read ports of the concentrate buffer; 0 for one a scatter vector.
    """

    row_limit: Count
    scatter_vectors: Count
    gather_block: Count
    gather_lanes: Count
    similarity_elements: Count
    scatter_latency: Cycles = Cycles(
        value=3, unit="cycles", source="our RTL: as output_latency, and the read of the concentrate buffer"
    )
    group_mean: Cycles = Cycles(
        value=1,
        unit="cycles",
        source="our RTL: the mean of a group is read out in a cycle; 8 with one divider for eight elements",
    )
    concentrate_ports: Ports = Ports(value=0, unit="1", source="as published: one for each scatter vector")

    @property
    def output_word_rows(self) -> int:
        """Rows of outputs that lie in one word: as many as scatter adds at once."""
        return self.scatter_vectors.value

    @property
    def buffer_ports(self) -> Mapping[str, int]:
        """Ports stated for a buffer, by its name; 0 for those of the published timing."""
        return {**super().buffer_ports, "concentrate_out": self.concentrate_ports.value}


class FocusTiles(StrictModel):
    """Tile of a GEMM on chip.

    Attributes:
        m_tile: Rows.
        n_tile: Output columns.
        k_tile: Input columns.
    """

    m_tile: Count
    n_tile: Count
    k_tile: Count


class FocusBufferHardware(HardwareSpec):
    """Hardware file with a Focus core, tiles and the seven Focus buffers."""

    core: FocusCore
    tiles: FocusTiles
    special_functions: ClassVar[Mapping[str, str]] = FP16_UNITS

    @model_validator(mode="after")
    def _has_the_buffers(self) -> FocusBufferHardware:
        if set(self.buffers) != set(_BUFFER_NAMES):
            raise ValueError(f"buffers must be exactly: {', '.join(_BUFFER_NAMES)}")
        return self


def macros_fit(hardware: FocusBufferHardware) -> bool:
    """Return whether the published macros, of one port each, have the ports that the hardware states."""
    core = hardware.core
    is_narrow = core.weight_port.value <= bytes_of(1, hardware.precision.stationary_bits)
    return is_narrow and max(core.concentrate_ports.value, core.output_ports.value) <= 1


def focus_buffers(hardware: FocusBufferHardware) -> tuple[BufferNeed, ...]:
    """Return the seven buffers; sizes follow the tile, ports array and scatter width (Focus, sec. VII) unless stated.

    Raises:
        ConfigError: A k-tile that does not hold a slice of the array, or fewer banks than a block reads at once.
    """
    core, tiles, precision = hardware.core, hardware.tiles, hardware.precision
    rows, columns, depth = tiles.m_tile.value, tiles.n_tile.value, tiles.k_tile.value
    height, width, vector = core.array_rows.value, core.array_columns.value, core.similarity_elements.value
    scatter, banks = core.scatter_vectors.value, hardware.buffers["layouter"].copies.value
    check_slice(hardware)
    if banks < min(core.gather_block.value, _BANKS):
        raise ConfigError(
            f"{hardware.accelerator}: buffers.layouter.copies is {banks}, expected at least "
            f"{min(core.gather_block.value, _BANKS)}: the candidates of a block lie in as many banks, "
            "which are read at once"
        )
    moved, held, sums = precision.input_bits, precision.stationary_bits, precision.bits("partial_sums")
    line = bytes_of(vector, precision.bits("activations"))
    needs = {
        "input": (rows * depth, moved, height, 0),
        "wgt": (depth * columns, held, 1, 0),
        # As published, the concentrate buffer has a port for each scatter vector, the output buffer one.
        "concentrate_out": (rows * width, sums, width, scatter - 1),
        "output": (rows * columns, sums, width * scatter, 0),
    }
    sizes = {
        name: (bytes_of(DOUBLE_BUFFERED * elements, bits), bytes_of(port, bits), extra)
        for name, (elements, bits, port, extra) in needs.items()
    } | {
        "layouter": (vector * line, line, 0),
        "similarity_map": (rows * MAP_BYTES, MAP_BYTES, 0),
        "similarity_table": (rows * line, line, 0),
    }
    return with_stated_ports(
        [
            BufferNeed(name, size, max(port, LEAST_PORT_BYTES), hardware.buffers[name].copies.value, extra)
            for name, (size, port, extra) in sizes.items()
        ],
        core,
    )
