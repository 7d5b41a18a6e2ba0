"""Files of a run for other tools: each a name and a function that writes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from focal_common.errors import ConfigError, UnsupportedError, near_matches
from focal_simulator.accelerators.base import Accelerator
from focal_simulator.dram.specs import load_dram_spec
from focal_simulator.engine.base import Fidelity
from focal_simulator.engine.cycle.simulate import CycleResult
from focal_simulator.hardware.memory import DramSpec
from focal_simulator.results.action_counts import action_counts, write_action_counts
from focal_simulator.results.requests import dramsim3_line, ramulator2_line, write_requests
from focal_simulator.results.runner import Run
from focal_simulator.results.timeline import find_job
from focal_simulator.results.topology import write_topology

_LINES = {"dramsim3": dramsim3_line, "ramulator2": ramulator2_line}

EXPORTS = ("topology", "accelergy", *_LINES)
"""SCALE-Sim's GEMM topology, action counts for Accelergy, request traces for DRAMsim3 and Ramulator 2."""

_PLAIN_REQUEST_BYTES = 64


def export_run(kind: str, path: Path, runs: Sequence[Run], fidelity: Fidelity, layer: str = "") -> None:
    """Write one run for another tool.

    Args:
        kind: One of `EXPORTS`.
        path: File.
        runs: Of which there must be one.
        fidelity: Level of modelling, ``cycle``.
        layer: Of a request trace: one GEMM alone, such as ``9.o_proj``; all if empty.

    Raises:
        ConfigError: Unknown kind, several runs, another fidelity, no such layer, or too many requests.
        UnsupportedError: The file cannot hold what the run does.
        RunError: The file cannot be written.
    """
    check_export(kind, layer)
    if len(runs) != 1:
        raise ConfigError(
            f"export {kind}: shows one run, got {len(runs)}; choose accelerator, model and dataset",
            about=("export", "accelerator", "model", "dataset"),
        )
    accelerator, result = runs[0].accelerator, runs[0].result
    if not isinstance(result, CycleResult):
        raise ConfigError(
            f"export {kind}: needs fidelity cycle, got {fidelity.name}", about=("export", "fidelity")
        )
    if kind == "topology":
        write_topology(path, result.times)
    elif kind == "accelergy":
        memory = _memory(accelerator)
        granule = _PLAIN_REQUEST_BYTES if memory is None else memory.request_bytes
        write_action_counts(path, action_counts(accelerator, result, fidelity, granule))
    else:
        if (arrays := accelerator.hardware.arrays.value) > 1:
            raise UnsupportedError(f"export {kind}: shows one array, got arrays={arrays}; expected 1")
        times = [find_job(result.times, layer)[1]] if layer else result.times
        write_requests(path, times, _memory(accelerator), accelerator.hardware.clock.value, _LINES[kind])


def check_export(kind: str, layer: str) -> None:
    """Refuse an unknown format, or a layer where a file is of the whole run."""
    if kind not in EXPORTS:
        raise ConfigError(f"export '{kind}': {near_matches(kind, EXPORTS)}", about=("export",))
    if layer and kind not in _LINES:
        raise ConfigError(
            f"export {kind}: is of the whole run; a layer needs {' or '.join(_LINES)}",
            about=("export_layer",),
        )


def _memory(accelerator: Accelerator[Any]) -> DramSpec | None:
    """Return the memory of an accelerator; None for one by its figures."""
    given = accelerator.hardware.dram
    if given is None:
        return load_dram_spec(accelerator.hardware.dram_system)
    return given if isinstance(given, DramSpec) else None
