"""CMC: a video codec in front of a systolic array."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from focal_common.config import StrictModel
from focal_common.errors import ConfigError, UnsupportedError
from focal_simulator.accelerators.base import AcceleratorStudy
from focal_simulator.accelerators.cmc.lowering import cmc_jobs
from focal_simulator.accelerators.other_methods import TokenMethodAccelerator, TokenMethodStudy
from focal_simulator.costs.needs import DOUBLE_BUFFERED, BufferNeed, with_stated_ports
from focal_simulator.hardware.specs import FP16_UNITS, Count, HardwareSpec, SystolicCore
from focal_simulator.jobs.context import CycleContext
from focal_simulator.jobs.lowering import ArrayModel, Lowering
from focal_simulator.jobs.systolic import check_slice, systolic_array
from focal_simulator.workload.arithmetic import bytes_of, ceil_div, fold_cycles
from focal_simulator.workload.layer_table import (
    LINEAR_LAYERS,
    LayerTable,
    LinearShapes,
    Traffic,
    add_traffic,
    block_row,
)
from focal_simulator.workload.workload import Workload
from focal_traces.methods.cmc import SPARSITY

_IS_SEARCHED = np.array([name not in ("k_proj", "v_proj") for name in LINEAR_LAYERS])
"""Keys and values reuse the motion vectors found for the query input."""


class CmcTiles(SystolicCore):
    """Array and tiles of CMC.

    Attributes:
        frames_per_partition: Frames that share one reference frame.
        codec_elements_per_cycle: Element differences of the motion search per cycle, fidelity ``cycle``.
    """

    frames_per_partition: Count
    codec_elements_per_cycle: Count


class CmcTileSizes(StrictModel):
    """Tile of a GEMM on chip; ``m_out_tile`` rows of output wait for the write-back."""

    m_tile: Count
    n_tile: Count
    k_tile: Count
    m_out_tile: Count


class CmcHardware(HardwareSpec):
    """Hardware file of CMC."""

    core: CmcTiles
    tiles: CmcTileSizes
    special_functions: ClassVar[Mapping[str, str]] = FP16_UNITS


class Cmc(TokenMethodAccelerator[CmcHardware]):
    """CMC as modelled in the published Focus simulator.

    Paper: CMC, ASPLOS 2024; modelled as in Focus, HPCA 2026, Figure 9 and Table III.
    Deviations: none known from the published simulator, which adds no cycles for the motion search and never
    counts the traffic of the codec's own buffers.
    """

    hardware_model: ClassVar[type[HardwareSpec]] = CmcHardware
    preset: ClassVar[str] = "cmc"
    study: ClassVar[AcceleratorStudy] = TokenMethodStudy(
        summary_label="cmc",
        summary_order=2,
        unit_formulas={"preprocess": "differences searched / codec width"},
    )

    def accepts_own(self, workload: Workload) -> None:
        """Accept videos with measured CMC sparsities."""
        if workload.row(SPARSITY) is None:
            raise UnsupportedError(
                f"{self.name}: {workload.label} has no CMC sparsity; expected a trace of method 'cmc' (videos only), "
                "or a cmc_sparsity.csv with its row beside the trace"
            )
        if workload.visual_tokens != workload.frames * workload.patches:
            raise UnsupportedError(
                f"{self.name}: {workload.label} has {workload.visual_tokens} tokens, expected exactly "
                f"{workload.frames} frames x {workload.patches} patches"
            )

    def buffers(self, corrections: frozenset[str] = frozenset()) -> tuple[BufferNeed, ...]:
        """Return GEMM buffers sized by the tiles and codec buffers as written in the hardware file.

        Raises:
            ConfigError: A tile does not fit.
        """
        tiles, precision = self.hardware.tiles, self.hardware.precision
        check_slice(self.hardware)
        held, deep, outputs = tiles.m_tile.value, tiles.k_tile.value, tiles.m_out_tile.value
        if tiles.n_tile.value > held:
            raise ConfigError(
                f"{self.name}: tiles.n_tile is {tiles.n_tile.value}, expected at most tiles.m_tile ({held}): the "
                "weight buffer holds as many columns as the input buffer rows"
            )
        derived = {
            "input": bytes_of(DOUBLE_BUFFERED * held * deep, precision.input_bits),
            "wgt": bytes_of(DOUBLE_BUFFERED * held * deep, precision.stationary_bits),
            "output": bytes_of(DOUBLE_BUFFERED * held * outputs, precision.bits("partial_sums")),
        }
        return with_stated_ports(
            [self._stated_buffer(name, derived.get(name)) for name in self.hardware.buffers],
            self.hardware.core,
        )

    def array(self, context: CycleContext) -> ArrayModel:
        """Return the array by itself."""
        return systolic_array(self.hardware, context, self.hardware.tiles.m_tile.value)

    def own_jobs(self, workload: Workload, context: CycleContext) -> Lowering:
        """Return the GEMMs of every block."""
        return cmc_jobs(self.hardware, workload, context)

    def own_layers(self, workload: Workload) -> LayerTable:
        """Return one row that stands for every block; kept rows are real-valued, as published."""
        sparsity = workload.row(SPARSITY)
        assert sparsity is not None  # noqa: S101  (accepts has refused it)
        geometry, element = workload.geometry, self.hardware.precision.published_bytes
        heads, head, tokens = geometry.heads, geometry.head_dim_elements, workload.visual_tokens
        shapes = LinearShapes.of(geometry)
        inputs, outputs = shapes.inputs, shapes.outputs

        scores = self._cycles(workload, tokens, head, sparsity.query)
        values = self._cycles(workload, head, tokens, sparsity.attention_score)
        gemm = self._bytes(workload, outputs, inputs, sparsity.linear, _IS_SEARCHED)
        both = add_traffic(
            [
                (heads, self._bytes(workload, tokens, head, sparsity.query, True)),
                (heads, self._bytes(workload, head, tokens, sparsity.attention_score, True)),
            ]
        )
        compute = block_row(
            self._cycles(workload, outputs, inputs, sparsity.linear), (scores + values) * heads // 2
        )
        pair = tokens * tokens * head
        none = np.zeros_like(compute)
        return LayerTable(
            repeats=geometry.layers,
            compute_cycles=compute,
            stall_cycles=none,
            scatter_cycles=none,
            gather_cycles=none,
            macs=block_row(
                tokens * outputs * inputs * (1 - sparsity.linear),
                pair * (1 - sparsity.query) * heads // 2 + pair * (1 - sparsity.attention_score) * heads // 2,
            ),
            dense_macs=block_row(tokens * outputs * inputs, 2 * (pair * heads // 2)),
            activation_bytes=block_row(
                element * inputs * tokens * (1 - sparsity.linear),
                element * tokens * heads * head * (1 - sparsity.query)
                + element * tokens * tokens * heads * (1 - sparsity.attention_score),
            ),
            compression_ratios=None,
            moved_bytes={key: block_row(gemm[key], both[key] / 2) for key in both},
        )

    def _cycles(self, workload: Workload, outputs: Any, inputs: Any, sparsity: float) -> Any:
        core = self.hardware.core
        height, width = core.array_rows.value, core.array_columns.value
        passes = ceil_div(workload.frames, core.frames_per_partition.value)
        rows = int(workload.visual_tokens * (1 - sparsity) + passes - 1) // passes
        return fold_cycles(rows, height, width) * passes * ceil_div(outputs, width) * ceil_div(inputs, height)

    def _bytes(
        self, workload: Workload, outputs: Any, inputs: Any, sparsity: float, is_searched: Any
    ) -> dict[Traffic, Any]:
        element, core, tiles = (
            self.hardware.precision.published_bytes,
            self.hardware.core,
            self.hardware.tiles,
        )
        height, width = core.array_rows.value, core.array_columns.value
        kept = workload.visual_tokens * (1 - sparsity)
        rows = int((kept + tiles.m_tile.value - 1) // tiles.m_tile.value)
        cycles = (kept * inputs * outputs + height * width - 1) // (height * width)
        frames, patches = workload.frames, workload.patches
        searched = np.where(is_searched, element * frames * patches * patches * inputs, 0)
        loaded = np.where(is_searched, element * frames * patches * inputs, 0)
        fetched = loaded + element * kept * inputs * ceil_div(outputs, tiles.n_tile.value)
        weights = element * outputs * inputs * rows
        written = element * outputs * kept
        return {
            ("sram", "read", "input"): searched + element * height * cycles,
            ("dram", "read", "input"): fetched,
            ("sram", "write", "input"): fetched,
            ("sram", "read", "wgt"): weights,
            ("sram", "write", "output"): element * width * cycles,
            ("dram", "read", "wgt"): weights,
            ("sram", "write", "wgt"): weights,
            ("dram", "write", "output"): written,
            ("sram", "read", "output"): written,
        }
