"""Does similarity concentration give the worked micro-cases, and say what is wrong with bad input?

The cases were obtained by running the published artifact's functions on CPU.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from focal_algorithm.kernels.candidates import PartnerRows, candidates_of, partner_rows
from focal_algorithm.kernels.similarity import (
    NO_WINNER,
    Concentration,
    check_threshold,
    concentrate,
)
from focal_algorithm.kernels.vectors import tile_of_tokens
from focal_common.errors import ConfigError, RunError
from focal_traces import TokenGrid
from goldens.published_forms import expand, tile_spans

torch.set_num_threads(1)


def layout(frames: int, rows: int, columns: int, strides: tuple[int, int, int] | None = None) -> TokenGrid:
    frame, row, column = strides or (rows * columns, columns, 1)
    return TokenGrid(
        frames=frames, rows=rows, columns=columns, frame_stride=frame, row_stride=row, column_stride=column
    )


def run(x: Tensor, grid: TokenGrid, *, vector_size: int, **changes: Any) -> Concentration:
    settings: dict[str, Any] = {
        "visual_tokens": len(x),
        "m_tile": -1,
        "block": (2, 2, 2),
        "threshold": 0.9,
        **changes,
    }
    return concentrate(x, torch.arange(len(x)), grid=grid, vector_size=vector_size, **settings)


def groups(found: Concentration) -> list[int]:
    rows = len(found.is_zero)
    return expand(found, torch.arange(rows), rows).group_index.flatten().tolist()


def flat(mask: Tensor) -> list[int]:
    return mask.int().flatten().tolist()


CUBE = torch.tensor([[1, 0], [0, 1], [2, 0], [1, 1], [1, 0.1], [0, 3], [-1, 0], [2, 2]])
TWO_ROWS = torch.tensor([[1.0, 0], [0, 1], [3, 4], [6, 8], [1, 0], [5, 0]])


def test_case_a_cube_of_two_frames() -> None:
    found = run(CUBE, layout(2, 2, 2), vector_size=2)
    assert flat(found.is_similar) == [0, 0, 1, 0, 1, 1, 0, 1]
    assert groups(found) == [0, 1, 0, 3, 0, 1, 6, 3]
    assert expand(found, torch.arange(8), 8).sparsity == 0.5
    third, fifth = [4 / 3, 0.1 / 3], [1.5, 1.5]
    expected = torch.tensor([third, [0, 2], third, fifth, third, [0, 2], [-1, 0], fifth])
    torch.testing.assert_close(found.values, expected, rtol=0, atol=1e-6)
    # Token 4 sees tokens 2 and 0 equally near; the candidate with the smaller place wins.
    assert found.winner[4].item() == 2
    assert found.winner[6].item() == NO_WINNER


def test_case_b_neighbours_wrap_around_rows() -> None:
    found = run(TWO_ROWS, layout(1, 2, 3), vector_size=2)
    assert flat(found.is_similar) == [0, 0, 0, 1, 1, 1]
    assert groups(found) == [0, 1, 2, 2, 0, 0]
    expected = torch.tensor([[7 / 3, 0], [0, 1], [4.5, 6], [4.5, 6], [7 / 3, 0], [7 / 3, 0]])
    torch.testing.assert_close(found.values, expected, rtol=0, atol=1e-6)


def test_case_b_tiles_separate_rows() -> None:
    found = run(TWO_ROWS, layout(1, 2, 3), vector_size=2, m_tile=3)
    assert groups(found) == [0, 1, 2, 3, 4, 4]
    assert found.values[4:].tolist() == [[3, 0], [3, 0]]
    assert found.tile.tolist() == [0, 0, 0, 1, 1, 1]


def test_case_b_strict_mode_does_not_wrap() -> None:
    found = run(TWO_ROWS, layout(1, 2, 3), vector_size=2, is_strict=True)
    assert flat(found.is_similar) == [0, 0, 0, 0, 1, 1]


def test_case_c_zero_tokens_do_not_fill_tiles() -> None:
    x = torch.tensor([[0.0, 0], [1, 0], [0, 0], [2, 0], [0, 0], [3, 0], [4, 0]])
    found = run(x, layout(7, 1, 1, (1, 1, 1)), vector_size=2, m_tile=2)
    assert flat(found.is_zero) == [1, 0, 1, 0, 1, 0, 0]
    assert flat(found.is_similar) == [0, 0, 0, 0, 0, 0, 1]
    assert groups(found) == [0, 1, 2, 3, 4, 5, 5]
    assert expand(found, torch.arange(7), 7).sparsity == 4 / 7
    assert tile_spans(found.tile).tolist() == [[0, 5], [5, 7]]
    assert found.values[5:].tolist() == [[3.5, 0], [3.5, 0]]


@pytest.mark.parametrize(
    ("frames", "group", "out"),
    [(1, [0, 0, 0, 1, 2], [2, 2, 2, 4, 5]), (2, [0] * 5, [3] * 5), (3, [0] * 5, [3] * 5)],
)
def test_case_d_chains_are_doubled_once_per_frame(frames: int, group: list[int], out: list[int]) -> None:
    x = torch.arange(1.0, 6)[:, None]
    found = run(x, layout(frames, 1, 5, (5, 5, 1)), vector_size=1)
    assert groups(found) == group
    assert found.values.flatten().tolist() == out


def test_case_d_strict_mode_resolves_the_whole_chain() -> None:
    found = run(torch.arange(1.0, 6)[:, None], layout(1, 1, 5), vector_size=1, is_strict=True)
    assert groups(found) == [0] * 5


PADDED = torch.tensor([[1.0, 0, 2], [2, 0, 0], [1, 1, 4], [0, 0, 3]])


def test_case_e_last_vector_is_padded() -> None:
    found = run(PADDED, layout(1, 2, 2), vector_size=2)
    assert found.is_zero.int().tolist() == [[0, 0], [0, 1], [0, 0], [1, 0]]
    assert found.is_similar.int().tolist() == [[0, 0], [1, 0], [0, 1], [0, 1]]
    assert groups(found) == [0, 1, 0, 3, 4, 1, 6, 1]
    assert found.values.tolist() == [[1.5, 0, 3], [1.5, 0, 0], [1, 1, 3], [0, 0, 3]]


def test_case_e_vector_longer_than_the_token() -> None:
    found = run(PADDED, layout(1, 2, 2), vector_size=4, keep_similarity=True)
    assert groups(found) == [0, 1, 0, 0]
    expected = torch.tensor([[0.6666667, 0.3333333, 3]] * 4)
    expected[1] = PADDED[1]
    torch.testing.assert_close(found.values, expected, rtol=0, atol=1e-6)
    assert found.best_similarity is not None
    best = found.best_similarity.flatten()[2:]
    torch.testing.assert_close(best, torch.tensor([0.9486833, 0.9428091]), rtol=0, atol=1e-6)


def test_case_f_ties_go_to_the_smallest_place() -> None:
    x = torch.tensor([[1.0, 2], [1, 2], [1, 2], [2, 4]])
    found = run(x, layout(1, 2, 2), vector_size=2)
    assert found.winner.flatten().tolist() == [NO_WINNER, 1, 1, 1]
    assert groups(found) == [0, 0, 0, 1]
    assert found.values.tolist() == x.tolist()


@pytest.mark.parametrize(("vector_size", "group"), [(4, [0, 0]), (2, [0, 1, 0, 1])])
def test_case_g_vectors_of_an_attention_input_span_heads(vector_size: int, group: list[int]) -> None:
    x = torch.tensor([[1.0, 0, 0, 1], [2, 0, 0, 1]])
    found = run(x, layout(1, 1, 2), vector_size=vector_size, heads=2)
    assert groups(found) == group
    assert found.values.tolist() == [[1.5, 0, 0, 1]] * 2


@pytest.mark.parametrize(
    ("key", "partner", "dtype", "is_similar"),
    [
        ((13, 10), (1, 2), torch.float32, False),
        ((13, 10), (1, 2), torch.bfloat16, True),
        ((7, -20), (1, -1), torch.float32, True),
        ((7, -20), (1, -1), torch.bfloat16, False),
        ((23, 8), (2, 2), torch.float32, True),
        ((23, 8), (2, 2), torch.float16, False),
        ((-17, 10), (-6, 9), torch.float32, False),
        ((-17, 10), (-6, 9), torch.float16, True),
    ],
)
def test_case_h_norm_of_the_key_is_rounded(
    key: tuple[int, int], partner: tuple[int, int], dtype: torch.dtype, is_similar: bool
) -> None:
    x = torch.tensor([partner, key], dtype=dtype)
    assert run(x, layout(1, 1, 2), vector_size=2).is_similar[1].item() is is_similar
    exact = run(x.to(torch.float32), layout(1, 1, 2), vector_size=2).is_similar
    assert torch.equal(run(x, layout(1, 1, 2), vector_size=2, is_strict=True).is_similar, exact)


def test_case_h_rounding_can_push_a_cosine_above_one() -> None:
    x = torch.tensor([[1.0, 1], [2, 2]], dtype=torch.bfloat16)
    best = run(x, layout(1, 1, 2), vector_size=2, keep_similarity=True).best_similarity
    assert best is not None
    assert best[1].item() == pytest.approx(1.0001068, abs=1e-6)


def test_strict_mode_ignores_tokens_off_the_grid() -> None:
    marker_between_frames = layout(2, 1, 1, (2, 1, 1))
    x = torch.ones(4, 1)
    strict = run(x, marker_between_frames, vector_size=1, is_strict=True)
    assert flat(strict.is_similar) == [0, 0, 1, 0]
    assert strict.representative.flatten().tolist() == [0, 1, 0, 3]
    assert flat(run(x, marker_between_frames, vector_size=1).is_similar) == [0, 0, 1, 1]


def test_strict_mode_refuses_overlapping_frames() -> None:
    with pytest.raises(ConfigError, match="frame_stride >= 4"):
        run(torch.ones(8, 1), layout(2, 2, 2, (3, 2, 1)), vector_size=1, is_strict=True)


def test_pruned_tokens_have_no_part_but_keep_their_distance() -> None:
    x = torch.tensor([[1.0], [2], [4]])
    settings: dict[str, Any] = {"visual_tokens": 6, "m_tile": 0, "block": (1, 1, 2), "threshold": 0.9}
    found = concentrate(x, torch.tensor([1, 2, 5]), grid=layout(1, 1, 6), vector_size=1, **settings)
    assert flat(found.is_similar) == [0, 1, 0]
    assert found.representative.flatten().tolist() == [1, 1, 5]
    full = expand(found, torch.tensor([1, 2, 5]), 6)
    assert flat(full.is_zero) == [1, 0, 0, 1, 1, 0]
    assert full.group_index.flatten().tolist() == [0, 1, 1, 3, 4, 5]


def test_no_retained_token_gives_empty_results() -> None:
    settings: dict[str, Any] = {"visual_tokens": 4, "m_tile": 2, "block": (2, 2, 2), "threshold": 0.9}
    nothing = torch.zeros(0, dtype=torch.int64)
    found = concentrate(torch.zeros(0, 6), nothing, grid=layout(1, 2, 2), vector_size=4, **settings)
    assert found.values.shape == (0, 6)
    assert bool(expand(found, nothing, 4).is_zero.all())


def test_tiny_components_are_not_zero_although_their_squares_vanish() -> None:
    x = torch.tensor([[1e-30, 0], [0, 0]])
    assert flat(run(x, layout(1, 1, 2), vector_size=2).is_zero) == [0, 1]


def test_infinite_activation_never_matches() -> None:
    x = torch.tensor([[1.0, 1], [float("inf"), 1]])
    assert flat(run(x, layout(1, 1, 2), vector_size=2).is_similar) == [0, 0]


def test_overflowing_half_norm_never_matches() -> None:
    x = torch.full((2, 4), 60000.0, dtype=torch.float16)
    assert flat(run(x, layout(1, 1, 2), vector_size=4).is_similar) == [0, 0]


def test_values_do_not_depend_on_the_number_of_threads() -> None:
    x = torch.randint(-2, 3, (600, 64), generator=torch.Generator().manual_seed(1)).float().mul_(0.37)
    one = run(x, layout(6, 10, 10), vector_size=4)
    torch.set_num_threads(2)
    try:
        two = run(x, layout(6, 10, 10), vector_size=4)
    finally:
        torch.set_num_threads(1)
    assert torch.equal(one.values, two.values)
    assert bool(one.is_similar.any())


def test_nan_is_refused_with_the_name_of_the_tensor() -> None:
    x = torch.ones(3, 2)
    x[1, 1] = float("nan")
    with pytest.raises(RunError, match=r"layer 3 q_proj: row 1 holds NaN"):
        run(x, layout(1, 1, 3), vector_size=2, name="layer 3 q_proj")


@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.01, float("nan"), float("inf")])
def test_threshold_outside_its_range_is_refused(threshold: float) -> None:
    with pytest.raises(ConfigError, match=r"similarity_threshold must be in \(0, 1\]"):
        check_threshold(threshold)


def test_threshold_inside_its_range_is_returned() -> None:
    assert [check_threshold(value) for value in (1e-9, 0.9, 1.0)] == [1e-9, 0.9, 1.0]


@pytest.mark.parametrize("positions", [[0, 4], [1, 0], [1, 1], [-1, 0]])
def test_impossible_positions_are_refused(positions: list[int]) -> None:
    settings: dict[str, Any] = {"visual_tokens": 4, "m_tile": 0, "block": (1, 1, 1), "threshold": 0.9}
    with pytest.raises(ValueError, match="positions must increase"):
        concentrate(
            torch.ones(2, 2), torch.tensor(positions), grid=layout(1, 2, 2), vector_size=2, **settings
        )


def test_block_is_cut_to_the_grid_and_limited() -> None:
    assert [c.offset_tokens for c in candidates_of(layout(2, 1, 3), (5, 5, 2))] == [1, 3, 4]
    assert [c.index for c in candidates_of(layout(2, 1, 3), (5, 5, 2))] == [1, 2, 3]
    with pytest.raises(ConfigError, match="over 255 places"):
        candidates_of(layout(8, 8, 8), (8, 8, 8))
    with pytest.raises(ConfigError, match="at least 1"):
        candidates_of(layout(2, 2, 2), (0, 2, 2))


@pytest.mark.parametrize("m_tile", [-1, 0])
def test_no_tile_size_means_one_tile(m_tile: int) -> None:
    assert tile_of_tokens(torch.tensor([True, False, False]), m_tile).tolist() == [0, 0, 0]


def test_tokens_that_are_all_zero_share_one_tile() -> None:
    assert tile_of_tokens(torch.ones(3, dtype=torch.bool), 1).tolist() == [0, 0, 0]


def test_remembered_partners_are_those_of_a_fresh_search() -> None:
    grid, block = layout(2, 3, 4), (2, 2, 2)
    candidates = candidates_of(grid, block)
    positions = torch.arange(24)
    fewer = positions[::2].clone()
    one, two = torch.zeros(24, dtype=torch.int32), torch.arange(24, dtype=torch.int32) // 12
    remembered = PartnerRows()
    calls = [
        (positions, one),
        (positions, one.clone()),
        (positions, two),
        (fewer, one[::2]),
        (positions, one),
    ]
    for where, tile in calls:
        for is_strict in (False, True):
            fresh = partner_rows(where, tile, candidates, grid=grid, is_strict=is_strict)
            assert torch.equal(remembered.of(where, tile, candidates, grid, is_strict), fresh)
    narrow = candidates_of(grid, (1, 2, 2))
    fresh = partner_rows(positions, one, narrow, grid=grid, is_strict=True)
    assert torch.equal(remembered.of(positions, one, narrow, grid, True), fresh)
