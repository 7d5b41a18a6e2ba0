"""A whole arena, from a plan to its files."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from focal.studies.arena.cells import run_cases
from focal.studies.arena.inputs import ArenaInputs
from focal.studies.arena.page import page
from focal.studies.arena.plan import ArenaPlan
from focal.studies.arena.rows import KIND_COLUMNS, arena_rows, kind_rows
from focal.studies.tables import write_table
from focal_common.files import atomic_write_text
from focal_common.places import check_inside
from focal_common.provenance import code_revision, content_hash, package_versions
from focal_simulator.accelerators import ACCELERATORS

PARTS = "parts"
"""Folder of finished jobs, from which an interrupted arena goes on; not needed afterwards."""

_DIGITS = 8  # significant ones of figures; more would only be rounding
_PACKAGES = ("torch", "transformers", "numpy", "scipy", "pillow", "scikit-image")


@dataclass(frozen=True)
class ArenaResult:
    """What was found.

    Attributes:
        rows: Of ``arena.csv``.
        files: By role.
        wall_time_s: Of this call; finished jobs of an earlier one took none of it.
    """

    rows: list[dict[str, Any]]
    files: dict[str, Path]
    wall_time_s: float


def run_arena(
    plan: ArenaPlan,
    output: Path,
    workers: int = 1,
    is_fresh: bool = False,
    track: Callable[[Iterable[None], int], Iterable[None]] = lambda steps, total: steps,
) -> ArenaResult:
    """Run what a plan asks for and write its files.

    Args:
        plan: The arena.
        output: Folder.
        workers: Processes of one thread each; the results do not depend on how many.
        is_fresh: Whether to forget finished jobs of an earlier call.
        track: Wraps the steps to show progress, given their number.

    Raises:
        FocalError: A model or data cannot be read; a worker died. Finished jobs are kept.
    """
    started = time.monotonic()
    check_inside(output, output / PARTS)
    inputs = ArenaInputs(plan)
    cells = run_cases(inputs, output / PARTS, workers, is_fresh, track)
    names = tuple(ACCELERATORS) if plan.simulates else ()
    rows = arena_rows(cells, names)
    content = _manifest(inputs)
    files = {
        "table": output / "arena.csv",
        "kinds": output / "kinds.csv",
        "page": output / "README.md",
        "manifest": output / "arena.json",
    }
    write_table(files["table"], rows, digits=_DIGITS)
    write_table(files["kinds"], kind_rows(cells), KIND_COLUMNS, _DIGITS)
    atomic_write_text(files["page"], page(rows, content))
    atomic_write_text(files["manifest"], json.dumps(content, indent=1, sort_keys=True) + "\n")
    return ArenaResult(rows, files, time.monotonic() - started)


def _manifest(inputs: ArenaInputs) -> dict[str, Any]:
    """Return seed, hashes and versions; no folder, no clock: the same run gives the same bytes."""
    configuration = inputs.plan.as_json()
    return {
        "configuration": configuration,
        "configuration_sha256": content_hash(configuration),
        "code": code_revision(),
        "versions": package_versions("focal-vlm", *_PACKAGES),
        "models": {model.name: {"sha256": inputs.digest(model)} for model in inputs.plan.models},
        "data_sha256": {name: inputs.questions(name).manifest["sha256"] for name in inputs.plan.benchmarks},
        "traced_questions": {name: inputs.traced(name) for name in inputs.plan.benchmarks},
        "threads": 1,
        "fidelity": "cycle",
        "basis": {
            "measured": "answers and counts of real forwards",
            "estimated": "from counts and a formula",
            "simulated": "focal sim, decoder prefill, mean over the traced questions",
        },
    }
