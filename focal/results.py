"""What a simulation gave, as one object: it tabulates, compares, draws, explains and saves itself."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from focal_common.errors import ConfigError, RunError, near_matches
from focal_evaluation.exhibits.headline import bar_figure, bars_of, draw, geometric_mean
from focal_evaluation.results.result_frame import read_frame
from focal_simulator.results.explain import explain, find_row, read_layers
from focal_simulator.results.exports import export_run
from focal_simulator.results.output import saved_basis, write_outcome
from focal_simulator.results.ratios import DENSE, ENERGY, SPEEDUP, over_dense
from focal_simulator.results.rows import LABEL_COLUMNS, RESULT_COLUMNS
from focal_simulator.results.runner import Outcome, Run, Settings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Explanation", "Results"]

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

    def __init__(self, outcome: Outcome, order: Mapping[Pair, int], settings: Settings) -> None:
        self.notes = tuple(dict.fromkeys((outcome.basis, *outcome.skipped, *outcome.remarks)))
        self.settings: Settings | None = settings
        self._outcome: Outcome | None = outcome
        self._order = order
        self._folder: Path | None = None
        self._rows = _tidy(run.row for run in outcome.runs)

    @classmethod
    def open(cls, folder: str | Path) -> Results:
        """Read the tables of a result folder of ``focal sim`` or of `Results.save`.

        Raises:
            TraceError: No such folder, or none of results.
        """
        where = Path(folder)
        rows = (
            read_frame(where).rename(columns={"method": "accelerator"}).reindex(columns=list(RESULT_COLUMNS))
        )
        found = cls.__new__(cls)
        found.notes, found.settings, found._outcome, found._folder = saved_basis(where), None, None, where
        found._rows = _tidy(rows.to_dict("records"))
        found._order = {pair: place for place, pair in enumerate(dict.fromkeys(map(_pair, found._rows)))}
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
            The columns of ``results.csv``, which docs/simulation_results.md lists with unit and meaning. A number that
            a run does not have, such as the cycles of a cause in fidelity ``parity``, is missing.
        """
        import pandas as pd

        frame = pd.DataFrame(self._rows, columns=list(RESULT_COLUMNS))
        texts = ("model", "dataset", "accelerator", *LABEL_COLUMNS)
        numbers = [name for name in RESULT_COLUMNS if name not in texts]
        frame[numbers] = frame[numbers].apply(pd.to_numeric)
        return frame

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
        bars, origins = bars_of(self._rows)
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

    def export(self, kind: str, path: str | Path, *, layer: str = "") -> Path:
        """Write the only run for another tool, fidelity ``cycle``, and return the path (docs/gemms.md).

        Args:
            kind: ``topology`` (SCALE-Sim), ``accelergy``, ``dramsim3`` or ``ramulator2``.
            path: File.
            layer: Of a request trace: one GEMM alone, such as ``9.o_proj``.

        Raises:
            ConfigError: Unknown kind, several runs, another fidelity, no such layer, or too many requests.
            UnsupportedError: The file cannot hold what the run does.
            RunError: The file cannot be written, or these results were read from a folder.
        """
        if self._outcome is None:
            raise RunError(f"these results were read from {self._folder}; simulate to export")
        export_run(kind, Path(path), self._outcome.runs, self._outcome.fidelity, layer)
        return Path(path)

    def save(self, folder: str | Path, *, figure: bool = True, published_layout: bool = False) -> Path:
        """Write tables, figure and manifest, as ``focal sim`` does, and return the folder.

        Args:
            folder: Made if absent; rows of other runs in it stay.
            figure: Whether to draw the headline figure.
            published_layout: Whether to write the tables of the published artifact, such as ``main_focus.csv``, too.

        Raises:
            ConfigError: An existing file is not such a table.
            RunError: The folder cannot be written, or these results were read from one.
        """
        if self._outcome is None or self.settings is None:
            raise RunError(f"these results were read from {self._folder}; copy that folder instead")
        chosen = draw if figure else None
        write_outcome(Path(folder), self._outcome, self._order, self.settings.sram, chosen, published_layout)
        return Path(folder)

    def __repr__(self) -> str:
        names = ", ".join(self.accelerators)
        count = "1 workload" if len(self.workloads) == 1 else f"{len(self.workloads)} workloads"
        return f"<results: {count} on {names}; {len(self)} {'row' if len(self) == 1 else 'rows'}>"

    def _repr_html_(self) -> str:
        shown = ("model", "dataset", "accelerator", "cycles", "seconds", SPEEDUP, "energy_mj", ENERGY)
        table = self.frame()[[*shown, "origin"]].to_html(
            index=False, float_format=lambda value: f"{value:,.4g}"
        )
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return table + (f"<ul>{notes}</ul>" if notes else "")


def _pair(row: Mapping[str, Any]) -> Pair:
    return row["model"], row["dataset"]


def _tidy(rows: Iterable[Mapping[Any, Any]]) -> list[dict[str, Any]]:
    """Return result rows with None for numbers that were not taken; labels stay text."""
    return [
        {
            name: None if name not in LABEL_COLUMNS and (value == "" or value != value) else value
            for name, value in row.items()
        }
        for row in rows
    ]
