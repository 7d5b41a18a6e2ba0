"""Tile lengths after concentration and the array utilisation they allow (Focus, HPCA 2026, Figure 13)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from focal_common.errors import ConfigError, TraceError
from focal_simulator.results.output import write_rows
from focal_simulator.results.request import Report, Request
from focal_simulator.results.rows import Row
from focal_simulator.workload.loading import load_workloads
from focal_traces.counts.trace import TileCounts, Trace
from focal_traces.files.store import read_any
from focal_traces.header.schema import GEMMS
from focal_traces.masks.masks import MaskTrace
from focal_traces.root.context import find_context
from focal_traces.root.root import TraceRoot
from focal_traces.synthetic.calibrated import CalibratedTrace

_TILE = 1024
_SHORTEST = 10
_BINS = 50
_PUBLISHED_OVERHEAD_CYCLES = 32
"""Overhead in the published utilisation."""

_FOLD_OVERHEAD_CYCLES = 93
"""What a 32 x 32 fold costs on top of its rows in the same simulator."""

SUMMARY_COLUMNS = ("mean_length", "std_length", "shortest", "longest", "utilisation_published")
"""Columns of the histogram that describe the whole pool."""


@dataclass(frozen=True, slots=True)
class TileLengths:
    """Pooled unique vectors per tile and slice.

    Attributes:
        lengths: One entry per (layer, GEMM, tile, slice) with at least 10 unique vectors.
    """

    lengths: NDArray[np.int64]

    def utilisation(self, overhead_cycles: int = _PUBLISHED_OVERHEAD_CYCLES) -> float:
        """Return the mean of n / (n + overhead)."""
        return float(np.mean(self.lengths / (self.lengths + overhead_cycles)))


def lengths_of_masks(
    is_zero: NDArray[np.bool_], is_similar: NDArray[np.bool_], tile: int = _TILE
) -> NDArray[np.int64]:
    """Return unique vectors per tile and slice of one GEMM input, as the published analysis cuts tiles.

    A tile is made of tokens that lie ``number of tiles`` apart, not of consecutive tokens, as published.

    Args:
        is_zero: Zero vectors, axes (tokens, slices).
        is_similar: Similar vectors, axes (tokens, slices).
        tile: Tokens per tile.
    """
    similar = is_similar[~is_zero.any(axis=1)]
    tiles = -(-len(similar) // tile)
    padded = np.ones((tiles * tile, similar.shape[1]), dtype=np.bool_)
    padded[: len(similar)] = similar
    counts = (~padded).reshape(tile, tiles, -1).sum(axis=0)
    pooled: NDArray[np.int64] = counts[counts >= _SHORTEST].ravel().astype(np.int64)
    return pooled


def tile_lengths(masks: MaskTrace) -> TileLengths:
    """Pool the tile lengths of all layers and GEMMs of a mask trace's chosen sample."""
    sample = masks.samples[masks.chosen_sample()]
    parts = []
    for layer in range(masks.header.geometry.layers):
        for name in GEMMS:
            packed = sample.gemm(layer, name)
            parts.append(lengths_of_masks(packed.is_zero(), packed.is_similar()))
    return TileLengths(np.concatenate(parts))


def recorded_tile_lengths(counts: TileCounts) -> TileLengths:
    """Pool the tile lengths that a trace recorded: its own tiles of consecutive tokens."""
    return TileLengths(counts.unique[counts.unique >= _SHORTEST].astype(np.int64))


def lengths_of_file(path: Path) -> TileLengths:
    """Pool the tile lengths of a trace file: published tiles of masks, recorded tiles of counts."""
    return _pool(path)[0]


def _pool(path: Path) -> tuple[TileLengths, str]:
    _, trace = read_any(path, find_context(path))
    if isinstance(trace, CalibratedTrace):
        # Stand-ins are dealt in the published, interleaved layout.
        return recorded_tile_lengths(trace.samples[0]), "interleaved"
    if isinstance(trace, Trace):
        return recorded_tile_lengths(trace.samples[trace.chosen_sample()]), "recorded"
    return tile_lengths(trace), "interleaved"


