"""Focus: each tile and k-slice with its own unique vectors, scatter and gather beside the array."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from focal_simulator.arithmetic import ceil_div
from focal_simulator.cycle.attention import AttentionShape, scores_job, values_job
from focal_simulator.cycle.context import CycleContext
from focal_simulator.cycle.jobs import GemmJob, Rows
from focal_simulator.cycle.lowering_tokens import sort_cycles, token_jobs
from focal_simulator.cycle.systolic import systolic_machine, with_systolic_traffic
from focal_simulator.cycle.vector_tiles import GemmTiles, VectorTiles
from focal_simulator.kernels.pipeline import Pipeline
from focal_simulator.layer_table import LINEAR_LAYERS, LinearShapes, Traffic
from focal_simulator.workload import Workload
from focal_traces.schema import GEMMS

if TYPE_CHECKING:
    from focal_simulator.accelerators.focus import FocusHardware

__all__ = ["focus_jobs", "sec_only_jobs"]

_MAP_BYTES = 2
"""A compact index of up to 1,024 rows (Focus, HPCA 2026, sec. VI-A: similarity map, 1 x m)."""

_CONSUMER = {
    "q_proj": ("query", 0),
    "o_proj": ("gate_proj", 0),
    "gate_proj": ("down_proj", 0),
    "up_proj": ("down_proj", 0),
    "down_proj": ("q_proj", 1),
    "attn": ("o_proj", 0),
}
"""Trace entry that describes a layer's output, and how many blocks later; keys and values are not concentrated."""

_NOT_GATHERED = ("k_proj", "v_proj", "gate_proj")
"""Keys and values are not concentrated; of gate and up only their product is, as it leaves ``up_proj``."""


