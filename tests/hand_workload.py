"""A decoder small enough to count on paper, and the array of two by two that runs it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from focal_simulator.accelerators.corrections import ALL
from focal_simulator.workload.workload import Workload
from focal_traces.counts.tiles import GemmTiles, assemble_counts
from focal_traces.counts.trace import GemmTotals
from focal_traces.header.schema import GEMMS, DecoderGeometry
from focal_traces.synthetic.schedule import Schedule

Tiles = tuple[list[int], list[list[int]]]
"""Rows of each m-tile, and unique vectors, axes (m-tiles, slices)."""

VECTOR = 2
WHOLE_TILES = ALL - {
    "special_functions",
    "array_latencies",
    "causal_triangle",
    "shared_keys",
    "gate_product",
    "residual_stream",
    "importance_rows",
}
"""Corrections under which a GEMM is its tiles and nothing beside them; the others have tests of their own."""

TWO_BY_TWO = [
    "core.array_rows=2",
    "core.array_columns=2",
    "core.row_limit=4",
    "core.similarity_elements=2",
    "tiles.m_tile=4",
    "tiles.n_tile=4",
    "tiles.k_tile=2",
]
"""Overrides of a hardware file: an array of 2 x 2 whose output buffer holds two array columns."""


def small_decoder(layers: int = 1) -> DecoderGeometry:
    """Hidden 4, intermediate 8, two heads of 2 that share one key head."""
    return DecoderGeometry(
        layers=layers,
        hidden_elements=4,
        intermediate_elements=8,
        heads=2,
        kv_heads=1,
        head_dim_elements=2,
    )


def plain_workload(tokens: int, layers: int = 1) -> Workload:
    """All tokens live and nothing alike."""
    workload = Workload(
        "hand", "made", tokens, 1, tokens, geometry=small_decoder(layers), recorded_vector_size=VECTOR
    )
    return workload.with_schedule_counts(Schedule())


def counted_workload(
    tokens: int, given: Mapping[tuple[int, str], Tiles], *, m_tile: int, layers: int = 1
) -> Workload:
    """Counts as given by (block, GEMM); a GEMM that is not given has all its vectors, tile by tile."""
    geometry = small_decoder(layers)
    blocks = []
    for layer in range(layers):
        for gemm in GEMMS:
            slices = geometry.input_elements(gemm) // VECTOR
            starts = range(0, tokens, m_tile)
            whole = [min(m_tile, tokens - start) for start in starts]
            rows, unique = given.get((layer, gemm), (whole, [[one] * slices for one in whole]))
            line = np.array(rows, dtype=np.int32)
            blocks.append(
                GemmTiles(line, np.repeat(line[:, None], slices, axis=1), np.array(unique, dtype=np.int32))
            )
    counts = assemble_counts(blocks)

    def summed(name: str) -> NDArray[np.int64]:
        found = [getattr(block, name).sum() for block in blocks]
        return np.array(found, dtype=np.int64).reshape(layers, len(GEMMS))

    slices = np.array([[geometry.input_elements(gemm) // VECTOR for gemm in GEMMS]] * layers)
    totals = GemmTotals(summed("rows"), summed("vectors"), summed("unique"), slices, tokens)
    return Workload(
        "hand",
        "made",
        tokens,
        1,
        tokens,
        geometry=geometry,
        counts=totals,
        tiles=counts,
        recorded_m_tile=m_tile,
        recorded_vector_size=VECTOR,
    )
