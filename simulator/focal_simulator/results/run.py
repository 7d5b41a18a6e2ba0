"""What one call of ``focal sim`` does, from a request to printed tables and written paths."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from focal_common.errors import ConfigError
from focal_simulator.accelerators.base import Accelerator
from focal_simulator.accelerators.precision import precision_remarks
from focal_simulator.engine.cycle.simulate import CycleResult
from focal_simulator.results.exports import check_export, export_run
from focal_simulator.results.output import write_outcome
from focal_simulator.results.ratios import DENSE
from focal_simulator.results.request import Report, Request
from focal_simulator.results.rows import Row
from focal_simulator.results.runner import Outcome, Settings, run_all
from focal_simulator.results.tables import gemm_sparsity_table, result_table
from focal_simulator.results.whole_model import inference_rows, inference_table
from focal_simulator.workload.loading import load_workloads
from focal_traces.root.root import MAIN_FOLDER, TraceRoot

_MOST_BATCH = 1 << 16


def run_request(request: Request) -> Report:
    """Run one request.

    Raises:
        FocalError: One sentence; earlier results are untouched.
    """
    for kind, _ in request.exports:
        check_export(kind, request.export_layer)
    settings = Settings(
        accelerators=request.accelerators,
        fidelity=request.fidelity,
        corrections=request.corrections,
        sram=request.sram,
        hardware=request.hardware,
        overrides=request.overrides,
        precision=request.precision,
    )
    if request.corrections != "all" and request.fidelity != "cycle":
        raise ConfigError(
            f"corrections need fidelity cycle, got {request.fidelity}", about=("corrections", "fidelity")
        )
    if request.timeline_layer and request.timeline is None:
        raise ConfigError("a layer of the timeline needs a timeline", about=("timeline_layer", "timeline"))
    if request.given is not None:
        _check_given(request)
        outcome = run_all(settings, [request.given])
        order = {(request.given.model, request.given.dataset): 0}
    elif request.trace is not None:
        root = TraceRoot.open(request.trace)
        if request.tile_lengths:
            from focal_simulator.results.tile_lengths import run_tile_lengths

            return run_tile_lengths(request, root)
        chosen = (request.models, request.datasets, request.variant)
        outcome = run_root(settings, root, *chosen, batch=request.batch)
        order = workload_order(root)
    else:
        raise ConfigError(
            "nothing to simulate; expected a trace, or a list of GEMMs", about=("trace", "gemms")
        )
    _check_single(request, outcome)
    phases: list[Row] = []
    whole = None
    if request.whole_model:
        # Before anything is written: a shape that is missing is refused here.
        asked = (settings, request.model_shape, request.generated_tokens)
        phases = dense = inference_rows(outcome, outcome.runs, *asked)
        if DENSE not in outcome.accelerators:
            dense = inference_rows(outcome, list(outcome.dense.values()), *asked)
        whole = inference_table(phases, dense, outcome.basis)
    # First, because a run may have no such view; then nothing is written.
    views = _write_views(request, outcome)
    paths = write_outcome(
        request.output, outcome, order, request.sram, request.draw, request.published_layout, phases
    )
    report = _report(outcome, [*paths, *views])
    if whole is not None:
        report.tables.append(whole)
    return report


def _check_given(request: Request) -> None:
    """Refuse settings that choose among traces, or need one."""
    asked = (
        ("trace", request.trace),
        ("model", request.models),
        ("dataset", request.datasets),
        ("tile_lengths", request.tile_lengths),
        ("whole_model", request.whole_model),
        ("published_layout", request.published_layout),
    )
    for name, value in asked:
        if value:
            both = (name, "gemms")
            raise ConfigError(
                f"a list of GEMMs stands in place of a trace; {name} does not go with it", about=both
            )


def run_root(
    settings: Settings,
    root: TraceRoot,
    models: Sequence[str] = (),
    datasets: Sequence[str] = (),
    variant: str = MAIN_FOLDER,
    own: Mapping[str, Accelerator[Any]] | None = None,
    changed: Collection[str] = (),
    batch: int = 1,
) -> Outcome:
    """Simulate the workloads of a trace root; nothing is written.

    Args:
        settings: What to run on.
        root: Folder, lone trace file, or trace in memory.
        models: Names to keep; empty keeps all.
        datasets: Names to keep; empty keeps all.
        variant: Trace folder whose counts are used.
        own: See `run_all`.
        changed: See `run_all`.
        batch: Prompts side by side, each with the counts of the trace.

    Raises:
        FocalError: See `load_workloads` and `run_all`.
    """
    if not 1 <= batch <= _MOST_BATCH:
        raise ConfigError(f"batch is {batch}, expected 1 to {_MOST_BATCH}", about=("batch",))
    loaded = load_workloads(root, list(models), list(datasets), variant)
    workloads = [replace(workload, batch=batch) for workload in loaded]
    outcome = run_all(settings, workloads, own, changed)
    assumed = [
        workload.label
        for workload in workloads
        if workload.recorded_m_tile is None
        and root.folder_with_trace(workload.model, workload.dataset) is None
    ]
    if assumed:
        outcome.remarks.append(
            f"no trace in {variant}/ of {', '.join(assumed)}: the decoder is taken to be Qwen2-7B, as published"
        )
    if batch > 1:
        outcome.remarks.append(f"{batch} prompts side by side, each with the tokens and vectors of its trace")
    outcome.remarks += precision_remarks(workloads, settings.precision)
    return outcome


def workload_order(root: TraceRoot) -> dict[tuple[str, str], int]:
    """Return the place of each (model, dataset) in a trace root, by which result rows are ordered."""
    return {pair: place for place, pair in enumerate(root.workloads)}


def _check_single(request: Request, outcome: Outcome) -> None:
    """Refuse a view of one run where there are several."""
    asked = (
        *(["a timeline"] if request.timeline else []),
        *(f"export {kind}" for kind, _ in request.exports),
    )
    if asked and len(outcome.runs) != 1:
        raise ConfigError(
            f"{asked[0]} shows one run, got {len(outcome.runs)}; choose accelerator, model and dataset",
            about=("timeline", "export", "accelerator", "model", "dataset"),
        )


def _write_views(request: Request, outcome: Outcome) -> list[Path]:
    """Write what shows a single run, and return the paths."""
    paths = []
    if request.timeline is not None:
        paths.append(_draw_timeline(request, request.timeline, outcome))
    for kind, path in request.exports:
        export_run(kind, path, outcome.runs, outcome.fidelity, request.export_layer)
        paths.append(path)
    return paths


def _draw_timeline(request: Request, path: Path, outcome: Outcome) -> Path:
    from focal_simulator.results.timeline import timeline, write_timeline

    result = outcome.runs[0].result
    if not isinstance(result, CycleResult):
        raise ConfigError(
            f"a timeline needs fidelity cycle, got {request.fidelity}", about=("timeline", "fidelity")
        )
    hardware = outcome.runs[0].accelerator.hardware
    window = (request.timeline_layer, request.timeline_cycles)
    write_timeline(path, timeline(result, hardware.clock.value, *window, hardware.arrays.value))
    return path


def _report(outcome: Outcome, paths: list[Path]) -> Report:
    report = Report(
        rows=[dict(run.row) for run in outcome.runs], notes=[*outcome.skipped, *outcome.remarks], paths=paths
    )
    report.basis = outcome.basis
    report.tables.append(result_table(outcome))
    sparsity = gemm_sparsity_table(outcome.runs)
    if sparsity is not None:
        report.tables.append(sparsity)
    return report
