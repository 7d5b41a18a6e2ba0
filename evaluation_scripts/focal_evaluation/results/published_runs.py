"""Runs every published experiment of the Focus paper (HPCA 2026) into one result folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from focal_evaluation.results.published_sweeps import write_sweeps
from focal_simulator.accelerators.focus.accelerator import Focus
from focal_simulator.results.output import export_published
from focal_simulator.results.request import Request
from focal_simulator.results.run import run_request
from focal_simulator.workload.loading import load_workloads
from focal_traces.root.root import TraceRoot

PAPER_ACCELERATORS = ("dense", "adaptiv", "cmc", "focus", "focus_sec_only")
_VIDEOS = ("videomme", "mlvu", "mvbench")


def run_published(root: Path, output: Path) -> None:
    """Write main, INT8, design-space and tile-length results in parity mode and the published tables, without figures.

    Args:
        root: Trace root with the published tables and calibrated stand-ins.
        output: Result folder; rows of an earlier run are replaced.

    Raises:
        FocalError: A table or stand-in is missing or wrong.
    """
    run_parts(root, output, "parity", ("int8", "main", "sweeps", "tiles"))
    export_published(output)


def run_parts(
    root: Path,
    output: Path,
    fidelity: str,
    parts: tuple[str, ...],
    accelerators: tuple[str, ...] = PAPER_ACCELERATORS,
    corrections: str = "all",
) -> None:
    """Write some of the result files.

    Args:
        root: Trace root.
        output: Result folder; rows of an earlier run are replaced.
        fidelity: Level of modelling of the main and INT8 runs; sweeps and tile lengths exist in parity only.
        parts: Of ``int8``, ``main``, ``sweeps`` and ``tiles``, in this order.
        accelerators: Of the main runs; ``all`` takes those that accept the workloads.
        corrections: Switches of fidelity cycle, as of ``focal sim``.

    Raises:
        FocalError: A table, a trace or a stand-in is missing or wrong.
    """
    request = Request(
        trace=root, output=output, accelerators=accelerators, fidelity=fidelity, corrections=corrections
    )
    parity = replace(request, fidelity="parity", corrections="all")
    for part in parts:
        if part == "int8":
            run_request(replace(request, accelerators=(Focus.preset,), variant="focus_int8"))
        elif part == "main":
            run_request(request)
        elif part == "sweeps":
            write_sweeps(TraceRoot.open(root), output)
        elif part == "tiles":
            run_request(replace(parity, tile_lengths=True, datasets=_video_datasets(root)))


def _video_datasets(root: Path) -> tuple[str, ...]:
    """Return datasets of the published tile-length analysis that the root has; all of its own otherwise."""
    workloads = load_workloads(TraceRoot.open(root), [], [])
    datasets = list(dict.fromkeys(workload.dataset for workload in workloads))
    videos = tuple(name for name in datasets if name in _VIDEOS)
    return videos or tuple(datasets)
