"""Do Focus's numbers match theory: counts against masks, tile boundaries, hand-worked layers?"""

from dataclasses import replace

import numpy as np
import pytest

from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.engine.parity.level import simulate
from focal_simulator.workload.loading import with_trace
from focal_simulator.workload.workload import Workload
from focal_traces.header.schema import GEMMS, DecoderGeometry, TokenGrid
from focal_traces.masks.masks import trace_from_masks
from focal_traces.synthetic.schedule import Schedule
from simulator_support import small_workload
from synthetic_traces import SyntheticInput, synthetic_masks

TINY = DecoderGeometry(
    layers=4, hidden_elements=128, intermediate_elements=352, heads=4, kv_heads=2, head_dim_elements=32
)
GRID = TokenGrid(frames=4, rows=5, columns=6, frame_stride=30, row_stride=6, column_stride=1)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_results_from_tile_counts_equal_results_from_full_masks(seed: int) -> None:
    given = SyntheticInput(TINY, GRID, schedule=Schedule((1, 2), (0.6, 0.3)), m_tile=32, seed=seed)
    masks = synthetic_masks(given)
    trace = trace_from_masks(masks)
    workload = with_trace(Workload("tiny", "made", 120, 4, 30), trace, "focus_main")
    counts = workload.counts
    assert counts is not None
    for layer in range(TINY.layers):
        for place, name in enumerate(GEMMS):
            packed = masks.samples[0].gemm(layer, name)
            zero, similar = packed.is_zero(), packed.is_similar()
            assert counts.zero[layer, place] == zero.sum()
            assert counts.similar[layer, place] == similar.sum()
            assert counts.tokens[layer, place] == (~zero).any(axis=1).sum()
    direct = replace(counts, tokens=counts.tokens.copy())
    focus = build_accelerator("focus")
    assert simulate(focus, workload) == simulate(focus, replace(workload, counts=direct))


def test_a_linear_layer_by_hand_on_each_side_of_a_tile_boundary() -> None:
    focus = build_accelerator("focus")
    for tokens, passes in ((1024, 1), (1025, 2)):
        table = focus.layers(small_workload(tokens=tokens, frames=1, similarity=0.0))
        chunk = tokens // passes
        assert table.compute_cycles[0, 0] == (chunk + 93) * passes * (3584 // 32) * (3584 // 32)
        assert table.gather_cycles[0, 0] == 8 * 1024 * 3 * passes * 38
        assert table.scatter_cycles[0, 0] == -(-tokens * 112 * 112 // 2)


def test_a_layer_without_unique_vectors_computes_nothing_and_has_no_ratio() -> None:
    workload = small_workload()
    counts = workload.counts
    assert counts is not None
    none = replace(counts, unique=np.zeros_like(counts.unique))
    table = build_accelerator("focus").layers(replace(workload, counts=none))
    assert table.compute_cycles.sum() == 0
    assert table.macs[:, :7].sum() == 0
    assert table.compression_ratios is not None
    assert np.isnan(table.compression_ratios).all()


def test_more_similarity_never_costs_more_compute() -> None:
    focus = build_accelerator("focus")
    cycles = [
        focus.layers(small_workload(similarity=share)).compute_cycles.sum() for share in (0.0, 0.3, 0.6, 0.9)
    ]
    assert cycles == sorted(cycles, reverse=True)
    assert cycles[0] > cycles[-1]


def test_sec_only_ignores_similarity_in_cycles_and_keeps_it_in_the_activation_size() -> None:
    plain = build_accelerator("focus_sec_only").layers(small_workload(similarity=0.0))
    similar = build_accelerator("focus_sec_only").layers(small_workload(similarity=0.8))
    assert np.array_equal(plain.compute_cycles, similar.compute_cycles)
    assert similar.activation_bytes.sum() < plain.activation_bytes.sum()
