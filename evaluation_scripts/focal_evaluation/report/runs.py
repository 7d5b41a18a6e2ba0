"""Reads the result folders of a report: rows, timed GEMMs, manifests, and files to link to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from focal_common.errors import ConfigError, TraceError, near_matches
from focal_common.files import sha256_of_file
from focal_common.places import plain_name
from focal_common.reading.parquet_files import read_sealed
from focal_evaluation.exhibits.fig9b import with_parts
from focal_evaluation.exhibits.shared_rows import geomean_rows, in_order
from focal_evaluation.results.result_frame import (
    DONE,
    FIDELITIES,
    check_labels,
    check_uniform,
    mixed_notes,
    read_frame,
    read_labels,
)
from focal_simulator.results.output import basis_of, read_manifest
from focal_simulator.results.ratios import ENERGY, SPEEDUP
from focal_simulator.results.rows import run_stem

_LINKED = ("*timeline*.json*", "*overlay*", "*.gif", "*.mp4", "*.trace.json*")

LAYER_COLUMNS = (
    "block",
    "layer",
    "part",
    "cycles",
    "folds",
    "macs",
    "dense_macs",
    "dram_read_bytes",
    "dram_write_bytes",
    "machine_slice_elements",
    "machine_array_columns",
    "machine_row_lanes",
    "machine_cycles_per_pass",
    "machine_read_cycles_numerator",
    "machine_cycles_denominator",
    "stream_cycles",
    "fill_drain_cycles",
    "weight_cycles",
    "model",
    "dataset",
)
"""Of a table of timed GEMMs, as far as the report reads it."""


@dataclass(frozen=True, slots=True)
class Run:
    """One result folder.

    Attributes:
        folder: Where it is.
        name: Its last part, for headings.
        manifest: Content of ``manifest.json``; empty where there is none.
        links: Timelines and overlays beside the results, by name.
    """

    folder: Path
    name: str
    manifest: dict[str, Any]
    links: tuple[Path, ...]

    @property
    def ratios(self) -> tuple[str, ...]:
        """What the ratios of its tables are over, in sentences; empty where the manifest does not say."""
        return basis_of(self.manifest)


@dataclass
class RunSet:
    """Everything a report shows.

    Attributes:
        runs: Result folders.
        rows: Result rows, see `read_frame`; ``method`` tells rows of different variants or folders apart.
        layers: Timed GEMMs with columns ``method`` and `LAYER_COLUMNS`; empty in fidelity parity.
        gaps: One sentence for everything that makes the report partial.
        overlays: Pages and pictures of `focal show` elsewhere, to link to.
        mixed: One sentence for everything in which rows differ that must not be compared; empty unless asked for.
    """

    runs: list[Run]
    rows: pd.DataFrame
    layers: pd.DataFrame
    gaps: list[str] = field(default_factory=list)
    mixed: tuple[str, ...] = ()
    overlays: tuple[Path, ...] = ()


def read_runs(
    folders: Sequence[Path],
    fidelity: str = "",
    is_mixed: bool = False,
    overlays: Sequence[Path] = (),
) -> RunSet:
    """Return what result folders hold.

    Args:
        folders: Result folders of `focal sim`.
        fidelity: Only rows of this level; empty takes all, which must be one unless ``is_mixed``.
        is_mixed: Show different fidelities, corrections, versions or repeated rows side by side.
        overlays: Pages and pictures of `focal show` to link to.

    Raises:
        ConfigError: An unknown fidelity, or an overlay that is no file.
        TraceError: No folder, no results in one, or rows that must not stand side by side.
    """
    if fidelity and fidelity not in FIDELITIES:
        raise ConfigError(f"fidelity '{fidelity}': {near_matches(fidelity, FIDELITIES)}", about=("fidelity",))
    for path in overlays:
        if not path.is_file():
            raise ConfigError(
                f"{path}: no such file, expected a page or picture of focal show", about=("overlay",)
            )
    runs, frames, layers, gaps = [], [], [], []
    for folder in dict.fromkeys(folders):
        frame = read_frame(folder)
        run = Run(folder, folder.resolve().name, read_manifest(folder), _links(folder))
        runs.append(run)
        gaps += _changed(run)
        frame = frame[frame["fidelity"] == fidelity] if fidelity else frame
        frame["run"] = run.name
        frames.append(frame)
        for _, part in frame.groupby(["fidelity", "variant", "method"], sort=False):
            first = part.iloc[0]
            timed = folder / f"{run_stem({**first, 'accelerator': first['method']})}_layers.parquet"
            if timed.exists():
                layers.append(_layers(timed, part))
            elif first["fidelity"] != "parity":
                gaps.append(f"{run.name} has no {timed.name}: no layers of {first['method']}")
    frames = [frame for frame in frames if len(frame)]
    if not frames:
        raise TraceError(
            f"{', '.join(str(folder) for folder in folders) or 'no folder'}: holds no results"
            f"{f' of fidelity {fidelity}' if fidelity else ''}, expected a result folder of focal sim"
        )
    rows = pd.concat(frames, ignore_index=True)
    levels = [name for name in FIDELITIES if (rows["fidelity"] == name).any()]
    labels = pd.concat(
        [read_labels(run.folder, level) for run in runs for level in levels], ignore_index=True
    )
    if not is_mixed:
        where = " and ".join(run.name for run in runs)
        check_uniform(rows, where)
        # Claims read the sweeps and INT8 rows too.
        check_labels(labels, where)
    timed_rows = pd.concat(layers, ignore_index=True) if layers else pd.DataFrame()
    names = _method_names(rows)
    rows["method"] = [names[key] for key in _keys(rows)]
    if not timed_rows.empty:
        timed_rows["method"] = [names[key] for key in _keys(timed_rows)]
    return RunSet(
        runs,
        _sorted(rows),
        timed_rows,
        [*gaps, *_absent(rows)],
        mixed_notes(labels),
        tuple(dict.fromkeys(overlays)),
    )


def _sorted(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows workload by workload, in the order of the first table that has all."""
    pairs = list(zip(rows["model"], rows["dataset"], strict=True))
    order = {pair: place for place, pair in enumerate(dict.fromkeys(pairs))}
    ranks = {name: place for place, name in enumerate(in_order(rows["method"]))}
    keyed = rows.assign(_pair=[order[pair] for pair in pairs], _rank=rows["method"].map(ranks))
    ordered = keyed.sort_values(["_pair", "_rank"], kind="stable", ignore_index=True)
    return ordered.drop(columns=["_pair", "_rank"])


