"""The same case in the engine: fold by fold (`focal_simulator.engine.cycle.fold_events`), and its kernel's total."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from focal_simulator.engine.cycle.fold_events import fold_events
from focal_simulator.engine.cycle.packed import batched_jobs
from focal_simulator.jobs.jobs import GemmJob
from focal_simulator.kernels.pipeline import Pipeline
from focal_simulator.kernels.steady import packed_cycles
from sim.cases import Case
from sim.core import Tally
from sim.latencies import Latencies
from sim.maxplus import times_of

_UNITS = {
    "DRAM read": ("fetch_start", "fetch_arrives"),
    "DRAM write": ("write_start", "written"),
    "weight load": ("load_start", "load_end"),
    "array": ("stream_start", "stream_end"),
    "scatter": (None, "scattered"),
    "gather": (None, "gathered"),
}


def job_of(case: Case) -> GemmJob:
    """Return a case as a job of the engine."""
    machine = case.machine
    pipeline = Pipeline(
        slice_elements=machine.rows,
        array_columns=machine.columns,
        skew_cycles=machine.rows + machine.columns - 3,
        row_lanes=1,
        cycles_per_pass=1,
        columns_per_buffer=case.columns_per_buffer,
        weight_load_cycles=machine.rows * case.weight_row_cycles,
        is_weight_double_buffered=int(machine.is_wavefront),
        scatter_rows_per_cycle=case.lanes,
        gather_cycles_per_row=8 if case.has_gather else 0,
        element_bytes=machine.element_bytes,
        map_read_bytes=case.map_read_bytes,
        map_write_bytes=case.map_write_bytes,
        read_cycles_numerator=case.read_numerator,
        write_cycles_numerator=case.write_numerator,
        cycles_denominator=case.denominator,
    )
    unique = np.array(
        [[case.unique(t, k) for k in range(case.slices)] for t in range(case.tiles)], dtype=np.int32
    )
    rows, written = (np.array(one, dtype=np.int32) for one in (case.rows, case.output_rows))
    return GemmJob(0, "o_proj", "gemm", pipeline, rows, unique, written, case.outputs, 0, 0, 0)


def compare_with_engine(case: Case) -> Tally:
    """Compare the recurrences at the engine's latencies with the engine: every event, and the kernel's total."""
    tally = Tally(cases=1)
    times = times_of(case, Latencies.of_engine(case.machine))
    job = job_of(case)
    found: dict[str, list[int]] = defaultdict(list)
    for event in fold_events(job):
        for kind, cycle in zip(
            _UNITS.get(event.unit, ()), (event.start_cycles, event.stop_cycles), strict=False
        ):
            if kind:
                found[kind].append(cycle)
    for kind in found:
        tally.events += len(found[kind])
        if found[kind] != times[kind]:
            place = next(
                (i for i, (x, y) in enumerate(zip(found[kind], times[kind], strict=False)) if x != y), -1
            )
            tally.differences.append(
                f"{case.name}: {kind} {place} in cycle {found[kind][place]} of the engine, "
                f"{times[kind][place]} of the recurrences"
            )
    last = max(max(times["written"]), times["drained"][-1])
    total = int(packed_cycles(job.machine, batched_jobs([job]).groups[0].gemms)[0].sum())
    tally.cycles = total
    if total != last:
        tally.differences.append(
            f"{case.name}: {total} cycles by the engine's kernel, {last} by the recurrences"
        )
    return tally
