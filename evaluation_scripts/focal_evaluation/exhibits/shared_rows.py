"""Numbers that several exhibits share: ratios to the dense array, means over shared workloads, published GPU runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from focal_common.errors import TraceError
from focal_evaluation.claims.published import GpuRun, read_gpu_runs
from focal_evaluation.claims.results import Results
from focal_evaluation.exhibits.base import DONE
from focal_evaluation.exhibits.style import METHODS, base_of, label, short
from focal_simulator.results.ratios import DENSE, ENERGY, SPEEDUP

IMAGE_DATASETS = ("vqav2", "mme", "mmbench")
"""Of Table V; every other dataset counts as video."""

GEOMEAN = "geomean"
"""In the column ``model`` of a row that is a mean."""


def in_order(names: Iterable[str]) -> list[str]:
    """Return methods from left to right: those of the paper as printed, others by name before Focus."""
    places = {name: place for place, name in enumerate(METHODS)}
    before_focus = places["focus_sec_only"] - 0.5
    return sorted(set(names), key=lambda name: (places.get(base_of(name), before_focus), name))


def video_rows(results: Results, is_image: bool = False) -> pd.DataFrame:
    """Return the main rows of video (or image) workloads.

    Raises:
        TraceError: There are none.
    """
    rows = results.rows
    chosen = rows[rows["dataset"].isin(IMAGE_DATASETS) == is_image]
    if chosen.empty:
        raise TraceError(f"{results.folder}: holds no {'image' if is_image else 'video'} workload")
    return chosen.reset_index(drop=True)


def with_gpu(results: Results, rows: pd.DataFrame) -> pd.DataFrame:
    """Add the published GPU runs of workloads that have the published size; others have no GPU to compare with."""
    published = {
        claim.subject: claim.value
        for claim in results.claims
        if (claim.exhibit, claim.quantity) == ("main_focus", "dense_ops")
    }
    sizes = {
        f"{row['model']}/{row['dataset']}": row["dense_macs"]
        for row in rows.to_dict("records")
        if row["dense_macs"] > 0
    }
    measured = []
    for method, runs in read_gpu_runs(results.root).items():
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
    if not measured:
        return rows
    both = pd.concat([rows, pd.DataFrame(measured)], ignore_index=True)
    # No run of ours took the ratios of a measured GPU.
    both[SPEEDUP] = both[SPEEDUP].fillna(1 / relative_to_dense(both, "seconds"))
    both[ENERGY] = both[ENERGY].fillna(relative_to_dense(both, "energy_mj"))
    return both


def relative_to_dense(rows: pd.DataFrame, column: str) -> pd.Series:
    """Return a column over that of the dense row of the same workload; NaN where either is zero or absent."""
    pairs = list(zip(rows["model"], rows["dataset"], strict=True))
    is_dense = (rows["method"] == DENSE) & (rows["status"] == DONE)
    dense: dict[tuple[str, str], float] = {}
    for pair, value in zip(pairs, rows[column].where(is_dense), strict=True):
        if value > 0:
            dense.setdefault(pair, value)
    found = rows[column].where((rows["status"] == DONE) & (rows[column] > 0))
    return found / [dense.get(pair, np.nan) for pair in pairs]


def grid(where: object, rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return one row per workload and method with one ratio over the dense array.

    Args:
        where: Folder, for messages.
        rows: Main rows; of repeated ones the first counts.
        column: A ratio of the rows: what their run took, or `relative_to_dense` has made.

    Returns:
        Columns ``model, dataset, method, origin, status`` and the ratio. Every method has a row for every
        workload: one that was not run has status ``not run``, and NaN.

    Raises:
        TraceError: No row has a ratio, and there is no dense row.
    """
    is_done = rows["status"] == DONE
    if not (is_done & (rows[column].notna() | (rows["method"] == DENSE))).any():
        raise TraceError(
            f"{where}: holds no row with a ratio over the dense array; run focal sim on dense, too"
        )
    cells: dict[tuple[str, str, str], Mapping[Any, Any]] = {}
    for row in rows.to_dict("records"):
        cells.setdefault((row["model"], row["dataset"], row["method"]), row)
    found = []
    for model, dataset in dict.fromkeys((model, dataset) for model, dataset, _ in cells):
        for method in in_order(rows["method"]):
            cell: Mapping[Any, Any] = cells.get((model, dataset, method), {"status": "not run", "origin": ""})
            record = {"model": model, "dataset": dataset, "method": method, "origin": cell["origin"]}
            record["status"] = cell["status"]
            record[column] = cell[column] if cell["status"] == DONE else np.nan
            if cell["status"] == DONE and pd.isna(cell[column]):
                record["status"] = "no ratio over dense"
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


def _gpu_notes(results: Results, methods: Iterable[str]) -> list[str]:
    """Return what GPU bars are: measurements, or a constant share of another method's, which no measurement is."""
    runs = read_gpu_runs(results.root)
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


def origin_notes(results: Results, frame: pd.DataFrame) -> tuple[str, ...]:
    """Return the sentences that say what the numbers rest on and what is absent."""
    level = "Simulated, fidelity parity (published formulas)"
    if results.fidelity != "parity":
        words = sorted(set(results.rows["corrections"]))
        level = f"Simulated, fidelity {results.fidelity} (corrections: {'; '.join(words)})"
    notes = [f"{level}; visual tokens of one prefill."]
    for origin in sorted({one for one in frame["origin"] if one}):
        methods = in_order(frame.loc[frame["origin"] == origin, "method"])
        if origin.startswith("synthetic") or origin == "estimated":
            notes.append(f"{', '.join(map(label, methods))}: {origin} counts.")
        elif any(method.startswith(_PLAIN_GPU) for method in methods):
            notes += _gpu_notes(results, methods)
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
