"""CMC: a video codec keeps the rows that differ from their reference frame; the array computes those."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from focal_simulator.arithmetic import ceil_div
from focal_simulator.cycle.attention import AttentionShape, scores_job, values_job
from focal_simulator.cycle.context import CycleContext
from focal_simulator.cycle.jobs import GemmJob, Rows, uniform_tiles
from focal_simulator.cycle.systolic import systolic_machine, with_systolic_traffic
from focal_simulator.layer_table import LINEAR_LAYERS, LinearShapes
from focal_simulator.workload import Workload

if TYPE_CHECKING:
    from focal_simulator.accelerators.cmc import CmcHardware

__all__ = ["cmc_jobs"]

_NOT_SEARCHED = ("k_proj", "v_proj")
"""Keys and values reuse the motion vectors found for the query input."""

_SHARED = (*_NOT_SEARCHED, "up_proj")
"""So does the up projection those of the gate; the published model searches its input again."""


class CmcLowering:
    """Jobs of one workload; every block is the same.

    Args:
        hardware: Checked hardware file.
        workload: With CMC sparsities.
        context: Memory and corrections.
    """

    def __init__(self, hardware: CmcHardware, workload: Workload, context: CycleContext) -> None:
        self.hardware, self.workload, self.context = hardware, workload, context
        self.machine = systolic_machine(hardware, context)
        self.every = workload.visual_tokens

    def rows(self, sparsity: float) -> Rows:
        """Return the kept rows of each tile; as published, equal parts of the partitions of eight frames."""
        if self.context.has("tile_lengths"):
            kept = -int(-self.every * (1 - sparsity) // 1)
            return uniform_tiles(kept, self.hardware.tiles.m_tile.value, is_averaged=False)
        partitions = ceil_div(self.workload.frames, self.hardware.core.frames_per_partition.value)
        rows = int(self.every * (1 - sparsity) + partitions - 1) // partitions
        return np.full(partitions, rows, dtype=np.int32)

    def search_cycles(self, inputs: int) -> dict[str, int]:
        """Return the cycles of the motion search of one input, beside the array."""
        if not self.context.has("codec_overlap"):
            return {}
        frames, patches = self.workload.frames, self.workload.patches
        partitions = ceil_div(frames, self.hardware.core.frames_per_partition.value)
        elements = (frames - partitions) * patches * patches * inputs
        return {"preprocess": ceil_div(elements, self.hardware.core.codec_elements_per_cycle.value)}

    def block(self) -> Iterator[GemmJob]:
        """Yield one block."""
        sparsity, geometry = self.workload.cmc_sparsity, self.workload.geometry
        assert sparsity is not None  # noqa: S101  (accepted workloads have it)
        rows, shapes, element = (
            self.rows(sparsity.linear),
            LinearShapes.of(geometry),
            self.machine.element_bytes,
        )
        for place, layer in enumerate(LINEAR_LAYERS):
            inputs, outputs = int(shapes.inputs[place]), int(shapes.outputs[place])
            is_searched = layer not in (_SHARED if self.context.has("codec_overlap") else _NOT_SEARCHED)
            yield with_systolic_traffic(
                GemmJob(
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
                    activation_bytes=int(element * inputs * self.every * (1 - sparsity.linear)),
                    beside=self.search_cycles(inputs) if is_searched else {},
                    extra_read_bytes=element * self.every * inputs if is_searched else 0,
                )
            )
        yield from self._attention()

    def _attention(self) -> Iterator[GemmJob]:
        sparsity, geometry = self.workload.cmc_sparsity, self.workload.geometry
        assert sparsity is not None  # noqa: S101  (accepted workloads have it)
        heads, head, element = geometry.heads, geometry.head_dim_elements, self.machine.element_bytes
        pair = self.every * self.every * head
        is_causal = self.context.has("causal_tiles")
        for part, kept in (("scores", sparsity.query), ("values", sparsity.attention_score)):
            rows = self.rows(kept)
            shape = AttentionShape(0, heads, head, self.every, self._ends(rows), is_causal)
            facts = {
                "macs": int(pair * (1 - kept) * heads // 2),
                "dense_macs": pair * heads // 2,
                "activation_bytes": int(
                    element * self.every * (1 - kept) * heads * (head if part == "scores" else self.every)
                ),
                "beside": self.search_cycles(heads * head) if part == "scores" else {},
                "extra_read_bytes": element * self.every * heads * head if part == "scores" else 0,
            }
            slices = np.repeat(rows[:, None], ceil_div(head, self.machine.slice_elements), axis=1)
            job = (
                scores_job(shape, self.machine, rows, slices, **facts)
                if part == "scores"
                else values_job(shape, self.machine, rows, rows, **facts)
            )
            yield with_systolic_traffic(job)

    def _ends(self, rows: Rows) -> NDArray[np.int64]:
        """Return the keys up to the end of each tile; kept rows are spread evenly over the tokens."""
        share = np.cumsum(rows, dtype=np.int64) / max(int(rows.sum()), 1)
        return np.minimum(np.ceil(share * self.every).astype(np.int64), self.every)


def cmc_jobs(hardware: CmcHardware, workload: Workload, context: CycleContext) -> list[GemmJob]:
    """Return the jobs of a prefill."""
    block = list(CmcLowering(hardware, workload, context).block())
    return [job.changed(block=number) for number in range(workload.geometry.layers) for job in block]
