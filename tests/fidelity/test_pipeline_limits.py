"""Does the pipeline kernel meet theory where theory has an answer?"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from focal_simulator.kernels.pipeline import CAUSES, Pipeline
from simulator_support import gemm_cycles

IDEAL = Pipeline(
    slice_elements=32,
    array_columns=32,
    skew_cycles=61,
    output_latency_cycles=0,
    scatter_latency_cycles=0,
    row_lanes=1,
    cycles_per_pass=1,
    columns_per_buffer=3,
    weight_load_cycles=32,
    key_load_cycles=32,
    weight_lead_cycles=32,
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
    read_cycles_numerator=0,
    write_cycles_numerator=0,
    cycles_denominator=1,
)


def uniform(
    machine: Pipeline, tiles: int, rows: int, slices: int, outputs: int, unique: int | None = None
) -> dict[str, int]:
    counts = np.full((tiles, slices), rows if unique is None else unique, dtype=np.int32)
    lengths = np.full(tiles, rows, dtype=np.int32)
    causes = gemm_cycles(machine, lengths, counts, lengths, outputs)
    return {name: int(value) for name, value in zip(CAUSES, causes, strict=True)}


@settings(max_examples=1000, deadline=None)
@given(
    st.integers(2, 128), st.integers(2, 128), st.integers(1, 1024), st.integers(1, 6), st.integers(1, 3000)
)
def test_without_overlap_and_stalls_it_is_the_scale_sim_closed_form(
    height: int, width: int, rows: int, slices: int, outputs: int
) -> None:
    machine = IDEAL._replace(
        slice_elements=height,
        array_columns=width,
        skew_cycles=height + width - 3,
        weight_load_cycles=height,
        key_load_cycles=height,
        weight_lead_cycles=height,
    )
    folds = slices * -(-outputs // width)
    assert sum(uniform(machine, 1, rows, slices, outputs).values()) == folds * (rows + 2 * height + width - 3)


def test_bandwidth_towards_zero_costs_bytes_over_bandwidth() -> None:
    slow = IDEAL._replace(read_cycles_numerator=1000, write_cycles_numerator=1000)
    rows, slices, outputs = 512, 8, 960
    total = sum(uniform(slow, 2, rows, slices, outputs).values())
    groups = 2 * outputs // 96
    read_elements = groups * slices * (rows * 32 + 32 * 96)
    write_elements = 2 * rows * outputs
    expected = 1000 * 2 * (read_elements + write_elements)
    assert abs(total / expected - 1) < 0.01


def test_scatter_binds_a_slice_below_the_published_boundary() -> None:
    # 1024 rows at two rows a cycle take 512 cycles; a fold without overlap takes unique + 93.
    machine = IDEAL._replace(scatter_rows_per_cycle=2)
    assert uniform(machine, 1, 1024, 50, 96, unique=512)["scatter"] < 600
    bound = uniform(machine, 1, 1024, 50, 96, unique=100)
    assert abs(sum(bound.values()) / (50 * 3 * 512) - 1) < 0.01


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 300), st.integers(1, 5), st.integers(1, 700), st.integers(0, 40), st.integers(0, 1))
def test_more_work_or_less_bandwidth_is_never_faster(
    rows: int, slices: int, outputs: int, numerator: int, buffered: int
) -> None:
    machine = IDEAL._replace(
        read_cycles_numerator=numerator,
        write_cycles_numerator=numerator,
        cycles_denominator=16,
        is_weight_double_buffered=buffered,
        scatter_rows_per_cycle=2,
        gather_cycles_per_row=8,
    )

    def total(one: Pipeline, rows: int, slices: int, outputs: int) -> int:
        return sum(uniform(one, 2, rows, slices, outputs).values())

    base = total(machine, rows, slices, outputs)
    assert total(machine, rows + 1, slices, outputs) >= base
    assert total(machine, rows, slices + 1, outputs) >= base
    assert total(machine, rows, slices, outputs + 32) >= base
    assert total(machine._replace(read_cycles_numerator=numerator + 1), rows, slices, outputs) >= base


def test_a_million_tokens_do_not_overflow() -> None:
    tokens = 1 << 20
    tiles = tokens // 1024
    machine = IDEAL._replace(read_cycles_numerator=10**4, cycles_denominator=1)
    causes = uniform(machine, tiles, 1024, 592, 18944)
    assert causes["stream"] == tokens * 592 * 592
    assert min(causes.values()) >= 0
    assert sum(causes.values()) > 2**31
