"""Focus: each tile and k-slice with its own unique vectors, scatter and gather beside the array."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np

from focal_common.errors import ConfigError
from focal_simulator.accelerators.focus.buffers import MAP_BYTES
from focal_simulator.hardware.specs import Precision
from focal_simulator.jobs.attention import (
    AttentionShape,
    importance_job,
    scores_job,
    sharing_heads,
    values_job,
    visible_pairs,
)
from focal_simulator.jobs.context import CycleContext
from focal_simulator.jobs.jobs import RESIDUAL_LAYERS, GemmJob, Movement, Rows, second_operand_bytes
from focal_simulator.jobs.lowering import Lowering
from focal_simulator.jobs.systolic import accesses_per_word, systolic_machine, systolic_traffic
from focal_simulator.jobs.tokens import sort_cycles, text_queries, token_jobs
from focal_simulator.jobs.vector_tiles import GemmTiles, VectorTiles
from focal_simulator.kernels.pipeline import Pipeline
from focal_simulator.workload.arithmetic import bytes_of, ceil_div
from focal_simulator.workload.layer_table import LINEAR_LAYERS, LinearShapes, Traffic, add_traffic
from focal_simulator.workload.workload import Workload
from focal_traces.header.schema import GEMMS

_CONSUMER = {
    "q_proj": ("query", 0),
    "o_proj": ("gate_proj", 0),
    "gate_proj": ("down_proj", 0),
    "up_proj": ("down_proj", 0),
    "down_proj": ("q_proj", 1),
    "attn": ("o_proj", 0),
}
"""Trace entry that describes a layer's output, and how many blocks later; keys and values are not concentrated."""

_NOT_GATHERED = "gate_proj"
"""Of gate and up only their product is concentrated, as it leaves ``up_proj``."""


class FocusRole(NamedTuple):
    """Which units of the machine a job uses."""

    is_gathered: bool
    is_scattered: bool
    has_maps: bool
    operands: Literal["linear", "scores", "values"] = "linear"


