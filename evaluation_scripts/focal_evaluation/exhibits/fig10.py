"""Figure 10 of the Focus paper (HPCA 2026): m-tile, vector size, block and scatter accumulators, with accuracy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from focal_common.errors import TraceError
from focal_evaluation.claims.results import Results
from focal_evaluation.claims.tables import number_in, read_table
from focal_evaluation.exhibits.base import DONE, Exhibit, ExhibitTable, answers
from focal_evaluation.exhibits.charts import panels
from focal_evaluation.exhibits.style import METHODS, short

_BLUE, _GREEN, _RED = METHODS["focus"][1], "#009E73", "#D55E00"
_FULL, _LARGEST, _MOST = "-1", "3x3x3", "5"
_GIBI, _MIBI = 2**30, 2**20
_VECTOR_ELEMENTS = 32
"""Accumulators per scattered vector."""


@dataclass(frozen=True, slots=True)
class _Sweep:
    """One panel: what is swept, in the order of the paper, and what the panel needs of the rows.

    Attributes:
        exhibit: Exhibit name of the rows, such as ``dse_m_tile``.
        swept: Published column of the swept value.
        name: As a sentence calls the sweep.
        order: Values from left to right; one that is absent has status ``not run``, other values follow.
        needs: Columns that the panel shows. A row in which one is zero or no number has a status that says so, and NaN
            in all of them.
        dataset: Of LLaVA-Video.
        reference: Value and name of the design that latency is relative to; empty without latency.
    """

    exhibit: str
    swept: str
    name: str
    order: tuple[str, ...]
    needs: tuple[str, ...]
    dataset: str = "videomme"
    reference: tuple[str, str] = ("", "")

    def frame(self, results: Results) -> pd.DataFrame:
        """Return the rows in the order of the paper, with the published accuracy and relative latency.

        Raises:
            TraceError: The results hold no such sweep, a column without any number, or no cycles of the reference.
        """
        rows = results.sweep(self.exhibit, self.swept).set_index("value")
        path = results.root / "design_space_accuracy.csv"
        accuracy = {
            row["value"]: number_in(row, "accuracy", path)
            for row in read_table(path, ("swept", "value", "accuracy"))
            if row["swept"] == self.swept
        }
        values = [*self.order, *(value for value in rows.index if value not in self.order)]
        frame = rows.reindex(values).reset_index(names="value")
        frame["status"] = [DONE if value in rows.index else "not run" for value in values]
        for column in self.needs:
            if column not in frame.columns:
                raise TraceError(
                    f"{results.folder}: the sweep over {self.swept} holds no number in column {column}"
                )
            is_empty = (frame["status"] == DONE) & ~(frame[column] > 0)
            frame.loc[is_empty, "status"] = f"{column} is zero"
        frame.loc[frame["status"] != DONE, list(self.needs)] = np.nan
        frame["origin"] = frame["origin"].fillna("")
        frame["accuracy_percent"] = [accuracy.get(value, np.nan) for value in values]
        value, called = self.reference
        if value:
            base = frame.loc[frame["value"] == value, "total_cycles"]
            if base.isna().any():
                raise TraceError(
                    f"{results.folder}: the {self.name} sweep lacks cycles of {called}, which latency is relative to"
                )
            frame["latency"] = frame["total_cycles"] / base.iloc[0]
        return frame

    def made(
        self, frame: pd.DataFrame, columns: Sequence[str], accuracy: bool = True, note: str = ""
    ) -> ExhibitTable:
        """Return the columns of a frame with the foot of the panel."""
        origins = "; ".join(sorted({origin for origin in frame["origin"] if origin}))
        notes = [f"LLaVA-Video, {short(self.dataset)}; simulated, fidelity parity. Counts: {origins}."]
        if accuracy and frame["accuracy_percent"].notna().any():
            notes.append("Accuracy: published.")
        for status, part in frame[frame["status"] != DONE].groupby("status", sort=True):
            notes.append(f"Absent ({status}): {', '.join(part['value'])}.")
        notes += [note] if note else []
        return ExhibitTable(frame[[*columns, "origin", "status"]], tuple(notes))


_M_TILE = _Sweep(
    "dse_m_tile",
    "m_tile_size",
    "m-tile",
    (_FULL, "4096", "2048", "1024", "512", "128", "32"),
    ("total_cycles", "total_buffer_capacity"),
    reference=(_FULL, "the full tile"),
)
_VECTOR = _Sweep(
    "dse_vector",
    "vector_size",
    "vector-size",
    ("4096", "2048", "512", "128", "32", "8"),
    ("layer_array_ops", "layer_scatter_ops"),
    dataset="mlvu",
)
_BLOCK = _Sweep(
    "dse_block",
    "block_size",
    "block",
    tuple(f"{frames}x{side}x{side}" for frames in (1, 2, 3) for side in (1, 2, 3)),
    ("total_cycles",),
    reference=(_LARGEST, _LARGEST),
)
_SCATTER = _Sweep(
    "dse_scatter",
    "num_scatter",
    "scatter",
    ("1", "2", "3", "4", _MOST),
    ("total_cycles", "buffer_area"),
    reference=(_MOST, _MOST),
)


def _m_tile(results: Results) -> ExhibitTable:
    """Return latency relative to a tile of all rows, buffer size and published accuracy."""
    frame = _M_TILE.frame(results).rename(columns={"latency": "latency_over_full"})
    frame["buffer_mib"] = frame["total_buffer_capacity"] / _MIBI
    return _M_TILE.made(
        frame, ("value", "latency_over_full", "buffer_mib", "accuracy_percent", "total_cycles")
    )


def _vector(results: Results) -> ExhibitTable:
    """Return operations of the array and of the scatter accumulators, in 2^30, and published accuracy."""
    frame = _VECTOR.frame(results)
    frame["array_gi_operations"] = frame["layer_array_ops"] / _GIBI
    frame["scatter_gi_operations"] = frame["layer_scatter_ops"] / _GIBI
    frame["all_gi_operations"] = frame["array_gi_operations"] + frame["scatter_gi_operations"]
    columns = (
        "value",
        "array_gi_operations",
        "scatter_gi_operations",
        "all_gi_operations",
        "accuracy_percent",
    )
    return _VECTOR.made(
        frame, columns, note="Output projection of block 9; a multiply-accumulate counts twice."
    )


def _block(results: Results) -> ExhibitTable:
    """Return latency relative to the largest block, mean compression and published accuracy."""
    frame = _BLOCK.frame(results).rename(columns={"latency": "latency_over_largest"})
    columns = ("value", "latency_over_largest", "total_compression_ratio", "accuracy_percent", "total_cycles")
    return _BLOCK.made(frame, columns)


def _scatter(results: Results) -> ExhibitTable:
    """Return latency relative to most accumulators, and the area of the buffers behind the array."""
    names = {"buffer_area": "buffer_area_mm2", "latency": "latency_over_most"}
    frame = _SCATTER.frame(results).rename(columns=names)
    frame["accumulators"] = [int(value) * _VECTOR_ELEMENTS for value in frame["value"]]
    columns = ("value", "accumulators", "latency_over_most", "buffer_area_mm2", "total_cycles")
    return _SCATTER.made(frame, columns, accuracy=False)


def _line(column: str, colour: str, digits: int, marker: str, frame: pd.DataFrame, axis: Any) -> None:
    """Draw a line with its values written above the points."""
    from matplotlib.patheffects import withStroke

    values = frame[column]
    axis.plot(range(len(values)), values, color=colour, marker=marker, clip_on=False)
    for place, value in enumerate(values):
        if not pd.isna(value):
            axis.annotate(
                f"{value:.{digits}f}",
                (place, value),
                xytext=(0, 4),
                textcoords="offset points",
                ha="center",
                fontsize=5.2,
                path_effects=[withStroke(linewidth=1.6, foreground="white")],
            )


def _bars(column: str, digits: int, frame: pd.DataFrame, axis: Any) -> None:
    """Draw bars with their values written above."""
    values = frame[column]
    axis.bar(range(len(values)), values, 0.62, color=_BLUE, hatch="...", edgecolor="black", linewidth=0.25)
    for place, value in enumerate(values):
        if not pd.isna(value):
            axis.text(place, value, f"{value:.{digits}f}", ha="center", va="bottom", fontsize=5.2)


def _operations(frame: pd.DataFrame, axis: Any) -> None:
    """Draw operations of the scatter accumulators on top of those of the array."""
    places, array = range(len(frame)), frame["array_gi_operations"]
    axis.bar(places, array, 0.62, color=_BLUE, label="Array", hatch="...")
    scatter = {"color": "#E69F00", "label": "Scatter accumulators"}
    axis.bar(places, frame["scatter_gi_operations"], 0.62, bottom=array, **scatter)
    for place, value in zip(places, frame["all_gi_operations"], strict=True):
        axis.text(place, value, f"{value:.1f}", ha="center", va="bottom", fontsize=5.2)
    axis.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0.1)


_ACCURACY = ("Accuracy\n[%]", partial(_line, "accuracy_percent", _RED, 1, "^"))


def _exhibit(
    name: str,
    what: str,
    sweep: _Sweep,
    table: Callable[[Results], ExhibitTable],
    heading: str,
    parts: Sequence[tuple[str, Callable[[pd.DataFrame, Any], None]]],
    ticks: str = "value",
) -> Exhibit:
    def draw(made: ExhibitTable) -> Any:
        frame = made.frame
        names = ["Full" if tick == _FULL else str(tick) for tick in frame[ticks]]
        drawn = [(label, partial(part, frame)) for label, part in parts]
        return panels(heading, names, drawn, made.notes)

    return Exhibit(
        name=f"fig{name}",
        title=f"Figure 10({name[-1]}): {what}",
        needs=frozenset({"sweeps"}),
        claims=answers(f"fig_{name}", sweep.exhibit),
        table=table,
        draw=draw,
        fidelities=("parity",),
    )


FIG10A = _exhibit(
    "10a",
    "height of the m-tile",
    _M_TILE,
    _m_tile,
    "Rows of an m-tile",
    (
        ("Latency\nrel. to full [-]", partial(_line, "latency_over_full", _BLUE, 2, "o")),
        ("Buffers\n[MiB]", partial(_line, "buffer_mib", _GREEN, 2, "s")),
        _ACCURACY,
    ),
)
FIG10B = _exhibit(
    "10b",
    "vector size",
    _VECTOR,
    _vector,
    "Elements of a vector",
    (("Operations\n[2\u00b3\u2070]", _operations), _ACCURACY),
)
FIG10C = _exhibit(
    "10c",
    "block size",
    _BLOCK,
    _block,
    "Block: frames x height x width [tokens]",
    (("Latency\nrel. to 3x3x3 [-]", partial(_bars, "latency_over_largest", 2)), _ACCURACY),
)
FIG10D = _exhibit(
    "10d",
    "scatter accumulators",
    _SCATTER,
    _scatter,
    "Scatter accumulators",
    (
        ("Latency\nrel. to 160 [-]", partial(_bars, "latency_over_most", 3)),
        ("Buffer area\n[mm\u00b2]", partial(_line, "buffer_area_mm2", _GREEN, 2, "s")),
    ),
    ticks="accumulators",
)
