"""Is the recurrence kernel equal, cause by cause, to a machine that advances one cycle at a time?"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from focal_simulator.kernels.pipeline import CAUSES, Pipeline, gemm_cycles
from oracles.pipeline_twin import twin_cycles

PIPELINES = st.builds(
    Pipeline,
    slice_elements=st.integers(2, 5),
    array_columns=st.integers(2, 5),
    skew_cycles=st.integers(0, 7),
    row_lanes=st.integers(1, 4),
    cycles_per_pass=st.integers(1, 3),
    columns_per_buffer=st.integers(1, 3),
    weight_load_cycles=st.integers(0, 12),
    is_weight_double_buffered=st.integers(0, 1),
    scatter_rows_per_cycle=st.integers(0, 3),
    gather_cycles_per_row=st.integers(0, 3),
    element_bytes=st.sampled_from([1, 2]),
    map_read_bytes=st.integers(0, 2),
    map_write_bytes=st.integers(0, 2),
    read_cycles_numerator=st.integers(0, 3),
    write_cycles_numerator=st.integers(0, 9),
    cycles_denominator=st.sampled_from([1, 4, 7, 16]),
)


@st.composite
def gemms(draw: st.DrawFn) -> tuple[list[int], list[list[int]], list[int], int]:
    rows = draw(st.lists(st.integers(1, 12), min_size=1, max_size=3))
    slices = draw(st.integers(1, 4))
    unique = [[draw(st.integers(0, one)) for _ in range(slices)] for one in rows]
    output_rows = [draw(st.integers(0, one)) for one in rows]
    return rows, unique, output_rows, draw(st.integers(1, 40))


def kernel(
    pipeline: Pipeline,
    rows: list[int],
    unique: list[list[int]],
    output_rows: list[int],
    outputs: int,
    is_shortened: bool,
) -> dict[str, int]:
    causes, _ = gemm_cycles(
        pipeline,
        np.array(rows, dtype=np.int32),
        np.array(unique, dtype=np.int32),
        np.array(output_rows, dtype=np.int32),
        outputs,
        is_shortened,
    )
    return {name: int(value) for name, value in zip(CAUSES, causes, strict=True)}


@settings(max_examples=600, deadline=None)
@given(PIPELINES, gemms())
def test_causes_equal_those_of_a_tick_by_tick_machine(
    pipeline: Pipeline, gemm: tuple[list[int], list[list[int]], list[int], int]
) -> None:
    assert kernel(pipeline, *gemm, is_shortened=False) == twin_cycles(pipeline, *gemm)


@settings(max_examples=400, deadline=None)
@given(PIPELINES, gemms(), st.integers(40, 400))
def test_skipping_repeated_tiles_changes_nothing(
    pipeline: Pipeline, gemm: tuple[list[int], list[list[int]], list[int], int], outputs: int
) -> None:
    rows, unique, output_rows, _ = gemm
    whole = kernel(pipeline, rows, unique, output_rows, outputs, is_shortened=False)
    assert kernel(pipeline, rows, unique, output_rows, outputs, is_shortened=True) == whole
