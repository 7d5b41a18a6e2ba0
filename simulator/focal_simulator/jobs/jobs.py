"""What the engine times: GEMMs as the array meets them, and the work that runs beside or before them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from focal_simulator.hardware.specs import SIDE_UNITS
from focal_simulator.kernels.pipeline import CAUSES as GEMM_CAUSES
from focal_simulator.kernels.pipeline import Pipeline
from focal_simulator.workload.arithmetic import bytes_of, ceil_div
from focal_simulator.workload.layer_table import Traffic

CAUSES = (*GEMM_CAUSES, *SIDE_UNITS)
"""Those of the GEMM, then one for each unit beside the array. The array never idles without one of these reasons."""

STALLS = tuple(name for name in CAUSES if name not in ("stream", "fill_drain", "weight"))
"""Causes outside the array itself; the others are its compute time."""


Rows = NDArray[np.int32]

RESIDUAL_LAYERS = ("o_proj", "down_proj")
"""Layers whose output is added to the residual stream."""


class Movement(Protocol):
    """What the bytes of jobs follow from; sums are arrays over the jobs of a group."""

    @property
    def machine(self) -> Pipeline:
        """Constants of the array."""

    @property
    def shape(self) -> JobShape:
        """Sums over the tiles of one copy."""

    def scaled(self, value: Any) -> Any:
        """Return a quantity of one copy for all copies."""


@dataclass(frozen=True)
class GemmJob:
    """One GEMM of one decoder block, or all equal copies of it.

    Attributes:
        block: Decoder block.
        layer: Name in `focal_simulator.workload.layer_table.LAYERS`.
        part: ``gemm``, or ``scores`` and ``values`` of attention.
        machine: Constants of the array for this GEMM; with a ``role``, those that the tiles depend on.
        rows: Live rows, axis (m_tiles); with ``tile_outputs`` axis (jobs).
        unique: Rows streamed, axes (m_tiles, slices), or (jobs, most slices).
        output_rows: Rows written per n-buffer tile, same axis as ``rows``.
        outputs: N.
        tile_outputs: N of each entry where they differ (causal attention); each is then a GEMM of its own.
        tile_slices: k-slices of each entry; given with ``tile_outputs``.
        tile_copies: How often each entry is computed, once if None; given with ``tile_outputs`` alone.
        copies: Equal GEMMs, such as attention heads.
        copies_divisor: Copies are divided by it: 2 for the published causal half.
        macs: Multiply-accumulates executed, all copies.
        dense_macs: Multiply-accumulates without compression, all copies.
        activation_bytes: Size of the input that stays after compression.
        parallel_cycles: Cycles of units that work beside the GEMM, by cause; what exceeds the GEMM counts.
        serial_cycles: Cycles of units that the GEMM waits for, by cause.
        vector_work: What the special-function unit does beside it, in numbers that give its cycles.
        extra_read_bytes: Bytes read from DRAM into the input buffer beside those of the GEMM, all copies.
        extra_write_bytes: Bytes written from the output buffer to DRAM beside those of the GEMM, all copies.
        traffic: Bytes by (level, direction, buffer) that do not follow from the array, all copies.
        role: Which units of the array it uses, where a lowering tells array and tiles apart.
    """

    block: int
    layer: str
    part: str
    machine: Pipeline
    rows: Rows
    unique: Rows
    output_rows: Rows
    outputs: int
    macs: int
    dense_macs: int
    activation_bytes: int
    tile_outputs: NDArray[np.int64] | None = None
    tile_slices: NDArray[np.int64] | None = None
    tile_copies: NDArray[np.int64] | None = None
    copies: int = 1
    copies_divisor: int = 1
    parallel_cycles: Mapping[str, int] = field(default_factory=dict)
    serial_cycles: Mapping[str, int] = field(default_factory=dict)
    vector_work: str = ""
    extra_read_bytes: int = 0
    extra_write_bytes: int = 0
    traffic: Mapping[Traffic, int] = field(default_factory=dict)
    role: Any = None

    def scaled(self, value: int) -> int:
        """Return a quantity of one copy for all copies."""
        return value * self.copies // self.copies_divisor


@dataclass(frozen=True, kw_only=True)
class PlacedJob(GemmJob):
    """A job on its machine, with all the bytes it moves in ``traffic``.

    Attributes:
        shape: Sums that bytes and explanations are made of.
        cut: How several arrays share it; empty where there is one array.
        arrays: How many of them have a part.
    """

    shape: JobShape
    cut: str = ""
    arrays: int = 1


@dataclass(frozen=True, slots=True)
class JobShape:
    """Sums over the tiles of one copy of a job, or of each job of a group.

    Attributes:
        folds: Weight loads of the array.
        streamed_rows: Rows that enter the array, all folds.
        scattered_rows: Rows restored, all folds.
        fetched_elements: Input elements read from DRAM.
        weight_elements: Weight elements read from DRAM.
        map_read_bytes: Bytes of similarity maps read from DRAM.
        gathered_rows: Rows x array columns that pass the gather unit.
        written_elements: Output elements written to DRAM.
        map_written_bytes: Bytes of similarity maps written to DRAM.
        restored_elements: Output elements before concentration.
        gathered_vectors: Rows written x array columns, which is what leaves the gather unit.
    """

    folds: Any
    streamed_rows: Any
    scattered_rows: Any
    fetched_elements: Any
    weight_elements: Any
    map_read_bytes: Any
    gathered_rows: Any
    written_elements: Any
    map_written_bytes: Any
    restored_elements: Any
    gathered_vectors: Any

    @classmethod
    def counted(cls, machine: Pipeline, sums: Sequence[Any]) -> JobShape:
        """Return the shape that sums in the order of `focal_simulator.kernels.sums.SUMS` make."""
        folds, streamed, scattered, fetched, weights, mapped, gathered, written, restored, vectors = sums
        return cls(
            folds=folds,
            streamed_rows=streamed,
            scattered_rows=scattered,
            fetched_elements=fetched * machine.slice_elements,
            weight_elements=weights * machine.slice_elements,
            map_read_bytes=mapped * machine.map_read_bytes,
            gathered_rows=gathered,
            written_elements=written,
            map_written_bytes=gathered * machine.map_write_bytes,
            restored_elements=restored,
            gathered_vectors=vectors,
        )

    def read_bytes(self, machine: Pipeline) -> Any:
        """Return the bytes read from DRAM: inputs, weights and maps."""
        inputs = bytes_of(self.fetched_elements, machine.input_bits)
        return inputs + bytes_of(self.weight_elements, machine.weight_bits) + self.map_read_bytes

    def written_bytes(self, machine: Pipeline) -> Any:
        """Return the bytes written to DRAM: outputs and maps."""
        return bytes_of(self.written_elements, machine.output_bits) + self.map_written_bytes


def with_vectors(job: GemmJob, cycles: int, work: str) -> GemmJob:
    """Return a job with work of the special-function unit beside it, if there is any."""
    units = {**job.parallel_cycles, "sfu": cycles}
    return replace(job, parallel_cycles=units, vector_work=work) if cycles else job


def second_operand_bytes(layer: str, outputs_bytes: int, corrections: frozenset[str]) -> int:
    """Return the bytes of what is multiplied or added to the output of a layer on its way out, and was written before.

    Args:
        layer: Its name.
        outputs_bytes: Of its output.
        corrections: Names that are on.
    """
    is_read = (layer == "up_proj" and "gate_product" in corrections) or (
        layer in RESIDUAL_LAYERS and "residual_stream" in corrections
    )
    return outputs_bytes if is_read else 0


def uniform_tiles(rows: int, tile: int, *, is_averaged: bool) -> Rows:
    """Return the rows of each m-tile, axis (m_tiles).

    Args:
        rows: All rows.
        tile: Rows of a full tile.
        is_averaged: Spread the rows over equal tiles, rounded up (as published); otherwise the last is short.
    """
    tiles = ceil_div(rows, tile)
    if is_averaged:
        return np.full(tiles, ceil_div(rows, max(tiles, 1)), dtype=np.int32)
    filled = np.full(tiles, tile, dtype=np.int32)
    if tiles:
        filled[-1] = rows - tile * (tiles - 1)
    return filled
