"""Buffers, tiles and core of the Focus family, which the dense baseline shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import model_validator

from focal_common.config import StrictModel
from focal_simulator.costs.needs import BufferNeed
from focal_simulator.hardware.specs import FP16_UNITS, Count, Cycles, HardwareSpec, Ports, SystolicCore

_DOUBLE_BUFFERED = 2
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
        similarity_elements: Elements per vector of the similarity unit.
        scatter_latency: From the last register of the array to the cycle in which scatter can read a row, with
            correction ``array_latencies``.
        group_mean: Cycles a row and array column in which gather updates the mean of its group, with correction
            ``group_mean``.
        concentrate_ports: Read ports of the concentrate buffer; 0 for one a scatter vector.
    """

    row_limit: Count
    scatter_vectors: Count
    gather_block: Count
    similarity_elements: Count
    scatter_latency: Cycles = Cycles(
        value=3, unit="cycles", source="our RTL: as output_latency, and the read of the concentrate buffer"
    )
    group_mean: Cycles = Cycles(
        value=1,
        unit="cycles",
        source="our RTL: one more pass over the vector; 8 where the mean is not pipelined",
    )
    concentrate_ports: Ports = Ports(value=0, unit="1", source="as published: one for each scatter vector")

    @property
    def output_word_rows(self) -> int:
        """Rows of outputs that lie in one word: as many as scatter adds at once."""
        return self.scatter_vectors.value


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
    is_narrow = core.weight_port.value <= hardware.element_bytes.value
    return is_narrow and max(core.concentrate_ports.value, core.output_ports.value) <= 1


def focus_buffers(hardware: FocusBufferHardware) -> tuple[BufferNeed, ...]:
    """Return the seven buffers; sizes follow the tile, ports the scatter width (Focus, sec. VII) unless stated."""
    rows, columns = hardware.tiles.m_tile.value, hardware.tiles.n_tile.value
    depth, element = hardware.tiles.k_tile.value, hardware.element_bytes.value
    core = hardware.core
    scatter, ports = core.scatter_vectors.value, (core.concentrate_ports.value, core.output_ports.value)
    vector = hardware.core.similarity_elements.value
    line = vector * element
    sizes = {
        "input": (rows * depth * element * _DOUBLE_BUFFERED, line, 0),
        "wgt": (depth * columns * element * _DOUBLE_BUFFERED, core.weight_port.value or element, 0),
        # As published, the concentrate buffer has a port for each scatter vector, the output buffer one.
        "concentrate_out": (rows * depth * element * _DOUBLE_BUFFERED, line, (ports[0] or scatter) - 1),
        "output": (rows * columns * element * _DOUBLE_BUFFERED, line * scatter, (ports[1] or 1) - 1),
        "layouter": (vector * vector * element, line, 0),
        "similarity_map": (rows * element, element, 0),
        "similarity_table": (rows * vector * element, line, 0),
    }
    stated = {"concentrate_out": ports[0], "output": ports[1]}
    return tuple(
        BufferNeed(name, size, port, hardware.buffers[name].copies.value, extra, max(stated.get(name, 0), 1))
        for name, (size, port, extra) in sizes.items()
    )
