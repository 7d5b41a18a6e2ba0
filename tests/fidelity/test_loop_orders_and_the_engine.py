"""Does the loop-order formula, in the order that the engine models, give the bytes that the engine counts?"""

from typing import Any

import numpy as np
import pytest

from focal_common.errors import UnsupportedError
from focal_simulator.cycle.corrections import ALL
from focal_simulator.cycle.jobs import GemmJob
from focal_simulator.cycle.loop_traffic import tiled_gemm
from focal_simulator.hardware_files import build_accelerator
from focal_simulator.layer_table import LINEAR_LAYERS
from focal_simulator.loading import load_workloads
from focal_simulator.loop_orders import LOOP_ORDERS, PUBLISHED_ORDER, Kept, moved_bytes
from focal_simulator.workload import Workload
from focal_traces.root import TraceRoot
from simulator_support import PUBLISHED_ROOT, jobs_of, small_workload


def linear_jobs(name: str, workload: Workload, overrides: list[str] | None = None) -> list[GemmJob]:
    accelerator: Any = build_accelerator(name, overrides=overrides or [])
    return [job for job in jobs_of(accelerator, workload, ALL) if job.layer in LINEAR_LAYERS]


def published_trace() -> Workload:
    return load_workloads(TraceRoot.open(PUBLISHED_ROOT), ["minicpm_v"], ["videomme"])[0]


def read_bytes(job: GemmJob) -> dict[str, int]:
    return {
        buffer: int(value)
        for (level, way, buffer), value in job.traffic.items()
        if (level, way) == ("dram", "read")
    }


@pytest.mark.parametrize("tiles", [[], ["tiles.n_tile=160"]])
def test_dense_gemms_move_what_the_lowering_counts(tiles: list[str]) -> None:
    for job in linear_jobs("dense", small_workload(tokens=3000), tiles)[:7]:
        moved = moved_bytes(tiled_gemm(job), PUBLISHED_ORDER)
        assert {"input": moved.input_bytes, "wgt": moved.weight_bytes} == read_bytes(job)
        assert moved.spilled_bytes == 0


def test_concentrated_gemms_move_what_the_lowering_counts() -> None:
    for job in linear_jobs("focus", published_trace()):
        moved, counted = moved_bytes(tiled_gemm(job), PUBLISHED_ORDER), read_bytes(job)
        assert moved.input_bytes == counted["input"] + counted["similarity_map"]
        assert moved.weight_bytes == counted["wgt"]


def test_swapping_the_outer_two_loops_moves_the_same_and_others_spill() -> None:
    """With buffers of one slice: ceil(N / n) times the input and ceil(T / m) times the weights, either way."""
    job = linear_jobs("dense", small_workload(tokens=3000))[0]
    gemm = tiled_gemm(job)
    published = moved_bytes(gemm, PUBLISHED_ORDER)
    assert moved_bytes(gemm, "nmk") == published
    inputs, width = 3584, job.outputs
    assert published.input_bytes == 2 * 3000 * inputs * int(np.ceil(width / 96))
    assert published.weight_bytes == 2 * inputs * width * int(np.ceil(3000 / 1024))
    for order in set(LOOP_ORDERS) - {PUBLISHED_ORDER, "nmk"}:
        moved = moved_bytes(gemm, order)
        assert moved.spilled_bytes == 2 * 3000 * width * (inputs // 32 - 1)
        assert moved.total_bytes > published.total_bytes


def test_a_kept_panel_is_fetched_once() -> None:
    gemm = tiled_gemm(linear_jobs("dense", small_workload(tokens=3000))[0])
    weights = gemm.weight_bytes.sum()
    panel = 3584 * 96 * 2
    assert moved_bytes(gemm, "nmk", Kept(weight_bytes=panel)).weight_bytes == weights
    # The last n-tile is narrower, so its panel fits where the others do not.
    last = gemm.weight_bytes[:, -1].sum()
    almost = moved_bytes(gemm, "nmk", Kept(weight_bytes=panel - 1)).weight_bytes
    assert almost == 3 * (weights - last) + last
    assert moved_bytes(gemm, "mnk", Kept(input_bytes=1024 * 3584 * 2)).input_bytes == gemm.input_bytes.sum()


def test_what_is_not_a_loop_order_or_has_none_is_refused() -> None:
    jobs = jobs_of(build_accelerator("dense"), small_workload(), ALL)
    causal = [job for job in jobs if job.tile_outputs is not None]
    with pytest.raises(UnsupportedError, match="no common loop order"):
        tiled_gemm(causal[0])
    gemm = tiled_gemm(linear_jobs("dense", small_workload())[0])
    with pytest.raises(ValueError, match="expected one of mnk, mkn"):
        moved_bytes(gemm, "mn")
