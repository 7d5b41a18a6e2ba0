"""Are jobs on several arrays cut, timed and counted as a plain search over all cuts does it, part by part?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from focal_simulator.engine.cycle.packed import GroupCounts, batched_jobs
from focal_simulator.engine.cycle.shared import SharedCounts
from focal_simulator.jobs.jobs import CAUSES, GemmJob
from focal_simulator.jobs.systolic import SystolicUnits
from focal_simulator.kernels.pipeline import CAUSES as GEMM_CAUSES
from focal_simulator.kernels.pipeline import Pipeline
from oracles.test_packed_gemms_equal_single_ones import Gemm, gemms, single
from oracles.test_pipeline_equals_its_twin import PIPELINES

BESIDE = st.dictionaries(st.sampled_from(["sfu", "sec", "preprocess"]), st.integers(1, 40_000), max_size=2)
Part = Gemm

SERIAL = Pipeline(
    **dict.fromkeys(Pipeline._fields, 0)
    | {
        "slice_elements": 4,
        "array_columns": 4,
        "skew_cycles": 5,
        "weight_load_cycles": 4,
        "weight_lead_cycles": 4,
    }
    | {"row_lanes": 1, "cycles_per_pass": 1, "columns_per_buffer": 2, "accumulate_cycles": 1}
    | {"input_bits": 16, "weight_bits": 16, "output_bits": 16, "sum_bits": 16, "cycles_denominator": 1}
)
"""4 x 4, infinite bandwidth: a fold takes its rows, 5 cycles of skew and 4 of weights."""


def job(machine: Pipeline, gemm: Gemm, copies: int, divisor: int, beside: dict[str, int]) -> GemmJob:
    rows, unique, written, outputs, slices, is_independent, times = gemm
    return GemmJob(
        0, "o_proj", "gemm", machine, rows, unique, written, int(outputs.max()), 0, 0, 0,
        tile_outputs=outputs if is_independent else None,
        tile_slices=slices if is_independent else None,
        tile_copies=times if is_independent else None,
        copies=copies,
        copies_divisor=divisor,
        parallel_cycles=beside,
    )  # fmt: skip


def parts_of(gemm: Gemm, copies: int, width: int, arrays: int) -> list[tuple[str, list[tuple[Part, int]]]]:
    """Every cut for so many arrays: its name, and a part with its number of copies for each array that has one."""
    rows, unique, written, outputs, slices, is_independent, times = gemm

    def entries(dealt: list[int]) -> Part:
        places = sorted(set(dealt))
        kept = (one[places] for one in (rows, unique, written, outputs, slices))
        return *kept, is_independent, np.array([dealt.count(place) for place in places])  # type: ignore[return-value]

    works = [
        int(line[:deep].sum()) * int(wide) for line, deep, wide in zip(unique, slices, outputs, strict=True)
    ]
    places = [place for place in range(len(rows)) for _ in range(times[place])]
    if is_independent:
        places.sort(key=lambda place: -works[place])
    most = -(-len(places) // arrays)
    busy = -(-len(places) // most)
    dealt = [
        places[turn::busy] if is_independent else places[turn * most : (turn + 1) * most]
        for turn in range(busy)
    ]
    tiles = [(entries(held), copies) for held in dealt]

    most = -(-copies // arrays)
    heads = [(gemm, min(most, copies - start)) for start in range(0, copies, most)]

    columns = [-(-int(wide) // width) for wide in outputs]
    shares = [-(-number // arrays) for number in columns]
    busy = max(-(-number // share) for number, share in zip(columns, shares, strict=True))
    wide = []
    for turn in range(busy):
        left = [
            max(0, min(int(one) - turn * share * width, share * width))
            for one, share in zip(outputs, shares, strict=True)
        ]
        part = rows, unique, written, np.array(left), slices, is_independent, times
        wide.append((part, copies))
    return [("m-tiles", tiles), ("heads", heads), ("columns", wide)]


def cycles_of(machine: Pipeline, part: Part, copies: int, divisor: int) -> np.ndarray:
    rows, unique, written, outputs, slices, is_independent, times = part
    kept = outputs > 0
    if not kept.any():
        return np.zeros(len(GEMM_CAUSES), dtype=np.int64)
    assert kept.all() or is_independent
    held = rows[kept], unique[kept], written[kept], outputs[kept], slices[kept], is_independent, times[kept]
    return np.array(single(machine, held)) * copies // divisor


def searched(
    machine: Pipeline, gemm: Gemm, copies: int, divisor: int, beside: dict[str, int], arrays: int
) -> tuple[str, int, list[int], list[tuple[Part, int]]]:
    """The best cut, arrays with a part, cycles by cause, and the parts."""
    sizes, power = [], 2
    while power < arrays:
        sizes.append(power)
        power *= 2
    found = [("one array", [(gemm, copies)])]
    for size in [*sizes, arrays]:
        found += [one for one in parts_of(gemm, copies, machine.array_columns, size) if len(one[1]) > 1]
    best = None
    for name, parts in found:
        busy = len(parts)
        slow = machine._replace(
            read_cycles_numerator=machine.read_cycles_numerator * busy,
            write_cycles_numerator=machine.write_cycles_numerator * busy,
        )
        timed = [cycles_of(slow, part, number, divisor) for part, number in parts]
        causes = np.zeros(len(CAUSES), dtype=np.int64)
        # Of columns, the first part has the widest tiles.
        causes[: len(GEMM_CAUSES)] = timed[0] if name == "columns" else max(timed, key=lambda one: one.sum())
        shares = {unit: took if unit == "sec" else -(-took // busy) for unit, took in beside.items()}
        if shares:
            longest, unit = max((took, unit) for unit, took in shares.items())
            causes[CAUSES.index(unit)] += max(0, longest - causes.sum())
        if best is None or causes.sum() < sum(best[2]):
            best = name, busy, causes.tolist(), parts
    assert best is not None
    return best


@settings(max_examples=250, deadline=None)
@given(
    PIPELINES, st.lists(gemms(), min_size=1, max_size=2), st.integers(1, 9), st.integers(2, 12),
    st.sampled_from([1, 1, 2]), BESIDE,
)  # fmt: skip
def test_cut_cycles_and_bytes_are_those_of_the_twin(
    machine: Pipeline, many: list[Gemm], copies: int, arrays: int, divisor: int, beside: dict[str, int]
) -> None:
    (group,) = batched_jobs([job(machine, one, copies, divisor, beside) for one in many]).groups
    shared, units = SharedCounts(group, SystolicUnits(machine), arrays), SystolicUnits(machine)
    whole = GroupCounts(group, units)
    for place, (placed, gemm) in enumerate(zip(shared.placed(), many, strict=True)):
        name, busy, causes, parts = searched(machine, gemm, copies, divisor, beside, arrays)
        if sum(single(machine, gemm)) == 0:
            continue
        assert shared.causes[place].tolist() == causes
        # Where every cut idles equally long beside a sorter, the engine names the first; so does the twin.
        assert (placed.cut, placed.arrays) == (name, busy)
        if divisor == 1 and name == "columns":
            jobs = [
                job(machine, (*part[:3], np.maximum(part[3], 1), *part[4:]), number, 1, {})
                for part, number in parts
            ]
            pieces = [GroupCounts(batched_jobs([one]).groups[0], units) for one in jobs]
            if all((part[3] > 0).all() for part, _ in parts):
                for key, value in shared.traffic.items():
                    found = sum(int(piece.traffic.get(key, np.zeros(1))[0]) for piece in pieces)
                    # Operands of less than a byte: each piece rounds its sums up.
                    assert 0 <= found - value[place] <= 2 * len(pieces)
        elif name != "columns":
            assert {key: value[place] for key, value in shared.traffic.items()} == {
                key: value[place] for key, value in whole.traffic.items()
            }


@settings(max_examples=250, deadline=None)
@given(PIPELINES, gemms(), st.integers(1, 9), st.integers(2, 64))
def test_several_arrays_are_never_slower_than_one_nor_stream_faster_than_their_number_times_it(
    machine: Pipeline, gemm: Gemm, copies: int, arrays: int
) -> None:
    (group,) = batched_jobs([job(machine, gemm, copies, 1, {})]).groups
    units = SystolicUnits(machine)
    one = GroupCounts(group, units).total_causes
    taken = [int(SharedCounts(group, units, number).total_causes.sum()) for number in (arrays, 2 * arrays)]
    assert one[0] / arrays <= taken[0] <= one.sum()
    assert one[0] / (2 * arrays) <= taken[1]
    if arrays & (arrays - 1) == 0:
        assert taken[1] <= taken[0]


@settings(max_examples=250, deadline=None)
@given(PIPELINES, gemms(), st.integers(1, 9), st.integers(2, 64))
def test_of_equal_slices_they_are_never_faster_than_their_number_times_one(
    machine: Pipeline, gemm: Gemm, copies: int, arrays: int
) -> None:
    """Of slices that stream unequally long, a part can wait less for its scatter, because short ones follow long."""
    rows, unique, written, outputs, slices, is_independent, times = gemm
    equal = (
        rows,
        np.repeat(rows[:, None], unique.shape[1], axis=1),
        written,
        outputs,
        slices,
        is_independent,
        times,
    )
    (group,) = batched_jobs([job(machine, equal, copies, 1, {})]).groups
    units = SystolicUnits(machine)
    one = int(GroupCounts(group, units).total_causes.sum())
    assert one / arrays <= int(SharedCounts(group, units, arrays).total_causes.sum()) <= one


@pytest.mark.parametrize("arrays", [2, 4, 8])
def test_tiles_that_share_nothing_are_done_in_a_share_of_the_time(arrays: int) -> None:
    """Closed form: 8 equal tiles of causal attention, each a GEMM of its own, infinite bandwidth."""
    rows = np.full(8, 10, dtype=np.int32)
    gemm = rows, np.repeat(rows[:, None], 3, axis=1), rows, np.full(8, 12), np.full(8, 3), True, np.full(8, 1)
    (group,) = batched_jobs([job(SERIAL, gemm, 1, 1, {})]).groups
    folds, period = 3 * 3, 10 + 5 + 4
    counts = SharedCounts(group, SystolicUnits(SERIAL), arrays)
    assert counts.total_causes.sum() == 8 // arrays * folds * period
    # All arrays together stream what one would: energy follows work.
    assert counts.busy_cycles["array"] == 8 * folds * 10


def test_tiles_of_causal_attention_are_dealt_out_in_turn() -> None:
    """Six m-tiles of 1 to 6 array columns on three arrays: the first gets the sixth and the third, 9 columns of 21."""
    rows = np.full(6, 10, dtype=np.int32)
    gemm = rows, rows[:, None], rows, np.arange(1, 7) * 4, np.full(6, 1), True, np.ones(6, dtype=np.int64)
    (group,) = batched_jobs([job(SERIAL, gemm, 1, 1, {})]).groups
    counts = SharedCounts(group, SystolicUnits(SERIAL), 3)
    assert (counts.placed()[0].cut, counts.total_causes.sum()) == ("m-tiles", 9 * (10 + 5 + 4))
