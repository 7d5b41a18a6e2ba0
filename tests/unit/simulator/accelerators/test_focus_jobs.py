"""Does Focus write what the next GEMM reads, and does every buffer move the bytes that follow by hand?

A 2 x 2 array with tiles of 4 rows and 4 columns, vectors of 2 elements of 2 bytes; see `hand_workload`.
"""

from __future__ import annotations

from math import ceil

from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.engine.cycle.packed import placed_jobs
from focal_simulator.engine.cycle.simulate import cycle_context
from focal_simulator.jobs.jobs import PlacedJob
from focal_simulator.workload.workload import Workload
from focal_traces.header.schema import GEMMS
from hand_workload import TWO_BY_TWO, WHOLE_TILES, counted_workload, small_decoder

PLAIN = WHOLE_TILES
Place = tuple[int, str, str]


def jobs_of(
    workload: Workload, *overrides: str, corrections: frozenset[str] = PLAIN
) -> dict[Place, PlacedJob]:
    focus = build_accelerator("focus", overrides=[*TWO_BY_TWO, *overrides])
    lowering = focus.jobs(workload, cycle_context(focus, corrections))
    return {(job.block, job.layer, job.part): job for job in placed_jobs(lowering)}


def test_every_output_is_written_with_the_rows_of_the_gemm_that_reads_it() -> None:
    # 64 tokens; each input of each block has a number of unique rows of its own, 10 to 19.
    unique = {(block, gemm): 10 + 5 * block + place for block in (0, 1) for place, gemm in enumerate(GEMMS)}
    given = {
        (block, gemm): ([64], [[number] * (small_decoder().input_elements(gemm) // 2)])
        for (block, gemm), number in unique.items()
    }
    jobs = jobs_of(counted_workload(64, given, m_tile=64, layers=2), "tiles.m_tile=64")
    # The decoder: Q is the left operand of Q x K^T, attention feeds o_proj, its sum the MLP, gate x up feeds
    # down_proj, and the sum after it the q_proj of the next block. K and V are not concentrated.
    reader = {
        ("q_proj", "gemm"): "query",
        ("attn", "values"): "o_proj",
        ("o_proj", "gemm"): "gate_proj",
        ("gate_proj", "gemm"): "down_proj",
        ("up_proj", "gemm"): "down_proj",
    }
    for block in (0, 1):
        for (layer, part), gemm in reader.items():
            assert jobs[block, layer, part].output_rows.tolist() == [unique[block, gemm]], (block, layer)
        for layer in ("k_proj", "v_proj"):
            assert jobs[block, layer, "gemm"].output_rows.tolist() == [64]
    assert jobs[0, "down_proj", "gemm"].output_rows.tolist() == [unique[1, "q_proj"]]
    assert jobs[1, "down_proj", "gemm"].output_rows.tolist() == [64]  # nothing reads it concentrated


def test_what_is_concentrated_passes_the_gather_unit_and_nothing_else_does() -> None:
    jobs = jobs_of(counted_workload(8, {}, m_tile=4, layers=2))
    gathered = {(layer, part) for (block, layer, part), job in jobs.items() if block == 0 and is_matched(job)}
    # Of gate and up only the product is matched, as it leaves up_proj.
    assert gathered == {
        ("q_proj", "gemm"),
        ("o_proj", "gemm"),
        ("up_proj", "gemm"),
        ("down_proj", "gemm"),
        ("attn", "values"),
    }
    assert not is_matched(jobs[1, "down_proj", "gemm"])


def is_matched(job: PlacedJob) -> bool:
    has_bytes = ("sram", "write", "layouter") in job.traffic
    assert has_bytes == bool(job.machine.gather_cycles_per_row)
    assert has_bytes == (("dram", "write", "similarity_map") in job.traffic)
    return has_bytes


def test_bytes_of_every_buffer_by_hand() -> None:
    # Six tokens in tiles of 4 and 2. o_proj is 4 x 4: two k-slices, two array columns, one n-buffer tile.
    given = {
        (0, "o_proj"): ([4, 2], [[3, 1], [2, 1]]),
        (0, "gate_proj"): (
            [4, 2],
            [[2, 2], [1, 1]],
        ),  # 6 of 12 vectors are unique: half of each tile is stored
    }
    job = jobs_of(counted_workload(6, given, m_tile=4))[0, "o_proj", "gemm"]
    unique, folds = 3 + 1 + 2 + 1, 2 * 2 * 2
    streamed, restored = 2 * unique, 2 * 2 * (4 + 2)  # rows of all folds, before and after the scatter
    stored_rows = 2 + 1
    data, kept = 2 * 6 * 4, 2 * stored_rows * 4  # bytes of the output before and after concentration
    window = data + 2 * 6 * 2  # one norm of 2 bytes beside each of the 6 x 2 vectors
    assert job.traffic == {
        ("dram", "read", "input"): 2 * 2 * unique,
        ("dram", "read", "wgt"): 2 * 4 * 4 * 2,  # once for each of two m-tiles
        ("dram", "read", "similarity_map"): 2 * (4 + 2) * 2,  # an index a row and k-slice
        ("dram", "write", "output"): kept,
        ("dram", "write", "similarity_map"): 2 * 6 * 2,  # an index a row and array column
        ("sram", "write", "input"): 2 * 2 * unique,
        ("sram", "read", "input"): 2 * 2 * streamed,
        ("sram", "write", "wgt"): 2 * 4 * 4 * 2,
        ("sram", "read", "wgt"): 2 * 2 * 2 * folds,
        ("sram", "write", "concentrate_out"): 2 * 2 * streamed,
        ("sram", "read", "concentrate_out"): 2 * 2 * restored,
        ("sram", "write", "output"): 2 * 2 * restored,
        ("sram", "read", "output"): 2 * 2 * restored + kept + window,
        ("sram", "write", "layouter"): window,
        # A block of 2 x 2 x 2 holds a vector and seven neighbours; each neighbour is read once (sec. VI-B).
        ("sram", "read", "layouter"): 7 * window,
        ("sram", "write", "similarity_map"): 2 * 6 * 2,
        ("sram", "read", "similarity_table"): data + kept,
        ("sram", "write", "similarity_table"): data,
    }


def test_without_stored_outputs_the_input_decides_and_maps_cost_nothing() -> None:
    given = {(0, "o_proj"): ([4, 2], [[3, 1], [2, 1]])}
    workload = counted_workload(6, given, m_tile=4)
    job = jobs_of(workload, corrections=PLAIN - {"stored_outputs"})[0, "o_proj", "gemm"]
    assert job.output_rows.tolist() == [ceil((3 + 1) / 2), ceil((2 + 1) / 2)]
    assert not any(level == "dram" and name == "similarity_map" for level, _, name in job.traffic)


def test_scores_are_scattered_and_values_are_not() -> None:
    jobs = jobs_of(counted_workload(6, {}, m_tile=4))
    scores, values = jobs[0, "attn", "scores"], jobs[0, "attn", "values"]
    assert (scores.machine.scatter_rows_per_cycle, values.machine.scatter_rows_per_cycle) == (2, 0)
    assert ("sram", "read", "concentrate_out") not in values.traffic
    published = jobs_of(counted_workload(6, {}, m_tile=4), corrections=PLAIN - {"attention_scatter"})
    # Two slices of all heads, three array columns of six keys, six rows, two lanes.
    assert published[0, "attn", "scores"].parallel_cycles["scatter"] == 6 * 2 * 3 // 2
