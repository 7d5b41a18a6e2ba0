"""What a simulation gave, as one object: it tabulates, compares, draws, explains and saves itself."""

from __future__ import annotations

import csv
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from focal_common.errors import ConfigError, RunError, TraceError, near_matches
from focal_evaluation.exhibits.headline import Bar, bar_figure, bar_of, draw, geometric_mean
from focal_simulator.accelerators import ACCELERATORS
from focal_simulator.accelerators.base import Accelerator
from focal_simulator.accelerators.presets import preset_hardware
from focal_simulator.results.explain import explain, find_row, read_layers
from focal_simulator.results.output import saved_basis, write_outcome
from focal_simulator.results.ratios import DENSE, ENERGY, SPEEDUP, over_dense
from focal_simulator.results.runner import Outcome, Run, Settings
from focal_simulator.results.summary import area_power_rows

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Explanation", "Results"]

_COLUMNS = {
    "total_cycles": "cycles",
    "total_compute_cycles": "compute_cycles",
    "total_stall_cycles": "stall_cycles",
    "execution_time": "seconds",
    "total_energy": "energy_mj",
    "core_energy": "core_energy_mj",
    "sram_energy": "sram_energy_mj",
    "dram_energy": "dram_energy_mj",
    "total_dram_access": "dram_bytes",
    "num_ops": "macs",
    "dense_ops": "dense_macs",
    SPEEDUP: SPEEDUP,
    ENERGY: ENERGY,
}
"""Columns of the published layout, by the name with a unit that they have here."""

_LABELS = ("fidelity", "corrections", "variant", "origin", "sram_model", "hardware")
_SUMMARY = "accelerator_area_power_buffer.csv"

Pair = tuple[str, str]
"""Model and dataset."""


@dataclass(frozen=True)
class Explanation:
    """The arithmetic behind the cycles of one GEMM.

    Attributes:
        title: Workload, layer and shape.
        units: (unit, formula with numbers, busy cycles as if alone), the longest first.
        causes: (cause, cycles), those that occur; they sum to ``total_cycles``.
        total_cycles: Of the GEMM, all copies.
        bound: The busiest unit.
    """

    title: str
    units: tuple[tuple[str, str, int], ...]
    causes: tuple[tuple[str, int], ...]
    total_cycles: int
    bound: str

    def __str__(self) -> str:
        busy = [f"  {unit}: {cycles:,} cycles = {formula}" for unit, formula, cycles in self.units]
        spent = [f"  {cause}: {cycles:,} cycles ({self._share(cycles)})" for cause, cycles in self.causes]
        lines = [self.title, "busy as if alone:", *busy, "where the cycles of the array went:", *spent]
        return "\n".join([*lines, f"  total: {self.total_cycles:,} cycles", f"bound: {self.bound}"])

    def _repr_html_(self) -> str:
        def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
            head = "".join(f"<th>{html.escape(cell)}</th>" for cell in heads)
            body = "".join(
                "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
            )
            return f"<table><tr>{head}</tr>{body}</table>"

        units = [(unit, formula, f"{cycles:,}") for unit, formula, cycles in self.units]
        causes = [(cause, f"{cycles:,}", self._share(cycles)) for cause, cycles in self.causes]
        title = f"<p>{html.escape(self.title)}; bound: {html.escape(self.bound)}</p>"
        return (
            title
            + table(("unit", "arithmetic", "busy cycles"), units)
            + table(("cause", "cycles", "share"), causes)
        )

    def _share(self, cycles: int) -> str:
        return f"{100 * cycles / max(self.total_cycles, 1):.1f} %"


