"""Tier 1 in memory: how many vectors each tile of each GEMM really has to compute."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import TraceError
from focal_traces.header.schema import GEMMS, TraceHeader

COLUMNS = ("layer", "gemm", "m_tile", "k_slice", "rows", "vectors", "unique")


@dataclass(frozen=True, slots=True)
class GemmTotals:
    """Sums over all tiles and slices of one sample; every array has axes (layers, GEMMS), dtype int64.

    Attributes:
        tokens: T, tokens with at least one non-zero vector.
        vectors: Non-zero vectors (S x V - Z).
        unique: L, vectors neither zero nor similar (S x V - Z - R).
        slices: V, vectors per token; the same for every layer.
        visual_tokens: S, scalar.
    """

    tokens: NDArray[np.int64]
    vectors: NDArray[np.int64]
    unique: NDArray[np.int64]
    slices: NDArray[np.int64]
    visual_tokens: int

    @property
    def zero(self) -> NDArray[np.int64]:
        """Z, zero vectors, axes (layers, GEMMS)."""
        return self.visual_tokens * self.slices - self.vectors

    @property
    def similar(self) -> NDArray[np.int64]:
        """R, vectors replaced by a representative, axes (layers, GEMMS)."""
        return self.vectors - self.unique


@dataclass(frozen=True)
class TileCounts:
    """Counts of one sample: one entry per (layer, gemm, m_tile, k_slice), sorted in that order.

    Every combination is present: for each (layer, gemm) the m-tiles 0..n-1, each with all V slices.

    Attributes:
        layer: Decoder layer, int16.
        gemm: Place in `GEMMS`, int8.
        m_tile: Tile along the tokens that are alive, int32.
        k_slice: Vector slot j of the token, int32.
        rows: Tokens of the tile with at least one non-zero vector, int32; equal for all slices of a tile.
        vectors: Non-zero vectors of the slice, int32; at most ``rows``.
        unique: Vectors neither zero nor similar, int32; at most ``vectors``.
    """

    layer: NDArray[np.int16]
    gemm: NDArray[np.int8]
    m_tile: NDArray[np.int32]
    k_slice: NDArray[np.int32]
    rows: NDArray[np.int32]
    vectors: NDArray[np.int32]
    unique: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.layer)

    @cached_property
    def group_starts(self) -> NDArray[np.int64]:
        """Index of the first entry of each (layer, gemm), in order."""
        key = self.layer.astype(np.int64) * len(GEMMS) + self.gemm
        return np.flatnonzero(np.r_[True, key[1:] != key[:-1]])

    def select(self, layer: int, gemm: str) -> TileCounts:
        """Return the entries of one (layer, gemm) as views."""
        starts = self.group_starts
        place = layer * len(GEMMS) + GEMMS.index(gemm)
        stop = int(starts[place + 1]) if place + 1 < len(starts) else len(self)
        part = slice(int(starts[place]), stop)
        return TileCounts(*(getattr(self, name)[part] for name in COLUMNS))


@dataclass(frozen=True)
class Trace:
    """A header and the tile counts of each of its samples.

    Attributes:
        header: What was run.
        samples: Tile counts, one per ``header.samples``.
    """

    header: TraceHeader
    samples: tuple[TileCounts, ...]

    def chosen_sample(self) -> int:
        """Return the index a simulator should take: the median sample if one was chosen, else the first."""
        return self.header.median_index or 0

    def totals(self, sample: int) -> GemmTotals:
        """Sum the tile counts of a sample.

        Args:
            sample: Index into ``header.samples``.

        Raises:
            TraceError: The counts do not cover every (layer, gemm) of the geometry.
        """
        counts = self.samples[sample]
        layers = self.header.geometry.layers
        starts = counts.group_starts
        if len(starts) != layers * len(GEMMS):
            raise TraceError(
                f"sample {sample}: counts cover {len(starts)} (layer, gemm) pairs, "
                f"expected {layers} layers x {len(GEMMS)} GEMMs"
            )
        shape = (layers, len(GEMMS))
        slices = np.array([[self.header.slices(gemm) for gemm in GEMMS]], dtype=np.int64)

        def summed(column: NDArray[np.int32]) -> NDArray[np.int64]:
            return np.add.reduceat(column.astype(np.int64), starts).reshape(shape)

        return GemmTotals(
            # Rows repeat over the V slices of a tile, so their sum is V times the tokens.
            tokens=summed(counts.rows) // slices,
            vectors=summed(counts.vectors),
            unique=summed(counts.unique),
            slices=np.broadcast_to(slices, shape),
            visual_tokens=self.header.samples[sample].visual_tokens,
        )