def _keys(frame: pd.DataFrame) -> list[tuple[str, str, str, str]]:
    return list(zip(frame["method"], frame["run"], frame["variant"], frame["fidelity"], strict=True))


def _method_names(rows: pd.DataFrame) -> dict[tuple[str, str, str, str], str]:
    """Return what tells rows apart: the accelerator, and only what differs between equal accelerators."""
    names = {}
    keys = list(dict.fromkeys(_keys(rows)))
    for key in keys:
        rivals = [other for other in keys if other[0] == key[0]]
        marks = [key[place] for place in (1, 2, 3) if len({other[place] for other in rivals}) > 1]
        names[key] = f"{key[0]} ({', '.join(marks)})" if marks else key[0]
    return names


def _layers(path: Path, rows: pd.DataFrame) -> pd.DataFrame:
    frame: pd.DataFrame = read_sealed(path, hint="simulate again").to_pandas()
    if missing := [name for name in LAYER_COLUMNS if name not in frame.columns]:
        raise TraceError(f"{path}: column '{missing[0]}' is missing, expected a table of focal sim")
    first = rows.iloc[0]
    done = rows[rows["status"] == DONE]
    pairs = set(zip(done["model"], done["dataset"], strict=True))
    is_shown = [pair in pairs for pair in zip(frame["model"], frame["dataset"], strict=True)]
    return frame[is_shown].assign(
        method=first["method"], run=first["run"], variant=first["variant"], fidelity=first["fidelity"]
    )


def _changed(run: Run) -> list[str]:
    """Return what the manifest does not vouch for."""
    if not run.manifest:
        return [f"{run.name} has no manifest.json: what made it is unknown"]
    said = run.manifest.get("tables", {})
    for name in said:
        plain_name(name, f"{run.folder / 'manifest.json'}: field 'tables'", TraceError)
    return [
        f"{run.name}/{name} is not the table that the manifest describes"
        for name, digest in said.items()
        if not (run.folder / name).exists() or sha256_of_file(run.folder / name) != digest
    ]


def _links(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted({path for pattern in _LINKED for path in folder.glob(pattern) if path.is_file()}))


def _absent(rows: pd.DataFrame) -> list[str]:
    done = rows[rows["status"] == DONE]
    gaps = [
        f"{row['model']}/{row['dataset']} on {row['method']}: {row['status']}"
        for row in rows[rows["status"] != DONE].to_dict("records")
    ]
    have = set(zip(done["model"], done["dataset"], done["method"], strict=True))
    known = set(zip(rows["model"], rows["dataset"], rows["method"], strict=True))
    for method in dict.fromkeys(rows["method"]):
        absent = [
            f"{model}/{dataset}"
            for model, dataset in dict.fromkeys(zip(rows["model"], rows["dataset"], strict=True))
            if (model, dataset, method) not in have and (model, dataset, method) not in known
        ]
        if absent:
            gaps.append(f"not run on {method}: {', '.join(absent)}")
    return gaps


def ratio_frames(runs: RunSet) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Return speed-up and energy as each row's own run took them, with their means; None without any.

    Returns:
        Two tables with columns ``model, dataset, method, origin, status``; the first with `SPEEDUP`, the second with
        ``total, core, buffer, dram``. A row without a ratio has NaN, and a status that says so.
    """
    rows = runs.rows
    is_done = rows["status"] == DONE
    if not (is_done & rows[SPEEDUP].notna()).any():
        return None
    shared = rows[["model", "dataset", "method", "origin", "status"]].copy()
    shared.loc[is_done & rows[SPEEDUP].isna(), "status"] = "no ratio over dense"
    speedup = shared.assign(**{SPEEDUP: rows[SPEEDUP].where(is_done)})
    with_mean = pd.concat([speedup, geomean_rows(speedup, SPEEDUP)], ignore_index=True)
    return with_mean, with_parts(shared.assign(total=rows[ENERGY].where(is_done)), rows)
