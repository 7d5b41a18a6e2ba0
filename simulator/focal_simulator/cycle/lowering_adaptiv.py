"""AdapTiV: merged tokens on lines of multipliers; merging runs before every GEMM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from focal_common.errors import ConfigError
from focal_simulator.arithmetic import ceil_div
from focal_simulator.cycle.attention import AttentionShape, scores_job, values_job
from focal_simulator.cycle.context import CycleContext
from focal_simulator.cycle.jobs import GemmJob, Rows, uniform_tiles
from focal_simulator.kernels.pipeline import Pipeline
from focal_simulator.layer_table import LINEAR_LAYERS, LinearShapes, Traffic, add_traffic
from focal_simulator.workload import Workload

if TYPE_CHECKING:
    from focal_simulator.accelerators.adaptiv import AdaptivHardware

__all__ = ["adaptiv_jobs"]

_INPUT_PASSES = 2
"""The merge unit reads every token twice: once to compare, once to merge."""

_SHARED = ("k_proj", "v_proj", "up_proj")
"""GEMMs whose input another GEMM has merged already."""


@dataclass(frozen=True)
class MacLines:
    """Lines of multipliers without token merging: 16 outputs x 64 rows, one input element a cycle.

    Attributes:
        hardware: Checked hardware file.
        context: Memory and corrections.
    """

    hardware: AdaptivHardware
    context: CycleContext

    @property
    def tile_rows(self) -> int:
        """Rows of a full m-tile."""
        return self.hardware.tiles.m_tile.value

    def machine(self, inputs: int) -> Pipeline:
        """Return the kernel's constants; published, every k-tile is padded to its full depth."""
        core, tiles = self.hardware.core, self.hardware.tiles
        if tiles.n_tile.value < core.mac_lines.value:
            raise ConfigError(
                f"adaptiv: tiles.n_tile is {tiles.n_tile.value}, expected at least core.mac_lines "
                f"({core.mac_lines.value}): the output buffer must hold one pass of the lines"
            )
        self._check_buffers()
        depth = (
            min(tiles.k_tile.value, inputs) if self.context.has("adaptiv_attention") else tiles.k_tile.value
        )
        return Pipeline(
            slice_elements=depth,
            array_columns=core.mac_lines.value,
            skew_cycles=0,
            row_lanes=core.line_width.value,
            cycles_per_pass=depth,
            columns_per_buffer=tiles.n_tile.value // core.mac_lines.value,
            weight_load_cycles=0,
            is_weight_double_buffered=1,
            scatter_rows_per_cycle=0,
            gather_cycles_per_row=0,
            element_bytes=self.hardware.element_bytes.value,
            map_read_bytes=0,
            map_write_bytes=0,
            **self.context.channel,
        )

    def _check_buffers(self) -> None:
        """Refuse tiles that their double buffers do not hold."""
        tiles, element = self.hardware.tiles, self.hardware.element_bytes.value
        shapes = {
            "input": (tiles.m_tile.value, tiles.k_tile.value),
            "wgt": (tiles.n_tile.value, tiles.k_tile.value),
            "output": (tiles.m_tile.value, tiles.n_tile.value),
        }
        for name, (rows, columns) in shapes.items():
            size = self.hardware.buffers[name].size
            needed = 2 * rows * columns * element
            if size is not None and needed > size.value:
                raise ConfigError(
                    f"adaptiv: a tile of {rows} x {columns} needs {needed} bytes in buffer '{name}', which has "
                    f"{size.value}; set tiles.* or buffers.{name}.size"
                )

    def with_traffic(self, job: GemmJob, extra: Mapping[Traffic, int] | None = None) -> GemmJob:
        """Return the job with its bytes: a pass reads one element of every row and of every column a cycle."""
        shape, machine, element = job.shape, job.machine, job.machine.element_bytes
        passes = shape.streamed_rows * machine.slice_elements
        fetched, weights = shape.fetched_elements * element, shape.weight_elements * element
        written = shape.written_elements * element
        counters: dict[Traffic, int] = {
            ("sram", "read", "input"): passes * element,
            ("sram", "write", "input"): fetched,
            ("sram", "read", "wgt"): passes * machine.array_columns // machine.row_lanes * element,
            ("sram", "write", "wgt"): weights,
            ("sram", "write", "output"): shape.streamed_rows * machine.array_columns * element,
            ("sram", "read", "output"): written,
            ("dram", "read", "input"): fetched,
            ("dram", "read", "wgt"): weights,
            ("dram", "write", "output"): written,
        }
        scaled = {key: job.scaled(value) for key, value in counters.items()}
        return job.changed(traffic=add_traffic([(1, scaled), (1, extra or {})]))