class Results:
    """Rows of a simulation, one per workload and accelerator.

    Attributes:
        notes: What a reader of the results should know, and which combinations were refused.
        settings: Of the simulation; None for results read from a folder.
    """

    def __init__(self, outcome: Outcome, order: Mapping[Pair, int], variant: str, settings: Settings) -> None:
        self.notes = tuple(dict.fromkeys((outcome.basis, *outcome.skipped, *outcome.remarks)))
        self.settings: Settings | None = settings
        self._outcome: Outcome | None = outcome
        self._order, self._variant = order, variant
        self._folder: Path | None = None
        areas = {name: _area_mm2(outcome, settings, name) for name in outcome.accelerators}
        self._cells = [run.row for run in outcome.runs]
        self._rows = [_tidy(run.row, areas[run.name]) for run in outcome.runs]

    @classmethod
    def open(cls, folder: str | Path) -> Results:
        """Read the tables of a result folder of ``focal sim`` or of `Results.save`.

        Raises:
            TraceError: No such folder, or none of results.
        """
        where = Path(folder)
        if not where.is_dir():
            raise TraceError(f"{where}: no such result folder")
        cells = [row for path in sorted(where.glob("*.csv")) for row in _read_rows(path)]
        if not cells:
            raise TraceError(
                f"{where}: holds no main_<accelerator>.csv, expected a result folder of focal sim"
            )
        found = cls.__new__(cls)
        found.notes, found.settings, found._outcome, found._folder = saved_basis(where), None, None, where
        found._cells = cells
        found._rows = rows = [_tidy(row, _saved_area(where, row)) for row in cells]
        found._order = {pair: place for place, pair in enumerate(dict.fromkeys(map(_pair, rows)))}
        found._variant = ""
        return found

    @property
    def runs(self) -> Sequence[Run]:
        """Everything the simulator returned, run by run; empty for results read from a folder."""
        return self._outcome.runs if self._outcome is not None else ()

    @property
    def accelerators(self) -> tuple[str, ...]:
        """Names in the rows, in order."""
        return tuple(dict.fromkeys(row["accelerator"] for row in self._rows))

    @property
    def workloads(self) -> tuple[Pair, ...]:
        """Model and dataset of the rows, in order."""
        return tuple(dict.fromkeys(map(_pair, self._rows)))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows)

    def frame(self) -> pd.DataFrame:
        """Return the rows as a tidy table, one per workload and accelerator.

        Returns:
            ``model``, ``dataset``, ``accelerator``; ``cycles``, ``compute_cycles``, ``stall_cycles``; ``seconds``;
            ``energy_mj`` and its parts ``core_energy_mj``, ``sram_energy_mj``, ``dram_energy_mj``; ``dram_bytes``;
            ``macs`` executed and ``dense_macs``; ``area_mm2``, missing where another accelerator's row holds it;
            ``speedup_over_dense`` and ``energy_over_dense``; in fidelity ``cycle`` the cycles of each cause;
            and where a number comes from: ``fidelity``, ``corrections``, ``variant``, ``origin``, ``sram_model``,
            ``hardware``.
        """
        import pandas as pd

        rows = []
        for row in self._rows:
            labels = {name: row[name] for name in _LABELS if name in row}
            rows.append({name: value for name, value in row.items() if name not in _LABELS} | labels)
        return pd.DataFrame(rows)

    def speedup(self, accelerator: str, over: str = "dense") -> float:
        """Return how many times faster an accelerator is than another.

        Args:
            accelerator: A name in the rows.
            over: Another one. The dense array need not be among the rows.

        Returns:
            The ratio of seconds; over several workloads the geometric mean of those that both ran.

        Raises:
            ConfigError: No such accelerator (with near matches), or no workload that both ran.
        """
        own, other = self._times(accelerator), self._times(over)
        shared = [pair for pair in own if pair in other]
        if not shared:
            raise ConfigError(f"'{accelerator}' and '{over}' ran no workload both; expected at least one")
        ratios = [over_dense(*own[pair], other[pair])[SPEEDUP] for pair in shared]
        return geometric_mean([float(ratio) for ratio in ratios])

    def _times(self, accelerator: str) -> dict[Pair, tuple[float, float]]:
        """Return seconds and mJ by workload."""
        rows = [row for row in self._rows if row["accelerator"] == accelerator]
        if not rows and accelerator == DENSE:  # run for the ratios, and not shown
            return {
                _pair(row): (row["seconds"] * row[SPEEDUP], row["energy_mj"] / row[ENERGY])
                for row in self._rows
                if row[SPEEDUP] is not None and row[ENERGY]
            }
        if not rows:
            raise ConfigError(
                f"unknown accelerator '{accelerator}' in these results; {near_matches(accelerator, self.accelerators)}"
            )
        return {_pair(row): (row["seconds"], row["energy_mj"]) for row in rows}

    def refusal(self, accelerator: str) -> str:
        """Return why an accelerator gave no row; empty if it did, or if nothing is known."""
        if accelerator in self.accelerators:
            return ""
        own = [note.partition(": ")[2] for note in self.notes if note.startswith(f"{accelerator}: ")]
        return "; ".join(own) or "the simulator gave no row and no reason"

    def plot(self, path: str | Path | None = None) -> Any:
        """Draw speed-up and energy of each workload relative to the dense array.

        Args:
            path: Where to write the figure, in the format of its suffix; None to write nothing.

        Returns:
            A matplotlib figure.

        Raises:
            RunError: The file cannot be written.
        """
        bars: dict[str, dict[Pair, Bar]] = {}
        for cells in self._cells:
            if cells[SPEEDUP] != "" and cells[ENERGY] != "":
                bars.setdefault(str(cells["accelerator"]), {})[_pair(cells)] = bar_of(cells, "results")
        origins = {str(row["origin"]) for row in self._rows}
        figure = bar_figure(bars, origins, sorted(self.workloads, key=lambda pair: self._order[pair]))
        if path is not None:
            try:
                figure.savefig(Path(path), dpi=150)
            except (OSError, ValueError) as error:
                raise RunError(f"{path}: the figure could not be written ({error})") from error
        return figure

    def explain(
        self, layer: str, accelerator: str = "", *, model: str = "", dataset: str = ""
    ) -> Explanation:
        """Return the arithmetic behind the cycles of one layer, fidelity ``cycle``.

        Args:
            layer: Block and layer, such as ``9.o_proj`` or ``9.attn.scores``.
            accelerator: Whose; ``focus``, or the only one, if empty.
            model: Of the workload, where there are several.
            dataset: Likewise.

        Raises:
            ConfigError: No such layer, workload or accelerator (with near matches), or fidelity parity.
        """
        name = accelerator or ("focus" if "focus" in self.accelerators else self.accelerators[-1])
        if name not in self.accelerators:
            raise ConfigError(
                f"unknown accelerator '{name}' in these results; {near_matches(name, self.accelerators)}"
            )
        if self._folder is not None:
            where, rows = read_layers(self._folder, name)
        else:
            where, rows = Path("results"), self._layer_rows(name)
        found = explain(find_row(rows, where, model, dataset, layer), name)
        return Explanation(found.title, found.units, found.causes, found.total_cycles, found.bound)

    def _layer_rows(self, accelerator: str) -> list[dict[str, Any]]:
        if self._outcome is None:
            return []
        rows = [
            {"model": run.workload.model, "dataset": run.workload.dataset, **row}
            for run in self._outcome.runs
            if run.name == accelerator
            for row in self._outcome.fidelity.layer_rows(run.result)
        ]
        if not rows:
            raise ConfigError(
                f"fidelity {self._outcome.fidelity.name} times no single layers; use fidelity cycle"
            )
        return rows

    def save(self, folder: str | Path, *, figure: bool = True) -> Path:
        """Write tables, figure and manifest, as ``focal sim`` does, and return the folder.

        Args:
            folder: Made if absent; rows of other runs in it stay.
            figure: Whether to draw the headline figure.

        Raises:
            ConfigError: An existing file is not such a table.
            RunError: The folder cannot be written, or these results were read from one.
        """
        if self._outcome is None or self.settings is None:
            raise RunError(f"these results were read from {self._folder}; copy that folder instead")
        chosen = draw if figure else None
        write_outcome(Path(folder), self._outcome, self._order, self._variant, self.settings.sram, chosen)
        return Path(folder)

    def __repr__(self) -> str:
        names = ", ".join(self.accelerators)
        return f"<results: {len(self.workloads)} workloads on {names}; {len(self)} rows>"

    def _repr_html_(self) -> str:
        shown = ("model", "dataset", "accelerator", "cycles", "seconds", SPEEDUP, "energy_mj", ENERGY)
        table = self.frame()[[*shown, "origin"]].to_html(
            index=False, float_format=lambda value: f"{value:,.4g}"
        )
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return table + (f"<ul>{notes}</ul>" if notes else "")


