"""Byte counters of Focus: the GEMM on unique vectors, the similarity detection behind it, and attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from focal_simulator.accelerators.dense.accelerator import dense_gemm_bytes
from focal_simulator.accelerators.focus.buffers import FocusBufferHardware
from focal_simulator.workload.arithmetic import ceil_div
from focal_simulator.workload.layer_table import Numbers, Traffic, add_traffic
from focal_simulator.workload.workload import Workload

_LAYOUTER_READS = 7
"""Neighbours of a vector in a 2 x 2 x 2 block, each read once for a comparison (Focus, sec. VI-B)."""


def main_bytes(
    tokens: Numbers, stored: Numbers, outputs: Any, inputs: Any, hardware: FocusBufferHardware
) -> dict[Traffic, Any]:
    """Return the byte counters of a GEMM whose input holds ``stored`` unique rows for ``tokens`` tokens.

    Args:
        tokens: T; may be negative in the attention counters, as published, and keeps its sign.
        stored: C.
        outputs: N.
        inputs: K.
        hardware: For the array shape, the tiles and the element size.
    """
    element, tiles = hardware.precision.published_bytes, hardware.tiles
    height, width = hardware.core.array_rows.value, hardware.core.array_columns.value
    cycles = ceil_div(stored * inputs * outputs, height * width)
    partial = element * tokens * ceil_div(inputs, width) * outputs
    weights = element * inputs * outputs * ceil_div(tokens, tiles.m_tile.value)
    fetched = element * stored * inputs * ceil_div(outputs, tiles.n_tile.value)
    return {
        ("sram", "read", "input"): element * height * cycles,
        ("sram", "write", "concentrate_out"): element * width * cycles,
        ("sram", "read", "concentrate_out"): partial,
        ("sram", "write", "output"): partial,
        ("sram", "read", "wgt"): weights,
        ("dram", "read", "input"): fetched,
        ("sram", "write", "input"): fetched,
        ("dram", "read", "wgt"): weights,
        ("sram", "write", "wgt"): weights,
    }


def detection_bytes(
    tokens: Numbers, stored: Numbers, outputs: Any, hardware: FocusBufferHardware
) -> dict[Traffic, Any]:
    """Return the byte counters of similarity detection on an output of N columns.

    The one output write to DRAM uses the count of the layer's input, as published.
    """
    element = hardware.precision.published_bytes
    vectors = ceil_div(outputs, hardware.core.similarity_elements.value)
    with_norms = element * tokens * (outputs + vectors)
    data = element * tokens * outputs
    kept = element * stored * outputs
    return {
        ("sram", "read", "output"): with_norms,
        ("sram", "write", "layouter"): with_norms,
        ("sram", "read", "layouter"): _LAYOUTER_READS * with_norms,
        ("sram", "write", "similarity_map"): element * tokens * vectors,
        ("sram", "read", "similarity_table"): data + kept,
        ("sram", "write", "similarity_table"): data,
        ("dram", "write", "input"): kept,
    }


def linear_bytes(
    tokens: Numbers, stored: Numbers, outputs: Any, inputs: Any, hardware: FocusBufferHardware
) -> dict[Traffic, Any]:
    """Return main part and detection part of linear layers, axes (blocks, linear layers)."""
    main = main_bytes(tokens, stored, outputs, inputs, hardware)
    detection = detection_bytes(tokens, stored, outputs, hardware)
    return add_traffic([(1, main), (1, detection)])


def attention_bytes(
    seen: Numbers, stored: Numbers, tokens: Numbers, workload: Workload, hardware: FocusBufferHardware
) -> dict[Traffic, Any]:
    """Return the attention counters as published, axis (blocks).

    Half of (Q x K^T of one head and scores x V of all heads), and the detection part of one head.

    Args:
        seen: T', the token number of the counters.
        stored: C of the query.
        tokens: T, live tokens.
        workload: For the heads and S.
        hardware: For the array shape and the tiles.
    """
    heads, head = workload.geometry.heads, workload.geometry.head_dim_elements
    scores = main_bytes(seen, stored, tokens, head, hardware)
    values = dense_gemm_bytes(tokens, head, tokens, hardware.tiles.m_tile.value, hardware)
    both = add_traffic([(1, scores), (heads, values)])
    halved = {key: np.asarray(value) / 2 for key, value in both.items()}
    detection = detection_bytes(seen, stored, workload.visual_tokens, hardware)
    return add_traffic([(1, halved), (1, detection)])
