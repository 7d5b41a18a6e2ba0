"""Figure 10(b) of the Focus paper (HPCA 2026): vector size, on one layer."""

from __future__ import annotations

from typing import Any

from focal_evaluation.claims.results import Material
from focal_evaluation.exhibits.base import Exhibit, ExhibitTable, answers
from focal_evaluation.exhibits.charts import panels
from focal_evaluation.exhibits.sweeps import line, sweep_frame, sweep_notes

__all__ = ["EXHIBIT"]

_ORDER = ("4096", "2048", "512", "128", "32", "8")
_SWEPT = "vector_size"
_GIBI = 2**30


def table(material: Material) -> ExhibitTable:
    """Return operations of the array and of the scatter accumulators, in 2^30, and published accuracy."""
    frame = sweep_frame(material, "dse_vector", _SWEPT, _ORDER, ("layer_array_ops", "layer_scatter_ops"))
    frame["array_gi_operations"] = frame["layer_array_ops"] / _GIBI
    frame["scatter_gi_operations"] = frame["layer_scatter_ops"] / _GIBI
    frame["all_gi_operations"] = frame["array_gi_operations"] + frame["scatter_gi_operations"]
    columns = [
        "value",
        "array_gi_operations",
        "scatter_gi_operations",
        "all_gi_operations",
        "accuracy_percent",
    ]
    notes = (*sweep_notes(frame, _SWEPT), "Output projection of block 9; a multiply-accumulate counts twice.")
    return ExhibitTable(frame[[*columns, "origin", "status"]], notes)


def draw(made: ExhibitTable) -> Any:
    """Return the figure."""
    frame = made.frame

    def operations(axis: Any) -> None:
        places = range(len(frame))
        axis.bar(places, frame["array_gi_operations"], 0.62, color="#0072B2", label="Array", hatch="...")
        axis.bar(
            places,
            frame["scatter_gi_operations"],
            0.62,
            bottom=frame["array_gi_operations"],
            color="#E69F00",
            label="Scatter accumulators",
        )
        for place, value in zip(places, frame["all_gi_operations"], strict=True):
            axis.text(place, value, f"{value:.1f}", ha="center", va="bottom", fontsize=5.2)
        axis.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0.1)

    return panels(
        "Elements of a vector",
        list(frame["value"]),
        [
            ("Operations\n[2\u00b3\u2070]", operations),
            ("Accuracy\n[%]", lambda axis: line(axis, frame["accuracy_percent"], "#D55E00", 1, "^")),
        ],
        made.notes,
    )


EXHIBIT = Exhibit(
    name="fig10b",
    title="Figure 10(b): vector size",
    needs=frozenset({"sweeps"}),
    claims=answers("fig_10b", "dse_vector"),
    table=table,
    draw=draw,
    fidelities=("parity",),
)
