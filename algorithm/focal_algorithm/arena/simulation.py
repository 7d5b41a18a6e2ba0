"""Recorded prefills on every accelerator, through the verb table: this package does not know the simulator."""

from __future__ import annotations

import io
import json
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.offline.evaluator import Evaluator, Reply
from focal_algorithm.run_settings import RunSettings
from focal_algorithm.runner import Prepared, TracedSample, finish
from focal_common.command import VERBS
from focal_common.errors import RunError
from focal_common.registry import Registry

__all__ = ["Simulated", "accelerators", "simulate"]

_FOLDER = "arena"
_FAMILIES: Registry[Registry[Any]] = Registry(
    "plug-in family", {"accelerators": "focal_simulator.accelerators:ACCELERATORS"}, group="focal.families"
)


@dataclass(frozen=True)
class Simulated:
    """One prefill on all accelerators, in fidelity ``cycle``.

    Attributes:
        figures: Accelerator to ``cycles``, ``energy_mj`` and ``seconds``.
        refused: Accelerator to the reason why it does not take the trace.
    """

    figures: dict[str, dict[str, float]]
    refused: dict[str, str]


def accelerators() -> tuple[str, ...]:
    """Return the names of all accelerators; loads none."""
    return tuple(_FAMILIES.load("accelerators"))


def simulate(evaluator: Evaluator, method: CompressionMethod, reply: Reply) -> Simulated:
    """Write the trace of a recorded reply and run ``focal sim`` on it.

    Raises:
        RunError: The reply was not recorded, or the simulation gave no row.
    """
    if reply.recorded is None:
        raise RunError(f"question {reply.number} was not recorded; only recorded ones can be simulated")
    with tempfile.TemporaryDirectory(prefix="focal_arena_") as folder:
        dataset = evaluator.questions.benchmark
        settings = RunSettings(output=Path(folder), method=method.name, dataset=dataset, folder=_FOLDER)
        traced = TracedSample(reply.recorded, reply.answer, "procedural")
        finish(settings, Prepared(evaluator.loaded, ""), method, [traced], 0.0)
        words = ["--trace", folder, "--variant", _FOLDER, "--accelerator", "all", "--no-figure", "--json"]
        text = io.StringIO()
        with redirect_stdout(text), redirect_stderr(io.StringIO()):
            VERBS.load("sim")(args=[*words, "--output", f"{folder}/results"], standalone_mode=False)
    found = json.loads(text.getvalue())
    figures = {
        row["accelerator"]: {
            "cycles": float(row["total_cycles"]),
            "energy_mj": float(row["total_energy"]),
            "seconds": float(row["execution_time"]),
        }
        for row in found["rows"]
    }
    missing = [name for name in accelerators() if name not in figures]
    return Simulated(figures, {name: _reason(name, found["notes"]) for name in missing})


def _reason(accelerator: str, notes: list[str]) -> str:
    own = [note.partition(": ")[2] for note in notes if note.startswith(f"{accelerator}: ")]
    return "; ".join(own) or "the simulator gave no row and no reason"
