"""The two GEMMs of attention, head by head: Q x K^T and scores x V, whole or causal at tile granularity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focal_simulator.jobs.jobs import GemmJob, Rows
from focal_simulator.kernels.pipeline import Pipeline
from focal_simulator.workload.arithmetic import ceil_div

_CAUSAL_HALF = 2


@dataclass(frozen=True, slots=True)
class AttentionShape:
    """Attention of one block.

    Attributes:
        block: Decoder block.
        heads: Query heads.
        head_elements: Elements per head.
        keys: Keys in all.
        ends: Keys up to the end of each m-tile of queries, axis (m_tiles), int64.
        is_causal: Each m-tile meets the keys up to its own end; otherwise all keys, and half of it is charged.
    """

    block: int
    heads: int
    head_elements: int
    keys: int
    ends: NDArray[np.int64]
    is_causal: bool


def spread_ends(rows: Rows, keys: int) -> NDArray[np.int64]:
    """Return the keys up to the end of each m-tile, axis (m_tiles), where kept rows are spread evenly over all keys."""
    share = np.cumsum(rows, dtype=np.int64) / max(int(rows.sum()), 1)
    return np.minimum(np.ceil(share * keys).astype(np.int64), keys)


def scores_job(shape: AttentionShape, machine: Pipeline, rows: Rows, unique: Rows, **facts: Any) -> GemmJob:
    """Return Q x K^T of all heads.

    Args:
        shape: The attention.
        machine: Constants of the array.
        rows: Query rows, axis (m_tiles).
        unique: Rows to stream, axes (m_tiles, slices of a head) if equal for all heads, else
            (m_tiles, heads, slices of a head).
        **facts: ``macs``, ``dense_macs``, ``activation_bytes`` and what else `GemmJob` takes.
    """
    is_per_head = unique.ndim == 3
    copies = 1 if is_per_head else shape.heads
    entries = shape.heads if is_per_head else 1
    slices = unique.shape[-1]
    flat = np.ascontiguousarray(unique.reshape(-1, slices))
    lines = np.repeat(rows, entries)
    common: dict[str, Any] = {
        "block": shape.block,
        "layer": "attn",
        "part": "scores",
        "machine": machine.for_scores(),
        "rows": lines,
        "unique": flat,
        "output_rows": lines,
        "outputs": shape.keys,
        "copies": copies,
        "copies_divisor": 1 if shape.is_causal else _CAUSAL_HALF,
    }
    if shape.is_causal or is_per_head:
        ends = shape.ends if shape.is_causal else np.full_like(shape.ends, shape.keys)
        common["tile_outputs"] = np.repeat(ends, entries)
        common["tile_slices"] = np.full(len(lines), slices, dtype=np.int64)
    return GemmJob(**common, **facts)


def values_job(
    shape: AttentionShape, machine: Pipeline, rows: Rows, output_rows: Rows, **facts: Any
) -> GemmJob:
    """Return scores x V of all heads; scores are never concentrated.

    Args:
        shape: The attention.
        machine: Constants of the array.
        rows: Score rows, axis (m_tiles).
        output_rows: Rows written, axis (m_tiles).
        **facts: As in `scores_job`.
    """
    ends = shape.ends if shape.is_causal else np.full_like(shape.ends, shape.keys)
    slices = ceil_div(ends, machine.slice_elements)
    unique = np.repeat(rows[:, None], int(slices.max(initial=1)), axis=1)
    return GemmJob(
        block=shape.block,
        layer="attn",
        part="values",
        machine=machine.for_values(),
        rows=rows,
        unique=unique,
        output_rows=output_rows,
        outputs=shape.head_elements,
        tile_outputs=np.full(len(rows), shape.head_elements, dtype=np.int64) if shape.is_causal else None,
        tile_slices=slices.astype(np.int64) if shape.is_causal else None,
        copies=shape.heads,
        copies_divisor=1 if shape.is_causal else _CAUSAL_HALF,
        **facts,
    )
