"""Do bytes, special functions and units beside the array follow from the sizes of a layer, by hand?

LLaVA-Video on VideoMME: 11,648 tokens, Qwen2-7B (hidden 3,584, 28 heads of 128), 32 x 32 array, n-tile 96, 2 bytes.
"""

from __future__ import annotations

import pytest

from focal_simulator.accelerators.corrections import ALL
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.engine.cycle.packed import placed_jobs
from focal_simulator.engine.cycle.simulate import cycle_context, lowered
from focal_simulator.jobs.jobs import PlacedJob
from focal_simulator.workload.loading import load_workloads
from focal_simulator.workload.workload import Workload
from focal_traces.root.root import TraceRoot
from simulator_support import PUBLISHED_ROOT, jobs_of

S, HIDDEN, HEADS, HEAD = 11648, 3584, 28, 128
FULL, LAST = 11, 11648 - 11 * 1024  # tiles of 1,024 rows and what is left
TILES = [1024] * FULL + [LAST]
ENDS = [1024 * (place + 1) for place in range(FULL)] + [S]


@pytest.fixture(scope="module")
def workload() -> Workload:
    return load_workloads(TraceRoot.open(PUBLISHED_ROOT), ["llava_vid"], ["videomme"])[0]


def placed(name: str, workload: Workload) -> dict[tuple[int, str, str], PlacedJob]:
    accelerator = build_accelerator(name)
    context = cycle_context(accelerator, ALL)
    lowering = lowered(accelerator, workload, context)
    return {(job.block, job.layer, job.part): job for job in placed_jobs(lowering)}


def test_a_dense_linear_layer(workload: Workload) -> None:
    job = placed("dense", workload)[9, "o_proj", "gemm"]
    folds = 12 * (HIDDEN // 32) ** 2
    assert job.shape.folds == folds
    assert job.traffic == {
        ("sram", "read", "input"): 2 * S * HIDDEN * (HIDDEN // 32),  # every row, once per array column
        # Fetched again for each n-tile of 96: ceil(3584 / 96); and the residual stream once.
        ("sram", "write", "input"): 2 * S * HIDDEN * (38 + 1),
        ("sram", "read", "wgt"): 2 * 32 * 32 * folds,
        ("sram", "write", "wgt"): 2 * HIDDEN * HIDDEN * 12,
        ("dram", "read", "input"): 2 * S * HIDDEN * (38 + 1),
        ("dram", "read", "wgt"): 2 * HIDDEN * HIDDEN * 12,
        ("dram", "write", "output"): 2 * S * HIDDEN,
        ("sram", "write", "output"): 2 * S * HIDDEN * (HIDDEN // 32),  # a partial sum per k-slice
        ("sram", "read", "output"): 2 * S * HIDDEN * (HIDDEN // 32) + 2 * S * HIDDEN,
    }


def test_dense_attention_and_its_softmax(workload: Workload) -> None:
    jobs = placed("dense", workload)
    scores, values = jobs[9, "attn", "scores"], jobs[9, "attn", "values"]
    # A tile of 1,024 queries meets the keys before it, and its own in eight steps of 128, each with the queries behind.
    written = folds = fetched = 0
    for rows, end in zip(TILES, ENDS, strict=True):
        start, step = end - rows, 128 if rows == 1024 else 64  # an eighth of the tile, in whole slices of 32
        blocks = [(rows, start)] + [(rows - at, min(step, rows - at)) for at in range(0, rows, step)]
        written += sum(high * keys for high, keys in blocks)
        for high, keys in blocks:
            together = min(1024 // high, 7)  # heads of a group whose rows fit one tile
            folds += 4 * -(-keys // 32) * -(-7 // together)
        # Scores x V: queries before a slice of 32 keys are not streamed; P is fetched for both n-tiles of 128 outputs.
        fetched += sum(rows - max(at - start, 0) for at in range(0, end, 32)) * 32 * 2
    assert scores.traffic["dram", "write", "output"] == 2 * HEADS * written
    assert scores.scaled(scores.shape.folds) == 4 * folds  # four key heads
    assert values.traffic["dram", "write", "output"] == 2 * HEADS * S * HEAD
    assert values.traffic["dram", "read", "input"] == 2 * HEADS * fetched
    # Softmax: three additions or comparisons a score on 192 adders, causal half with its diagonal.
    additions = HEADS * 3 * S * (S + 1) // 2
    assert scores.parallel_cycles["sfu"] == pytest.approx(additions / 192, rel=1e-3)


def test_the_sorter_of_focus_and_of_its_ablation(workload: Workload) -> None:
    # Block 3 keeps 40 % of 11,648: 4,659 tokens; 32 lanes, a pass over all tokens each and 32 cycles to settle.
    passes = -(-4659 // 32)
    for name in ("focus", "focus_sec_only"):
        jobs = placed(name, workload)
        assert jobs[3, "attn", "scores"].parallel_cycles["sec"] == passes * (S + 32)
        assert "sec" not in jobs[4, "attn", "scores"].parallel_cycles


def test_focus_fetches_unique_vectors_and_their_maps(workload: Workload) -> None:
    counts, tiles = workload.counts, workload.tiles
    assert counts is not None
    assert tiles is not None
    job = placed("focus", workload)[9, "o_proj", "gemm"]
    unique = int(tiles.select(9, "o_proj").unique.sum())
    # For each of 38 n-tiles; and the residual stream of the tokens that are there.
    assert job.traffic["dram", "read", "input"] == 2 * 32 * unique * 38 + 2 * 3494 * HIDDEN
    assert job.traffic["dram", "read", "similarity_map"] == 2 * 3494 * (HIDDEN // 32) * 38
    assert job.traffic["sram", "read", "input"] == 2 * 32 * unique * (HIDDEN // 32)
    assert job.traffic["sram", "read", "concentrate_out"] == 2 * 32 * 3494 * (HIDDEN // 32) ** 2


def test_the_codec_has_its_own_width_and_searches_an_input_once(workload: Workload) -> None:
    jobs = placed("cmc", workload)
    # 64 frames in 8 partitions, 182 patches: every patch of a frame against every patch of its reference.
    search = -(-(64 - 8) * 182 * 182 * HIDDEN // 1024)
    assert jobs[9, "q_proj", "gemm"].parallel_cycles["preprocess"] == search
    assert all(
        "preprocess" not in jobs[9, layer, "gemm"].parallel_cycles
        for layer in ("k_proj", "v_proj", "up_proj")
    )
    wide = build_accelerator("cmc", overrides=["core.array_rows=64"])
    assert jobs_of(wide, workload, ALL)[0].parallel_cycles["preprocess"] == search
    assert jobs[9, "attn", "scores"].outputs == S


def test_adaptiv_merges_an_input_once(workload: Workload) -> None:
    jobs = placed("adaptiv", workload)
    assert jobs[9, "q_proj", "gemm"].serial_cycles["preprocess"] == S * HIDDEN // 64
    assert all(not jobs[9, layer, "gemm"].serial_cycles for layer in ("k_proj", "v_proj", "up_proj"))
    assert not jobs[9, "attn", "scores"].serial_cycles
