"""Focus: each tile and k-slice with its own unique vectors, scatter and gather beside the array."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from focal_simulator.arithmetic import ceil_div
from focal_simulator.cycle.attention import AttentionShape, scores_job, values_job
from focal_simulator.cycle.context import CycleContext
from focal_simulator.cycle.jobs import GemmJob, Movement, Rows
from focal_simulator.cycle.lowering_tokens import sort_cycles, token_jobs
from focal_simulator.cycle.placing import GroupLowering, JobGroups, job_groups
from focal_simulator.cycle.systolic import systolic_machine, systolic_traffic, with_systolic_traffic
from focal_simulator.cycle.vector_tiles import GemmTiles, VectorTiles
from focal_simulator.cycle.vector_units import with_special_functions
from focal_simulator.kernels.pipeline import Pipeline
from focal_simulator.layer_table import LINEAR_LAYERS, LinearShapes, Traffic
from focal_simulator.workload import Workload
from focal_traces.schema import GEMMS

if TYPE_CHECKING:
    from focal_simulator.accelerators.focus import Focus, FocusHardware
    from focal_simulator.series import Remember

__all__ = ["FocusLowering", "FocusRole", "FocusTileJobs", "focus_groups", "focus_jobs", "sec_only_jobs"]

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


class FocusRole(NamedTuple):
    """Which units of the machine a job uses."""

    is_gathered: bool
    is_scattered: bool
    has_maps: bool


class FocusTileJobs:
    """Jobs of one workload without their machine: what follows from the tiles alone.

    Args:
        workload: With tile counts.
        tiles: The counts, cut for the hardware.
        height: Rows of the array.
        element_bytes: Bytes of one operand.
        sorter_lanes: Lanes of the unit that sorts token importance.
        context: For the corrections.
    """

    def __init__(
        self,
        workload: Workload,
        tiles: VectorTiles,
        height: int,
        element_bytes: int,
        sorter_lanes: int,
        context: CycleContext,
    ) -> None:
        self.workload, self.tiles, self.context = workload, tiles, context
        self.element, self.sorter_lanes = element_bytes, sorter_lanes
        self.is_exact = context.has("stored_outputs")
        self.shapes = LinearShapes.of(workload.geometry)
        self.machine = _without_units(height)

    @classmethod
    def on(
        cls, hardware: FocusHardware, workload: Workload, context: CycleContext, **cut: Any
    ) -> FocusTileJobs:
        """Return the jobs for a hardware file; raises as `VectorTiles.cut`, which takes ``cut``."""
        height = hardware.core.array_rows.value
        tiles = VectorTiles.cut(
            workload,
            m_tile=hardware.tiles.m_tile.value,
            slice_elements=height,
            is_averaged=not context.has("tile_lengths"),
            **cut,
        )
        lanes = hardware.components["max_unit_sec"].count.value if context.has("special_functions") else 0
        return cls(workload, tiles, height, hardware.element_bytes.value, lanes, context)

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

    def _linear(self, block: int, place: int, layer: str) -> GemmJob:
        inputs, outputs = int(self.shapes.inputs[place]), int(self.shapes.outputs[place])
        tiles = self.tiles.of(block, GEMMS[self.shapes.recorded[place]])
        output_rows, is_gathered = self._output(block, layer, tiles)
        vectors = tiles.computed_elements(inputs)
        return GemmJob(
            block=block,
            layer=layer,
            part="gemm",
            machine=self.machine,
            rows=tiles.rows,
            unique=tiles.unique,
            output_rows=output_rows,
            outputs=outputs,
            macs=vectors * outputs,
            dense_macs=self.workload.visual_tokens * inputs * outputs,
            activation_bytes=self.element * vectors,
            role=FocusRole(is_gathered, is_scattered=True, has_maps=True),
        )

    def _attention(self, block: int) -> Iterator[GemmJob]:
        geometry, tiles = self.workload.geometry, self.tiles.of(block, "query")
        heads, head = geometry.heads, geometry.head_dim_elements
        keys, every = tiles.tokens, self.workload.visual_tokens
        ends = np.minimum(np.cumsum(tiles.rows, dtype=np.int64), keys)
        shape = AttentionShape(block, heads, head, keys, ends, self.context.has("causal_tiles"))
        sorting = self._sort_cycles(block, keys)
        query_elements = tiles.computed_elements(heads * head)
        half = every * every * head * heads // 2
        yield scores_job(
            shape,
            self.machine,
            tiles.rows,
            tiles.per_head(heads, head, self.machine.slice_elements),
            macs=query_elements * keys // 2,
            dense_macs=half,
            activation_bytes=self.element * query_elements,
            beside={"sec": sorting} if sorting else {},
            role=FocusRole(False, self.context.has("attention_scatter"), has_maps=True),
        )
        output_rows, is_gathered = (
            self._output(block, "attn", tiles) if self.is_exact else (tiles.rows, False)
        )
        yield values_job(
            shape,
            self.machine,
            tiles.rows,
            output_rows,
            macs=keys * keys * head * heads // 2,
            dense_macs=half,
            activation_bytes=self.element * keys * keys * heads,
            role=FocusRole(is_gathered, is_scattered=False, has_maps=False),
        )

    def _sort_cycles(self, block: int, tokens: int) -> int:
        if not self.sorter_lanes:
            return 0
        return sort_cycles(tokens, self.tiles.of(block, "gate_proj").tokens, self.sorter_lanes)


class FocusLowering:
    """Gives tile jobs the machine of a hardware file, and the bytes that follow from it.

    Args:
        hardware: Checked hardware file.
        context: Memory and corrections.
    """

    def __init__(self, hardware: FocusHardware, context: CycleContext) -> None:
        self.context = context
        core = hardware.core
        self.element = hardware.element_bytes.value
        self.gather, self.scatter = core.gather_block.value, core.scatter_vectors.value
        self.similarity = core.similarity_elements.value
        self.maps = _MAP_BYTES if context.has("stored_outputs") else 0
        self.machine = systolic_machine(hardware, context)

    def machine_of(self, role: FocusRole) -> Pipeline:
        """Return the constants for a job."""
        return self.machine._replace(
            scatter_rows_per_cycle=self.scatter if role.is_scattered else 0,
            map_read_bytes=self.maps if role.has_maps else 0,
            gather_cycles_per_row=self.gather if role.is_gathered else 0,
            map_write_bytes=self.maps if role.is_gathered else 0,
        )

    def placed(self, job: GemmJob, workload: Workload) -> GemmJob:
        """Return a job on this machine, with its bytes."""
        beside = dict(job.beside)
        if job.part == "scores" and not self.context.has("attention_scatter"):
            # The outputs of the scores are the live tokens.
            beside["scatter"] = self._published_scatter(job.outputs, workload)
        found = replace(job, machine=self.machine_of(job.role), beside=beside)
        return with_systolic_traffic(found, self.detection(found))

    def detection(self, job: Movement) -> dict[Traffic, Any]:
        """Return the bytes of similarity detection (layouter, table, map), one norm per vector with the data."""
        if not job.role.is_gathered:
            return {}
        shape, element = job.shape, self.element
        data, kept = (
            job.scaled(shape.restored_elements) * element,
            job.scaled(shape.written_elements) * element,
        )
        window = data + data // self.similarity
        return {
            ("sram", "read", "output"): window,
            ("sram", "write", "layouter"): window,
            ("sram", "read", "layouter"): (self.gather - 1) * window,
            ("sram", "write", "similarity_map"): data // self.similarity,
            ("sram", "read", "similarity_table"): data + kept,
            ("sram", "write", "similarity_table"): data,
        }

    def _published_scatter(self, tokens: int, workload: Workload) -> int:
        geometry, machine = workload.geometry, self.machine
        folds = ceil_div(geometry.heads * geometry.head_dim_elements, machine.slice_elements) * ceil_div(
            workload.visual_tokens, machine.array_columns
        )
        return int(ceil_div(tokens * folds, self.scatter))


def _without_units(height: int) -> Pipeline:
    """Return the constants that tiles depend on; `FocusLowering` gives the others."""
    return Pipeline(*(height if name == "slice_elements" else 0 for name in Pipeline._fields))


def focus_jobs(hardware: FocusHardware, workload: Workload, context: CycleContext) -> list[GemmJob]:
    """Return the jobs of a prefill.

    Raises:
        UnsupportedError: The trace cannot be cut into the tiles of this hardware.
    """
    tile_jobs = FocusTileJobs.on(hardware, workload, context)
    lowering = FocusLowering(hardware, context)
    return [lowering.placed(job, workload) for job in tile_jobs.blocks()]


def focus_groups(
    accelerator: Focus, workload: Workload, context: CycleContext, remember: Remember
) -> GroupLowering | None:
    """Return the jobs of `focus_jobs` with special functions, grouped by role; raises as it does."""
    if not context.has("attention_scatter") or not context.has("attention_traffic"):
        return None

    def lowered(accelerator: Focus) -> JobGroups:
        # The memory is no part of tiles, so this may be remembered for another one.
        jobs = list(FocusTileJobs.on(accelerator.hardware, workload, context).blocks())
        return job_groups(with_special_functions(jobs, accelerator, workload, context))

    groups = remember(lowered)
    lowering = FocusLowering(accelerator.hardware, context)

    def traffic(job: Movement) -> dict[Traffic, Any]:
        return systolic_traffic(job, lowering.detection(job))

    key = (lowering.gather, lowering.similarity)
    return GroupLowering(groups, lowering.machine_of, traffic, key)


def sec_only_jobs(hardware: Any, workload: Workload, context: CycleContext) -> list[GemmJob]:
    """Return the jobs of a prefill in which every vector of a live token is computed.

    With the correction ``sec_only_unit`` tiles are full and there is no similarity hardware; without it tiles, scatter
    and gather are those of the hardware file, as published.
    """
    if context.has("sec_only_unit"):
        # With this correction the buffers are built for full passes.
        return token_jobs(hardware, workload, context, held_rows=hardware.core.row_limit.value)
    known = workload.with_schedule_counts() if workload.counts is None else workload
    tile_jobs = FocusTileJobs.on(hardware, known, context, has_similarity=False)
    lowering = FocusLowering(hardware, context)
    return [lowering.placed(job, workload) for job in tile_jobs.blocks()]
