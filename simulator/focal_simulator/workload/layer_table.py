"""What an accelerator plug-in returns: arrays over decoder blocks and the eight timed layers of a block."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from focal_traces.header.schema import GEMMS, DecoderGeometry

LINEAR_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
LAYERS = (*LINEAR_LAYERS, "attn")
"""Timed layers of one block in the order of the published simulator; the order fixes real-valued sums."""

ATTENTION = len(LINEAR_LAYERS)
"""Column of the attention layer."""

_RECORDED_INPUT = ("q_proj", "q_proj", "q_proj", "o_proj", "gate_proj", "gate_proj", "down_proj")

Traffic = tuple[Literal["sram", "dram"], Literal["read", "write"], str]
"""Memory level, direction and buffer name of a byte counter."""

Numbers = NDArray[Any]


@dataclass(frozen=True, slots=True)
class LinearShapes:
    """Widths of the seven linear layers, int64, axis (linear layers).

    Attributes:
        inputs: K, input elements.
        outputs: N, output elements.
        recorded: Place in `GEMMS` of the trace entry that describes the layer's input.
    """

    inputs: NDArray[np.int64]
    outputs: NDArray[np.int64]
    recorded: NDArray[np.int64]

    @staticmethod
    @lru_cache(maxsize=32)
    def of(geometry: DecoderGeometry) -> LinearShapes:
        """Return the shapes of a decoder."""
        attention = geometry.heads * geometry.head_dim_elements
        keys = geometry.kv_heads * geometry.head_dim_elements
        hidden, middle = geometry.hidden_elements, geometry.intermediate_elements
        return LinearShapes(
            inputs=np.array([hidden, hidden, hidden, attention, hidden, hidden, middle]),
            outputs=np.array([attention, keys, keys, hidden, middle, middle, hidden]),
            recorded=np.array([GEMMS.index(name) for name in _RECORDED_INPUT]),
        )


@dataclass(frozen=True, slots=True)
class LayerTable:
    """Result of one workload; every array has axes (blocks, layers) with layers as in `LAYERS`.

    Integer quantities are int64, those the published simulator computes as reals are float64.

    Attributes:
        repeats: How often the rows of the table occur; 28 where one row stands for all blocks.
        compute_cycles: Cycles of the array.
        stall_cycles: Cycles added because a unit beside the array is slower, and its tail.
        scatter_cycles: Busy cycles of the scatter accumulators.
        gather_cycles: Busy cycles of the similarity gather.
        macs: Multiply-accumulates executed.
        dense_macs: Multiply-accumulates without any compression.
        activation_bytes: Size of the layer inputs that stay after compression.
        compression_ratios: Rows before over rows after vector compression, NaN where nothing was computed;
            None for accelerators without vector compression.
        moved_bytes: Bytes by (level, direction, buffer).
    """

    repeats: int
    compute_cycles: Numbers
    stall_cycles: Numbers
    scatter_cycles: Numbers
    gather_cycles: Numbers
    macs: Numbers
    dense_macs: Numbers
    activation_bytes: Numbers
    compression_ratios: NDArray[np.float64] | None
    moved_bytes: Mapping[Traffic, Numbers]


def add_traffic(parts: Iterable[tuple[Any, Mapping[Traffic, Any]]]) -> dict[Traffic, Any]:
    """Return the weighted sum of byte counters: each part is (factor, counters)."""
    total: dict[Traffic, Any] = {}
    for factor, counters in parts:
        for key, value in counters.items():
            term = value if isinstance(factor, int) and factor == 1 else factor * value
            total[key] = total[key] + term if key in total else term
    return total


def block_row(linear: Any, attention: Any) -> Numbers:
    """Return axes (1, layers) from the linear layers of a block and its attention layer."""
    return np.append(linear, attention).reshape(1, -1)
