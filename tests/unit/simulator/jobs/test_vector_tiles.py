"""Are the counts of a trace cut for the hardware's tiles as if they had been counted there?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from focal_common.errors import UnsupportedError
from focal_simulator.accelerators.corrections import ALL
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.jobs.vector_tiles import GemmTiles, VectorTiles
from focal_simulator.workload.loading import with_trace
from focal_simulator.workload.workload import Workload
from focal_traces.header.schema import GEMMS, DecoderGeometry, TokenGrid
from focal_traces.masks.masks import trace_from_masks
from focal_traces.synthetic.schedule import Schedule
from hand_workload import TWO_BY_TWO, counted_workload
from simulator_support import jobs_of
from synthetic_traces import SyntheticInput, synthetic_masks

O_PROJ = (0, "o_proj")
RECORDED = counted_workload(5, {O_PROJ: ([2, 2, 1], [[2, 1], [1, 2], [0, 1]])}, m_tile=2)


def cut(workload: Workload, m_tile: int, height: int = 2, **options: bool) -> GemmTiles:
    tiles = VectorTiles.cut(
        workload, m_tile=m_tile, slice_elements=height, **({"is_averaged": False} | options)
    )
    return tiles.of(*O_PROJ)


@pytest.mark.parametrize(
    ("m_tile", "rows", "unique"),
    [
        (2, [2, 2, 1], [[2, 1], [1, 2], [0, 1]]),
        (4, [4, 1], [[3, 3], [0, 1]]),  # two recorded tiles make one; the third stays short
        (6, [5], [[3, 4]]),
    ],
)
def test_recorded_tiles_add_up_to_those_of_the_hardware(
    m_tile: int, rows: list[int], unique: list[list[int]]
) -> None:
    found = cut(RECORDED, m_tile)
    assert (found.rows.tolist(), found.unique.tolist()) == (rows, unique)


def test_merged_tiles_are_those_that_masks_give_when_counted_at_the_larger_tile() -> None:
    geometry = DecoderGeometry(
        layers=3, hidden_elements=128, intermediate_elements=352, heads=4, kv_heads=2, head_dim_elements=32
    )
    grid = TokenGrid(frames=4, rows=5, columns=6, frame_stride=30, row_stride=6, column_stride=1)
    given = SyntheticInput(geometry, grid, schedule=Schedule((1, 2), (0.6, 0.3)), m_tile=16, seed=3)
    masks = synthetic_masks(given)
    small = with_trace(Workload("tiny", "made", 120, 4, 30), trace_from_masks(masks), "focus_main")
    wide_masks = replace(masks, header=masks.header.model_copy(update={"m_tile": 64}))
    wide = with_trace(Workload("tiny", "made", 120, 4, 30), trace_from_masks(wide_masks), "focus_main")
    merged, counted = (
        VectorTiles.cut(one, m_tile=64, slice_elements=32, is_averaged=False) for one in (small, wide)
    )
    for block in range(geometry.layers):
        for gemm in GEMMS:
            one, other = merged.of(block, gemm), counted.of(block, gemm)
            assert one.rows.tolist() == other.rows.tolist()
            assert one.unique.tolist() == other.unique.tolist()


def test_a_larger_tile_loads_each_weight_less_often() -> None:
    # Six tokens in tiles of 2: three weight loads a fold; in tiles of 6: one.
    workload = counted_workload(6, {}, m_tile=2)
    weights = {}
    for m_tile in (2, 6):
        focus = build_accelerator("focus", overrides=[*TWO_BY_TWO, f"tiles.m_tile={m_tile}"])
        linear = [job for job in jobs_of(focus, workload, ALL - {"special_functions"}) if job.part == "gemm"]
        weights[m_tile] = sum(job.traffic["dram", "read", "wgt"] for job in linear)
    assert weights[2] == 3 * weights[6]


def test_tiles_and_vectors_that_do_not_fit_are_refused_with_both_numbers() -> None:
    with pytest.raises(UnsupportedError, match="m-tile of 2, the hardware has 5; expected a multiple"):
        cut(RECORDED, 5)
    with pytest.raises(UnsupportedError, match="vectors of 2 elements, the array is 4 high"):
        cut(RECORDED, 2, height=4)
    with pytest.raises(UnsupportedError, match="m-tile of 2"):
        VectorTiles.check(RECORDED, m_tile=5, slice_elements=2, is_averaged=False)
    VectorTiles.check(RECORDED, m_tile=5, slice_elements=2, is_averaged=True)  # an average fits any tile


def test_a_vector_that_spans_two_array_slices_streams_in_both() -> None:
    assert cut(RECORDED, 6, height=1).unique.tolist() == [[3, 3, 4, 4]]


def test_averages_as_published_and_tokens_without_similarity() -> None:
    # 7 unique vectors over 2 slices: 3; over 3 tiles: 1. Five rows over three tiles: 2, rounded up.
    averaged = cut(RECORDED, 2, is_averaged=True)
    assert averaged.unique.tolist() == [[1, 1]] * 3
    assert averaged.rows.tolist() == [2, 2, 2]
    whole = cut(RECORDED, 2, has_similarity=False)
    assert whole.unique.tolist() == [[2, 2], [2, 2], [1, 1]]
    assert whole.unique_vectors == 5 * 2


def test_shares_means_and_elements_of_one_input() -> None:
    tiles = cut(RECORDED, 2)
    assert tiles.unique_share(5) == 7 / 10
    assert tiles.unique_share(3) == 1.0  # more vectors than tokens have: nothing left to share
    assert tiles.unique_share(0) == 0.0
    assert tiles.mean_unique().tolist() == [2, 2, 1]
    assert tiles.computed_elements(4) == 7 * 2
    assert tiles.computed_elements(3) == 7 * 2 * 3 // 4  # a token of three elements ends in half a vector


def test_a_head_streams_the_slices_it_lies_in() -> None:
    tiles = replace(cut(RECORDED, 6), unique=np.array([[1, 2, 3, 4]], dtype=np.int32))
    assert tiles.per_head(2, 4, 2).tolist() == [[[1, 2], [3, 4]]]
    assert tiles.per_head(4, 2, 2).tolist() == [[[1], [2], [3], [4]]]
