"""Runs every published experiment of the Focus paper (HPCA 2026) into one result folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from focal_simulator.accelerators.focus import Focus
from focal_simulator.commands import run_request
from focal_simulator.report import Request

__all__ = ["run_published"]

_MAIN = ("dense", "adaptiv", "cmc", "focus", "focus_sec_only")
_SWEEPS = (
    ("m_tile", "videomme"),
    ("vector_size", "mlvu"),
    ("block_size", "videomme"),
    ("scatter", "videomme"),
)
_SWEPT_MODEL = "llava_vid"


def run_published(root: Path, output: Path) -> None:
    """Write the main, INT8 and design-space result files in parity mode, without figures.

    Args:
        root: Trace root with the published tables and calibrated stand-ins.
        output: Result folder; rows of an earlier run are replaced.

    Raises:
        FocalError: A table or stand-in is missing or wrong.
    """
    request = Request(
        trace=root,
        accelerators=_MAIN,
        fidelity="parity",
        corrections="all",
        output=output,
        models=(),
        datasets=(),
        variant="focus_main",
        hardware=None,
        overrides=(),
        sram="auto",
        sweep="",
        tile_lengths=False,
        figure=False,
    )
    # The INT8 run comes first: both write the component breakdown, and the published one is of the main run.
    run_request(replace(request, accelerators=(Focus.preset,), variant="focus_int8"))
    run_request(request)
    for sweep, dataset in _SWEEPS:
        run_request(replace(request, sweep=sweep, models=(_SWEPT_MODEL,), datasets=(dataset,)))
