"""Small studies that sweep tests share."""

from pathlib import Path
from typing import Any

from focal_simulator.sweep.run import SweepRequest, SweepResult, run_sweep
from focal_simulator.sweep.study import Study
from simulator_support import PUBLISHED_ROOT

__all__ = ["grid_study", "request_for", "run_study", "study_text"]

AXES: list[dict[str, Any]] = [
    {"field": "core.scatter_vectors", "values": [1, 2, 3, 4]},
    {"field": "tiles.n_tile", "values": [64, 96, 128]},
    {
        "name": "array",
        "choices": [
            {"label": "wide", "set": {"core.array_rows": 16, "core.array_columns": 64}},
            {"label": "square", "set": {"core.array_rows": 32, "core.array_columns": 32}},
        ],
    },
]


def grid_study(**changes: Any) -> Study:
    """24 points of Focus hardware on the smallest published video workload."""
    fields: dict[str, Any] = {
        "name": "small",
        "kind": "grid",
        "sram": "cacti",
        "workloads": ["llava_vid/mvbench"],
        "axes": AXES,
    }
    return Study.model_validate(fields | changes)


def request_for(study: Study, output: Path, trace: Path = PUBLISHED_ROOT, fork: bool = False) -> SweepRequest:
    return SweepRequest(study, Path(), trace, output, fork)


def run_study(study: Study, output: Path, **options: Any) -> SweepResult:
    return run_sweep(request_for(study, output), **options)


def study_text(**changes: Any) -> str:
    """The same study as a YAML file (JSON is YAML)."""
    return grid_study(**changes).model_dump_json(exclude_defaults=True)
