"""Do the cycles of a job follow by hand from its GEMM, what runs beside it and what runs before it?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from focal_simulator.engine.cycle.packed import GroupCounts, batched_jobs
from focal_simulator.jobs.jobs import CAUSES, GemmJob
from focal_simulator.jobs.systolic import SystolicUnits
from focal_simulator.kernels.pipeline import Pipeline

MACHINE = Pipeline(
    slice_elements=2,
    array_columns=2,
    skew_cycles=1,
    output_latency_cycles=0,
    scatter_latency_cycles=0,
    row_lanes=1,
    cycles_per_pass=1,
    columns_per_buffer=1,
    weight_load_cycles=2,
    key_load_cycles=2,
    weight_lead_cycles=2,
    is_weight_double_buffered=0,
    is_weight_wavefront=0,
    scatter_rows_per_cycle=0,
    concentrate_reads_per_cycle=0,
    accumulate_cycles=1,
    gather_cycles_per_row=0,
    mean_cycles_per_vector=0,
    input_bits=16,
    weight_bits=16,
    output_bits=16,
    sum_bits=16,
    score_bits=16,
    map_read_bytes=0,
    map_write_bytes=0,
    read_cycles_numerator=1,
    write_cycles_numerator=1,
    cycles_denominator=4,
)
"""A 2 x 2 array; the channel moves 4 bytes a cycle."""

# One tile of 10 rows, one slice, two outputs: 10 x 2 inputs and 2 x 2 weights of 2 bytes take 48 / 4 = 12 cycles to
# fetch, then 2 to load the weights, 10 to stream, 1 to drain, 10 x 2 outputs of 2 bytes take 10 to write.
FETCH, LOAD, STREAM, DRAIN, WRITE = 12, 2, 10, 1, 10
GEMM = FETCH + LOAD + STREAM + DRAIN + WRITE


def job(**facts: Any) -> GemmJob:
    rows = np.array([10])
    return GemmJob(0, "o_proj", "gemm", MACHINE, rows, rows[:, None], rows, 2, 0, 0, 0, **facts)


def causes(*jobs: GemmJob) -> list[dict[str, int]]:
    (group,) = batched_jobs(jobs).groups
    counted = GroupCounts(group, SystolicUnits(MACHINE)).causes.tolist()
    return [{name: cycles for name, cycles in zip(CAUSES, row, strict=True) if cycles} for row in counted]


ALONE = {"stream": STREAM, "fill_drain": DRAIN, "weight": LOAD, "dram_read": FETCH, "dram_write": WRITE}


def test_a_gemm_alone_and_three_copies_of_it() -> None:
    assert sum(ALONE.values()) == GEMM
    assert causes(job(), job(copies=6, copies_divisor=2)) == [
        ALONE,
        {name: 3 * cycles for name, cycles in ALONE.items()},
    ]


def test_a_unit_beside_counts_with_what_it_exceeds_the_gemm_by_and_the_longest_names_the_cause() -> None:
    short, long = job(parallel_cycles={"sfu": GEMM}), job(parallel_cycles={"sec": GEMM + 5, "sfu": GEMM + 4})
    assert causes(short, long) == [ALONE, ALONE | {"sec": 5}]
    assert causes(job(parallel_cycles={"sec": GEMM + 5, "sfu": GEMM + 5})) == [ALONE | {"sfu": 5}]


def test_what_runs_before_counts_in_full() -> None:
    assert causes(job(serial_cycles={"preprocess": 7}), job()) == [ALONE | {"preprocess": 7}, ALONE]


# With 400 bytes more the channel is busy for (48 + 400 + 40) / 4 = 122 cycles.
BUSY = 122


@pytest.mark.parametrize(
    ("parallel_cycles", "excess"),
    [
        ({}, {"dram_read": FETCH + BUSY - GEMM}),
        ({"sfu": BUSY - 1}, {"dram_read": FETCH + BUSY - GEMM}),
        ({"sfu": BUSY}, {"sfu": BUSY - GEMM}),
        ({"preprocess": BUSY + 9}, {"preprocess": BUSY + 9 - GEMM}),
    ],
)
def test_extra_reads_keep_the_channel_busy_beside_the_gemm(
    parallel_cycles: dict[str, int], excess: dict[str, int]
) -> None:
    assert causes(job(extra_read_bytes=400, parallel_cycles=parallel_cycles), job()) == [
        ALONE | excess,
        ALONE,
    ]


def test_bytes_of_extra_reads_and_of_other_units_add_to_those_of_the_array() -> None:
    (group,) = batched_jobs(
        [job(extra_read_bytes=400, traffic={("sram", "read", "input"): 9}), job(copies=3)]
    ).groups
    moved = {key: value.tolist() for key, value in GroupCounts(group, SystolicUnits(MACHINE)).traffic.items()}
    assert moved["dram", "read", "input"] == [400 + 40, 3 * 40]
    assert moved["sram", "write", "input"] == [400 + 40, 3 * 40]
    assert moved["sram", "read", "input"] == [9 + 40, 3 * 40]
    assert moved["dram", "write", "output"] == [40, 120]
