"""From masks of one GEMM input to the counts of its tiles: the m-tile rule.

Paper: Focus, HPCA 2026, sec. VII-D (no match crosses an m-tile). Which token ends a tile follows the
published Focus artifact.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focal_traces.counts.trace import TileCounts
from focal_traces.header.schema import GEMMS

_UINT8_ROWS = 255  # the most flags a uint8 sum can hold
_UINT8_COLUMNS = 32


@dataclass(frozen=True, slots=True)
class GemmTiles:
    """Counts of one (layer, gemm) of one sample.

    Attributes:
        rows: Alive tokens, axes (m-tiles), int32.
        vectors: Non-zero vectors, axes (m-tiles, slices), int32.
        unique: Vectors neither zero nor similar, axes (m-tiles, slices), int32.
    """

    rows: NDArray[np.int32]
    vectors: NDArray[np.int32]
    unique: NDArray[np.int32]


def tile_of_tokens(is_zero: NDArray[np.bool_], m_tile: int) -> NDArray[np.int64]:
    """Return the m-tile of every visual token.

    A token belongs to tile ``floor(max(c - 1, 0) / m)`` where c counts the tokens alive up to and including
    it in this very tensor; leading zero tokens join tile 0 and later ones the tile before them.

    Args:
        is_zero: Zero vectors, axes (visual tokens, slices).
        m_tile: Tokens per tile; 0 for a single tile.

    Returns:
        Tile indices, axes (visual tokens).
    """
    alive_so_far = np.cumsum(~is_zero.all(axis=1), dtype=np.int64)
    if m_tile <= 0:
        return np.zeros_like(alive_so_far)
    return np.maximum(alive_so_far - 1, 0) // m_tile


def count_tiles(is_zero: NDArray[np.bool_], is_similar: NDArray[np.bool_], m_tile: int) -> GemmTiles:
    """Count alive tokens, non-zero vectors and unique vectors per m-tile.

    Args:
        is_zero: Zero vectors, axes (visual tokens, slices).
        is_similar: Vectors replaced by a representative, same axes, disjoint from ``is_zero``.
        m_tile: Tokens per tile; 0 for a single tile.

    Returns:
        At least one tile, also where no token is alive.
    """
    alive = np.flatnonzero(~is_zero.all(axis=1))
    is_vector = ~is_zero[alive]
    # Disjoint flags: unique = not zero and not similar.
    is_unique = is_vector & ~is_similar[alive]
    size = m_tile if m_tile > 0 else max(len(alive), 1)
    edges = [*range(0, max(len(alive), 1), size), len(alive)]
    return GemmTiles(
        rows=np.diff(edges).astype(np.int32),
        vectors=_column_sums(is_vector, edges),
        unique=_column_sums(is_unique, edges),
    )


def _column_sums(flags: NDArray[np.bool_], edges: Sequence[int]) -> NDArray[np.int32]:
    # Summing at most 255 flags in uint8 lets numpy add 32 columns per instruction; int32 sums are 4 x slower.
    octets = flags.view(np.uint8)
    if flags.shape[1] < _UINT8_COLUMNS and edges[-1]:
        narrow: NDArray[np.int32] = np.add.reduceat(octets, edges[:-1], axis=0, dtype=np.int32)
        return narrow
    sums = np.zeros((len(edges) - 1, flags.shape[1]), dtype=np.int32)
    for tile, (start, stop) in enumerate(pairwise(edges)):
        for first in range(start, stop, _UINT8_ROWS):
            part = octets[first : min(first + _UINT8_ROWS, stop)]
            sums[tile] += np.add.reduce(part, axis=0, dtype=np.uint8)
    return sums


def assemble_counts(blocks: Sequence[GemmTiles]) -> TileCounts:
    """Join the tiles of one sample into long columns.

    Args:
        blocks: One per (layer, gemm), layer-major, GEMMs in the order of `GEMMS`.
    """
    sizes = np.array([block.vectors.size for block in blocks], dtype=np.int64)
    place = np.repeat(np.arange(len(blocks)), sizes)
    return TileCounts(
        layer=(place // len(GEMMS)).astype(np.int16),
        gemm=(place % len(GEMMS)).astype(np.int8),
        m_tile=_joined(np.repeat(np.arange(len(b.rows)), b.vectors.shape[1]) for b in blocks),
        k_slice=_joined(np.tile(np.arange(b.vectors.shape[1]), len(b.rows)) for b in blocks),
        rows=_joined(np.repeat(b.rows, b.vectors.shape[1]) for b in blocks),
        vectors=_joined(b.vectors.ravel() for b in blocks),
        unique=_joined(b.unique.ravel() for b in blocks),
    )


def _joined(parts: Iterable[NDArray[np.signedinteger[Any]]]) -> NDArray[np.int32]:
    return np.concatenate(list(parts)).astype(np.int32)
