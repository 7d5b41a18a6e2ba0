"""Do the vectorised tile rule, tile counts and group rebuild equal slow loops that follow the definitions?"""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from focal_traces.counts.tiles import assemble_counts, count_tiles, tile_of_tokens
from focal_traces.masks.pointers import PointerRule, group_index


def _flags(seed: int, tokens: int, slices: int, dead: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    random = np.random.default_rng(seed)
    is_zero = random.random((tokens, slices)) < 0.2
    is_zero[random.random(tokens) < dead] = True
    return is_zero, ~is_zero & (random.random(is_zero.shape) < 0.5)


def _slow_tiles(is_zero: NDArray[np.bool_], m_tile: int) -> list[int]:
    tiles, alive = [], 0
    for token in is_zero:
        alive += not all(token)
        tiles.append(max(alive - 1, 0) // m_tile if m_tile else 0)
    return tiles


@given(st.integers(0, 2**32), st.integers(0, 600), st.integers(1, 5), st.floats(0, 1), st.integers(0, 300))
def test_counts_per_tile_equal_a_loop_over_tokens(
    seed: int, tokens: int, slices: int, dead: float, m_tile: int
) -> None:
    is_zero, is_similar = _flags(seed, tokens, slices, dead)
    tiles = _slow_tiles(is_zero, m_tile)
    assert tile_of_tokens(is_zero, m_tile).tolist() == tiles
    num_tiles = max(tiles, default=0) + 1
    rows = [0] * num_tiles
    vectors, unique = np.zeros((num_tiles, slices)), np.zeros((num_tiles, slices))
    for token, tile in enumerate(tiles):
        rows[tile] += not all(is_zero[token])
        for position in range(slices):
            vectors[tile, position] += not is_zero[token, position]
            unique[tile, position] += not is_zero[token, position] and not is_similar[token, position]
    found = count_tiles(is_zero, is_similar, m_tile)
    assert found.rows.tolist() == rows
    assert np.array_equal(found.vectors, vectors)
    assert np.array_equal(found.unique, unique)


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 3), st.sampled_from([0, 1, 2, 3, None]))
def test_groups_equal_published_pointer_doubling(
    seed: int, tokens: int, slices: int, rounds: int | None
) -> None:
    random = np.random.default_rng(seed)
    offsets = (0, 1, 3, 4)
    winners = random.integers(1, 4, (tokens, slices)).astype(np.uint8)
    is_similar = (np.array(offsets)[winners] <= np.arange(tokens)[:, None]) & (
        random.random(winners.shape) < 0.9
    )
    pointer = np.where(
        is_similar, np.arange(tokens)[:, None] - np.array(offsets)[winners], np.arange(tokens)[:, None]
    )
    for _ in range(rounds if rounds is not None else 64):
        pointer = np.take_along_axis(pointer, pointer, axis=0)
    expected = pointer * slices + np.arange(slices)
    found = group_index(is_similar, winners[is_similar], PointerRule(offsets, rounds))
    assert np.array_equal(found, expected)


def test_long_columns_list_layers_gemms_tiles_and_slices_in_order() -> None:
    blocks = [count_tiles(*_flags(place, 7, 1 + place % 2, 0.3), 3) for place in range(10)]
    counts = assemble_counts(blocks)
    expected = [
        (place // 5, place % 5, tile, position, block.rows[tile], block.vectors[tile, position])
        for place, block in enumerate(blocks)
        for tile in range(len(block.rows))
        for position in range(block.vectors.shape[1])
    ]
    columns = (counts.layer, counts.gemm, counts.m_tile, counts.k_slice, counts.rows, counts.vectors)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == expected
