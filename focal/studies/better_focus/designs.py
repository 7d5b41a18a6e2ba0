"""The designs of the study better_focus beside the published Focus, as one table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from focal_common.errors import ConfigError
from focal_common.files import atomic_write_text
from focal_common.reading.frames import csv_frame

_PUBLISHED = {
    "weights": "single",
    "core.scatter_vectors": "2",
    "tiles.m_tile": "1024",
    "tiles.n_tile": "96",
    "gather_lanes": "1",
}
_OBJECTIVES = ["seconds", "total_mj", "area_mm2"]


def compare_designs(points: Path) -> pd.DataFrame:
    """Return every finished design with its gains over the published Focus, the fastest first.

    Args:
        points: Rows of the study better_focus as CSV.

    Returns:
        The axes, ``seconds``, ``total_mj`` and ``area_mm2`` (geometric means over the workloads); ``speedup`` and
        ``energy_gain`` over the published design (as factors), ``area_change_percent``, ``is_on_front`` (no other
        design is at least as good in time, energy and area, and better in one), and ``MODEL/DATASET:speedup`` and
        ``MODEL/DATASET:energy_gain`` of each workload.

    Raises:
        ConfigError: The file is no such table, or it does not hold the published design.
    """
    needed = (*_PUBLISHED, *_OBJECTIVES, "status")
    rows = csv_frame(
        points, needed, ConfigError, "expected rows of better_focus", _OBJECTIVES, tuple(_PUBLISHED)
    )
    rows = rows[rows["status"] == "ok"]
    published = rows[(rows[list(_PUBLISHED)] == pd.Series(_PUBLISHED)).all(axis=1)]
    if published.empty:
        raise ConfigError(
            f"{points}: does not hold the finished published design, expected rows of better_focus"
        )
    base = published.iloc[0]
    values = rows[_OBJECTIVES].to_numpy()
    gains = {
        f"{name.removesuffix(metric)}{gain}": base[name] / rows[name]
        for metric, gain in (("seconds", "speedup"), ("total_mj", "energy_gain"))
        for name in rows.columns
        if name == metric or name.endswith(f":{metric}")
    }
    gains["area_change_percent"] = 100 * (rows["area_mm2"] / base["area_mm2"] - 1)
    gains["is_on_front"] = pd.Series(
        [not ((values <= own).all(axis=1) & (values < own).any(axis=1)).any() for own in values], rows.index
    )
    own = ["speedup", "energy_gain", "area_change_percent", "is_on_front"]
    designs = rows[[*_PUBLISHED, *_OBJECTIVES]].join(pd.DataFrame(gains))
    workloads = [name for name in gains if name not in own]
    return designs[[*_PUBLISHED, *_OBJECTIVES, *own, *workloads]].sort_values("seconds", kind="stable")


def write_designs(points: Path, output: Path) -> Path:
    """Write ``designs.csv`` into a folder; see `compare_designs` for errors."""
    path = output / "designs.csv"
    atomic_write_text(
        path, compare_designs(points).to_csv(index=False, lineterminator="\n", float_format="%.9g")
    )
    return path
