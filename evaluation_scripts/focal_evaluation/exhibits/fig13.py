"""Figure 13 of the Focus paper (HPCA 2026): unique vectors per tile, and the utilisation they allow."""

from __future__ import annotations

from typing import Any

from focal_evaluation.claims.results import Results
from focal_evaluation.exhibits.base import DONE, Exhibit, ExhibitTable, answers
from focal_evaluation.exhibits.charts import foot
from focal_evaluation.exhibits.style import COLUMN_INCHES, METHODS, new_figure, short

_POOL = "(all)"


def table(results: Results) -> ExhibitTable:
    """Return the histogram of the pool of a model's workloads, or of the first workload there is."""
    tiles = results.tiles
    pool = tiles[(tiles["dataset"] == _POOL) & (tiles["model"] == "llava_vid")]
    for choice in (tiles[tiles["dataset"] == _POOL], tiles):
        if pool.empty and not choice.empty:
            first = choice.iloc[0]
            pool = choice[(choice["model"] == first["model"]) & (choice["dataset"] == first["dataset"])]
    frame = pool.drop(columns=["variant"], errors="ignore").reset_index(drop=True).assign(status=DONE)
    if "origin" not in frame.columns:
        frame = frame.assign(origin=_origin(results))
    model, dataset = str(frame["model"].iloc[0]), str(frame["dataset"].iloc[0])
    what = "all video workloads" if dataset == _POOL else short(dataset)
    return ExhibitTable(
        frame,
        (
            f"{short(model)}, {what}; tiles of 1024 rows, slices of 32 elements, with at least 10 unique vectors.",
            f"Counts: {frame['origin'].iloc[0] or 'as recorded'}.",
            "Utilisation as published: mean of n / (n + 32).",
        ),
    )


def _origin(results: Results) -> str:
    focus = results.rows[results.rows["method"] == "focus"]
    return "; ".join(sorted(set(focus["origin"])))


def draw(made: ExhibitTable) -> Any:
    """Return the figure."""
    frame = made.frame
    figure = new_figure(COLUMN_INCHES, 1.85)
    axis = figure.subplots()
    widths = frame["bin_stop"] - frame["bin_start"]
    axis.bar(
        frame["bin_start"],
        100 * frame["density"] * widths,
        widths,
        align="edge",
        color=METHODS["focus"][1],
        edgecolor="white",
        linewidth=0.3,
    )
    first = frame.iloc[0]
    axis.axvline(first["mean_length"], color="black", linewidth=0.8, linestyle="--")
    axis.text(
        0.03,
        0.94,
        f"mean {first['mean_length']:.0f}, s.d. {first['std_length']:.0f}\n"
        f"range {first['shortest']:.0f} to {first['longest']:.0f}\n"
        f"utilisation {100 * first['utilisation_published']:.1f} %",
        transform=axis.transAxes,
        va="top",
        fontsize=6.2,
    )
    axis.set_xlabel("Unique vectors in a tile and slice [vectors]")
    axis.set_ylabel("Share of tiles [%]")
    axis.grid(axis="y")
    axis.margins(y=0.25)
    foot(figure, made.notes)
    return figure


EXHIBIT = Exhibit(
    name="fig13",
    title="Figure 13: tile lengths",
    needs=frozenset({"main", "tiles"}),
    claims=answers("fig_13"),
    table=table,
    draw=draw,
    fidelities=("parity",),
)
