"""From parity to cycle fidelity, correction by correction: the tables behind docs/corrections.md."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from math import fsum
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from scipy.stats import gmean

from focal_common.console import track
from focal_common.files import atomic_write_text
from focal_evaluation.claims.claims import Key, read_claims
from focal_evaluation.claims.correction_steps import KEY, STEPS
from focal_evaluation.claims.results import open_results
from focal_evaluation.exhibits.make import csv_text
from focal_evaluation.results.published_runs import run_parts
from focal_simulator.accelerators.corrections import ALL, CORRECTIONS
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.engine.base import RunResult
from focal_simulator.engine.cycle.inference import simulate_inference
from focal_simulator.engine.cycle.simulate import simulate_cycles
from focal_simulator.engine.parity.level import simulate
from focal_simulator.results.whole_model import shape_of
from focal_simulator.workload.loading import load_workloads
from focal_simulator.workload.workload import Workload
from focal_traces.methods.cmc import SPARSITY
from focal_traces.root.root import TraceRoot

_RIVALS = ("dense", "adaptiv", "cmc", "focus_sec_only")
_NAMES = (*_RIVALS, "focus")
_OF_FOCUS = ("dense", "focus_sec_only", "focus")
_VIDEO_DATASETS = ("videomme", "mlvu", "mvbench")
_ONE_CHANNEL = ("dram_system=ddr4_1ch_bglow",)
"""One 64-bit channel of 17 GB/s, a configuration that the published artifact names."""

_NARROW = ("core.weight_port=2",)
_PORTS = {
    "single-ported buffers": ("core.concentrate_ports=1", "core.output_ports=1"),
    "weight port of 2 bytes": _NARROW,
    "weight port of 2 bytes, double-buffered": (*_NARROW, "dataflow.is_weight_double_buffered=true"),
}
"""Ports that the published macros have, of dense, Focus and Focus without similarity; the others keep theirs."""

_SHAPES = {
    "llava_vid": "llava_video_7b",
    "llava_onevision": "llava_onevision_7b",
    "minicpm_v": "minicpm_v_2_6",
}
_GENERATED_TOKENS = 32

Corrections = frozenset[str] | None
"""Switches that are on; None is fidelity ``parity``."""


class _Figures(NamedTuple):
    """What is kept of a run; all of it would fill the memory."""

    total_cycles: int | float
    seconds: float
    total_mj: float


class CorrectionRuns:
    """Simulates the published videos on all accelerators of the paper, each setting once.

    Args:
        root: Trace root with the published tables and stand-ins.
        overrides: Hardware fields that differ from the presets.
        names: Accelerators that have these.
    """

    def __init__(self, root: Path, overrides: tuple[str, ...] = (), names: tuple[str, ...] = _NAMES) -> None:
        every = load_workloads(TraceRoot.open(root), [], list(_VIDEO_DATASETS))
        self.workloads = [workload for workload in every if workload.row(SPARSITY) is not None]
        accelerators = {
            name: build_accelerator(name, overrides=list(overrides) if name in names else [])
            for name in _NAMES
        }
        self._accelerators = accelerators

        @cache
        def result(name: str, index: int, corrections: Corrections) -> _Figures:
            found: RunResult
            if corrections is None:
                found = simulate(accelerators[name], self.workloads[index])
            else:
                found = simulate_cycles(accelerators[name], self.workloads[index], corrections=corrections)
            return _Figures(found.total_cycles, found.seconds, found.total_mj)

        self._result = result

    def headline(self, corrections: Corrections) -> dict[str, float]:
        """Return geometric means: speed-up of Focus over each rival, and energy of each rival over that of Focus."""

        def of(name: str, index: int) -> tuple[float, float]:
            result = self._result(name, index, corrections)
            return result.seconds, result.total_mj

        return self._means(of)

    def whole_inference(self) -> dict[str, float]:
        """Return the same of whole inferences: vision tower, projector, text, 32 tokens generated; all corrections."""

        @cache
        def of(name: str, index: int) -> tuple[float, float]:
            workload = self.workloads[index]
            shape = shape_of(workload, _SHAPES[workload.model])
            phases = simulate_inference(self._accelerators[name], workload, shape, _GENERATED_TOKENS).values()
            return fsum(phase.seconds for phase in phases), fsum(phase.total_mj for phase in phases)

        return self._means(of)

    def _means(self, of: Callable[[str, int], tuple[float, float]]) -> dict[str, float]:
        found = {}
        for place, text in enumerate(("speedup_over_{}", "energy_of_{}_over_focus")):
            for rival in _RIVALS:
                ratios = [
                    of(rival, index)[place] / of("focus", index)[place]
                    for index in range(len(self.workloads))
                ]
                found[text.format(rival)] = float(gmean(ratios))
        return found

    def workload_rows(self) -> list[dict[str, str | float]]:
        """Return cycles and energy of every workload on every accelerator in parity, with no and all corrections."""
        return [
            self._workload_row(index, workload, name)
            for index, workload in enumerate(self.workloads)
            for name in _NAMES
        ]

    def _workload_row(self, index: int, workload: Workload, name: str) -> dict[str, str | float]:
        settings: dict[str, Corrections] = {"parity": None, "none": frozenset(), "all": ALL}
        runs = {label: self._result(name, index, setting) for label, setting in settings.items()}
        return {
            "workload": workload.label,
            "accelerator": name,
            **{f"{label}_cycles": run.total_cycles for label, run in runs.items()},
            **{f"{label}_mj": run.total_mj for label, run in runs.items()},
        }


def _settings() -> list[tuple[str, str, Corrections]]:
    """Return kind, label and switches of each line: each correction alone, then one more on each line."""
    names = [item.name for item in CORRECTIONS if not item.is_assumption]
    assumptions = [item.name for item in CORRECTIONS if item.is_assumption]
    return [
        ("alone", "parity", None),
        ("alone", "none", frozenset()),
        *(("alone", name, frozenset({name})) for name in names),
        ("alone", "all", ALL),
        ("added", "none", frozenset()),
        *(("added", f"+ {name}", frozenset(names[: index + 1])) for index, name in enumerate(names)),
        *(("assumption", f"all, {name}", ALL | {name}) for name in assumptions),
    ]


def write_corrections(root: Path, output: Path) -> list[Path]:
    """Simulate every setting and write ``corrections.csv`` and ``workloads.csv``.

    Args:
        root: Trace root with the published tables and stand-ins.
        output: Folder.

    Raises:
        FocalError: A table or stand-in is missing or wrong, or a file cannot be written.
    """
    runs = CorrectionRuns(root)
    rows: list[dict[str, str | float]] = [
        {"kind": kind, "corrections": label, **runs.headline(corrections)}
        for kind, label, corrections in track(_settings(), "corrections")
    ]
    for label, ports in _PORTS.items():
        changed = CorrectionRuns(root, ports, _OF_FOCUS).headline(ALL)
        rows.append({"kind": "assumption", "corrections": f"all, {label}", **changed})
    rows.append(
        {"kind": "one_channel", "corrections": "all", **CorrectionRuns(root, _ONE_CHANNEL).headline(ALL)}
    )
    rows.append({"kind": "whole_inference", "corrections": "all", **runs.whole_inference()})
    tables = {"corrections.csv": rows, "workloads.csv": runs.workload_rows()}
    for name, lines in tables.items():
        atomic_write_text(output / name, csv_text(pd.DataFrame(lines)))
    return [output / name for name in tables]


def write_steps(root: Path, output: Path) -> None:
    """Simulate every step and write each claimed number after it; a cell that did not change is empty.

    Args:
        root: Trace root with the published tables, claims and stand-ins.
        output: CSV file.

    Raises:
        FocalError: A table or stand-in is missing or wrong, or the file cannot be written.
    """
    keys = [claim.key for claim in read_claims(root)]
    values: dict[Key, list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        on: list[str] = []
        for step in track(STEPS, "corrections"):
            fidelity = "parity" if step == STEPS[0] else "cycle"
            if step not in STEPS[:2]:
                on.append(step)
            chosen = "all" if fidelity == "parity" else ",".join(on) or "none"
            folder = Path(scratch) / step
            # INT8 comes first: both write the breakdown of components, and the published one is of the main run.
            run_parts(root, folder, fidelity, ("int8", "main"), corrections=chosen)
            numbers = open_results(folder, root, fidelity).numbers
            for key in keys:
                if key in numbers and (key in values or step == STEPS[0]):
                    values.setdefault(key, []).append(numbers[key].value)
    rows = []
    for key, own in values.items():
        if len(own) == len(STEPS):
            cells = [f"{value:.9g}" for value in own]
            changed = ["" if cell == before else cell for before, cell in pairwise(cells)]
            rows.append([*key, cells[0], *changed])
    atomic_write_text(output, csv_text(pd.DataFrame(rows, columns=[*KEY, *STEPS])))
