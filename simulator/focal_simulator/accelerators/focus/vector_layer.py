"""The one layer that the published vector-size sweep times (Focus, HPCA 2026, Figure 10(b))."""

from __future__ import annotations

import numpy as np

from focal_common.errors import TraceError, UnsupportedError
from focal_simulator.accelerators.focus.buffers import FocusBufferHardware
from focal_simulator.accelerators.focus.parity_bytes import detection_bytes
from focal_simulator.workload.arithmetic import ceil_div, fold_cycles
from focal_simulator.workload.layer_table import LayerTable, Numbers
from focal_simulator.workload.workload import Workload
from focal_traces.header.schema import GEMMS

BLOCK, LAYER = 9, "o_proj"
"""What the published sweep times."""


def vector_layer(hardware: FocusBufferHardware, workload: Workload) -> LayerTable:
    """Return the layer as a table of one entry; as published, gather is not charged, and bytes are those of detection.

    Args:
        hardware: With the array of the vector size.
        workload: With counts recorded at that vector size.

    Raises:
        UnsupportedError: The workload has no counts.
        TraceError: The decoder has no such block.
    """
    counts, geometry = workload.counts, workload.geometry
    if counts is None:
        raise UnsupportedError(f"{workload.label}: has no trace, and fidelity parity_layer times its vectors")
    if geometry.layers <= BLOCK:
        raise TraceError(
            f"{workload.label}: the vector-size sweep times block {BLOCK}, the decoder has {geometry.layers}"
        )
    rows, columns = hardware.core.array_rows.value, hardware.core.array_columns.value
    place = GEMMS.index(LAYER)
    tokens, unique = int(counts.tokens[BLOCK, place]), int(counts.unique[BLOCK, place])
    slices = int(counts.slices[BLOCK, place])
    live = int(counts.vectors[BLOCK, place]) // slices
    inputs, outputs = geometry.heads * geometry.head_dim_elements, geometry.hidden_elements

    computed = unique // slices
    passes = max(ceil_div(tokens, hardware.tiles.m_tile.value), 1)
    folds = ceil_div(outputs, columns) * ceil_div(inputs, rows)
    compute = fold_cycles(computed // passes, rows, columns) * passes * folds if computed else 0
    scatter = ceil_div(live * folds, hardware.core.scatter_vectors.value)
    moved = detection_bytes(np.array(tokens), np.array(ceil_div(unique, slices)), outputs, hardware)
    return LayerTable(
        repeats=1,
        compute_cycles=_entry(compute),
        stall_cycles=_entry(max(0, scatter - compute)),
        scatter_cycles=_entry(scatter),
        gather_cycles=_entry(0),
        macs=_entry(computed * outputs * inputs),
        dense_macs=_entry(workload.visual_tokens * outputs * inputs),
        activation_bytes=_entry(hardware.precision.published_bytes * computed * inputs),
        compression_ratios=_entry(tokens / computed if computed else np.nan),
        moved_bytes={key: _entry(value) for key, value in moved.items()},
    )


def _entry(value: int | float) -> Numbers:
    return np.array([[value]])
