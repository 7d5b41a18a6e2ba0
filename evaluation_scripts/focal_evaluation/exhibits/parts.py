"""Numbers that several exhibits share: ratios to the dense array, means over shared workloads, published GPU runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from focal_common.errors import TraceError
from focal_evaluation.exhibits.base import DONE
from focal_evaluation.exhibits.style import METHODS, base_of, label, short
from focal_evaluation.material import Material
from focal_evaluation.published import GpuRun, read_gpu_runs

__all__ = [
    "GEOMEAN",
    "IMAGE_DATASETS",
    "geomean_rows",
    "in_order",
    "origin_notes",
    "ratios",
    "video_rows",
    "with_gpu",
]

IMAGE_DATASETS = ("vqav2", "mme", "mmbench")
"""Of Table V; every other dataset counts as video."""

GEOMEAN = "geomean"
"""In the column ``model`` of a row that is a mean."""


def in_order(names: Iterable[str]) -> list[str]:
    """Return methods from left to right: those of the paper as printed, others by name before Focus."""
    places = {name: place for place, name in enumerate(METHODS)}
    before_focus = places["focus_sec_only"] - 0.5
    return sorted(set(names), key=lambda name: (places.get(base_of(name), before_focus), name))


def video_rows(material: Material, is_image: bool = False) -> pd.DataFrame:
    """Return the main rows of video (or image) workloads.

    Raises:
        TraceError: There are none.
    """
    rows = material.rows
    chosen = rows[rows["dataset"].isin(IMAGE_DATASETS) == is_image]
    if chosen.empty:
        raise TraceError(f"{material.folder}: holds no {'image' if is_image else 'video'} workload")
    return chosen.reset_index(drop=True)


def with_gpu(material: Material, rows: pd.DataFrame) -> pd.DataFrame:
    """Add the published GPU runs of workloads that have the published size; others have no GPU to compare with."""
    published = {
        claim.subject: claim.value
        for claim in material.claims
        if (claim.exhibit, claim.quantity) == ("main_focus", "dense_ops")
    }
    sizes = {
        f"{row['model']}/{row['dataset']}": row["dense_macs"]
        for row in rows.to_dict("records")
        if row["dense_macs"] > 0
    }
    measured = []
    for method, runs in read_gpu_runs(material.root).items():
        for (model, dataset), run in runs.items():
            subject = f"{model}/{dataset}"
            if subject not in sizes or subject not in published:
                continue
            if abs(sizes[subject] / published[subject] - 1) < 1e-6:
                measured.append(
                    {
                        "model": model,
                        "dataset": dataset,
                        "method": method,
                        "status": DONE,
                        "seconds": run.seconds,
                        "energy_mj": run.energy_mj,
                        "origin": "published",
                    }
                )
    return pd.concat([rows, pd.DataFrame(measured)], ignore_index=True) if measured else rows


def ratios(where: object, rows: pd.DataFrame, columns: dict[str, str], inverse: bool = False) -> pd.DataFrame:
    """Return one row per workload and method with columns relative to the dense row of the same workload.

    Args:
        where: Folder, for messages.
        rows: Main rows.
        columns: Column of the rows to column of the result.
        inverse: Dense over method (a speed-up) in place of method over dense.

    Returns:
        Columns ``model, dataset, method, origin, status`` and the ratios. Every method has a row for every
        workload: one that was not run has status ``not run``, and NaN.

    Raises:
        TraceError: No dense row stands for comparison.
    """
    cells: dict[tuple[str, str, str], Mapping[Any, Any]] = {}
    for row in rows.to_dict("records"):
        cells.setdefault((row["model"], row["dataset"], row["method"]), row)
    if not any(key[2] == "dense" and row["status"] == DONE for key, row in cells.items()):
        raise TraceError(
            f"{where}: holds no row of the dense array, which ratios are relative to; "
            "run focal sim with --accelerator dense too"
        )
    methods = in_order(rows["method"])
    found = []
    for model, dataset in dict.fromkeys((model, dataset) for model, dataset, _ in cells):
        base = cells.get((model, dataset, "dense"), {"status": "not run"})
        for method in methods:
            cell: Mapping[Any, Any] = cells.get((model, dataset, method), {"status": "not run", "origin": ""})
            status = cell["status"]
            if status == DONE and base["status"] != DONE:
                status = "no dense row"
            record = {"model": model, "dataset": dataset, "method": method, "origin": cell["origin"]}
            record["status"] = status
            for column, ours in columns.items():
                record[ours] = np.nan
                if status == DONE:
                    top, bottom = (base[column], cell[column]) if inverse else (cell[column], base[column])
                    if top > 0 and bottom > 0:
                        record[ours] = top / bottom
                    else:
                        record["status"] = f"{column} is zero"
            found.append(record)
    return pd.DataFrame(found)


def geomean_rows(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return one row per method: the geometric mean over the workloads that every method has.

    Means over different workloads must not stand side by side. A method with fewer than half of the workloads of the
    widest is left out rather than letting the mean shrink to nothing; fewer than two shared workloads give no rows.
    """
    done = frame[(frame["status"] == DONE) & frame[column].notna()]
    have = {
        str(name): set(zip(part["model"], part["dataset"], strict=True))
        for name, part in done.groupby("method")
    }
    if not have:
        return frame.iloc[:0]
    most = max(len(pairs) for pairs in have.values())
    whole = {name: pairs for name, pairs in have.items() if 2 * len(pairs) >= most}
    shared = set.intersection(*whole.values())
    if len(shared) < 2:
        return frame.iloc[:0]
    rows = []
    for method in in_order(whole):
        part = done[done["method"] == method]
        values = [
            value
            for model, dataset, value in zip(part["model"], part["dataset"], part[column], strict=True)
            if (model, dataset) in shared
        ]
        rows.append(
            {
                "model": GEOMEAN,
                "dataset": f"of {len(shared)}",
                "method": method,
                "origin": "; ".join(sorted(set(part["origin"]))),
                "status": DONE,
                column: float(np.exp(np.mean(np.log(values)))),
            }
        )
    return pd.DataFrame(rows)


