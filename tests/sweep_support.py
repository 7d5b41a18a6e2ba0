"""Small studies that sweep tests share."""

from pathlib import Path
from typing import Any

from focal_simulator.sweep.providers import TRACE_PROVIDERS
from focal_simulator.sweep.run import SweepRequest, SweepResult, run_sweep
from focal_simulator.sweep.study import Study
from simulator_support import PUBLISHED_ROOT

__all__ = ["grid_study", "measured_study", "request_for", "run_study", "study_text", "with_stand_in"]

AXES: list[dict[str, Any]] = [
    {"field": "core.scatter_vectors", "values": [1, 2, 3, 4]},
    {"field": "tiles.n_tile", "values": [64, 96, 128]},
    {
        "name": "array",
        "choices": [
            {"label": "wide", "set": {"core.array_rows": 16, "core.array_columns": 40}},
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
    return SweepRequest(study, Path(), trace, output, fork, allow_command=True)


def run_study(study: Study, output: Path, **options: Any) -> SweepResult:
    return run_sweep(request_for(study, output), **options)


def study_text(**changes: Any) -> str:
    """The same study as a YAML file (JSON is YAML)."""
    return grid_study(**changes).model_dump_json(exclude_defaults=True)


TRACE_PROVIDERS.add("stand_in", "measured_stand_in:StandIn")


def with_stand_in(study: Study, *words: str) -> Study:
    """The same study, measured by a stand-in instead of a model."""
    changes = {"provider": "stand_in", "options": {"arguments": list(words)}}
    traces = study.traces.model_copy(update=changes)
    return study.model_copy(update={"traces": traces})


def measured_study(*words: str, **changes: Any) -> Study:
    """Two schedules and two thresholds on two designs of Focus, measured by a stand-in instead of a model."""
    schedules = {"early": ([0, 2], [0.4, 0.2]), "none": ([], [])}
    choices = [
        {"label": label, "set": {"method.selected_layers": layers, "method.alpha_list": alphas}}
        for label, (layers, alphas) in schedules.items()
    ]
    fields: dict[str, Any] = {
        "name": "measured",
        "kind": "grid",
        "sram": "cacti",
        "axes": [
            {"field": "core.scatter_vectors", "values": [1, 2]},
            {"name": "schedule", "choices": choices},
            {"field": "method.similarity_threshold", "values": [0.8, 1.0]},
        ],
        "objectives": [{"metric": "accuracy", "goal": "maximize"}, {"metric": "edp_mj_s"}],
        "traces": {"provider": "stand_in"},
    }
    return with_stand_in(Study.model_validate(fields | changes), *words)
