"""What one call of ``focal sim`` does, from a request to printed tables and written paths."""

from __future__ import annotations

from pathlib import Path

from focal_simulator.loading import load_workloads
from focal_simulator.output import write_outcome
from focal_simulator.report import Report, Request
from focal_simulator.runner import Outcome, Settings, run_all
from focal_simulator.tables import gemm_sparsity_table, result_table
from focal_traces.root import TraceRoot

__all__ = ["run_request"]


def run_request(request: Request) -> Report:
    """Run one request.

    Raises:
        FocalError: One sentence; earlier results are untouched.
    """
    settings = Settings(
        accelerators=request.accelerators,
        fidelity=request.fidelity,
        sram=request.sram,
        hardware=request.hardware,
        overrides=request.overrides,
    )
    root = TraceRoot.open(request.trace)
    if request.sweep or request.tile_lengths:
        from focal_simulator.studies import run_study

        return run_study(request, root)
    workloads = load_workloads(root, list(request.models), list(request.datasets), request.variant)
    outcome = run_all(settings, workloads)
    order = {pair: place for place, pair in enumerate(root.workloads)}
    assumed = [
        workload.label
        for workload in workloads
        if workload.recorded_m_tile is None
        and root.folder_with_trace(workload.model, workload.dataset) is None
    ]
    if assumed:
        outcome.remarks.append(
            f"no trace in {request.variant}/ of {', '.join(assumed)}: "
            "the decoder is taken to be Qwen2-7B, as published"
        )
    paths = write_outcome(request.output, outcome, order, request.variant, request.sram, request.figure)
    return _report(outcome, paths)


def _report(outcome: Outcome, paths: list[Path]) -> Report:
    report = Report(
        rows=[dict(run.row) for run in outcome.runs], notes=[*outcome.skipped, *outcome.remarks], paths=paths
    )
    report.tables.append(result_table(outcome))
    sparsity = gemm_sparsity_table(outcome.runs)
    if sparsity is not None:
        report.tables.append(sparsity)
    return report
