"""Numbers per layer that the report draws: sparsity, stalls, roofline, tile utilisation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_ARRAY = ("stream", "fill_drain", "weight")
"""Causes inside the array; all others are stalls."""

CDF_POINTS = 101

_LAYERS = (
    "q_proj",
    "k_proj",
    "v_proj",
    "attn.scores",
    "attn.values",
    "attn.importance",
    "o_proj",
    "gate_proj",
    "up_proj",
    "down_proj",
)


def _layer_name(frame: pd.DataFrame) -> pd.Series:
    return frame["layer"].where(frame["part"] == "gemm", frame["layer"] + "." + frame["part"])


def causes_of(frame: pd.DataFrame) -> list[str]:
    """Return the causes of cycles that a table knows, without ``_cycles``: those of the array first."""
    skipped = ("compute", "stall", "machine_", "beside_", "before_")
    found = [
        name.removesuffix("_cycles")
        for name in frame.columns
        if name.endswith("_cycles") and not name.startswith(skipped)
    ]
    found = [name for name in found if name]
    return [*(name for name in _ARRAY if name in found), *(name for name in found if name not in _ARRAY)]


def heat_maps(layers: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one map per workload and accelerator: sparsity, stall share and cycles by cause.

    Returns:
        Mappings with ``model, dataset, method, blocks, layers``; ``sparsity`` and ``stalls`` in percent with axes
        (layers, blocks), None where nothing was timed or the dense model has no such work; ``causes`` in percent of
        the layer's cycles, by cause with the same axes, only causes that occur; ``cycles`` with the same axes.
    """
    if layers.empty:
        return []
    frame = layers.assign(name=_layer_name(layers))
    names = causes_of(layers)
    maps = []
    for (method, model, dataset), part in frame.groupby(["method", "model", "dataset"], sort=False):
        sums = part.groupby(["name", "block"])[
            ["cycles", "macs", "dense_macs", *(f"{name}_cycles" for name in names)]
        ].sum()
        blocks = sorted(part["block"].unique().tolist())
        known = set(part["name"])
        order = [name for name in _LAYERS if name in known] + sorted(known - set(_LAYERS))
        grid = sums.reindex(pd.MultiIndex.from_product([order, blocks]))
        shape = (len(order), len(blocks))

        def cells(values: Any, shape: tuple[int, int] = shape) -> list[list[float | None]]:
            table = np.asarray(values, dtype=float).reshape(shape)
            return [[round(float(cell), 2) if np.isfinite(cell) else None for cell in row] for row in table]

        with np.errstate(divide="ignore", invalid="ignore"):
            busy = grid[[f"{name}_cycles" for name in names if name in _ARRAY]].sum(axis=1, min_count=1)
            shares = {name: 100 * grid[f"{name}_cycles"] / grid["cycles"] for name in names}
            maps.append(
                {
                    "method": method,
                    "model": model,
                    "dataset": dataset,
                    "blocks": blocks,
                    "layers": order,
                    "sparsity": cells(100 * (1 - grid["macs"] / grid["dense_macs"])),
                    "stalls": cells(100 * (1 - busy / grid["cycles"])),
                    "cycles": cells(grid["cycles"]),
                    "causes": {name: cells(share) for name, share in shares.items() if (share > 0).any()},
                }
            )
    return maps


def roofline(layers: pd.DataFrame) -> pd.DataFrame:
    """Return operational intensity and rate of each layer, summed over blocks.

    Returns:
        Columns ``method, model, dataset, layer, macs_per_byte, macs_per_cycle``.
    """
    frame = layers.assign(
        layer=_layer_name(layers), dram_bytes=layers["dram_read_bytes"] + layers["dram_write_bytes"]
    )
    sums = frame.groupby(["method", "model", "dataset", "layer"], sort=False)[
        ["macs", "dram_bytes", "cycles"]
    ].sum()
    sums = sums[(sums["dram_bytes"] > 0) & (sums["cycles"] > 0)].reset_index()
    return sums.assign(
        macs_per_byte=sums["macs"] / sums["dram_bytes"], macs_per_cycle=sums["macs"] / sums["cycles"]
    ).drop(columns=["macs", "dram_bytes", "cycles"])


def roofs(layers: pd.DataFrame) -> tuple[float, float]:
    """Return the highest peak rate (MACs per cycle) and DRAM rate (bytes per cycle) of the accelerators shown."""
    peak = (
        layers["machine_slice_elements"]
        * layers["machine_array_columns"]
        * layers["machine_row_lanes"]
        / layers["machine_cycles_per_pass"]
    )
    slow = layers["machine_read_cycles_numerator"]
    rates = layers["machine_cycles_denominator"][slow > 0] / slow[slow > 0]
    return float(peak.max()), float(rates.max()) if len(rates) else float("inf")


def utilisation_cdf(layers: pd.DataFrame) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return the distribution of tile utilisation by accelerator.

    Utilisation of a tile is the share of its cycles in the array during which rows stream; a GEMM gives its
    mean, weighted by its folds.

    Returns:
        By method: utilisation in percent at `CDF_POINTS` shares, and the shares of folds in percent.
    """
    curves = {}
    shares = np.linspace(0.0, 100.0, CDF_POINTS)
    for method, part in layers.groupby("method", sort=False):
        inside = part[[f"{name}_cycles" for name in _ARRAY]].sum(axis=1)
        kept = part[(inside > 0) & (part["folds"] > 0)]
        if kept.empty:
            continue
        values = (100 * kept["stream_cycles"] / inside[kept.index]).to_numpy(dtype=float)
        weights = kept["folds"].to_numpy(dtype=float)
        order = np.argsort(values, kind="stable")
        below = 100 * np.cumsum(weights[order]) / weights.sum()
        at = np.minimum(np.searchsorted(below, shares), len(values) - 1)
        curves[str(method)] = (values[order][at], shares)
    return curves
