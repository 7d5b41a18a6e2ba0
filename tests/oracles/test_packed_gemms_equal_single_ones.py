"""Are GEMMs that are timed together, in few steps, timed as one by one, cause by cause?"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from focal_simulator.kernels.pipeline import Pipeline
from focal_simulator.kernels.steady import PackedGemms, packed_cycles
from oracles.test_pipeline_equals_its_twin import PIPELINES
from oracles.unskipped_twin import unskipped_cycles

Gemm = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, bool, np.ndarray]


@st.composite
def gemms(draw: st.DrawFn) -> Gemm:
    """Rows, unique, output rows, outputs and slices of each entry, whether entries are independent, and copies."""
    seed, entries = draw(st.integers(0, 2**32 - 1)), draw(st.integers(1, 3))
    most = draw(st.sampled_from([1, 3, 12, 40]))
    random = np.random.default_rng(seed)
    rows = random.integers(1, 60, entries).astype(np.int32)
    unique = (random.random((entries, most)) * (rows[:, None] + 1)).astype(np.int32)
    unique[random.random(unique.shape) < draw(st.sampled_from([0.0, 0.3, 0.95]))] = 0
    written = (random.random(entries) * (rows + 1)).astype(np.int32)
    is_independent = draw(st.booleans())
    outputs = random.integers(1, draw(st.sampled_from([12, 300])), entries)
    slices = random.integers(1, most + 1, entries)
    copies = random.integers(1, 4, entries)
    if not is_independent:
        outputs[:], slices[:], copies[:] = outputs[0], most, 1
    return rows, unique, written, outputs.astype(np.int64), slices.astype(np.int64), is_independent, copies


def packed(many: list[Gemm]) -> PackedGemms:
    first, offsets, lists = [0], [0], ([], [], [], [])
    live: list[np.ndarray] = []
    for rows, unique, written, outputs, slices, _, copies in many:
        for kept, values in zip(lists, (rows, written, outputs, copies), strict=True):
            kept += values.tolist()
        live += [line[:deep][line[:deep] > 0] for line, deep in zip(unique, slices, strict=True)]
        first.append(first[-1] + len(rows))
    offsets += np.cumsum([len(line) for line in live]).tolist()
    flat = np.concatenate(live)
    numbers = [first, [one[5] for one in many], *lists, flat, offsets]
    return PackedGemms(*(np.array(part, dtype=np.int64) for part in numbers))


def single(machine: Pipeline, gemm: Gemm) -> list[int]:
    rows, unique, written, outputs, slices, is_independent, copies = gemm
    if not is_independent:
        return unskipped_cycles(machine, rows, unique, written, int(outputs[0])).tolist()
    parts = [slice(entry, entry + 1) for entry in range(len(rows))]
    return sum(
        copies[at]
        * unskipped_cycles(machine, rows[at], unique[at, : slices[at][0]], written[at], int(outputs[at][0]))
        for at in parts
    ).tolist()


@settings(max_examples=400, deadline=None)
@given(PIPELINES, st.lists(gemms(), min_size=1, max_size=3))
def test_cycles_equal_those_of_the_twin_that_skips_nothing(machine: Pipeline, many: list[Gemm]) -> None:
    found = packed_cycles(machine, packed(many)).tolist()
    assert found == [single(machine, gemm) for gemm in many]


@settings(max_examples=150, deadline=None)
@given(PIPELINES, gemms(), st.integers(10, 60), st.integers(0, 400), st.integers(0, 900))
def test_long_rows_and_slow_channels(
    machine: Pipeline, gemm: Gemm, scale: int, read: int, write: int
) -> None:
    changed = machine._replace(read_cycles_numerator=read, write_cycles_numerator=write)
    rows, unique, written, outputs, slices, is_independent, copies = gemm
    long = (rows * scale, unique * scale, written * scale, outputs, slices, is_independent, copies)
    assert packed_cycles(changed, packed([long])).tolist() == [single(changed, long)]
