"""Are the GEMMs of a block on a plain array those of a decoder, causal tile by tile, with the sorter beside them?"""

from __future__ import annotations

import numpy as np
import pytest

from focal_common.errors import ConfigError
from focal_simulator.accelerators.corrections import ALL
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.engine.cycle.simulate import cycle_context, lowered
from focal_simulator.jobs.attention import AttentionShape, scores_job, values_job
from focal_simulator.jobs.jobs import PlacedJob, uniform_tiles
from focal_simulator.jobs.systolic import systolic_machine
from focal_simulator.jobs.tokens import sort_cycles, token_jobs
from focal_simulator.workload.workload import Workload
from focal_traces.synthetic.schedule import Schedule
from hand_workload import TWO_BY_TWO, WHOLE_TILES, plain_workload, small_decoder
from simulator_support import jobs_of

PLAIN = WHOLE_TILES
FACTS = {"macs": 0, "dense_macs": 0, "activation_bytes": 0}


def shape(*, is_causal: bool) -> AttentionShape:
    """Six keys in tiles of 4 and 2, three heads of 4."""
    return AttentionShape(0, 3, 4, 6, np.array([4, 6]), is_causal)


def machine() -> object:
    dense = build_accelerator("dense", overrides=TWO_BY_TWO)
    return systolic_machine(dense.hardware, cycle_context(dense, PLAIN))


def dense_jobs(workload: Workload, corrections: frozenset[str] = PLAIN) -> dict[tuple[str, str], PlacedJob]:
    found = jobs_of(build_accelerator("dense", overrides=TWO_BY_TWO), workload, corrections)
    return {(job.layer, job.part): job for job in found if job.block == 0}


def test_a_layer_that_no_token_reaches_has_no_blocks() -> None:
    """PyramidDrop at its smallest budget leaves no visual token in the last layers."""
    none = np.array([], dtype=np.int64)
    assert list(AttentionShape(0, 3, 4, 0, none, is_causal=True).blocks(none, 8)) == []


def test_a_causal_tile_meets_the_keys_up_to_its_own_end() -> None:
    rows = np.array([4, 2], dtype=np.int32)
    scores = scores_job(shape(is_causal=True), machine(), rows, np.full((2, 2), 4), **FACTS)  # type: ignore[arg-type]
    assert scores.tile_outputs is not None
    assert scores.tile_slices is not None
    assert (scores.tile_outputs.tolist(), scores.tile_slices.tolist()) == ([4, 6], [2, 2])
    assert (scores.copies, scores.copies_divisor) == (3, 1)
    values = values_job(shape(is_causal=True), machine(), rows, rows, **FACTS)  # type: ignore[arg-type]
    assert values.tile_outputs is not None
    assert values.tile_slices is not None
    # The inner dimension of scores x V is the keys: two and three slices of two.
    assert (values.tile_outputs.tolist(), values.tile_slices.tolist()) == ([4, 4], [2, 3])


def test_as_published_all_keys_are_met_and_half_is_charged() -> None:
    rows = np.array([4, 2], dtype=np.int32)
    for job in (
        scores_job(shape(is_causal=False), machine(), rows, np.full((2, 2), 4), **FACTS),  # type: ignore[arg-type]
        values_job(shape(is_causal=False), machine(), rows, rows, **FACTS),  # type: ignore[arg-type]
    ):
        assert (job.tile_outputs, job.copies, job.copies_divisor) == (None, 3, 2)
        assert job.scaled(10) == 15


def test_heads_that_differ_are_timed_one_by_one() -> None:
    rows = np.array([4, 2], dtype=np.int32)
    unique = np.arange(2 * 3 * 2).reshape(2, 3, 2)  # axes (m-tiles, heads, slices of a head)
    scores = scores_job(shape(is_causal=False), machine(), rows, unique, **FACTS)  # type: ignore[arg-type]
    assert scores.copies == 1
    assert scores.rows.tolist() == [4, 4, 4, 2, 2, 2]
    assert scores.unique.tolist() == unique.reshape(6, 2).tolist()
    assert scores.tile_outputs is not None
    assert scores.tile_outputs.tolist() == [6] * 6


