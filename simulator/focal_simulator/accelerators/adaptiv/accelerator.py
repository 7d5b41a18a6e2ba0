"""AdapTiV: token merging in front of a MAC-line array."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from focal_common.config import StrictModel
from focal_common.errors import UnsupportedError
from focal_simulator.accelerators.adaptiv.lowering import adaptiv_jobs, mac_lines
from focal_simulator.accelerators.base import AcceleratorStudy
from focal_simulator.accelerators.other_methods import TokenMethodAccelerator, TokenMethodStudy
from focal_simulator.hardware.specs import FP16_UNITS, Count, HardwareSpec
from focal_simulator.jobs.context import CycleContext
from focal_simulator.jobs.lowering import ArrayModel, Lowering
from focal_simulator.workload.arithmetic import ceil_div
from focal_simulator.workload.layer_table import LayerTable, LinearShapes, Traffic, add_traffic, block_row
from focal_simulator.workload.workload import Workload
from focal_traces.header.schema import GEMMS
from focal_traces.methods.adaptiv import SPARSITY

_INPUT_PASSES = 2
"""The merge unit reads every token twice: once to compare, once to merge (published byte counter)."""


class AdaptivCore(StrictModel):
    """Lines of multipliers with an adder tree each.

    Attributes:
        mac_lines: Outputs computed side by side.
        line_width: Rows per line pass.
    """

    mac_lines: Count
    line_width: Count


class AdaptivTiles(StrictModel):
    """Tile of a GEMM on chip, rows x outputs x inputs."""

    m_tile: Count
    n_tile: Count
    k_tile: Count


class AdaptivHardware(HardwareSpec):
    """Hardware file of AdapTiV."""

    core: AdaptivCore
    tiles: AdaptivTiles
    special_functions: ClassVar[Mapping[str, str]] = FP16_UNITS


class Adaptiv(TokenMethodAccelerator[AdaptivHardware]):
    """AdapTiV as modelled in the published Focus simulator.

    Paper: AdapTiV, MICRO 2024; modelled as in Focus, HPCA 2026, Figure 9 and Table III.
    Deviations: none known from the published simulator: one reduction for all layers, head dimension padded
    to the k-tile, keys not reduced, merging charged in every layer.
    """

    hardware_model: ClassVar[type[HardwareSpec]] = AdaptivHardware
    preset: ClassVar[str] = "adaptiv"
    study: ClassVar[AcceleratorStudy] = TokenMethodStudy(
        summary_label="adaptiv",
        summary_order=1,
        unit_formulas={"preprocess": "tokens x inputs / lanes of the line"},
    )

    def accepts_own(self, workload: Workload) -> None:
        """Accept workloads with a measured AdapTiV sparsity."""
        if workload.row(SPARSITY) is None:
            raise UnsupportedError(
                f"{self.name}: {workload.label} has no AdapTiV sparsity; expected a trace of method 'adaptiv', or an "
                "adaptiv_sparsity.csv with its row beside the trace"
            )

    def own_tokens(self, workload: Workload) -> NDArray[np.int64]:
        """Return the tokens that merging leaves."""
        kept = workload.visual_tokens * (1 - (workload.row(SPARSITY) or 0.0))
        return np.full((workload.geometry.layers, len(GEMMS)), -int(-kept // 1), dtype=np.int64)

    def array(self, context: CycleContext) -> ArrayModel:
        """Return the array by itself."""
        return mac_lines(self.hardware, context)

    def own_jobs(self, workload: Workload, context: CycleContext) -> Lowering:
        """Return the GEMMs of every block."""
        return adaptiv_jobs(self.hardware, workload, context)

    def own_layers(self, workload: Workload) -> LayerTable:
        """Return one row that stands for every block; kept rows are real-valued, as published."""
        geometry, element = workload.geometry, self.hardware.precision.published_bytes
        heads, head, tokens = geometry.heads, geometry.head_dim_elements, workload.visual_tokens
        fraction = 1 - (workload.row(SPARSITY) or 0.0)
        kept = tokens * fraction
        shapes = LinearShapes.of(geometry)

        linear = self._cycles(tokens, kept, shapes.outputs, shapes.inputs)
        scores = self._cycles(tokens, kept, tokens, head)
        gemm = self._bytes(tokens, kept, shapes.outputs, shapes.inputs)
        both = add_traffic(
            [
                (heads, self._bytes(tokens, kept, tokens, head)),
                (heads, self._bytes(tokens, kept, head, tokens)),
            ]
        )
        square = tokens * tokens * fraction * fraction
        compute = block_row(linear, 2 * scores * heads // 2)
        none = np.zeros_like(compute)
        return LayerTable(
            repeats=geometry.layers,
            compute_cycles=compute,
            stall_cycles=none,
            scatter_cycles=none,
            gather_cycles=none,
            macs=block_row(
                kept * shapes.outputs * shapes.inputs, np.floor(kept * tokens * head * 2 * heads / 2)
            ),
            dense_macs=block_row(tokens * shapes.outputs * shapes.inputs, tokens * tokens * head * heads),
            activation_bytes=block_row(
                element * shapes.inputs * tokens * fraction,
                element * tokens * fraction * heads * head + element * square * heads,
            ),
            compression_ratios=None,
            moved_bytes={key: block_row(gemm[key], both[key] / 2) for key in both},
        )

    def _cycles(self, tokens: int, kept: float, outputs: Any, inputs: Any) -> Any:
        core, tiles = self.hardware.core, self.hardware.tiles
        lines, width = core.mac_lines.value, core.line_width.value
        passes = int((kept + width - 1) // width)
        compute = (
            tiles.k_tile.value * ceil_div(outputs, lines) * passes * ceil_div(inputs, tiles.k_tile.value)
        )
        return compute + ceil_div(tokens * inputs, width)

    def _bytes(self, tokens: int, kept: float, outputs: Any, inputs: Any) -> dict[Traffic, Any]:
        element, core, tiles = (
            self.hardware.precision.published_bytes,
            self.hardware.core,
            self.hardware.tiles,
        )
        outer = ceil_div(outputs, tiles.n_tile.value)
        rows = int((kept + tiles.m_tile.value - 1) // tiles.m_tile.value)
        steps = inputs * outer * rows
        operand = element * core.mac_lines.value * core.line_width.value
        fetched = element * tokens * inputs + element * kept * inputs * outer
        weights = element * inputs * outputs * rows
        written = element * outputs * kept
        return {
            ("dram", "read", "input"): fetched,
            ("sram", "write", "input"): fetched,
            ("sram", "read", "input"): _INPUT_PASSES * element * tokens * inputs + operand * steps,
            ("sram", "read", "wgt"): operand * steps,
            ("sram", "write", "output"): written * ceil_div(inputs, tiles.k_tile.value),
            ("dram", "read", "wgt"): weights,
            ("sram", "write", "wgt"): weights,
            ("dram", "write", "output"): written,
            ("sram", "read", "output"): written,
        }
