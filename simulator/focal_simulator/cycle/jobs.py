"""What the engine times: GEMMs as the array meets them, and the work that runs beside or before them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from focal_simulator.arithmetic import ceil_div
from focal_simulator.kernels.pipeline import Pipeline
from focal_simulator.kernels.sums import tile_sums
from focal_simulator.layer_table import Traffic

__all__ = ["GemmJob", "JobShape", "Movement", "uniform_tiles"]

Rows = NDArray[np.int32]


class Movement(Protocol):
    """What the bytes of a job follow from; of many jobs at once where sums are arrays."""

    @property
    def machine(self) -> Pipeline:
        """Constants of the array."""

    @property
    def role(self) -> Any:
        """Which units of the machine are used."""

    @property
    def extra_read_bytes(self) -> int:
        """DRAM bytes read beside those of the GEMM, all copies."""

    @property
    def shape(self) -> JobShape:
        """Sums over the tiles."""

    def scaled(self, value: Any) -> Any:
        """Return a quantity of one copy for all copies."""


@dataclass(frozen=True)
class GemmJob:
    """One GEMM of one decoder block, or all equal copies of it.

    Attributes:
        block: Decoder block.
        layer: Name in `focal_simulator.layer_table.LAYERS`.
        part: ``gemm``, or ``scores`` and ``values`` of attention.
        machine: Constants of the array for this GEMM.
        rows: Live rows, axis (m_tiles); with ``tile_outputs`` axis (jobs).
        unique: Rows streamed, axes (m_tiles, slices), or (jobs, most slices).
        output_rows: Rows written per n-buffer tile, same axis as ``rows``.
        outputs: N.
        tile_outputs: N of each entry where they differ (causal attention); each is then a GEMM of its own.
        tile_slices: k-slices of each entry; given with ``tile_outputs``.
        copies: Equal GEMMs, such as attention heads.
        copies_divisor: Copies are divided by it: 2 for the published causal half.
        macs: Multiply-accumulates executed, all copies.
        dense_macs: Multiply-accumulates without compression, all copies.
        activation_bytes: Size of the input that stays after compression.
        beside: Cycles of units that work beside the GEMM, by cause; what exceeds the GEMM counts.
        before: Cycles of units that the GEMM waits for, by cause.
        extra_read_bytes: DRAM bytes read beside those of the GEMM, all copies.
        traffic: Bytes by (level, direction, buffer), all copies.
        role: Which units of the machine it uses, where a lowering tells machine and tiles apart.
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
    copies: int = 1
    copies_divisor: int = 1
    beside: Mapping[str, int] = field(default_factory=dict)
    before: Mapping[str, int] = field(default_factory=dict)
    extra_read_bytes: int = 0
    traffic: Mapping[Traffic, int] = field(default_factory=dict)
    role: Any = None

    def scaled(self, value: int) -> int:
        """Return a quantity of one copy for all copies."""
        return value * self.copies // self.copies_divisor

    def changed(self, **fields: Any) -> GemmJob:
        """Return the job with other fields that its tiles do not depend on; sums already made are kept."""
        other = replace(self, **fields)
        if "shape" in self.__dict__:
            other.__dict__["shape"] = self.shape
        return other

    @cached_property
    def shape(self) -> JobShape:
        """Sums that bytes and explanations are made of."""
        return JobShape.of(self)


@dataclass(frozen=True, slots=True)
class JobShape:
    """Sums over the tiles of one copy of a job.

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
    """

    folds: int
    streamed_rows: int
    scattered_rows: int
    fetched_elements: int
    weight_elements: int
    map_read_bytes: int
    gathered_rows: int
    written_elements: int
    map_written_bytes: int
    restored_elements: int

    @classmethod
    def of(cls, job: GemmJob) -> JobShape:
        """Count what `focal_simulator.kernels.pipeline` moves for one copy."""
        machine = job.machine
        outputs = np.array([job.outputs]) if job.tile_outputs is None else job.tile_outputs
        slices = np.array([job.unique.shape[1]]) if job.tile_slices is None else job.tile_slices
        sums = tile_sums(
            job.rows,
            job.unique,
            job.output_rows,
            outputs,
            slices,
            machine.array_columns,
            machine.columns_per_buffer,
        )
        return cls.counted(machine, sums.tolist())

    @classmethod
    def counted(cls, machine: Pipeline, sums: Sequence[Any]) -> JobShape:
        """Return the shape that sums in the order of `focal_simulator.kernels.sums.SUMS` make."""
        folds, streamed, scattered, fetched, weights, mapped, gathered, written, restored = sums
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
        )


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
