"""Buffers, tiles and core of the Focus family, which the dense baseline shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import model_validator

from focal_common.config import StrictModel
from focal_simulator.costs.needs import BufferNeed
from focal_simulator.hardware.specs import FP16_UNITS, Count, HardwareSpec, SystolicCore

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
    """

    row_limit: Count
    scatter_vectors: Count
    gather_block: Count
    similarity_elements: Count


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


def focus_buffers(hardware: FocusBufferHardware) -> tuple[BufferNeed, ...]:
    """Return the seven buffers; sizes follow the tile, ports follow the scatter width (Focus, sec. VII)."""
    rows, columns = hardware.tiles.m_tile.value, hardware.tiles.n_tile.value
    depth, element = hardware.tiles.k_tile.value, hardware.element_bytes.value
    scatter = hardware.core.scatter_vectors.value
    vector = hardware.core.similarity_elements.value
    line = vector * element
    sizes = {
        "input": (rows * depth * element * _DOUBLE_BUFFERED, line, 0),
        "wgt": (depth * columns * element * _DOUBLE_BUFFERED, element, 0),
        "concentrate_out": (rows * depth * element * _DOUBLE_BUFFERED, line, scatter - 1),
        "output": (rows * columns * element * _DOUBLE_BUFFERED, line * scatter, 0),
        "layouter": (vector * vector * element, line, 0),
        "similarity_map": (rows * element, element, 0),
        "similarity_table": (rows * vector * element, line, 0),
    }
    return tuple(
        BufferNeed(name, size, port, hardware.buffers[name].copies.value, extra)
        for name, (size, port, extra) in sizes.items()
    )
