"""Are tiles cut as the published analysis cuts them?"""

import numpy as np
import pytest

from focal_simulator.results.tile_lengths import TileLengths, lengths_of_masks, recorded_tile_lengths
from focal_simulator.workload.loading import load_workloads
from focal_traces.root.root import TraceRoot
from simulator_support import PUBLISHED_ROOT


def test_a_tile_is_made_of_tokens_as_far_apart_as_there_are_tiles() -> None:
    similar = np.zeros((60, 1), dtype=np.bool_)
    # Every second token is similar: interleaved tiles of 30 are then all similar or all unique.
    similar[::2] = True
    lengths = lengths_of_masks(np.zeros_like(similar), similar, tile=30)
    assert lengths.tolist() == [30]


def test_tokens_with_a_zero_vector_leave_and_padding_counts_as_similar() -> None:
    zero = np.zeros((50, 2), dtype=np.bool_)
    zero[:10, 1] = True
    lengths = lengths_of_masks(zero, np.zeros_like(zero), tile=32)
    assert sorted(lengths.tolist()) == [20, 20, 20, 20]


def test_tiles_shorter_than_ten_are_left_out() -> None:
    for unique, expected in ((9, []), (10, [10])):
        similar = np.ones((32, 1), dtype=np.bool_)
        similar[:unique] = False
        assert lengths_of_masks(np.zeros_like(similar), similar, tile=32).tolist() == expected


def test_utilisation_is_the_mean_of_rows_over_rows_and_overhead() -> None:
    pool = TileLengths(np.array([32, 96]))
    assert pool.utilisation() == pytest.approx((0.5 + 0.75) / 2)


@pytest.mark.golden
def test_calibrated_counts_reproduce_the_published_histogram() -> None:
    root = TraceRoot.open(PUBLISHED_ROOT)
    parts = []
    for workload in load_workloads(root, ["llava_vid"], []):
        trace = root.open_trace(workload.model, workload.dataset)
        parts.append(recorded_tile_lengths(trace.samples[trace.chosen_sample()]).lengths)
    pool = TileLengths(np.concatenate(parts))
    assert pool.lengths.mean() == pytest.approx(544, rel=0.01)
    assert pool.lengths.std() == pytest.approx(204, rel=0.01)
    assert pool.utilisation() == pytest.approx(0.922, abs=0.001)
