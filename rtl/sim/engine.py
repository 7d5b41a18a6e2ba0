"""The same case in the engine: fold by fold (`focal_simulator.engine.cycle.fold_events`), and its kernel's total."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np

from focal_simulator.accelerators.corrections import ALL
from focal_simulator.accelerators.focus.lowering import FocusArray, FocusRole
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.engine.cycle.fold_events import fold_events
from focal_simulator.engine.cycle.packed import batched_jobs
from focal_simulator.engine.cycle.simulate import cycle_context
from focal_simulator.hardware.specs import PRECISIONS, Precision
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
    "drain": (None, "drained"),
    "scatter": (None, "scattered"),
    "gather": (None, "gathered"),
}

_FOCUS = build_accelerator("focus")
_CONTEXT = cycle_context(_FOCUS, ALL)


def _stated(part: Any, **values: int) -> Any:
    """Return a part of a hardware file with other numbers, unchecked: tests are smaller than any chip."""
    fields = {name: getattr(part, name).model_copy(update={"value": value}) for name, value in values.items()}
    return part.model_copy(update=fields)


def machine_of(case: Case) -> Pipeline:
    """Return the engine's constants: the preset of Focus in the size, with the lanes and ports of a case.

    Latencies are those of the preset.
    """
    machine = case.machine
    row_bytes = machine.columns * machine.element_bytes
    port = -(-row_bytes // case.weight_row_cycles)
    assert -(-row_bytes // port) == case.weight_row_cycles  # noqa: S101
    sizes = {"array_rows": machine.rows, "array_columns": machine.columns}
    ports = {
        "weight_port": port,
        "concentrate_ports": case.read_ports,
        "output_ports": int(case.is_single_ported),
    }
    lanes = {"scatter_vectors": case.lanes} if case.lanes else {}
    # A case without means says 0, which is not the preset's.
    core = _stated(_FOCUS.hardware.core, **sizes, **ports, **lanes, group_mean=case.mean_cycles)
    dataflow = _FOCUS.hardware.dataflow.model_copy(update={"is_weight_wavefront": machine.is_wavefront})
    hardware = _FOCUS.hardware.model_copy(
        update={
            "core": core,
            "tiles": _stated(_FOCUS.hardware.tiles, n_tile=case.columns_per_buffer * machine.columns),
            "dataflow": dataflow,
            "precision": Precision(**PRECISIONS["fp16" if machine.is_float else "int8"]),
        }
    )
    role = FocusRole(is_gathered=case.has_gather, is_scattered=case.lanes > 0, has_maps=True)
    return (
        FocusArray.of(hardware, _CONTEXT)
        .units(role)
        .machine._replace(
            map_read_bytes=case.map_read_bytes,
            map_write_bytes=case.map_write_bytes,
            read_cycles_numerator=case.read_numerator,
            write_cycles_numerator=case.write_numerator,
            cycles_denominator=case.denominator,
        )
    )


def job_of(case: Case) -> GemmJob:
    """Return a case as a job of the engine."""
    unique = np.array(
        [[case.unique(t, k) for k in range(case.slices)] for t in range(case.tiles)], dtype=np.int32
    )
    rows, written = (np.array(one, dtype=np.int32) for one in (case.rows, case.output_rows))
    return GemmJob(0, "o_proj", "gemm", machine_of(case), rows, unique, written, case.outputs, 0, 0, 0)


def has_fields(case: Case) -> bool:
    """Return whether the engine has a field for all that the case asks of the RTL, so that both must be equal."""
    return case.lanes < 2 and not case.is_single_ported and case.latency == 0


def with_fields(case: Case) -> Case:
    """Return the case with the options for which the engine has fields, as `has_fields`."""
    return replace(case, lanes=min(case.lanes, 1), is_single_ported=False, latency=0)


def compare_with_engine(case: Case) -> Tally:
    """Compare the engine, event by event, and its kernel's total.

    With the RTL's own recurrences where it has a field for everything, else with those that know no maps. Gather finds
    as many vectors in every array column as are written, which is what the engine knows of them.
    """
    tally = Tally(cases=1)
    of = Latencies.of_rtl if has_fields(case) else Latencies.of_engine
    vectors = [[case.output_rows[tile]] * columns for tile, _, columns in case.groups]
    times = times_of(case, of(case.machine), vectors)
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