@dataclass(frozen=True)
class FocusTiles:
    """Jobs of one workload without their machine: what follows from the tiles alone.

    Attributes:
        workload: With tile counts, or averages of a layer.
        m_tile: Rows of a full tile of the hardware.
        height: Rows of the array.
        precision: Of the hardware.
        sorter_lanes: Lanes of the unit that sorts token importance.
        corrections: Names that are on.
        published_scatter: Array columns and scatter lanes where attention is scattered as published; else None.
        has_similarity: Whether similar vectors are left out.
    """

    workload: Workload
    m_tile: int
    height: int
    precision: Precision
    sorter_lanes: int
    corrections: frozenset[str]
    published_scatter: tuple[int, int] | None = None
    has_similarity: bool = True

    @cached_property
    def machine(self) -> Pipeline:
        """Constants that tiles depend on; `FocusArray` gives the others."""
        return Pipeline(*(self.height if name == "slice_elements" else 0 for name in Pipeline._fields))

    @cached_property
    def tiles(self) -> VectorTiles:
        """The counts, cut for the hardware; raises as `VectorTiles.cut`."""
        return VectorTiles.cut(
            self.workload,
            m_tile=self.m_tile,
            slice_elements=self.height,
            is_averaged="tile_lengths" not in self.corrections,
            has_similarity=self.has_similarity,
        )

    @cached_property
    def shapes(self) -> LinearShapes:
        """Widths of the linear layers."""
        return LinearShapes.of(self.workload.geometry)

    @property
    def is_exact(self) -> bool:
        """Whether what is written is what the next layer reads."""
        return "stored_outputs" in self.corrections

    def jobs(self) -> Sequence[GemmJob]:
        """Return the jobs of all blocks in order.

        Raises:
            UnsupportedError: The trace cannot be cut into these tiles.
        """
        return list(self._blocks())

    def _blocks(self) -> Iterator[GemmJob]:
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
        if layer == _NOT_GATHERED and "gate_product" in self.corrections:
            return tiles.rows, False
        share = self.tiles.of(block + later, gemm).unique_share(tiles.tokens)
        return np.ceil(tiles.rows * share).astype(np.int32), layer != _NOT_GATHERED

    def _stream_bytes(self, layer: str, whole: int, is_gathered: bool) -> tuple[int, int]:
        """Return the bytes read and written beside a linear layer, whose output takes ``whole`` bytes uncompressed.

        What is concentrated for the next layer is normalised, so the residual stream is written beside it.
        """
        read = second_operand_bytes(layer, whole, self.corrections)
        written = 0
        if layer in RESIDUAL_LAYERS and is_gathered:
            is_whole = "whole_rows" in self.corrections
            written = whole if is_whole or "residual_stream" in self.corrections else 0
            read += whole if is_whole else 0
        return read, written

    def _linear(self, block: int, place: int, layer: str) -> GemmJob:
        inputs, outputs = int(self.shapes.inputs[place]), int(self.shapes.outputs[place])
        tiles = self.tiles.of(block, GEMMS[self.shapes.recorded[place]])
        output_rows, is_gathered = self._output(block, layer, tiles)
        vectors = tiles.computed_elements(inputs)
        whole = bytes_of(tiles.tokens * outputs, self.precision.bits("activations"))
        read, written = self._stream_bytes(layer, whole, is_gathered)
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
            activation_bytes=bytes_of(vectors, self.precision.bits("activations")),
            extra_read_bytes=read,
            extra_write_bytes=written,
            role=FocusRole(is_gathered, is_scattered=True, has_maps=True),
        )

    def _attention(self, block: int) -> Iterator[GemmJob]:
        geometry, tiles = self.workload.geometry, self.tiles.of(block, "query")
        heads, head = geometry.heads, geometry.head_dim_elements
        keys, every = tiles.tokens, self.workload.visual_tokens
        ends = np.minimum(np.cumsum(tiles.rows, dtype=np.int64), keys)
        shape = AttentionShape(
            block,
            heads,
            head,
            keys,
            ends,
            "causal_tiles" in self.corrections,
            "causal_triangle" in self.corrections,
            sharing_heads(geometry, self.corrections),
            self.m_tile,
        )
        query_elements = tiles.computed_elements(heads * head)
        pairs, half = (
            visible_pairs(keys, self.corrections),
            visible_pairs(every, self.corrections) * head * heads // 2,
        )
        if "importance_rows" in self.corrections and self.tiles.of(block, "gate_proj").tokens < keys:
            yield importance_job(
                shape, self.machine, text_queries(self.workload), FocusRole(False, False, False, "scores")
            )
        yield scores_job(
            shape,
            self.machine,
            tiles.rows,
            tiles.per_head(heads, head, self.machine.slice_elements),
            macs=query_elements * pairs // max(keys, 1) // 2,
            dense_macs=half,
            activation_bytes=bytes_of(query_elements, self.precision.bits("activations")),
            parallel_cycles=self._sort_cycles(block, keys) | self._published_scatter_cycles(keys),
            role=FocusRole(False, "attention_scatter" in self.corrections, True, "scores"),
        )
        output_rows, is_gathered = (
            self._output(block, "attn", tiles) if self.is_exact else (tiles.rows, False)
        )
        yield values_job(
            shape,
            self.machine,
            tiles.rows,
            output_rows,
            macs=pairs * head * heads // 2,
            dense_macs=half,
            activation_bytes=bytes_of(keys * keys * heads, self.precision.bits("scores")),
            role=FocusRole(is_gathered, False, False, "values"),
        )

    def _sort_cycles(self, block: int, tokens: int) -> dict[str, int]:
        if not self.sorter_lanes:
            return {}
        cycles = sort_cycles(tokens, self.tiles.of(block, "gate_proj").tokens, self.sorter_lanes)
        return {"sec": cycles} if cycles else {}

    def _published_scatter_cycles(self, tokens: int) -> dict[str, int]:
        if self.published_scatter is None:
            return {}
        geometry, (columns, lanes) = self.workload.geometry, self.published_scatter
        slices = ceil_div(geometry.heads * geometry.head_dim_elements, self.height)
        folds = slices * ceil_div(self.workload.visual_tokens, columns)
        return {"scatter": int(ceil_div(tokens * folds, lanes))}


@dataclass(frozen=True, slots=True)
class FocusUnits:
    """The array with the units that one kind of jobs uses.

    Attributes:
        machine: Constants of the kernel.
        gather_block: Candidates per block of the similarity gather; 0 where nothing is gathered.
        similarity_elements: Elements per vector of the similarity unit; 0 where nothing is gathered.
    """

    machine: Pipeline
    gather_block: int
    similarity_elements: int

    def traffic(self, job: Movement) -> Mapping[Traffic, Any]:
        """Return the bytes of folds and of similarity detection."""
        return add_traffic([(1, systolic_traffic(job)), (1, self._detection(job))])

    def _detection(self, job: Movement) -> Mapping[Traffic, Any]:
        """Return the bytes of similarity detection (layouter, table, map), one norm per vector with the data."""
        if not self.gather_block:
            return {}
        shape, machine = job.shape, self.machine
        restored, written = job.scaled(shape.restored_elements), job.scaled(shape.written_elements)
        data, kept = bytes_of(restored, machine.output_bits), bytes_of(written, machine.output_bits)
        window = data + data // self.similarity_elements
        sums = bytes_of(restored, machine.sum_bits)
        return {
            ("sram", "read", "output"): sums + sums // self.similarity_elements,
            ("sram", "write", "layouter"): window,
            ("sram", "read", "layouter"): (self.gather_block - 1) * window,
            ("sram", "write", "similarity_map"): MAP_BYTES * restored // self.similarity_elements,
            ("sram", "read", "similarity_table"): data + kept,
            ("sram", "write", "similarity_table"): data,
        }


