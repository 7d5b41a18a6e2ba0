"""What a run prints: one line per workload and accelerator, and the sparsity of each GEMM."""

from __future__ import annotations

from rich.table import Table

from focal_simulator.accelerators.presets import BEYOND_TIMING
from focal_simulator.results.ratios import ratio_cells
from focal_simulator.results.runner import Outcome, Run

PREFILL_ONLY = (
    "A whole inference, with vision tower, text and decode, gains less than its prefill; simulating the whole "
    "model says how much."
)
"""What stands under every ratio of a prefill."""


def result_table(outcome: Outcome) -> Table:
    """Return cycles, time, speed-up and energy over the dense array, and skipped work."""
    is_given = any(run.workload.operators for run in outcome.runs)
    title = "Simulated GEMMs" if is_given else "Simulated prefill, visual tokens only"
    caption = outcome.basis
    if not is_given:
        caption = f"{caption} {PREFILL_ONLY}".strip()
    table = Table(title=title, caption=caption, caption_justify="left")
    for name in ("workload", "accelerator"):
        table.add_column(name, no_wrap=True)
    for name in (
        "Mcycles",
        "time (s)",
        "speed-up",
        "energy (mJ)",
        "energy\nvs. dense",
        "MACs\nsaved",
        "trace origin",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for run in outcome.runs:
        result = run.result
        speedup, energy = ratio_cells(run.row)
        skipped = 1 - result.macs / result.dense_macs if result.dense_macs else 0.0
        table.add_row(
            run.workload.label,
            run.name + (BEYOND_TIMING if str(run.row["hardware"]).endswith(BEYOND_TIMING) else ""),
            _engineering(result.total_cycles / 1e6),
            f"{result.seconds:.4g}",
            speedup,
            _engineering(result.total_mj),
            energy,
            f"{100 * skipped:.1f} %",
            str(run.row["origin"]),
        )
    return table


def gemm_sparsity_table(runs: list[Run]) -> Table | None:
    """Return the share of vectors not computed in each recorded GEMM; None without any trace."""
    from focal_traces.header.schema import GEMMS

    traced = {run.workload.label: run.workload for run in runs if run.workload.counts is not None}
    if not traced:
        return None
    table = Table(title="Vectors neither stored nor computed, per GEMM input")
    table.add_column("workload", no_wrap=True)
    for name in GEMMS:
        table.add_column(name, justify="right")
    for label, workload in traced.items():
        counts = workload.counts
        if counts is None:
            continue
        every = counts.visual_tokens * counts.slices.sum(axis=0)
        share = 1 - counts.unique.sum(axis=0) / every
        table.add_row(label, *(f"{100 * value:.1f} %" for value in share.tolist()))
    return table


def _engineering(value: float) -> str:
    """Return four significant digits, or all digits before the point where there are more."""
    return f"{value:,.0f}" if value >= 1e4 else f"{value:,.4g}"
