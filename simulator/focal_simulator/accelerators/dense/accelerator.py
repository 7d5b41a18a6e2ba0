"""Dense systolic array: the baseline of the Focus paper."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from focal_simulator.accelerators.base import Accelerator, AcceleratorStudy, PublishedFormulas
from focal_simulator.accelerators.focus.buffers import (
    DENSE_BUFFERS,
    FocusBufferHardware,
    focus_buffers,
    macros_fit,
)
from focal_simulator.costs.needs import BufferNeed, SramModel
from focal_simulator.hardware.specs import HardwareSpec
from focal_simulator.jobs.context import CycleContext
from focal_simulator.jobs.lowering import ArrayModel, Lowering
from focal_simulator.jobs.systolic import systolic_array
from focal_simulator.jobs.tokens import all_token_jobs, check_tile
from focal_simulator.workload.arithmetic import ceil_div, fold_cycles
from focal_simulator.workload.layer_table import LayerTable, LinearShapes, Traffic, add_traffic, block_row
from focal_simulator.workload.workload import Workload


class DenseHardware(FocusBufferHardware):
    """Hardware file of the dense array; it keeps the buffers of Focus, as published."""


class Dense(Accelerator[DenseHardware], PublishedFormulas):
    """Weight-stationary systolic array without any compression.

    Paper: Focus, HPCA 2026, baseline "systolic array" of Figure 9 and Table III.
    Deviations: none known from the published simulator. Scores x V is charged like Q x K^T, score matrices
    travel to DRAM and back, and the four buffers that only concentration needs are kept, all as published.
    """

    hardware_model: ClassVar[type[HardwareSpec]] = DenseHardware
    preset: ClassVar[str] = "dense"
    study: ClassVar[AcceleratorStudy] = AcceleratorStudy(
        states_operations=False, summary_label="systolic array", summary_order=0
    )

    def buffers(self, corrections: frozenset[str] = frozenset()) -> tuple[BufferNeed, ...]:
        """Return the buffers a dense array needs; without ``dense_buffers`` those of Focus, as published."""
        needs = focus_buffers(self.hardware)
        return tuple(
            need for need in needs if "dense_buffers" not in corrections or need.name in DENSE_BUFFERS
        )

    def sram_model(self, corrections: frozenset[str] = frozenset()) -> SramModel:
        """Return what prices the buffers: the published macros where they have the ports that are stated."""
        return super().sram_model() if macros_fit(self.hardware) else "cacti"

    def array(self, context: CycleContext) -> ArrayModel:
        """Return the array by itself."""
        check_tile(self.hardware, self.hardware.tiles.m_tile.value)
        return systolic_array(self.hardware, context, self.hardware.core.row_limit.value)

    def jobs(self, workload: Workload, context: CycleContext) -> Lowering:
        """Return the GEMMs of every block."""
        self.accepts(workload)
        return all_token_jobs(self.hardware, workload, context)

    def layers(self, workload: Workload) -> LayerTable:
        """Return one row that stands for every block."""
        hardware, geometry = self.hardware, workload.geometry
        height, width = hardware.core.array_rows.value, hardware.core.array_columns.value
        tile, element = hardware.core.row_limit.value, hardware.precision.published_bytes
        tokens, heads, head = workload.visual_tokens, geometry.heads, geometry.head_dim_elements
        shapes = LinearShapes.of(geometry)

        passes = ceil_div(tokens, tile)
        stream = fold_cycles(ceil_div(tokens, passes), height, width) * passes
        linear = stream * ceil_div(shapes.outputs, width) * ceil_div(shapes.inputs, height)
        # Q x K^T and scores x V count the same, so half of both is one of them (causal mask).
        attention = stream * ceil_div(tokens, width) * ceil_div(head, height) * heads

        gemm = dense_gemm_bytes(tokens, shapes.outputs, shapes.inputs, tile, hardware)
        scores = dense_gemm_bytes(tokens, tokens, head, tile, hardware)
        values = dense_gemm_bytes(tokens, head, tokens, tile, hardware)
        both = add_traffic([(heads, scores), (heads, values)])

        macs = block_row(tokens * shapes.inputs * shapes.outputs, tokens * tokens * head * heads)
        activation = block_row(
            element * shapes.inputs * tokens, element * (tokens * heads * head + tokens * tokens * heads)
        )
        none = np.zeros_like(macs)
        return LayerTable(
            repeats=geometry.layers,
            compute_cycles=block_row(linear, attention),
            stall_cycles=none,
            scatter_cycles=none,
            gather_cycles=none,
            macs=macs,
            dense_macs=macs,
            activation_bytes=activation,
            compression_ratios=None,
            moved_bytes={key: block_row(gemm[key], both[key] // 2) for key in both},
        )


def dense_gemm_bytes(
    rows: Any, outputs: Any, inputs: Any, tile: int, hardware: FocusBufferHardware
) -> dict[Traffic, Any]:
    """Return the byte counters of a dense GEMM (rows x inputs) x (inputs x outputs).

    The input is fetched again for each n-tile, the weights again for each m-tile.

    Args:
        rows: M; scalar or array.
        outputs: N; scalar or array.
        inputs: K; scalar or array.
        tile: Rows of an m-tile.
        hardware: For the array shape, the n-tile and the element size.
    """
    element, n_tile = hardware.precision.published_bytes, hardware.tiles.n_tile.value
    height, width = hardware.core.array_rows.value, hardware.core.array_columns.value
    cycles = ceil_div(rows * inputs * outputs, height * width)
    fetched = element * rows * inputs * ceil_div(outputs, n_tile)
    weights = element * inputs * outputs * ceil_div(rows, tile)
    written = element * rows * outputs
    return {
        ("sram", "read", "input"): element * height * cycles,
        ("sram", "write", "output"): element * width * cycles,
        ("sram", "read", "wgt"): weights,
        ("dram", "read", "input"): fetched,
        ("sram", "write", "input"): fetched,
        ("dram", "read", "wgt"): weights,
        ("sram", "write", "wgt"): weights,
        ("dram", "write", "output"): written,
        ("sram", "read", "output"): written,
    }