def _pair(row: Mapping[str, Any]) -> Pair:
    return row["model"], row["dataset"]


def _tidy(row: Mapping[str, Any], area_mm2: float | None) -> dict[str, Any]:
    """Return a row of the published layout with units in its names."""
    found: dict[str, Any] = {name: row[name] for name in ("model", "dataset", "accelerator")}
    found |= {name: None if row[column] == "" else row[column] for column, name in _COLUMNS.items()}
    found["area_mm2"] = area_mm2
    found |= {name: value for name, value in row.items() if name.endswith("_cycles") and name not in _COLUMNS}
    return found | {name: row[name] for name in _LABELS if name in row}


def _area_mm2(outcome: Outcome, settings: Settings, name: str) -> float:
    accelerator, fidelity = outcome.accelerators[name], outcome.fidelity
    costs = fidelity.costs(accelerator, settings.sram)
    return float(area_power_rows(accelerator, fidelity.components(accelerator), costs)["Area"])


def _read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a result table; none for a table of another kind."""
    try:
        with path.open(encoding="utf-8", newline="") as source:
            reader = csv.DictReader(source)
            if not {"model", "dataset", "accelerator", *_COLUMNS} <= set(reader.fieldnames or ()):
                return []
            return [{name: _number(cell) for name, cell in row.items()} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TraceError(f"{path}: not a CSV table ({error})") from error


def _saved_area(folder: Path, row: Mapping[str, Any]) -> float | None:
    prefix = "" if row["fidelity"] == "parity" else f"{row['fidelity']}_"
    path = folder / f"{prefix}{_SUMMARY}"
    if not path.is_file() or row["accelerator"] not in ACCELERATORS:
        return None
    plugin: type[Accelerator[Any]] = ACCELERATORS.load(str(row["accelerator"]))
    label = plugin.study.summary_label
    if label == "":
        label = preset_hardware(plugin).label
    with path.open(encoding="utf-8", newline="") as source:
        areas = {one["Accelerator"]: float(one["Area"]) for one in csv.DictReader(source)}
    return areas.get(str(label))


def _number(cell: str) -> Any:
    try:
        return int(cell)
    except ValueError:
        pass
    try:
        return float(cell)
    except ValueError:
        return cell
