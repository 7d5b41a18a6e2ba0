"""Is the GEMM kernel equal, cause by cause, to a machine that advances one cycle at a time?"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from focal_simulator.kernels.pipeline import CAUSES, Pipeline
from oracles.pipeline_twin import twin_cycles
from oracles.unskipped_twin import unskipped_cycles
from simulator_support import gemm_cycles

Gemm = tuple[list[int], list[list[int]], list[int], int]

_PLAIN = st.builds(
    Pipeline,
    slice_elements=st.integers(2, 5),
    array_columns=st.integers(2, 5),
    skew_cycles=st.integers(0, 7),
    output_latency_cycles=st.integers(0, 3),
    scatter_latency_cycles=st.integers(0, 4),
    row_lanes=st.integers(1, 4),
    cycles_per_pass=st.integers(1, 3),
    columns_per_buffer=st.integers(1, 3),
    weight_load_cycles=st.integers(0, 12),
    key_load_cycles=st.integers(0, 12),
    weight_lead_cycles=st.integers(0, 12),
    is_weight_double_buffered=st.just(0),
    is_weight_wavefront=st.just(0),
    scatter_rows_per_cycle=st.integers(0, 3),
    concentrate_reads_per_cycle=st.integers(0, 2),
    accumulate_cycles=st.integers(1, 2),
    gather_cycles_per_row=st.integers(0, 3),
    mean_cycles_per_vector=st.integers(0, 2),
    input_bits=st.sampled_from([4, 8, 16]),
    weight_bits=st.sampled_from([4, 8, 16]),
    output_bits=st.sampled_from([4, 8, 32]),
    sum_bits=st.just(16),
    score_bits=st.just(16),
    map_read_bytes=st.integers(0, 2),
    map_write_bytes=st.integers(0, 2),
    read_cycles_numerator=st.integers(0, 3),
    write_cycles_numerator=st.integers(0, 9),
    cycles_denominator=st.sampled_from([1, 4, 7, 16]),
)


@st.composite
def _pipelines(draw: st.DrawFn) -> Pipeline:
    """Machines with one of the three ways to load weights; only a wavefront lets rows in before a load has ended."""
    machine = draw(_PLAIN)
    way = draw(st.sampled_from(["serial", "shadow", "wavefront"]))
    load = machine.weight_load_cycles
    lead = min(machine.weight_lead_cycles, load) if way == "wavefront" else load
    return machine._replace(
        weight_lead_cycles=lead,
        is_weight_double_buffered=int(way == "shadow"),
        is_weight_wavefront=int(way == "wavefront"),
    )


PIPELINES = _pipelines()


@st.composite
def gemms(draw: st.DrawFn) -> Gemm:
    rows = draw(st.lists(st.integers(1, 12), min_size=1, max_size=3))
    slices = draw(st.integers(1, 4))
    unique = [[draw(st.integers(0, one)) for _ in range(slices)] for one in rows]
    output_rows = [draw(st.integers(0, one)) for one in rows]
    return rows, unique, output_rows, draw(st.integers(1, 40))


def arrays(gemm: Gemm) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    rows, unique, output_rows, outputs = gemm
    return np.array(rows), np.array(unique), np.array(output_rows), outputs


def named(causes: np.ndarray) -> dict[str, int]:
    return dict(zip(CAUSES, causes.tolist(), strict=True))


@settings(max_examples=600, deadline=None)
@given(PIPELINES, gemms())
def test_causes_equal_those_of_a_tick_by_tick_machine(pipeline: Pipeline, gemm: Gemm) -> None:
    ticked = twin_cycles(pipeline, *gemm)
    assert named(gemm_cycles(pipeline, *arrays(gemm))) == ticked
    assert named(unskipped_cycles(pipeline, *arrays(gemm))) == ticked


@settings(max_examples=400, deadline=None)
@given(PIPELINES, gemms(), st.integers(40, 400))
def test_skipping_repeated_tiles_changes_nothing(pipeline: Pipeline, gemm: Gemm, outputs: int) -> None:
    long = (*arrays(gemm)[:3], outputs)
    assert gemm_cycles(pipeline, *long).tolist() == unskipped_cycles(pipeline, *long).tolist()