class FocusLowering:
    """Jobs of one workload.

    Args:
        hardware: Checked hardware file.
        workload: With tile counts.
        tiles: The counts, cut for this hardware.
        context: Memory and corrections.
    """

    def __init__(
        self, hardware: FocusHardware, workload: Workload, tiles: VectorTiles, context: CycleContext
    ) -> None:
        self.hardware, self.workload, self.tiles, self.context = hardware, workload, tiles, context
        core, element = hardware.core, hardware.element_bytes.value
        self.element = element
        self.is_exact = context.has("stored_outputs")
        maps = _MAP_BYTES if self.is_exact else 0
        self.gather = core.gather_block.value
        self.machine = systolic_machine(
            hardware, context, scatter_rows_per_cycle=core.scatter_vectors.value, map_read_bytes=maps
        )
        self.maps = maps
        self.shapes = LinearShapes.of(workload.geometry)

    def blocks(self) -> Iterator[GemmJob]:
        """Yield the jobs of all blocks in order."""
        for block in range(self.workload.geometry.layers):
            for place, layer in enumerate(LINEAR_LAYERS):
                yield self._linear(block, place, layer)
            yield from self._attention(block)

    def _output(self, block: int, layer: str, tiles: GemmTiles) -> tuple[Rows, bool]:
        """Return the rows written per tile, and whether they pass the gather unit."""
        if not self.is_exact:
            return tiles.mean_unique(), True
        if layer not in _CONSUMER:
            return tiles.rows, False
        gemm, later = _CONSUMER[layer]
        if block + later >= self.workload.geometry.layers:
            return tiles.rows, False
        share = self.tiles.of(block + later, gemm).unique_share(tiles.tokens)
        return np.ceil(tiles.rows * share).astype(np.int32), layer not in _NOT_GATHERED

    def _machine(self, is_gathered: bool, **changes: int) -> Pipeline:
        fields = {
            "gather_cycles_per_row": self.gather if is_gathered else 0,
            "map_write_bytes": self.maps if is_gathered else 0,
        }
        return self.machine._replace(**(fields | changes))

    def _linear(self, block: int, place: int, layer: str) -> GemmJob:
        inputs, outputs = int(self.shapes.inputs[place]), int(self.shapes.outputs[place])
        tiles = self.tiles.of(block, GEMMS[self.shapes.recorded[place]])
        output_rows, is_gathered = self._output(block, layer, tiles)
        vectors = tiles.computed_elements(inputs)
        job = GemmJob(
            block=block,
            layer=layer,
            part="gemm",
            machine=self._machine(is_gathered),
            rows=tiles.rows,
            unique=tiles.unique,
            output_rows=output_rows,
            outputs=outputs,
            macs=vectors * outputs,
            dense_macs=self.workload.visual_tokens * inputs * outputs,
            activation_bytes=self.element * vectors,
        )
        return with_systolic_traffic(job, self._gather_traffic(job) if is_gathered else None)

    def _gather_traffic(self, job: GemmJob) -> dict[Traffic, int]:
        """Bytes of similarity detection (layouter window, table and map), one norm per vector with the data."""
        shape, element = job.shape, self.element
        vector = self.hardware.core.similarity_elements.value
        data, kept = (
            job.scaled(shape.restored_elements) * element,
            job.scaled(shape.written_elements) * element,
        )
        window = data + data // vector
        return {
            ("sram", "read", "output"): window,
            ("sram", "write", "layouter"): window,
            ("sram", "read", "layouter"): (self.gather - 1) * window,
            ("sram", "write", "similarity_map"): data // vector,
            ("sram", "read", "similarity_table"): data + kept,
            ("sram", "write", "similarity_table"): data,
        }

    def _attention(self, block: int) -> Iterator[GemmJob]:
        geometry, tiles = self.workload.geometry, self.tiles.of(block, "query")
        heads, head = geometry.heads, geometry.head_dim_elements
        keys, every = tiles.tokens, self.workload.visual_tokens
        has_scatter = self.context.has("attention_scatter")
        ends = np.minimum(np.cumsum(tiles.rows, dtype=np.int64), keys)
        shape = AttentionShape(block, heads, head, keys, ends, self.context.has("causal_tiles"))
        beside = {} if has_scatter else {"scatter": self._published_scatter(tiles)}
        if self.context.has("special_functions"):
            beside["sec"] = self._sort_cycles(block, keys)
        query_elements = tiles.computed_elements(heads * head)
        half = every * every * head * heads // 2
        scores = scores_job(
            shape,
            self._machine(False, **({} if has_scatter else {"scatter_rows_per_cycle": 0})),
            tiles.rows,
            tiles.per_head(heads, head, self.machine.slice_elements),
            macs=query_elements * keys // 2,
            dense_macs=half,
            activation_bytes=self.element * query_elements,
            beside={cause: cycles for cause, cycles in beside.items() if cycles},
        )
        yield with_systolic_traffic(scores)
        output_rows, is_gathered = (
            self._output(block, "attn", tiles) if self.is_exact else (tiles.rows, False)
        )
        values = values_job(
            shape,
            self._machine(is_gathered, scatter_rows_per_cycle=0, map_read_bytes=0),
            tiles.rows,
            output_rows,
            macs=keys * keys * head * heads // 2,
            dense_macs=half,
            activation_bytes=self.element * keys * keys * heads,
        )
        yield with_systolic_traffic(values, self._gather_traffic(values) if is_gathered else None)

    def _published_scatter(self, tiles: GemmTiles) -> int:
        core, geometry = self.hardware.core, self.workload.geometry
        folds = ceil_div(geometry.heads * geometry.head_dim_elements, core.array_rows.value) * ceil_div(
            self.workload.visual_tokens, core.array_columns.value
        )
        return int(ceil_div(tiles.tokens * folds, core.scatter_vectors.value))

    def _sort_cycles(self, block: int, tokens: int) -> int:
        kept = self.tiles.of(block, "gate_proj").tokens
        return sort_cycles(tokens, kept, self.hardware.components["max_unit_sec"].count.value)


def focus_jobs(hardware: FocusHardware, workload: Workload, context: CycleContext) -> list[GemmJob]:
    """Return the jobs of a prefill.

    Raises:
        UnsupportedError: The trace cannot be cut into the tiles of this hardware.
    """
    tiles = VectorTiles.cut(
        workload,
        m_tile=hardware.tiles.m_tile.value,
        slice_elements=hardware.core.array_rows.value,
        is_averaged=not context.has("tile_lengths"),
    )
    return list(FocusLowering(hardware, workload, tiles, context).blocks())


def sec_only_jobs(hardware: Any, workload: Workload, context: CycleContext) -> list[GemmJob]:
    """Return the jobs of a prefill in which every vector of a live token is computed.

    With the correction ``sec_only_unit`` tiles are full and there is no similarity hardware; without it tiles, scatter
    and gather are those of the hardware file, as published.
    """
    if context.has("sec_only_unit"):
        # With this correction the buffers are built for full passes.
        return token_jobs(hardware, workload, context, held_rows=hardware.core.row_limit.value)
    tiles = VectorTiles.cut(
        workload.with_schedule_counts() if workload.counts is None else workload,
        m_tile=hardware.tiles.m_tile.value,
        slice_elements=hardware.core.array_rows.value,
        is_averaged=not context.has("tile_lengths"),
        has_similarity=False,
    )
    return list(FocusLowering(hardware, workload, tiles, context).blocks())
