"""Focus: systolic array with semantic and similarity concentration."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import UnsupportedError
from focal_simulator.accelerators.base import (
    Accelerator,
    AcceleratorStudy,
    PublishedFormulas,
    require_visual_tokens,
)
from focal_simulator.accelerators.focus.buffers import FocusBufferHardware, focus_buffers, macros_fit
from focal_simulator.accelerators.focus.lowering import focus_jobs
from focal_simulator.accelerators.focus.parity_bytes import attention_bytes, linear_bytes
from focal_simulator.accelerators.focus.vector_layer import vector_layer
from focal_simulator.costs.needs import BufferNeed, SramModel
from focal_simulator.hardware.specs import HardwareSpec
from focal_simulator.jobs.context import CycleContext
from focal_simulator.jobs.lowering import ArrayModel, Lowering
from focal_simulator.jobs.systolic import systolic_array
from focal_simulator.jobs.vector_tiles import VectorTiles
from focal_simulator.workload.arithmetic import ceil_div, fold_cycles
from focal_simulator.workload.layer_table import LayerTable, LinearShapes, Numbers, Traffic
from focal_simulator.workload.workload import Workload
from focal_traces.counts.trace import GemmTotals
from focal_traces.header.schema import GEMMS

_COMPILER_M_TILE = 1024
_COMPILER_SCATTER = 2
_QUERY = GEMMS.index("query")
_PUBLISHED_SEARCH = {"frame_block_size": 2, "block_size": 2}
"""Search block where a trace does not say it: the default of the published scripts."""
_PUBLISHED_VECTOR = 32


class FocusHardware(FocusBufferHardware):
    """Hardware file of Focus."""


@dataclass(frozen=True, slots=True)
class VectorRows:
    """Rows the array and the memory see after concentration, int64, axes (blocks, GEMMs).

    Attributes:
        tokens: T, live tokens.
        scattered: A, average live vectors per slice.
        computed: v, unique vectors per slice rounded down; what the array computes.
        stored: C, unique vectors per slice rounded up; what memory holds.
        activated: v again, as the activation counter sees it.
    """

    tokens: Numbers
    scattered: Numbers
    computed: Numbers
    stored: Numbers
    activated: Numbers


class _Study(AcceleratorStudy):
    def remarks(self, accelerator: Any, workload: Workload) -> list[str]:
        """Say where the trace was recorded with another tile or vector than the hardware has."""
        pairs = [
            ("m-tile", workload.recorded_m_tile, accelerator.hardware.tiles.m_tile.value),
            (
                "vector size",
                workload.recorded_vector_size,
                accelerator.hardware.core.similarity_elements.value,
            ),
        ]
        remarks = [
            f"{accelerator.name}: the trace of {workload.label} was recorded with {what} {recorded}, "
            f"the hardware has {built}; similarity cannot be searched again from counts"
            for what, recorded, built in pairs
            if recorded is not None and recorded != built
        ]
        # Matching takes gather_block / gather_lanes cycles a row, the GEMM one cycle a row and k-slice.
        core, width = accelerator.hardware.core, workload.geometry.hidden_elements
        bound = ceil_div(core.gather_block.value, core.gather_lanes.value) * core.array_rows.value
        if width <= bound:
            remarks.append(
                f"{accelerator.name}: the decoder of {workload.label} is {width} wide; up to {bound} elements "
                "similarity matching takes as long as the GEMM (HPCA 2026, sec. VI-A), so semantic "
                "concentration alone can be faster here"
            )
        return remarks


class Focus(Accelerator[FocusHardware], PublishedFormulas):
    """Focus accelerator as its published simulator times it.

    Paper: Focus, HPCA 2026, sec. V and VI; Figures 9, 10, 12, Tables II to V.
    Deviations: none known from the published simulator, including the attention byte counters that count one
    head and a token number reduced by the dropped tokens. A layer without any unique query vector counts 0
    cycles, where the published simulator divides by zero.
    """

    hardware_model: ClassVar[type[HardwareSpec]] = FocusHardware
    preset: ClassVar[str] = "focus"
    study: ClassVar[AcceleratorStudy] = _Study(
        uses_counts=True,
        summary_label="focus",
        summary_order=3,
        has_breakdown=True,
        unit_formulas={
            "scatter": "as published: tokens x slices x columns / lanes, nothing pruned or masked",
            "sec": "ceil(kept tokens / sorter lanes) x (tokens + sorter lanes)",
        },
    )

    def accepts(self, workload: Workload) -> None:
        """Accept workloads with the counts of a Focus trace."""
        require_visual_tokens(self.name, workload)
        if workload.counts is None:
            raise UnsupportedError(
                f"{self.name}: {workload.label} has no Focus trace for variant '{workload.variant}'"
            )

    def check_trace(self, workload: Workload, corrections: frozenset[str]) -> None:
        """Refuse tiles, arrays, search blocks and vectors that the trace was not recorded for."""
        _check_search(self.hardware, workload)
        VectorTiles.check(
            workload,
            m_tile=self.hardware.tiles.m_tile.value,
            slice_elements=self.hardware.core.array_rows.value,
            is_averaged="tile_lengths" not in corrections,
        )

    def buffers(self, corrections: frozenset[str] = frozenset()) -> tuple[BufferNeed, ...]:
        """Return the seven Focus buffers."""
        return self._needs

    @cached_property
    def _needs(self) -> tuple[BufferNeed, ...]:
        return focus_buffers(self.hardware)

    def sram_model(self, corrections: frozenset[str] = frozenset()) -> SramModel:
        """Memory-compiler macros exist for the published tile, scatter width and ports only; CACTI otherwise."""
        hardware = self.hardware
        is_published = (
            hardware.tiles.m_tile.value == _COMPILER_M_TILE
            and hardware.core.scatter_vectors.value == _COMPILER_SCATTER
            and macros_fit(hardware)
        )
        return "compiler" if is_published else "cacti"

    def rows(self, counts: GemmTotals) -> VectorRows:
        """Return the rows per slice that each unit works on."""
        unique = counts.unique // counts.slices
        return VectorRows(
            tokens=counts.tokens,
            scattered=counts.vectors // counts.slices,
            computed=unique,
            stored=ceil_div(counts.unique, counts.slices),
            activated=unique,
        )

    def attention_rows(self, rows: VectorRows, attention_tokens: Numbers) -> tuple[Numbers, Numbers]:
        """Return M and C as the attention byte counters see them, axis (blocks).

        Args:
            rows: Rows of every GEMM.
            attention_tokens: T', the token number with the published indexing slip.
        """
        return attention_tokens, rows.stored[:, _QUERY]

    def live_tokens(self, workload: Workload) -> NDArray[np.int64]:
        """Return the tokens of the trace."""
        self.accepts(workload)
        counts = workload.counts
        assert counts is not None  # noqa: S101  (accepts has refused it)
        return counts.tokens

    def array(self, context: CycleContext) -> ArrayModel:
        """Return the array by itself."""
        held = self.hardware.tiles.m_tile.value  # rows the buffers hold
        return systolic_array(self.hardware, context, min(self.hardware.core.row_limit.value, held))

    def jobs(self, workload: Workload, context: CycleContext) -> Lowering:
        """Return the GEMMs of every block."""
        self.accepts(workload)
        _check_search(self.hardware, workload)
        return focus_jobs(self.hardware, workload, context)

    def layers(self, workload: Workload) -> LayerTable:
        """Return one row per block."""
        self.accepts(workload)
        counts = workload.counts
        assert counts is not None  # noqa: S101  (accepts has refused it)
        rows = self.rows(counts)
        linear = self._linear(workload, rows)
        attention = self._attention(workload, rows)
        moved_linear, moved_attention = self._bytes(workload, rows, counts)
        joined = {name: _side_by_side(linear[name], attention[name]) for name in linear}
        no_linear, no_attention = np.zeros_like(linear["macs"]), np.zeros(len(rows.tokens), dtype=np.int64)
        moved = {
            key: _side_by_side(moved_linear.get(key, no_linear), moved_attention.get(key, no_attention))
            for key in dict.fromkeys([*moved_linear, *moved_attention])
        }
        return LayerTable(repeats=1, moved_bytes=moved, **joined)

    def swept_layer(self, workload: Workload) -> LayerTable:
        """Return block 9, ``o_proj``."""
        return vector_layer(self.hardware, workload)

    def _linear(self, workload: Workload, rows: VectorRows) -> dict[str, Numbers]:
        core, tiles = self.hardware.core, self.hardware.tiles
        height, width = core.array_rows.value, core.array_columns.value
        m_tile, n_tile = tiles.m_tile.value, tiles.n_tile.value
        shapes = LinearShapes.of(workload.geometry)
        inputs, outputs = shapes.inputs, shapes.outputs
        tokens, computed = rows.tokens[:, shapes.recorded], rows.computed[:, shapes.recorded]

        passes = ceil_div(tokens, m_tile)
        chunk = computed // np.maximum(passes, 1)
        folds = ceil_div(outputs, width) * ceil_div(inputs, height)
        compute = np.where(computed > 0, fold_cycles(chunk, height, width) * passes * folds, 0)
        scatter = ceil_div(rows.scattered[:, shapes.recorded] * folds, core.scatter_vectors.value)
        tail = ceil_div(core.gather_block.value, core.gather_lanes.value) * m_tile * (n_tile // width)
        gather = tail * passes * ceil_div(outputs, n_tile)
        stall = np.maximum(0, np.maximum(scatter, gather) - compute) + tail
        element = self.hardware.precision.published_bytes
        return {
            "compute_cycles": compute,
            "stall_cycles": stall,
            "scatter_cycles": scatter,
            "gather_cycles": gather,
            "macs": computed * outputs * inputs,
            "dense_macs": np.broadcast_to(workload.visual_tokens * outputs * inputs, compute.shape),
            "activation_bytes": element * rows.activated[:, shapes.recorded] * inputs,
            "compression_ratios": _ratio(tokens, computed),
        }

    def _attention(self, workload: Workload, rows: VectorRows) -> dict[str, Numbers]:
        core, m_tile = self.hardware.core, self.hardware.tiles.m_tile.value
        height, width = core.array_rows.value, core.array_columns.value
        heads, head = workload.geometry.heads, workload.geometry.head_dim_elements
        tokens, queries = rows.tokens[:, _QUERY], rows.computed[:, _QUERY]
        every = workload.visual_tokens

        def streamed(vectors: Numbers) -> Any:
            passes = np.maximum(ceil_div(vectors, m_tile), 1)
            return fold_cycles(vectors // passes, height, width) * passes

        folds = ceil_div(tokens, width) * ceil_div(head, height)
        both = (streamed(queries) + streamed(tokens)) * folds * heads
        compute = np.where(queries > 0, both / 2, 0.0)
        # The unpruned S and no causal half: as published.
        scatter = ceil_div(
            rows.scattered[:, _QUERY] * ceil_div(heads * head, height) * ceil_div(every, width),
            core.scatter_vectors.value,
        )
        element = self.hardware.precision.published_bytes
        dense = 2 * (every * every * head * heads // 2)
        return {
            "compute_cycles": compute,
            "stall_cycles": np.maximum(0.0, scatter - compute),
            "scatter_cycles": scatter,
            "gather_cycles": np.zeros_like(scatter),
            "macs": queries * tokens * head * heads // 2 + tokens * tokens * head * heads // 2,
            "dense_macs": np.full_like(tokens, dense),
            "activation_bytes": element
            * (rows.activated[:, _QUERY] * heads * head + tokens * tokens * heads),
            "compression_ratios": _ratio(tokens, queries),
        }

    def _bytes(
        self, workload: Workload, rows: VectorRows, counts: GemmTotals
    ) -> tuple[dict[Traffic, Any], dict[Traffic, Any]]:
        shapes = LinearShapes.of(workload.geometry)
        linear = linear_bytes(
            rows.tokens[:, shapes.recorded],
            rows.stored[:, shapes.recorded],
            shapes.outputs,
            shapes.inputs,
            self.hardware,
        )
        tokens = rows.tokens[:, _QUERY]
        # A two-dimensional mask is indexed as three-dimensional: V minus the dropped tokens, as published.
        slipped = counts.slices[:, _QUERY] - (workload.visual_tokens - tokens)
        seen, stored = self.attention_rows(rows, slipped)
        attention = attention_bytes(seen, stored, tokens, workload, self.hardware)
        return linear, attention


def _check_search(hardware: FocusHardware, workload: Workload) -> None:
    """Refuse a similarity unit that compares less than the trace has compared.

    Raises:
        UnsupportedError: Its block holds fewer candidates, or its vectors are shorter.
    """
    core, searched = hardware.core, {**_PUBLISHED_SEARCH, **workload.parameters}
    candidates = searched["frame_block_size"] * searched["block_size"] ** 2
    if core.gather_block.value < candidates:
        raise UnsupportedError(
            f"{hardware.accelerator}: core.gather_block is {core.gather_block.value}, expected at least {candidates}, "
            f"the candidates that the trace of {workload.label} compared for each vector; core.gather_lanes compares "
            "several in a cycle"
        )
    vector = workload.recorded_vector_size or _PUBLISHED_VECTOR
    if core.similarity_elements.value < vector:
        raise UnsupportedError(
            f"{hardware.accelerator}: core.similarity_elements is {core.similarity_elements.value}, expected at least "
            f"{vector}, the elements of a vector in the trace of {workload.label}"
        )


def _side_by_side(linear: Numbers, attention: Numbers) -> Numbers:
    """Return axes (blocks, layers) from (blocks, linear layers) and (blocks)."""
    return np.concatenate([linear, attention[:, None]], axis=1)


def _ratio(tokens: Numbers, computed: Numbers) -> Numbers:
    """Return tokens over computed rows, NaN where nothing is computed."""
    ratio: Numbers = np.where(computed > 0, tokens / np.maximum(computed, 1), np.nan)
    return ratio
