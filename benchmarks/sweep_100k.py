"""How fast the packaged study ``focus_cycle_100k`` is: 110,592 points in fidelity cycle, rows kept on disk.

Run ``python benchmarks/sweep_100k.py`` from the top folder of the repository. ``--small`` keeps 4,608 of the points.
Prints points per second of wall clock and of processor time, the ratio to single runs, the rates by what an axis
changes, and whether rows picked at random equal single runs, bit for bit. Times are measured; the counts of the trace
are synthetic, calibrated.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from sweep_points import PUBLISHED, ROOT, machine

from focal_common.spreading.engines import ProcessEngine, SerialEngine
from focal_evaluation.exhibits.sweep import draw_all
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.engine.cycle.level import CycleFidelity
from focal_simulator.sweep.evaluate import Evaluator
from focal_simulator.sweep.metrics import run_metrics
from focal_simulator.sweep.plan import Plan, hardware_settings
from focal_simulator.sweep.run import SweepRequest, SweepResult, prepare, run_sweep
from focal_simulator.sweep.sampling import chosen_points, grid
from focal_simulator.sweep.study import Study, read_study
from focal_simulator.sweep.summary import write_files
from focal_simulator.workload.loading import load_workloads
from focal_traces.root.root import TraceRoot

KEPT = {"array": 1, "tiles.n_tile": 3, "clock": 1}
"""Values that ``--small`` keeps of an axis."""

_MOST_OF_A_SORT = 200

SORTS = {
    "no cycle changes": ("tiles.k_tile",),
    "cycles change, tiles do not": (
        "tiles.n_tile",
        "clock",
        "dram_system",
        "weights",
        "core.scatter_vectors",
        "gather_lanes",
    ),
    "tiles change": ("array",),
}


def study(is_small: bool) -> Study:
    """Return the packaged study, or a corner of it."""
    found, _ = read_study("focus_cycle_100k")
    if not is_small:
        return found
    tree = found.model_dump(exclude_none=True)
    for axis in tree["axes"]:
        name = axis.get("field") or axis.get("name")
        if name in KEPT:
            key = "values" if "values" in axis else "choices"
            axis[key] = axis[key][: KEPT[name]]
    return Study.model_validate(tree)


def processor_seconds() -> float:
    """Return the processor time of this process and of the ended ones that it started."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in both)


def whole(found: Study, folder: Path, jobs: int) -> SweepResult:
    """Time the study with its durable rows, then its figures."""
    cpu = processor_seconds()
    engine = ProcessEngine(jobs) if jobs > 1 else SerialEngine()
    result = run_sweep(SweepRequest(found, ROOT, PUBLISHED, folder), engine)
    cpu, points = processor_seconds() - cpu, len(result.rows)
    print(
        f"whole study, {jobs} processes: {points} points ({dict(result.counts)}) in {result.seconds:.1f} s = "
        f"{points / result.seconds:.0f} points/s; {cpu:.1f} s of processor time = {points / cpu:.0f} points/s a core"
    )
    start, cpu = time.perf_counter(), processor_seconds()
    paths = write_files(result, draw_all)
    sizes = [f"{path.name} {path.stat().st_size / 2**20:.1f} MiB" for path in paths]
    print(
        f"front ({len(result.front.rows)} points), summary and figures: {time.perf_counter() - start:.1f} s, "
        f"{processor_seconds() - cpu:.1f} s of processor time; "
        f"{', '.join(size for size in sizes if 'results' in size or 'explore' in size)}"
    )
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(f"most memory of a process: {peak / 1024:.0f} MiB")
    return result


def against_single_runs(result: SweepResult, samples: int) -> None:
    """Simulate some of the points by themselves; compare times and every number."""
    plan, fidelity = result.plan, CycleFidelity()
    workload = load_workloads(TraceRoot.open(PUBLISHED), ["llava_vid"], ["mvbench"])[0]
    rows = random.Random(0).sample(result.feasible, samples)
    cpu, equal = time.process_time(), 0
    for row in rows:
        accelerator = build_accelerator("focus", None, overrides(plan, row))
        one = fidelity.simulate(accelerator, workload, "cacti")
        numbers = run_metrics(one) | {f"{name}_cycles": float(value) for name, value in one.causes.items()}
        equal += all(row[name] == value for name, value in numbers.items())
    each = (time.process_time() - cpu) / samples
    print(
        f"single runs: {1 / each:.1f} points/s of processor time; {equal} of {samples} rows equal them bit for bit"
    )


def overrides(plan: Plan, row: dict[str, Any]) -> list[str]:
    """Return the settings of a row as ``--set`` takes them."""
    base = plan.space.base
    values = {name: json.loads(row[name]) if isinstance(base[name], bool) else row[name] for name in base}
    return [f"{name}={json.dumps(value)}" for name, value in hardware_settings(values, base).items()]


def rates_by_sort(found: Study) -> None:
    """Time points that differ from the base only in axes of one sort; the base is known.

    All are evaluated once before, so that what a process remembers of DRAM and SRAM models is there.
    """
    for sort, names in SORTS.items():
        axes = [axis for axis in found.axes if axis.label in names]
        part = found.model_copy(update={"axes": tuple(axes), "kind": "grid"})
        with tempfile.TemporaryDirectory() as folder:
            plan, _ = prepare(SweepRequest(part, ROOT, PUBLISHED, Path(folder) / "out"))
            points = chosen_points(plan.space, grid(plan.space, part.sampling), True)[:_MOST_OF_A_SORT]
            warm, evaluator = Evaluator(plan), Evaluator(plan)
            for point in points:
                warm.row(point)
            # Each value is checked once in a study; of a few points that would be most of the time.
            evaluator._hardware = warm._hardware
            evaluator.row(points[0])
            cpu = time.process_time()
            for point in points[1:]:
                evaluator.row(point)
            each = (time.process_time() - cpu) / (len(points) - 1)
        print(f"{sort} ({', '.join(names)}): {1 / each:.0f} points/s a core")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="4,608 of the points")
    parser.add_argument("-j", "--jobs", type=int, default=2)
    arguments = parser.parse_args()
    print(machine())
    chosen = study(arguments.small)
    rates_by_sort(chosen if not arguments.small else study(False))
    with tempfile.TemporaryDirectory() as place:
        finished = whole(chosen, Path(place) / "out", arguments.jobs)
        against_single_runs(finished, 20)
