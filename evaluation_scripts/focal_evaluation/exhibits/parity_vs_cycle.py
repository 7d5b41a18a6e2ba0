"""Corrected twins: an exhibit in fidelity parity beside the same exhibit in fidelity cycle.

The first shows what was published, the second what the same inputs give once every named correction of
docs/corrections.md is on, with baselines that are modelled as carefully as Focus.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from focal_evaluation.claims.claims import Claim
from focal_evaluation.claims.results import Results
from focal_evaluation.exhibits import fig9a, fig9b, fig11, fig12, table2, table3, table5
from focal_evaluation.exhibits.base import Exhibit, ExhibitTable
from focal_evaluation.exhibits.charts import foot, legend_above, methods_of, table_figure
from focal_evaluation.exhibits.fig12 import RATIO, memory_bars
from focal_evaluation.exhibits.shared_rows import GEOMEAN
from focal_evaluation.exhibits.style import COLUMN_INCHES, PAGE_INCHES, colour, label, new_figure, short
from focal_simulator.results.ratios import SPEEDUP

LEVELS = {"parity": "parity: as published", "cycle": "cycle: corrected"}


def _table_of(
    exhibit: Exhibit, keys: Sequence[str], numbers: Sequence[str]
) -> Callable[[Results], ExhibitTable]:
    """Return what makes both tables and the change of each number in percent."""

    def table(results: Results) -> ExhibitTable:
        made = {level: exhibit.table(replace(results, fidelity=level)) for level in LEVELS}
        both = pd.concat(
            [part.frame.assign(fidelity=level) for level, part in made.items()], ignore_index=True
        )
        first, second = (part.frame.set_index(list(keys)) for part in made.values())
        for column in numbers:
            change, unit = _change(first[column], second[column], column)
            both[f"{column}_change_{unit}"] = [
                change.get(tuple(row[key] for key in keys) if len(keys) > 1 else row[keys[0]], float("nan"))
                for row in both.to_dict("records")
            ]
        notes = [note for part in made.values() for note in part.notes]
        return ExhibitTable(both, tuple(dict.fromkeys(notes)))

    return table


def _change(first: Any, second: Any, column: str) -> tuple[Any, str]:
    """Return the change and its unit: points of what is a percentage already, percent of anything else."""
    if column.endswith("_percent"):
        return second - first, "points"
    return 100 * (second / first - 1), "percent"


def _level(made: ExhibitTable, level: str) -> pd.DataFrame:
    return made.frame[made.frame["fidelity"] == level].reset_index(drop=True)


def _panels(
    bars: Callable[[Any, pd.DataFrame], None], parts: bool, width: float, height: float
) -> Callable[..., Any]:
    """Return what draws both levels one above the other on equal axes."""

    def draw(made: ExhibitTable) -> Any:
        figure = new_figure(width, height)
        axes = figure.subplots(2, 1, sharex=True, sharey=True)
        for axis, (level, title) in zip(axes, LEVELS.items(), strict=True):
            bars(axis, _level(made, level))
            axis.text(
                1.008,
                0.5,
                title,
                transform=axis.transAxes,
                rotation=270,
                va="center",
                fontsize=6.5,
                fontweight="bold",
            )
        columns = 4 if width < PAGE_INCHES else 9
        legend_above(axes[0], methods_of(made.frame), columns, parts=parts)
        foot(figure, made.notes)
        return figure

    return draw


def _memory(what: str) -> Callable[[Any, pd.DataFrame], None]:
    def bars(axis: Any, frame: pd.DataFrame) -> None:
        memory_bars(axis, frame)
        axis.set_ylabel(f"{what}\nrel. to dense [-]")
        axis.set_ylim(0, 1.25)

    return bars


def _pale(name: str) -> tuple[float, ...]:
    from matplotlib.colors import to_rgb

    return tuple(0.45 * part + 0.55 for part in to_rgb(name))


def _ablation(made: ExhibitTable) -> Any:
    figure = new_figure(COLUMN_INCHES, 2.2)
    axis = figure.subplots()
    methods = methods_of(made.frame)
    for offset, level in zip((-0.2, 0.2), LEVELS, strict=True):
        frame = _level(made, level)
        speedups = dict(zip(frame["method"], frame[SPEEDUP], strict=True))
        for place, method in enumerate(methods):
            value = speedups[method]
            axis.barh(
                place + offset,
                value,
                0.38,
                color=_pale(colour(method)) if level == "parity" else colour(method),
                edgecolor="black",
                linewidth=0.3,
            )
            axis.text(value, place + offset, f" {value:.2f}\u00d7 {level}", va="center", fontsize=5.6)
    axis.set_yticks(range(len(methods)), [fig11.LABELS[name] for name in methods])
    axis.invert_yaxis()
    axis.set_xlim(0, 1.3 * made.frame[SPEEDUP].max())
    axis.set_xlabel("Speed-up over the dense systolic array [x]")
    axis.set_title("Pale: parity (published); full: cycle (corrected)")
    axis.grid(axis="x")
    foot(figure, made.notes)
    return figure


def _lines(exhibit: Exhibit, heads: dict[str, str], digits: int) -> Callable[[ExhibitTable], Any]:
    """Return what draws each number of both levels side by side, with the change."""

    def draw(made: ExhibitTable) -> Any:
        parity, cycle = (_level(made, level) for level in LEVELS)
        lines = []
        for first, second in zip(parity.to_dict("records"), cycle.to_dict("records"), strict=True):
            if first["method"] in ("dense", "framefusion") and exhibit is not table3.EXHIBIT:
                continue
            cells = {}
            if "model" in first:
                is_mean = first["model"] in (GEOMEAN, "mean")
                cells["Workload"] = (
                    f"{short(first['model'])} {first['dataset']}"
                    if is_mean
                    else f"{short(first['model'])} {short(first['dataset'])}"
                )
            cells["Method"] = label(first["method"])
            for column, head in heads.items():
                if pd.isna(first[column]):
                    break
                cells[f"{head}\nparity"] = f"{first[column]:.{digits}f}"
                cells[f"{head}\ncycle"] = f"{second[column]:.{digits}f}"
                change, unit = _change(first[column], second[column], column)
                name = "Change" if len(heads) == 1 else f"{head.partition(' ')[0]} change"
                cells[f"{name}\n[{_UNITS[unit]}]"] = _signed(change)
            else:
                lines.append(cells)
        first_columns = 2 if "Workload" in lines[0] else 1
        return table_figure(
            pd.DataFrame(lines), f"{exhibit.title}: parity and cycle", made.notes, first_columns
        )

    return draw


_UNITS = {"points": "pt", "percent": "%"}


def _signed(value: float) -> str:
    text = f"{value:+.2f}"
    return "0" if float(text) == 0 else text


def _no_claims(claim: Claim) -> bool:
    # Verdicts of each fidelity stand with the exhibits of that fidelity.
    return False


def _twin(
    name: str,
    exhibit: Exhibit,
    keys: Sequence[str],
    numbers: Sequence[str],
    draw: Callable[[ExhibitTable], Any],
) -> Exhibit:
    return Exhibit(
        name=name,
        title=f"{exhibit.title}: parity and cycle",
        needs=exhibit.needs,
        claims=_no_claims,
        table=_table_of(exhibit, keys, numbers),
        draw=draw,
        both=True,
    )


_KEYS = ("model", "dataset", "method")

TWIN9A = _twin("twin9a", fig9a.EXHIBIT, _KEYS, (SPEEDUP,), _panels(fig9a.bars, False, PAGE_INCHES, 3.5))
TWIN9B = _twin("twin9b", fig9b.EXHIBIT, _KEYS, ("total",), _panels(fig9b.bars, True, PAGE_INCHES, 3.7))
TWIN11 = _twin("twin11", fig11.EXHIBIT, ("method",), (SPEEDUP,), _ablation)
TWIN12A = _twin(
    "twin12a",
    fig12.FIG12A,
    ("model", "method"),
    (RATIO,),
    _panels(_memory("DRAM access"), False, COLUMN_INCHES, 3.2),
)
TWIN12B = _twin(
    "twin12b",
    fig12.FIG12B,
    ("model", "method"),
    (RATIO,),
    _panels(_memory("Input activations"), False, COLUMN_INCHES, 3.2),
)
TWIN2 = _twin(
    "twin2",
    table2.EXHIBIT,
    _KEYS,
    (table2.SPARSITY,),
    _lines(table2.EXHIBIT, {table2.SPARSITY: "Sparsity [%]"}, 2),
)
TWIN3 = _twin(
    "twin3",
    table3.EXHIBIT,
    ("method",),
    ("area_mm2", "power_mw", "buffer_kib"),
    _lines(
        table3.EXHIBIT,
        {"area_mm2": "Area [mm\u00b2]", "power_mw": "Power [mW]", "buffer_kib": "Buffers [KiB]"},
        2,
    ),
)
TWIN5 = _twin(
    "twin5",
    table5.EXHIBIT,
    _KEYS,
    (SPEEDUP,),
    _lines(table5.EXHIBIT, {SPEEDUP: "Speed-up [x]"}, 2),
)
