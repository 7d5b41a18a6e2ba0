"""Measures sweeps: points per second in one process and in two, and how near a search comes to a known front.

Run ``python benchmarks/sweep_points.py`` from the top folder of the repository; ``--points`` and ``--fidelity`` change
the size and the model level. The grid has six hardware axes on one video workload with a counts trace.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from focal_common.spreading.engines import ProcessEngine, SerialEngine
from focal_simulator.sweep.evaluate import Evaluator
from focal_simulator.sweep.pareto import hypervolume, losses, reference_point
from focal_simulator.sweep.rows import Row
from focal_simulator.sweep.run import SweepRequest, prepare, run_sweep
from focal_simulator.sweep.sampling import chosen_points, grid
from focal_simulator.sweep.search import search
from focal_simulator.sweep.study import Study, read_study

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "example_output" / "published"
AXES = [
    {"field": "core.scatter_vectors", "values": [1, 2, 3, 4, 5]},
    {"field": "core.gather_block", "range": {"start": 1, "stop": 8, "step": 1}},
    {"field": "tiles.n_tile", "range": {"start": 64, "stop": 256, "step": 32}},
    {"field": "tiles.k_tile", "values": [32, 64, 128, 256]},
    {"field": "components.systolic_array.power", "range": {"start": 200, "stop": 360, "step": 40}},
    {"field": "tiles.m_tile", "range": {"start": 256, "stop": 2432, "step": 128}},
]
WHOLE_TILES = {"field": "tiles.m_tile", "values": [1024, 2048, 3072]}
"""The m-tiles of fidelity ``cycle``: multiples of the recorded one, because similarity is not searched again."""


def machine() -> str:
    """Return processor, cores, load and versions."""
    model = platform.processor() or "unknown processor"
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    packages = [
        f"{name} {version(name)}" for name in ("numpy", "pydantic", "pyarrow", "optuna", "distributed")
    ]
    load = f"load {os.getloadavg()[0]:.1f} before"
    return (
        f"{model}, {os.cpu_count()} cores, {load}, Python {platform.python_version()}, {', '.join(packages)}"
    )


def large_study(fidelity: str) -> Study:
    """Return the study that is timed: 100,800 points, in fidelity ``cycle`` 16,800."""
    return Study.model_validate(
        {
            "name": "timed",
            "kind": "grid",
            "fidelity": fidelity,
            "sram": "cacti",
            "workloads": ["llava_vid/videomme"],
            "axes": [*AXES[:-1], WHOLE_TILES] if fidelity == "cycle" else AXES,
        }
    )


def evaluation_alone(fidelity: str, points: int) -> None:
    """Time warm evaluation of spread points in this process, by wall clock and by processor time."""
    study = large_study(fidelity)
    with tempfile.TemporaryDirectory() as folder:
        plan, _ = prepare(SweepRequest(study, ROOT, PUBLISHED, Path(folder) / "out"))
        evaluator = Evaluator(plan)
        everything = chosen_points(plan.space, grid(plan.space, study.sampling), False)
        chosen = everything[:: max(1, len(everything) // points)][:points]
        for point in chosen[:50]:
            evaluator.row(point)
        wall, cpu = time.perf_counter(), time.process_time()
        rows = [evaluator.row(point) for point in chosen]
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    simulated = sum(row["seconds"] is not None for row in rows)
    print(
        f"{fidelity}, evaluation alone, one process: {len(rows)} points ({simulated} simulated): "
        f"{len(rows) / wall:.0f} points/s of wall clock, {len(rows) / cpu:.0f} points/s of processor time"
    )


def whole_study(fidelity: str, jobs: int) -> None:
    """Time a whole study with its durable rows."""
    study = large_study(fidelity)
    with tempfile.TemporaryDirectory() as folder:
        request = SweepRequest(study, ROOT, PUBLISHED, Path(folder) / "out")
        result = run_sweep(request, ProcessEngine(jobs) if jobs > 1 else SerialEngine())
    print(
        f"{fidelity}, whole study, {jobs} processes: {len(result.rows)} points in {result.seconds:.1f} s = "
        f"{len(result.rows) / result.seconds:.0f} points/s, rows kept on disk"
    )


def search_against_grid() -> None:
    """Compare searches of 5 % of a grid with the whole grid."""
    study, _ = read_study("focus_hardware_grid")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        result = run_sweep(SweepRequest(study, ROOT, PUBLISHED, place / "grid"))
        known = {
            json.dumps(_settings(row, result.plan.space.base), sort_keys=True): row for row in result.rows
        }
        values = losses(result.feasible, study.objectives)
        corner = reference_point(values)
        whole = hypervolume(values, corner)
        for sampler in ("tpe", "nsga2", "random"):
            for seed in range(3):
                sampling = {"points": len(known) // 20, "batch": 15, "seed": seed, "sampler": sampler}
                searched = Study.model_validate(study.model_dump() | {"kind": "search", "sampling": sampling})
                plan, _ = prepare(SweepRequest(searched, ROOT, PUBLISHED, place / "search"))
                seen: dict[int, Row] = {}

                def look_up(
                    number: int, proposed: list[tuple[int, ...]], seen: dict[int, Row] = seen
                ) -> list[Row]:
                    settings = [result.plan.space.settings(one) for one in proposed]
                    rows = [known[json.dumps(one, sort_keys=True)] for one in settings]
                    seen.update({int(row["index"]): row for row in rows})
                    return rows

                search(plan, place, look_up)
                feasible = [row for row in seen.values() if row["status"] == "ok"]
                share = hypervolume(losses(feasible, study.objectives), corner) / whole
                print(
                    f"search, {sampler}, seed {seed}: {len(seen)} of {len(known)} points "
                    f"({len(seen) / len(known):.1%}): {share:.1%} of the grid's hypervolume"
                )


def _settings(row: Row, base: dict[str, object]) -> dict[str, object]:
    return {name: row[name] for name in base}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=3000)
    parser.add_argument("--fidelity", default="parity")
    parser.add_argument("--whole", action="store_true", help="also run the whole study, with 2 processes")
    arguments = parser.parse_args()
    print(machine())
    evaluation_alone(arguments.fidelity, arguments.points)
    if arguments.whole:
        whole_study(arguments.fidelity, 2)
    search_against_grid()
