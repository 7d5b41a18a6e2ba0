"""Tile lengths after concentration and the array utilisation they allow (Focus, HPCA 2026, Figure 13)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import TraceError
from focal_simulator.output import write_rows
from focal_simulator.report import Report, Request
from focal_simulator.results import Row
from focal_traces.calibrated import CalibratedTrace
from focal_traces.context import find_context
from focal_traces.counts import Trace
from focal_traces.masks import MaskTrace
from focal_traces.root import TraceRoot
from focal_traces.schema import GEMMS
from focal_traces.store import read_any

__all__ = ["TileLengths", "lengths_of_file", "lengths_of_masks", "run_tile_lengths", "tile_lengths"]

_TILE = 1024
_SHORTEST = 10
_BINS = 50
_PUBLISHED_OVERHEAD_CYCLES = 32
"""Overhead in the published utilisation; a 32 x 32 fold really costs 93 cycles on top of its rows."""


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


def lengths_of_file(path: Path) -> TileLengths:
    """Pool the tile lengths of a mask trace or of a calibrated stand-in.

    Raises:
        TraceError: The file holds measured counts, whose tiles are consecutive tokens and not the published
            interleaved ones.
    """
    _, trace = read_any(path, find_context(path))
    if isinstance(trace, CalibratedTrace):
        unique = trace.samples[0].unique.astype(np.int64)
        return TileLengths(unique[unique >= _SHORTEST])
    if isinstance(trace, Trace):
        raise TraceError(
            f"{path}: holds counts, from which the published tiles cannot be cut; give the .masks.pth file"
        )
    return tile_lengths(trace)


def run_tile_lengths(request: Request, root: TraceRoot) -> Report:
    """Write a histogram per workload.

    Raises:
        TraceError: A trace is absent, holds counts only, or has no tile of 10 unique vectors.
    """
    rows: list[Row] = []
    for (model, dataset), workload in root.workloads.items():
        is_wanted = (not request.models or model in request.models) and (
            not request.datasets or dataset in request.datasets
        )
        path = root.find_trace(model, dataset, request.variant) if is_wanted else None
        if path is None:
            continue
        pool = lengths_of_file(path)
        if not pool.lengths.size:
            raise TraceError(
                f"{path}: no tile has {_SHORTEST} unique vectors; {workload.visual_tokens} tokens"
            )
        rows += _histogram(model, dataset, request.variant, pool)
    if not rows:
        raise TraceError(f"{root.path}: no mask trace in {request.variant}/ for the tile-length analysis")
    order = {pair: place for place, pair in enumerate(root.workloads)}
    key = ("model", "dataset", "variant", "bin")
    path = write_rows(request.output, "tile_lengths.csv", rows, key, order)
    return Report(rows=[dict(row) for row in rows], paths=[path])


def _histogram(model: str, dataset: str, variant: str, pool: TileLengths) -> list[Row]:
    density, edges = np.histogram(pool.lengths, bins=_BINS, density=True)
    shared: Row = {
        "mean_length": float(pool.lengths.mean()),
        "std_length": float(pool.lengths.std()),
        "utilisation_published": pool.utilisation(),
        "utilisation_with_fold_overhead": pool.utilisation(93),
    }
    return [
        {
            "model": model,
            "dataset": dataset,
            "variant": variant,
            "bin": number,
            "bin_start": float(start),
            "bin_stop": float(stop),
            "density": float(share),
            **shared,
        }
        for number, (start, stop, share) in enumerate(zip(edges[:-1], edges[1:], density, strict=True))
    ]
