"""Tile counts of a trace as the array meets them: cut for the hardware's m-tile and array height."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from focal_common.errors import UnsupportedError
from focal_simulator.jobs.jobs import Rows, uniform_tiles
from focal_simulator.workload.arithmetic import ceil_div
from focal_simulator.workload.workload import Workload
from focal_traces.header.schema import GEMMS


@dataclass(frozen=True)
class GemmTiles:
    """One GEMM input.

    Attributes:
        rows: Live tokens, axis (m_tiles).
        unique: Vectors to stream, axes (m_tiles, slices of the array).
        vector_elements: Elements of a recorded vector.
        unique_vectors: Unique vectors of the whole input.
        vectors_per_token: V.
        tokens: Live tokens in all.
    """

    rows: Rows
    unique: Rows
    vector_elements: int
    unique_vectors: int
    vectors_per_token: int
    tokens: int

    def computed_elements(self, inputs: int) -> int:
        """Return the elements of the unique vectors; a token of ``inputs`` elements may end in a short vector."""
        padded = self.vectors_per_token * self.vector_elements
        return self.unique_vectors * self.vector_elements * inputs // padded

    def unique_share(self, tokens: int) -> float:
        """Return the share of unique vectors among all vectors of ``tokens`` tokens, at most 1."""
        every = self.vectors_per_token * tokens
        return min(1.0, self.unique_vectors / every) if every else 0.0

    def mean_unique(self) -> Rows:
        """Return the mean number of unique vectors per slice, rounded up, axis (m_tiles)."""
        mean = np.ceil(self.unique.mean(axis=1)) if self.unique.size else np.zeros(len(self.rows))
        return mean.astype(np.int32)

    def per_head(self, heads: int, head_elements: int, slice_elements: int) -> Rows:
        """Return axes (m_tiles, heads, slices of a head).

        A head that does not start or end with a vector streams the rows of the vectors that it shares.
        """
        starts = np.arange(0, head_elements, slice_elements)
        places = (np.arange(heads)[:, None] * head_elements + starts) // slice_elements
        return self.unique[:, np.minimum(places, max(self.unique.shape[1] - 1, 0))]


@dataclass(frozen=True)
class VectorTiles:
    """All GEMM inputs of a workload.

    Attributes:
        entries: By block, then by place in `GEMMS`.
    """

    entries: tuple[tuple[GemmTiles, ...], ...]

    def of(self, block: int, gemm: str) -> GemmTiles:
        """Return one input."""
        return self.entries[block][GEMMS.index(gemm)]

    @classmethod
    def cut(
        cls,
        workload: Workload,
        *,
        m_tile: int,
        slice_elements: int,
        is_averaged: bool,
        has_similarity: bool = True,
    ) -> VectorTiles:
        """Cut the counts of a workload for an array.

        Args:
            workload: With counts; with tile counts unless averaged or without similarity.
            m_tile: Rows of a full tile of the hardware.
            slice_elements: Array height.
            is_averaged: Give every tile and slice the average, as published.
            has_similarity: Whether similar vectors are left out.

        Raises:
            UnsupportedError: The trace was recorded for tiles or vectors that do not fit.
        """
        cutter = _Cutter(workload, m_tile, slice_elements, is_averaged, has_similarity)
        return cls(
            tuple(
                tuple(cutter.gemm(block, place) for place in range(len(GEMMS)))
                for block in range(workload.geometry.layers)
            )
        )

    @classmethod
    def check(cls, workload: Workload, *, m_tile: int, slice_elements: int, is_averaged: bool) -> None:
        """Refuse what `cut` would, without cutting; raises as it does."""
        _Cutter(workload, m_tile, slice_elements, is_averaged, True).check()


@dataclass(frozen=True)
class _Cutter:
    workload: Workload
    m_tile: int
    slice_elements: int
    is_averaged: bool
    has_similarity: bool

    @cached_property
    def vector_elements(self) -> int:
        return self.workload.recorded_vector_size or 32

    @cached_property
    def merged_tiles(self) -> int:
        """How many recorded tiles make one of the hardware's."""
        recorded = self.workload.recorded_m_tile
        if not recorded or recorded == self.m_tile:
            return 1
        if self.m_tile % recorded:
            raise UnsupportedError(
                f"{self.workload.label}: the trace was recorded with an m-tile of {recorded}, the hardware has "
                f"{self.m_tile}; expected a multiple, because similarity cannot be searched again from counts"
            )
        return self.m_tile // recorded

    @cached_property
    def slices_per_vector(self) -> int:
        """How many array slices a recorded vector spans."""
        if self.vector_elements % self.slice_elements:
            raise UnsupportedError(
                f"{self.workload.label}: the trace was recorded with vectors of {self.vector_elements} elements, "
                f"the array is {self.slice_elements} high; expected a divisor of it (Focus, sec. VI-C)"
            )
        return self.vector_elements // self.slice_elements

    def check(self) -> None:
        """Raise `UnsupportedError` if the trace does not fit."""
        if self._uses_tiles:
            _ = self.merged_tiles
        _ = self.slices_per_vector

    def gemm(self, block: int, place: int) -> GemmTiles:
        totals = self.workload.counts
        assert totals is not None  # noqa: S101  (accepted workloads have counts)
        tokens, slices = int(totals.tokens[block, place]), int(totals.slices[block, place])
        unique = int(totals.unique[block, place]) if self.has_similarity else tokens * slices
        rows, counts = (
            self._recorded(block, place) if self._uses_tiles else self._uniform(tokens, unique, slices)
        )
        if self.slices_per_vector > 1:
            counts = np.repeat(counts, self.slices_per_vector, axis=1)
        return GemmTiles(rows, counts, self.vector_elements, unique, slices, tokens)

    @property
    def _uses_tiles(self) -> bool:
        return self.workload.tiles is not None and not self.is_averaged and self.has_similarity

    def _uniform(self, tokens: int, unique: int, slices: int) -> tuple[Rows, Rows]:
        rows = uniform_tiles(tokens, self.m_tile, is_averaged=self.is_averaged)
        if not self.has_similarity:
            return rows, np.repeat(rows[:, None], slices, axis=1)
        # The published average: floor of the layer's vectors over slices, then over tiles.
        mean = unique // slices // max(len(rows), 1)
        return rows, np.full((len(rows), slices), mean, dtype=np.int32)

    def _recorded(self, block: int, place: int) -> tuple[Rows, Rows]:
        tiles = self.workload.tiles
        assert tiles is not None  # noqa: S101  (checked by the caller)
        part = tiles.select(block, GEMMS[place])
        slices = int(part.k_slice.max(initial=-1)) + 1
        rows = part.rows.reshape(-1, slices)[:, 0]
        unique = part.unique.reshape(-1, slices)
        step = self.merged_tiles
        if step > 1:
            edges = np.arange(0, ceil_div(len(rows), step)) * step
            rows, unique = np.add.reduceat(rows, edges), np.add.reduceat(unique, edges, axis=0)
        return np.ascontiguousarray(rows, dtype=np.int32), np.ascontiguousarray(unique, dtype=np.int32)
