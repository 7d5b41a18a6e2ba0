"""Does the cycle engine meet the published formulas, and theory, where they have an answer?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from focal_simulator.accelerators.corrections import ALL
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.engine.cycle.simulate import CycleResult, simulate_cycles
from focal_simulator.engine.parity.level import simulate
from focal_simulator.workload.loading import load_workloads
from focal_simulator.workload.workload import Workload
from focal_traces.methods.cmc import SPARSITY
from focal_traces.root.root import TraceRoot
from simulator_support import PUBLISHED_ROOT, small_workload

NONE: frozenset[str] = frozenset()
OFF_CHIP = {"dram_read", "dram_write"}


@pytest.fixture(scope="module")
def published() -> list[Workload]:
    return load_workloads(TraceRoot.open(PUBLISHED_ROOT), [], [])


def of(published: list[Workload], label: str) -> Workload:
    return next(workload for workload in published if workload.label == label)


@pytest.mark.parametrize("name", ["dense", "adaptiv", "cmc"])
def test_without_corrections_cycles_and_macs_are_the_published_ones(
    name: str, published: list[Workload]
) -> None:
    accelerator = build_accelerator(name)
    for workload in published:
        if name == "cmc" and workload.row(SPARSITY) is None:
            continue
        ours, theirs = (
            simulate_cycles(accelerator, workload, corrections=NONE),
            simulate(accelerator, workload),
        )
        assert ours.total_cycles == theirs.total_cycles, workload.label
        assert ours.macs == pytest.approx(theirs.macs, rel=5e-3)
        # Equal parts are rounded up to whole rows, which the published byte counters do not do.
        assert ours.dram_bytes == pytest.approx(theirs.dram_bytes, rel=0.03)


@pytest.mark.parametrize("name", ["focus", "focus_sec_only"])
def test_without_corrections_focus_differs_by_pipelining_alone(name: str, published: list[Workload]) -> None:
    # Published: one maximum of scatter, gather and compute per layer. Here: fold by fold, so never less.
    accelerator = build_accelerator(name)
    for workload in published:
        ours, theirs = (
            simulate_cycles(accelerator, workload, corrections=NONE),
            simulate(accelerator, workload),
        )
        assert 0.99 < ours.total_cycles / theirs.total_cycles < 1.12, workload.label


@pytest.mark.parametrize("corrections", [NONE, ALL])
@pytest.mark.parametrize("name", ["dense", "adaptiv", "cmc", "focus", "focus_sec_only"])
def test_causes_sum_and_energy_closes(
    name: str, corrections: frozenset[str], published: list[Workload]
) -> None:
    result = simulate_cycles(
        build_accelerator(name), of(published, "llava_vid/mvbench"), corrections=corrections
    )
    assert sum(result.causes.values()) == result.total_cycles > 0
    assert min(result.causes.values()) >= 0
    assert result.compute_cycles + result.stall_cycles == result.total_cycles
    assert sum(item.energy_mj for item in result.breakdown) == pytest.approx(result.total_mj, rel=1e-9)
    assert min(item.energy_mj for item in result.breakdown) >= 0
    if corrections == ALL:
        assert min(result.moved_bytes.values()) >= 0


def test_without_concentration_focus_is_the_dense_array_with_a_gather_tail(published: list[Workload]) -> None:
    workload = of(published, "llava_vid/mvbench")
    counts = workload.counts
    assert counts is not None
    slices = np.broadcast_to(counts.slices, counts.tokens.shape)
    every = np.full_like(counts.tokens, workload.visual_tokens)
    full = replace(counts, tokens=every, vectors=every * slices, unique=every * slices)
    plain = replace(workload, counts=full, tiles=None)
    corrections = ALL - {"tile_lengths", "dram_stalls", "stored_outputs", "special_functions"}
    focus = simulate_cycles(build_accelerator("focus"), plain, corrections=corrections)
    dense = simulate_cycles(build_accelerator("dense"), plain, corrections=corrections)
    for cause in ("fill_drain", "weight"):
        assert focus.causes[cause] == dense.causes[cause]
    # Averages are floored for vectors and rounded up for rows: less than one row in a tile.
    assert focus.causes["stream"] == pytest.approx(dense.causes["stream"], rel=1 / 700)
    assert focus.causes["gather"] / focus.total_cycles < 0.02


def test_less_bandwidth_is_never_faster_and_ends_at_bytes_over_bandwidth() -> None:
    workload = small_workload(tokens=2048)
    totals = []
    for system in ("hbm2_8ch_shipped", "ddr4_4ch_1rank_interleaved", "ddr4_1ch_bglow", "ddr4_1ch_shipped"):
        focus = build_accelerator("focus", overrides=[f"dram_system={system}"])
        totals.append(simulate_cycles(focus, workload).total_cycles)
    assert totals == sorted(totals)
    slow = build_accelerator(
        "dense", overrides=["dram_system=ddr4_1ch_shipped", "timing.allow_beyond=true", "clock=500.0e+9"]
    )
    result = simulate_cycles(slow, workload)
    waiting = sum(result.causes[name] for name in OFF_CHIP) / result.total_cycles
    seconds = result.dram_bytes / 13.53e9  # steady state of that preset
    assert waiting > 0.9
    assert result.seconds == pytest.approx(seconds, rel=0.02)


def test_more_scatter_lanes_are_never_slower(published: list[Workload]) -> None:
    workload = of(published, "llava_vid/mvbench")
    totals = [
        simulate_cycles(
            build_accelerator("focus", overrides=[f"core.scatter_vectors={lanes}"]), workload, "cacti"
        ).total_cycles
        for lanes in (1, 2, 3, 4, 5)
    ]
    assert totals == sorted(totals, reverse=True)


def test_a_bigger_output_buffer_is_never_slower_where_memory_binds() -> None:
    # Not so with a gather unit: it starts on a whole n-buffer tile, so that of the last tile is longer.
    workload = small_workload(tokens=2048)
    totals = [
        simulate_cycles(
            build_accelerator("dense", overrides=[f"tiles.n_tile={width}", "dram_system=lpddr3_1ch_shipped"]),
            workload,
            "cacti",
        ).total_cycles
        for width in (32, 64, 96, 192, 384)
    ]
    assert totals == sorted(totals, reverse=True)


def test_overlapped_weight_loads_hide_at_most_the_overhead_of_each_fold(published: list[Workload]) -> None:
    workload = of(published, "llava_vid/mvbench")
    base = simulate_cycles(build_accelerator("focus"), workload)
    fast = simulate_cycles(
        build_accelerator("focus", overrides=["dataflow.is_weight_double_buffered=true"]), workload
    )
    assert fast.causes["stream"] == base.causes["stream"]
    folds = sum(time.job.scaled(time.job.shape.folds) for time in base.times)
    assert 0 < base.total_cycles - fast.total_cycles <= 93 * folds


def test_a_million_tokens_do_not_overflow() -> None:
    workload = replace(small_workload(tokens=1 << 20, frames=1), counts=None, tiles=None)
    result = simulate_cycles(build_accelerator("dense"), workload, corrections=ALL - {"special_functions"})
    assert isinstance(result, CycleResult)
    exact = (1 << 20) * (1 << 20) * 128 * 28 * 2 // 2 * workload.geometry.layers
    assert result.macs > exact  # attention alone, in exact integers
    assert result.total_cycles > result.macs / 1024
    assert min(result.causes.values()) >= 0