@dataclass(frozen=True, slots=True)
class FocusArray:
    """The array with all units of a hardware file.

    Attributes:
        machine: Constants of the kernel without scatter and gather.
        scatter_lanes: Rows restored per cycle.
        gather_block: Candidates per block of the similarity gather.
        gather_lanes: Candidates that it compares in a cycle.
        mean_cycles: Cycles of reading out the mean of a group.
        scatter_latency_cycles: From the last register of the array to the cycle in which scatter can read a row.
        concentrate_ports: Read ports of the concentrate buffer; 0 for as many as there are lanes.
        accumulate_cycles: Cycles of adding the rows of all lanes to the output buffer.
        similarity_elements: Elements per vector of the similarity unit.
        map_bytes: Bytes of an index of a similarity map; 0 where maps cost nothing, as published.
    """

    machine: Pipeline
    scatter_lanes: int
    gather_block: int
    gather_lanes: int
    mean_cycles: int
    scatter_latency_cycles: int
    concentrate_ports: int
    accumulate_cycles: int
    similarity_elements: int
    map_bytes: int

    @classmethod
    def of(cls, hardware: Any, context: CycleContext) -> FocusArray:
        """Return the array of a Focus hardware file; raises as `systolic_machine`."""
        core = hardware.core
        return cls(
            machine=systolic_machine(hardware, context),
            scatter_lanes=core.scatter_vectors.value,
            gather_block=core.gather_block.value,
            gather_lanes=core.gather_lanes.value,
            mean_cycles=core.group_mean.value if context.has("group_mean") else 0,
            scatter_latency_cycles=core.scatter_latency.value if context.has("array_latencies") else 0,
            concentrate_ports=core.concentrate_ports.value,
            accumulate_cycles=accesses_per_word(core.output_ports.value),
            similarity_elements=core.similarity_elements.value,
            map_bytes=MAP_BYTES if context.has("stored_outputs") else 0,
        )

    def units(self, role: FocusRole) -> FocusUnits:
        """Return what jobs of a role use."""
        gather = self.gather_block if role.is_gathered else 0
        scattered = {}
        if role.is_scattered:
            # The array fills the concentrate buffer, row by row; scatter adds to the output buffer, word by word.
            scattered = {
                "scatter_rows_per_cycle": self.scatter_lanes,
                "scatter_latency_cycles": self.scatter_latency_cycles,
                "concentrate_reads_per_cycle": self.concentrate_ports,
                "accumulate_cycles": self.accumulate_cycles,
                "cycles_per_pass": 1,
            }
        machine = self.machine
        if role.operands != "linear":
            machine = machine.for_scores() if role.operands == "scores" else machine.for_values()
        machine = machine._replace(
            **scattered,
            map_read_bytes=self.map_bytes if role.has_maps else 0,
            gather_cycles_per_row=ceil_div(gather, self.gather_lanes),
            mean_cycles_per_vector=self.mean_cycles if gather else 0,
            map_write_bytes=self.map_bytes if role.is_gathered else 0,
        )
        return FocusUnits(machine, gather, self.similarity_elements if role.is_gathered else 0)


def sorter_lanes(hardware: Any) -> int:
    """Return the lanes of the unit that sorts token importance.

    Raises:
        ConfigError: The file has no such component.
    """
    part = hardware.components.get("max_unit_sec")
    if part is None:
        raise ConfigError(
            f"{hardware.accelerator}: components has no 'max_unit_sec', expected the unit that sorts token importance; "
            "its count is what it compares in a cycle"
        )
    return int(part.count.value)


def focus_jobs(
    hardware: Any, workload: Workload, context: CycleContext, *, has_similarity: bool = True
) -> Lowering:
    """Return the jobs of a prefill.

    Args:
        hardware: Of Focus.
        workload: With counts.
        context: Memory and corrections.
        has_similarity: Whether similar vectors are left out.

    Raises:
        ConfigError: The n-tile does not hold one array column.
    """
    core = hardware.core
    lanes = sorter_lanes(hardware) if context.has("special_functions") else 0
    scatter = (core.array_columns.value, core.scatter_vectors.value)
    tiles = FocusTiles(
        workload=workload,
        m_tile=hardware.tiles.m_tile.value,
        height=core.array_rows.value,
        precision=hardware.precision,
        sorter_lanes=lanes,
        corrections=context.corrections,
        published_scatter=None if context.has("attention_scatter") else scatter,
        has_similarity=has_similarity,
    )
    return Lowering(tiles, FocusArray.of(hardware, context))


def sec_only_jobs(hardware: Any, workload: Workload, context: CycleContext) -> Lowering:
    """Return the jobs of a prefill in which every vector of a live token is computed.

    With the correction ``sec_only_unit`` tiles are full and there is no similarity hardware; without it tiles, scatter
    and gather are those of the hardware file, as published.
    """
    if context.has("sec_only_unit"):
        # With this correction the buffers are built for full passes.
        return token_jobs(
            hardware,
            workload,
            context,
            held_rows=hardware.core.row_limit.value,
            sorter_lanes=sorter_lanes(hardware),
        )
    return focus_jobs(hardware, workload, context, has_similarity=False)