class AdaptivLowering:
    """Jobs of one workload; every block is the same.

    Args:
        hardware: Checked hardware file.
        workload: With an AdapTiV sparsity.
        context: Memory and corrections.
    """

    def __init__(self, hardware: AdaptivHardware, workload: Workload, context: CycleContext) -> None:
        self.hardware, self.workload, self.context = hardware, workload, context
        self.every = workload.visual_tokens
        kept = self.every * (1 - float(workload.adaptiv_sparsity or 0.0))
        is_exact = context.has("tile_lengths")
        # Published counts round down; whole tokens cannot.
        self.kept = -int(-kept // 1) if is_exact else int(kept)
        self.rows = uniform_tiles(self.kept, hardware.tiles.m_tile.value, is_averaged=False)
        self.is_fair = context.has("adaptiv_attention")
        self.lines = MacLines(hardware, context)

    def merging(self, inputs: int) -> int:
        """Cycles of the merge unit for an input of all tokens."""
        return int(ceil_div(self.every * inputs, self.hardware.core.line_width.value))

    def _with_merging(self, job: GemmJob, inputs: int) -> GemmJob:
        """Return the job with its bytes and those of the merge unit.

        Args:
            job: The job.
            inputs: Elements per token that the merge unit reads; 0 where the tokens are merged already.
        """
        merged = job.machine.element_bytes * self.every * inputs
        extra: dict[Traffic, int] = {
            ("dram", "read", "input"): merged,
            ("sram", "write", "input"): merged,
            ("sram", "read", "input"): _INPUT_PASSES * merged,
        }
        return self.lines.with_traffic(job, extra)

    def block(self) -> Iterator[GemmJob]:
        """Yield one block."""
        geometry, element = self.workload.geometry, self.hardware.element_bytes.value
        shapes = LinearShapes.of(geometry)
        for place, layer in enumerate(LINEAR_LAYERS):
            inputs, outputs = int(shapes.inputs[place]), int(shapes.outputs[place])
            machine = self.lines.machine(inputs)
            # As published, GEMMs that share an input merge it again.
            is_merged = not (self.is_fair and layer in _SHARED)
            yield self._with_merging(
                GemmJob(
                    block=0,
                    layer=layer,
                    part="gemm",
                    machine=machine,
                    rows=self.rows,
                    unique=np.repeat(self.rows[:, None], ceil_div(inputs, machine.slice_elements), axis=1),
                    output_rows=self.rows,
                    outputs=outputs,
                    macs=self.kept * inputs * outputs,
                    dense_macs=self.every * inputs * outputs,
                    activation_bytes=element * inputs * self.kept,
                    before={"preprocess": self.merging(inputs)} if is_merged else {},
                    extra_read_bytes=element * self.every * inputs if is_merged else 0,
                ),
                inputs if is_merged else 0,
            )
        yield from self._attention()

    def _attention(self) -> Iterator[GemmJob]:
        geometry, element = self.workload.geometry, self.hardware.element_bytes.value
        heads, head = geometry.heads, geometry.head_dim_elements
        keys = self.kept if self.is_fair else self.every
        machine = self.lines.machine(head)
        ends = np.cumsum(self.rows, dtype=np.int64) if self.is_fair else self._spread_ends(self.rows)
        shape = AttentionShape(0, heads, head, keys, ends, self.context.has("causal_tiles"))
        facts = {
            "macs": self.kept * keys * head * heads // 2,
            "dense_macs": self.every * self.every * head * heads // 2,
        }
        unique = np.repeat(self.rows[:, None], ceil_div(head, machine.slice_elements), axis=1)
        # Merged tokens reach fair attention merged; as published, merging is charged here, too.
        merging = {} if self.is_fair else {"preprocess": self.merging(head) * heads // 2}
        scores = scores_job(
            shape,
            machine,
            self.rows,
            unique,
            **facts,
            activation_bytes=element * self.kept * heads * head,
            before=merging,
        )
        yield self._with_merging(scores, 0)
        if not self.is_fair:
            # As published: scores x V is taken to cost what Q x K^T costs.
            yield replace(
                self._with_merging(scores, 0), part="values", activation_bytes=element * self.kept**2 * heads
            )
            return
        values = values_job(
            shape,
            self.lines.machine(self.hardware.tiles.k_tile.value),
            self.rows,
            self.rows,
            **facts,
            activation_bytes=element * self.kept * keys * heads,
        )
        yield self._with_merging(values, 0)

    def _spread_ends(self, rows: Rows) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        share = np.cumsum(rows, dtype=np.int64) / max(int(rows.sum()), 1)
        return np.minimum(np.ceil(share * self.every).astype(np.int64), self.every)


def adaptiv_jobs(hardware: AdaptivHardware, workload: Workload, context: CycleContext) -> list[GemmJob]:
    """Return the jobs of a prefill."""
    block = list(AdaptivLowering(hardware, workload, context).block())
    return [job.changed(block=number) for number in range(workload.geometry.layers) for job in block]