def _gpu_notes(material: Material, methods: Iterable[str]) -> list[str]:
    """Return what GPU bars are: measurements, or a constant share of another method's, which no measurement is."""
    runs = read_gpu_runs(material.root)
    notes = []
    for method in [name for name in methods if name in runs]:
        share = _constant_share(runs[method], runs[_PLAIN_GPU]) if _PLAIN_GPU in runs else None
        if method == _PLAIN_GPU or share is None:
            notes.append(f"{label(method)}: published measurement (Jetson Orin Nano).")
        else:
            notes.append(
                f"{label(method)}: published as measured, but {share:.2f} of {label(_PLAIN_GPU)} on every workload: "
                "looks scaled."
            )
    return notes


_PLAIN_GPU = "gpu"

_MEASURED_SPREAD = 0.01
"""Relative; times of different models and videos that agree nearer than this follow a factor, not a clock."""


def _constant_share(runs: Mapping[Any, GpuRun], plain: Mapping[Any, GpuRun]) -> float | None:
    """Return the ratio of times if it is the same on every workload, of three or more."""
    ratios = [run.seconds / plain[pair].seconds for pair, run in runs.items() if pair in plain]
    if len(ratios) < 3 or max(ratios) > (1 + _MEASURED_SPREAD) * min(ratios):
        return None
    return float(np.mean(ratios))


def origin_notes(material: Material, frame: pd.DataFrame) -> tuple[str, ...]:
    """Return the sentences that say what the numbers rest on and what is absent."""
    level = "Simulated, fidelity parity (published formulas)"
    if material.fidelity != "parity":
        words = sorted(set(material.rows["corrections"]))
        level = f"Simulated, fidelity {material.fidelity} (corrections: {'; '.join(words)})"
    notes = [f"{level}; visual tokens of one prefill."]
    for origin in sorted({one for one in frame["origin"] if one}):
        methods = in_order(frame.loc[frame["origin"] == origin, "method"])
        if origin.startswith("synthetic") or origin == "estimated":
            notes.append(f"{', '.join(map(label, methods))}: {origin} counts.")
        elif any(method.startswith(_PLAIN_GPU) for method in methods):
            notes += _gpu_notes(material, methods)
    absent = frame[frame["status"] != DONE]
    for status in sorted(set(absent["status"])):
        part = absent[absent["status"] == status]
        names = [
            f"{label(row['method'])} {short(row['model'])}/{short(row['dataset'])}"
            for row in part.to_dict("records")
        ]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        notes.append(f"Absent ({short(status, 60)}): {', '.join(names[:3])}{more}.")
    return tuple(notes)