@pytest.mark.parametrize(
    ("rows", "is_averaged", "expected"),
    [
        (10, False, [4, 4, 2]),
        (8, False, [4, 4]),
        (0, False, []),
        (10, True, [4, 4, 4]),
        (9, True, [3, 3, 3]),
        (0, True, []),
    ],
)
def test_rows_are_cut_into_tiles(rows: int, is_averaged: bool, expected: list[int]) -> None:
    assert uniform_tiles(rows, 4, is_averaged=is_averaged).tolist() == expected


def test_a_block_has_the_layers_of_a_decoder() -> None:
    jobs = dense_jobs(plain_workload(6))
    # Inputs x outputs with hidden 4, intermediate 8, query heads 2 x 2, one key head of 2.
    macs = {
        "q_proj": 16,
        "k_proj": 8,
        "v_proj": 8,
        "o_proj": 16,
        "gate_proj": 32,
        "up_proj": 32,
        "down_proj": 32,
    }
    for layer, each in macs.items():
        job = jobs[layer, "gemm"]
        assert job.macs == job.dense_macs == 6 * each
        assert job.rows.tolist() == [4, 2]
        assert job.activation_bytes == 2 * 6 * (8 if layer == "down_proj" else 4)
    for part in ("scores", "values"):
        assert jobs["attn", part].macs == 6 * 6 * 2 * 2 // 2
    assert jobs["attn", "scores"].activation_bytes == 2 * 6 * 4
    assert jobs["attn", "values"].activation_bytes == 2 * 6 * 6 * 2


def test_dropped_tokens_shorten_later_gemms_and_are_sorted_once() -> None:
    workload = Workload("hand", "made", 8, 1, 8, geometry=small_decoder(2))
    workload = workload.with_schedule_counts(Schedule((0,), (0.5,)))
    focus = build_accelerator("focus", overrides=TWO_BY_TWO)
    lowering = token_jobs(focus.hardware, workload, cycle_context(focus, ALL), sorter_lanes=3)
    found = {(job.block, job.layer, job.part): job for job in lowering.tiles.jobs()}
    assert workload.counts is not None
    live = workload.counts.tokens
    assert live[0, 0] == 8
    assert live[1, 0] == 4
    assert found[1, "q_proj", "gemm"].macs == 4 * 16
    assert found[1, "q_proj", "gemm"].dense_macs == 8 * 16
    # Four of eight tokens stay: two passes of three lanes over eight tokens, three cycles each until they settle.
    assert found[0, "attn", "scores"].parallel_cycles == {"sec": 2 * (8 + 3)}
    assert found[1, "attn", "scores"].parallel_cycles == {}


@pytest.mark.parametrize(
    ("tokens", "kept", "cycles"), [(100, 64, 264), (100, 65, 396), (100, 100, 0), (100, 0, 0)]
)
def test_the_sorter_passes_over_all_tokens_once_for_each_lane_full(
    tokens: int, kept: int, cycles: int
) -> None:
    assert sort_cycles(tokens, kept, lanes=32) == cycles


def test_passes_that_the_buffers_do_not_hold_and_columns_that_the_tile_does_not_are_refused() -> None:
    workload = plain_workload(6)
    for change, words in (
        ("core.row_limit=5", r"core.row_limit is 5, expected at most tiles.m_tile \(4\)"),
        ("tiles.n_tile=1", r"tiles.n_tile is 1, expected at least core.array_columns \(2\)"),
    ):
        dense = build_accelerator("dense", overrides=[*TWO_BY_TWO, change])
        with pytest.raises(ConfigError, match=words):
            jobs_of(dense, workload, PLAIN)


def test_special_functions_run_beside_the_gemm_that_makes_or_takes_their_data() -> None:
    dense = build_accelerator("dense", overrides=[*TWO_BY_TWO, "components.fp16_exp.count=1"])
    lowering = lowered(dense, plain_workload(40), cycle_context(dense, ALL))
    beside = {(job.layer, job.part): job.parallel_cycles.get("sfu", 0) for job in lowering.tiles.jobs()}
    # Softmax: an exponential for each of 40 x 41 / 2 scores of two heads, on one lane.
    assert beside["attn", "scores"] >= 2 * 40 * 41 // 2
    assert beside["up_proj", "gemm"] >= 40 * 8  # SiLU: one exponential an element of the gate
    assert beside["attn", "values"] == beside["v_proj", "gemm"] == 0
    for layer in ("q_proj", "k_proj", "o_proj", "gate_proj", "down_proj"):
        assert beside[layer, "gemm"] > 0, layer
