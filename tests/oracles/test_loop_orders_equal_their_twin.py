"""Does the closed form of DRAM bytes equal a walk through the loops with explicit buffers?"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from focal_simulator.loop_orders import LOOP_ORDERS, Kept, moved_bytes
from oracles.loop_order_twin import random_gemm, walked_bytes

SIZES = st.sampled_from([0, 5, 12, 20, 40, 80, 10_000])
KEPT = st.builds(Kept, SIZES, SIZES, SIZES)


@settings(max_examples=600, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(LOOP_ORDERS), KEPT)
def test_bytes_equal_those_of_a_walk_through_the_loops(seed: int, order: str, kept: Kept) -> None:
    gemm = random_gemm(seed, has_empty_slices=False)
    moved = moved_bytes(gemm, order, kept)
    expected = walked_bytes(gemm, order, kept)
    assert (*map(int, moved), int(moved.spilled_bytes)) == expected


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(LOOP_ORDERS), KEPT)
def test_empty_slices_are_never_cheaper_than_a_walk(seed: int, order: str, kept: Kept) -> None:
    """A buffer may by chance still hold a tile over a skipped slice; the engine fetches it again, and so do we."""
    gemm = random_gemm(seed, has_empty_slices=True)
    inputs, weights, spilled, _ = walked_bytes(gemm, order, kept)
    moved = moved_bytes(gemm, order, kept)
    assert moved.input_bytes >= inputs
    assert moved.weight_bytes >= weights
    assert moved.spilled_bytes >= spilled


def test_many_buffer_sizes_at_once_equal_one_after_the_other() -> None:
    gemm, sizes = random_gemm(3, has_empty_slices=False), np.array([0, 5, 12, 20, 40, 10_000])
    for order in LOOP_ORDERS:
        together = moved_bytes(gemm, order, Kept(sizes, sizes, sizes)).total_bytes
        single = [moved_bytes(gemm, order, Kept(size, size, size)).total_bytes for size in sizes.tolist()]
        assert together.tolist() == single


@pytest.mark.parametrize("order", LOOP_ORDERS)
def test_buffers_that_hold_everything_fetch_each_operand_once(order: str) -> None:
    gemm = random_gemm(7, has_empty_slices=False)
    moved = moved_bytes(gemm, order, Kept(10**6, 10**6, 10**6))
    assert moved.input_bytes == gemm.input_bytes.sum()
    assert moved.weight_bytes == gemm.weight_bytes.sum()
    assert moved.spilled_bytes == 0
