"""CMC: a video codec keeps the rows that differ from their reference frame; the array computes those."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from focal_simulator.jobs.attention import (
    AttentionShape,
    scores_job,
    sharing_heads,
    spread_ends,
    values_job,
    visible_pairs,
)
from focal_simulator.jobs.context import CycleContext
from focal_simulator.jobs.jobs import GemmJob, Rows, second_operand_bytes, uniform_tiles
from focal_simulator.jobs.lowering import Lowering
from focal_simulator.jobs.systolic import systolic_array
from focal_simulator.kernels.pipeline import Pipeline
from focal_simulator.workload.arithmetic import bytes_of, ceil_div
from focal_simulator.workload.layer_table import LINEAR_LAYERS, LinearShapes
from focal_simulator.workload.workload import Workload
from focal_traces.methods.cmc import SPARSITY

_NOT_SEARCHED = ("k_proj", "v_proj")
"""Keys and values reuse the motion vectors found for the query input."""

_SHARED = (*_NOT_SEARCHED, "up_proj")
"""So does the up projection those of the gate; the published model searches its input again."""


@dataclass(frozen=True, slots=True)
class CmcTiles:
    """Jobs of one workload; every block is the same.

    Attributes:
        workload: With CMC sparsities.
        machine: Constants of the array.
        m_tile: Rows of a full tile.
        frames_per_partition: Frames that share one reference frame.
        codec_rate: Element differences of the motion search per cycle.
        corrections: Names that are on.
    """

    workload: Workload
    machine: Pipeline
    m_tile: int
    frames_per_partition: int
    codec_rate: int
    corrections: frozenset[str]

    @property
    def every(self) -> int:
        """All visual tokens."""
        return self.workload.visual_tokens

    def jobs(self) -> Sequence[GemmJob]:
        """Return the jobs of a prefill."""
        block = list(self.block())
        return [
            replace(job, block=number) for number in range(self.workload.geometry.layers) for job in block
        ]

    def rows(self, sparsity: float) -> Rows:
        """Return the kept rows of each tile; as published, equal parts of the partitions of eight frames."""
        if "tile_lengths" in self.corrections:
            kept = -int(-self.every * (1 - sparsity) // 1)
            return uniform_tiles(kept, self.m_tile, is_averaged=False)
        partitions = ceil_div(self.workload.frames, self.frames_per_partition)
        rows = int(self.every * (1 - sparsity) + partitions - 1) // partitions
        return np.full(partitions, rows, dtype=np.int32)

    def search_cycles(self, inputs: int) -> dict[str, int]:
        """Return the cycles of the motion search of one input, beside the array."""
        if "codec_overlap" not in self.corrections:
            return {}
        frames, patches = self.workload.frames, self.workload.patches
        partitions = ceil_div(frames, self.frames_per_partition)
        elements = (frames - partitions) * patches * patches * inputs
        return {"preprocess": ceil_div(elements, self.codec_rate)}

    def block(self) -> Iterator[GemmJob]:
        """Yield one block."""
        sparsity, geometry = self.workload.row(SPARSITY), self.workload.geometry
        assert sparsity is not None  # noqa: S101  (accepted workloads have it)
        rows, shapes, bits = self.rows(sparsity.linear), LinearShapes.of(geometry), self.machine.input_bits
        for place, layer in enumerate(LINEAR_LAYERS):
            inputs, outputs = int(shapes.inputs[place]), int(shapes.outputs[place])
            is_searched = layer not in (_SHARED if "codec_overlap" in self.corrections else _NOT_SEARCHED)
            yield GemmJob(
                block=0,
                layer=layer,
                part="gemm",
                machine=self.machine,
                rows=rows,
                unique=np.repeat(rows[:, None], ceil_div(inputs, self.machine.slice_elements), axis=1),
                output_rows=rows,
                outputs=outputs,
                macs=int(self.every * outputs * inputs * (1 - sparsity.linear)),
                dense_macs=self.every * outputs * inputs,
                activation_bytes=int(bits / 8 * inputs * self.every * (1 - sparsity.linear)),
                parallel_cycles=self.search_cycles(inputs) if is_searched else {},
                extra_read_bytes=(bytes_of(self.every * inputs, bits) if is_searched else 0)
                + second_operand_bytes(layer, bytes_of(int(rows.sum()) * outputs, bits), self.corrections),
            )
        yield from self._attention()

    def _attention(self) -> Iterator[GemmJob]:
        sparsity, geometry = self.workload.row(SPARSITY), self.workload.geometry
        assert sparsity is not None  # noqa: S101  (accepted workloads have it)
        heads, head = geometry.heads, geometry.head_dim_elements
        pair = visible_pairs(self.every, self.corrections) * head
        is_causal = "causal_tiles" in self.corrections
        is_triangle, sharing = (
            "causal_triangle" in self.corrections,
            sharing_heads(geometry, self.corrections),
        )
        for part, kept in (("scores", sparsity.query), ("values", sparsity.attention_score)):
            rows = self.rows(kept)
            ends = spread_ends(rows, self.every)
            shape = AttentionShape(
                0, heads, head, self.every, ends, is_causal, is_triangle, sharing, self.m_tile
            )
            facts = {
                "macs": int(pair * (1 - kept) * heads // 2),
                "dense_macs": pair * heads // 2,
                "activation_bytes": int(
                    (self.machine.input_bits if part == "scores" else self.machine.score_bits)
                    / 8
                    * self.every
                    * (1 - kept)
                    * heads
                    * (head if part == "scores" else self.every)
                ),
                "parallel_cycles": self.search_cycles(heads * head) if part == "scores" else {},
                "extra_read_bytes": bytes_of(self.every * heads * head, self.machine.input_bits)
                if part == "scores"
                else 0,
            }
            slices = np.repeat(rows[:, None], ceil_div(head, self.machine.slice_elements), axis=1)
            yield (
                scores_job(shape, self.machine, rows, slices, **facts)
                if part == "scores"
                else values_job(shape, self.machine, rows, rows, **facts)
            )


def cmc_jobs(hardware: Any, workload: Workload, context: CycleContext) -> Lowering:
    """Return the jobs of a prefill on the array of a CMC hardware file."""
    m_tile, core = hardware.tiles.m_tile.value, hardware.core
    array = systolic_array(hardware, context, m_tile)
    frames, rate = core.frames_per_partition.value, core.codec_elements_per_cycle.value
    return Lowering(CmcTiles(workload, array.constants, m_tile, frames, rate, context.corrections), array)
