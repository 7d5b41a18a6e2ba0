"""From parity to cycle fidelity, correction by correction: the tables behind docs/corrections.md."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pandas as pd
from scipy.stats import gmean

from focal_common.console import track
from focal_common.files import atomic_write_text
from focal_evaluation.exhibits.make import csv_text
from focal_simulator.accelerators.corrections import ALL, CORRECTIONS
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.engine.base import RunResult
from focal_simulator.engine.cycle.simulate import simulate_cycles
from focal_simulator.engine.parity.level import simulate
from focal_simulator.workload.loading import load_workloads
from focal_simulator.workload.workload import Workload
from focal_traces.methods.cmc import SPARSITY
from focal_traces.root.root import TraceRoot

__all__ = ["CorrectionRuns", "write_corrections"]

_RIVALS = ("dense", "adaptiv", "cmc", "focus_sec_only")
_NAMES = (*_RIVALS, "focus")
_VIDEO_DATASETS = ("videomme", "mlvu", "mvbench")
_ONE_CHANNEL = ("dram_system=ddr4_1ch_bglow",)
"""One 64-bit channel of 17 GB/s, a configuration that the published artifact names."""

Corrections = frozenset[str] | None
"""Switches that are on; None is fidelity ``parity``."""


class CorrectionRuns:
    """Simulates the published videos on all accelerators of the paper, each setting once.

    Args:
        root: Trace root with the published tables and stand-ins.
        overrides: Hardware fields of every accelerator that differ from the presets.
    """

    def __init__(self, root: Path, overrides: tuple[str, ...] = ()) -> None:
        found = load_workloads(TraceRoot.open(root), [], list(_VIDEO_DATASETS))
        self.workloads = [workload for workload in found if workload.row(SPARSITY) is not None]
        accelerators = {name: build_accelerator(name, overrides=list(overrides)) for name in _NAMES}

        @cache
        def result(name: str, place: int, corrections: Corrections) -> RunResult:
            if corrections is None:
                return simulate(accelerators[name], self.workloads[place])
            return simulate_cycles(accelerators[name], self.workloads[place], corrections=corrections)

        self._result = result

    def headline(self, corrections: Corrections) -> dict[str, float]:
        """Return geometric means: speed-up of Focus over each rival, and energy of each rival over that of Focus."""
        found = {}
        for quantity, text in (("seconds", "speedup_over_{}"), ("total_mj", "energy_of_{}_over_focus")):
            for rival in _RIVALS:
                ratios = [
                    getattr(self._result(rival, place, corrections), quantity)
                    / getattr(self._result("focus", place, corrections), quantity)
                    for place in range(len(self.workloads))
                ]
                found[text.format(rival)] = float(gmean(ratios))
        return found

    def workload_rows(self) -> list[dict[str, str | float]]:
        """Return cycles and energy of every workload on every accelerator in parity, with no and all corrections."""
        return [
            self._workload_row(place, workload, name)
            for place, workload in enumerate(self.workloads)
            for name in _NAMES
        ]

    def _workload_row(self, place: int, workload: Workload, name: str) -> dict[str, str | float]:
        settings: dict[str, Corrections] = {"parity": None, "none": frozenset(), "all": ALL}
        runs = {label: self._result(name, place, setting) for label, setting in settings.items()}
        return {
            "workload": workload.label,
            "accelerator": name,
            **{f"{label}_cycles": run.total_cycles for label, run in runs.items()},
            **{f"{label}_mj": run.total_mj for label, run in runs.items()},
        }


def _settings() -> list[tuple[str, str, Corrections]]:
    """Return kind, label and switches of each line: each correction alone, then one more on each line."""
    names = [item.name for item in CORRECTIONS]
    return [
        ("alone", "parity", None),
        ("alone", "none", frozenset()),
        *(("alone", name, frozenset({name})) for name in names),
        ("alone", "all", ALL),
        ("added", "none", frozenset()),
        *(("added", f"+ {name}", frozenset(names[: place + 1])) for place, name in enumerate(names)),
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
    rows.append(
        {"kind": "one_channel", "corrections": "all", **CorrectionRuns(root, _ONE_CHANNEL).headline(ALL)}
    )
    tables = {"corrections.csv": rows, "workloads.csv": runs.workload_rows()}
    for name, lines in tables.items():
        atomic_write_text(output / name, csv_text(pd.DataFrame(lines)))
    return [output / name for name in tables]
