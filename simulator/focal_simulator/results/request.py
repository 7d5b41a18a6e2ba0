"""A request to simulate and the report that answers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from focal_simulator.costs.buffer_costs import SramChoice
from focal_simulator.workload.workload import Workload
from focal_traces.root.root import MAIN_FOLDER

Draw = Callable[[Sequence[Mapping[str, str]], Sequence[tuple[str, str]], Path], None]
"""Draws result rows, with workloads (model, dataset) in order, into a file. Drawing stands above the simulator."""


@dataclass(frozen=True, slots=True)
class Request:
    """The options of ``focal sim``, checked for form only.

    ``draw`` makes the headline figure, None leaves it out; ``given`` is work in place of a trace.
    """

    trace: Path | None
    output: Path
    accelerators: tuple[str, ...] = ("all",)
    fidelity: str = "cycle"
    corrections: str = "all"
    models: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    variant: str = MAIN_FOLDER
    hardware: Path | None = None
    overrides: tuple[str, ...] = ()
    sram: SramChoice = "auto"
    tile_lengths: bool = False
    draw: Draw | None = None
    published_layout: bool = False
    batch: int = 1
    precision: str = "fp16"
    whole_model: bool = False
    model_shape: str = ""
    generated_tokens: int = 0
    timeline: Path | None = None
    timeline_layer: str = ""
    timeline_cycles: int = 100_000
    exports: tuple[tuple[str, Path], ...] = ()
    export_layer: str = ""
    given: Workload | None = None


@dataclass
class Report:
    """What to show: rich tables, notes for stderr, rows for JSON, what their ratios are over, and paths written."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    tables: list[Any] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    basis: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return a JSON-like summary."""
        found: dict[str, Any] = {"rows": self.rows}
        if self.basis:
            found["ratios"] = self.basis
        return {**found, "notes": self.notes, "paths": [str(path) for path in self.paths]}
