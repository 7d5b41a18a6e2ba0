"""Do the recorded busy intervals add up to what the kernel counted, and are they drawable?"""

from __future__ import annotations

import gzip
import itertools
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from focal_common.errors import ConfigError
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.engine.cycle.fold_events import UNITS, UnitEvent, fold_events
from focal_simulator.engine.cycle.simulate import CycleResult, simulate_cycles
from focal_simulator.jobs.jobs import GemmJob
from focal_simulator.kernels.pipeline import CAUSES, Pipeline
from focal_simulator.results.timeline import timeline, write_timeline
from simulator_support import gemm_cycles, small_workload

BASE = Pipeline(
    slice_elements=4,
    array_columns=4,
    skew_cycles=5,
    output_latency_cycles=0,
    scatter_latency_cycles=0,
    row_lanes=1,
    cycles_per_pass=1,
    columns_per_buffer=2,
    weight_load_cycles=4,
    key_load_cycles=4,
    weight_lead_cycles=4,
    is_weight_double_buffered=0,
    is_weight_wavefront=0,
    scatter_rows_per_cycle=2,
    concentrate_reads_per_cycle=0,
    accumulate_cycles=1,
    gather_cycles_per_row=3,
    mean_cycles_per_vector=2,
    input_bits=16,
    weight_bits=16,
    output_bits=16,
    sum_bits=16,
    score_bits=16,
    map_read_bytes=2,
    map_write_bytes=1,
    read_cycles_numerator=3,
    write_cycles_numerator=5,
    cycles_denominator=4,
)


def job(machine: Pipeline, seed: int) -> GemmJob:
    random = np.random.default_rng(seed)
    rows = random.integers(1, 30, 3).astype(np.int32)
    unique = random.integers(0, rows[:, None] + 1, (3, 5)).astype(np.int32)
    return GemmJob(
        0, "o_proj", "gemm", machine, rows, unique, rows // 2, int(random.integers(1, 60)), 0, 0, 0
    )


def by_unit(events: list[UnitEvent]) -> dict[str, list[UnitEvent]]:
    found = defaultdict(list)
    for event in events:
        found[event.unit].append(event)
    return found


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize(
    "machine",
    [BASE, BASE._replace(is_weight_double_buffered=1), BASE._replace(scatter_rows_per_cycle=0, row_lanes=3)],
)
def test_events_end_when_the_kernel_ends_and_stream_as_long(machine: Pipeline, seed: int) -> None:
    one = job(machine, seed)
    causes = gemm_cycles(machine, one.rows, one.unique, one.output_rows, one.outputs)
    events = list(fold_events(one))
    assert max((event.stop_cycles for event in events), default=0) == causes.sum()
    tracks = by_unit(events)
    assert sum(event.stop_cycles - event.start_cycles for event in tracks["array"]) == causes[0]
    for unit, track in tracks.items():
        for before, after in itertools.pairwise(track):
            assert before.stop_cycles <= after.start_cycles, unit


def small_run() -> CycleResult:
    return simulate_cycles(build_accelerator("focus"), small_workload(tokens=2048), "compiler")


def nanoseconds(microseconds: float) -> int:
    return round(microseconds * 1000)


def slices(trace: dict[str, Any]) -> dict[tuple[int, int], list[dict[str, Any]]]:
    tracks = defaultdict(list)
    for event in trace["traceEvents"]:
        if event["ph"] == "X":
            tracks[event["pid"], event["tid"]].append(event)
    return tracks


def test_a_timeline_is_strictly_nested_and_holds_the_whole_run(tmp_path: Path) -> None:
    result = small_run()
    trace = timeline(result, 5e8, "3.o_proj", 20_000)
    write_timeline(tmp_path / "one.json.gz", trace)
    write_timeline(tmp_path / "two.json.gz", timeline(result, 5e8, "3.o_proj", 20_000))
    assert (tmp_path / "one.json.gz").read_bytes() == (tmp_path / "two.json.gz").read_bytes()
    assert json.loads(gzip.decompress((tmp_path / "one.json.gz").read_bytes())) == trace
    tracks = slices(trace)
    assert len(tracks) > 4
    for events in tracks.values():
        open_until: list[int] = []
        for event in events:
            while open_until and open_until[-1] <= nanoseconds(event["ts"]):
                open_until.pop()
            stop = nanoseconds(event["ts"]) + nanoseconds(event["dur"])
            assert not open_until or stop <= open_until[-1]
            open_until.append(stop)
    gemms = [event for event in tracks[1, 1] if not event["name"].startswith("block")]
    assert sum(event["dur"] for event in gemms) == pytest.approx(result.seconds * 1e6)
    counted = sum(sum(event["args"].values()) for event in gemms)
    assert counted == result.total_cycles
    assert {event["tid"] for event in trace["traceEvents"] if event["pid"] == 2} <= set(range(len(UNITS) + 5))
    window = [event for key, events in tracks.items() if key[0] == 2 for event in events]
    start = min(event["ts"] for event in window)
    assert max(event["ts"] + event["dur"] for event in window) - start <= 20_000 / 5e8 * 1e6 + 1e-6


def test_bad_windows_and_layers_are_one_sentence() -> None:
    result = small_run()
    with pytest.raises(ConfigError, match=r"no layer '3.o_prj'.*3.o_proj"):
        timeline(result, 5e8, "3.o_prj")
    with pytest.raises(ConfigError, match="expected at least 1"):
        timeline(result, 5e8, "", 0)
    assert len(CAUSES) == 7