def run_tile_lengths(request: Request, root: TraceRoot) -> Report:
    """Write a histogram per workload, and one of all workloads of a model where there are several.

    Mask traces are cut into tiles as the published analysis does; counts keep the tiles they were recorded
    with, which the report says.

    Raises:
        ConfigError: Another accelerator than focus, another fidelity than parity, or changed hardware was asked for.
        TraceError: No trace, or no tile of 10 unique vectors.
    """
    if not {"all", "focus"} & set(request.accelerators):
        raise ConfigError(
            "tile lengths are a study of focus; expected accelerator focus", about=("accelerator",)
        )
    if request.fidelity != "parity":
        raise ConfigError(
            f"tile lengths exist in parity only, got fidelity {request.fidelity}", about=("fidelity",)
        )
    if request.hardware is not None or request.overrides:
        raise ConfigError(
            "tile lengths come from traces only; expected no hardware and no overrides",
            about=("hardware", "overrides"),
        )
    report = Report()
    pools: dict[tuple[str, str, str], TileLengths] = {}
    for workload in load_workloads(root, list(request.models), list(request.datasets), request.variant):
        path = root.find_trace(workload.model, workload.dataset, request.variant)
        if path is None:
            continue
        pool, tiling = _pool(path)
        if not pool.lengths.size:
            raise TraceError(
                f"{path}: no tile has {_SHORTEST} unique vectors, {workload.visual_tokens} tokens"
            )
        if tiling == "recorded":
            report.notes.append(
                f"{path}: holds counts only, so its own tiles of consecutive tokens are used; "
                "the published tiles of interleaved tokens need the mask trace"
            )
        pools[workload.model, workload.dataset, tiling] = pool
    if not pools:
        raise TraceError(f"{root.path}: no trace in {request.variant}/ for the tile-length analysis")
    for model, tiling in dict.fromkeys((model, tiling) for model, _, tiling in pools):
        parts = [pool.lengths for (name, _, kind), pool in pools.items() if (name, kind) == (model, tiling)]
        if len(parts) > 1:
            pools[model, "(all)", tiling] = TileLengths(np.concatenate(parts))
    rows = [row for key, pool in pools.items() for row in _histogram(*key, request.variant, pool)]
    order = {pair: place for place, pair in enumerate(root.workloads)}
    key = ("model", "dataset", "variant", "tiling", "bin")
    report.paths.append(write_rows(request.output, "tile_lengths.csv", rows, key, order))
    report.rows = [dict(row) for row in rows]
    report.tables.append(_table(pools))
    return report


def _histogram(model: str, dataset: str, tiling: str, variant: str, pool: TileLengths) -> list[Row]:
    density, edges = np.histogram(pool.lengths, bins=_BINS, density=True)
    shared: Row = {
        "mean_length": float(pool.lengths.mean()),
        "std_length": float(pool.lengths.std()),
        "shortest": int(pool.lengths.min()),
        "longest": int(pool.lengths.max()),
        "utilisation_published": pool.utilisation(),
        "utilisation_with_fold_overhead": pool.utilisation(_FOLD_OVERHEAD_CYCLES),
    }
    return [
        {
            "model": model,
            "dataset": dataset,
            "variant": variant,
            "tiling": tiling,
            "bin": number,
            "bin_start": float(start),
            "bin_stop": float(stop),
            "density": float(share),
            **shared,
        }
        for number, (start, stop, share) in enumerate(zip(edges[:-1], edges[1:], density, strict=True))
    ]


def _table(pools: Mapping[tuple[str, str, str], TileLengths]) -> Table:
    table = Table(title="Unique vectors per tile and slice, and the utilisation they allow")
    for name in ("workload", "tiles", "mean", "s.d.", "range", "n/(n+32)", "n/(n+93)"):
        table.add_column(name, justify="right", no_wrap=True)
    for (model, dataset, tiling), pool in pools.items():
        lengths = pool.lengths
        table.add_row(
            f"{model}/{dataset}",
            tiling,
            f"{lengths.mean():.1f}",
            f"{lengths.std():.1f}",
            f"{lengths.min()} to {lengths.max()}",
            f"{pool.utilisation():.3f}",
            f"{pool.utilisation(_FOLD_OVERHEAD_CYCLES):.3f}",
        )
    return table
