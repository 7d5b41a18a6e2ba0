"""AdapTiV: merged tokens on lines of multipliers; merging runs before every GEMM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from focal_common.errors import ConfigError
from focal_simulator.costs.component_costs import word_ratio
from focal_simulator.jobs.attention import (
    AttentionShape,
    scores_job,
    sharing_heads,
    spread_ends,
    values_job,
    visible_pairs,
)
from focal_simulator.jobs.context import CycleContext
from focal_simulator.jobs.jobs import GemmJob, Movement, Rows, second_operand_bytes, uniform_tiles
from focal_simulator.jobs.lowering import Lowering
from focal_simulator.jobs.systolic import operand_bits
from focal_simulator.kernels.pipeline import Pipeline
from focal_simulator.workload.arithmetic import bytes_of, ceil_div
from focal_simulator.workload.layer_table import LINEAR_LAYERS, LinearShapes, Traffic
from focal_simulator.workload.workload import Workload
from focal_traces.methods.adaptiv import SPARSITY

_INPUT_PASSES = 2
"""The merge unit reads every token twice: once to compare, once to merge."""

_SHARED = ("k_proj", "v_proj", "up_proj")
"""GEMMs whose input another GEMM has merged already."""


@dataclass(frozen=True, slots=True)
class MacLineUnits:
    """The lines at one depth of a pass.

    Attributes:
        machine: Constants of the kernel.
    """

    machine: Pipeline

    def traffic(self, job: Movement) -> Mapping[Traffic, Any]:
        """Return the bytes of a job: a pass reads one element of every row and of every column a cycle."""
        shape, machine = job.shape, job.machine
        passes = shape.streamed_rows * machine.slice_elements
        fetched = bytes_of(shape.fetched_elements, machine.input_bits)
        weights = bytes_of(shape.weight_elements, machine.weight_bits)
        written = bytes_of(shape.written_elements, machine.output_bits)
        counters: dict[Traffic, Any] = {
            ("sram", "read", "input"): bytes_of(passes, machine.input_bits),
            ("sram", "write", "input"): fetched,
            ("sram", "read", "wgt"): bytes_of(
                passes * machine.array_columns // machine.row_lanes, machine.weight_bits
            ),
            ("sram", "write", "wgt"): weights,
            ("sram", "write", "output"): bytes_of(
                shape.streamed_rows * machine.array_columns, machine.sum_bits
            ),
            ("sram", "read", "output"): written,
            ("dram", "read", "input"): fetched,
            ("dram", "read", "wgt"): weights,
            ("dram", "write", "output"): written,
        }
        return {key: job.scaled(value) for key, value in counters.items()}


@dataclass(frozen=True, slots=True)
class MacLines:
    """Lines of multipliers without token merging: 16 outputs x 64 rows, one input element a cycle.

    Attributes:
        deepest: Constants of the kernel for a pass as deep as the k-tile.
        tile_rows: Rows of a full m-tile.
        is_padded: Published: every k-tile is padded to its full depth.
    """

    deepest: Pipeline
    tile_rows: int
    is_padded: bool

    def machine(self, inputs: int) -> Pipeline:
        """Return the kernel's constants for a GEMM of ``inputs`` inputs."""
        depth = self.deepest.slice_elements if self.is_padded else min(self.deepest.slice_elements, inputs)
        return self.deepest._replace(slice_elements=depth, cycles_per_pass=depth)

    def units(self, role: Pipeline) -> MacLineUnits:
        """Return the lines for the machine that a job names."""
        return MacLineUnits(role)


def mac_lines(hardware: Any, context: CycleContext) -> MacLines:
    """Return the lines of an AdapTiV hardware file.

    Raises:
        ConfigError: The tiles do not fit the lines or their buffers.
    """
    core, tiles = hardware.core, hardware.tiles
    if tiles.n_tile.value < core.mac_lines.value:
        raise ConfigError(
            f"adaptiv: tiles.n_tile is {tiles.n_tile.value}, expected at least core.mac_lines "
            f"({core.mac_lines.value}): the output buffer must hold one pass of the lines"
        )
    _check_buffers(hardware)
    deepest = Pipeline(
        slice_elements=tiles.k_tile.value,
        array_columns=core.mac_lines.value,
        skew_cycles=0,
        output_latency_cycles=0,
        scatter_latency_cycles=0,
        row_lanes=core.line_width.value,
        cycles_per_pass=tiles.k_tile.value,
        columns_per_buffer=tiles.n_tile.value // core.mac_lines.value,
        weight_load_cycles=0,
        key_load_cycles=0,
        weight_lead_cycles=0,
        is_weight_double_buffered=1,
        is_weight_wavefront=0,
        scatter_rows_per_cycle=0,
        concentrate_reads_per_cycle=0,
        accumulate_cycles=1,
        gather_cycles_per_row=0,
        mean_cycles_per_vector=0,
        **operand_bits(hardware),
        map_read_bytes=0,
        map_write_bytes=0,
        **context.channel,
    )
    return MacLines(deepest, tiles.m_tile.value, is_padded=not context.has("adaptiv_attention"))


def _check_buffers(hardware: Any) -> None:
    """Refuse tiles that their double buffers do not hold."""
    tiles, precision = hardware.tiles, hardware.precision
    shapes = {
        "input": (tiles.m_tile.value, tiles.k_tile.value, precision.input_bits),
        "wgt": (tiles.n_tile.value, tiles.k_tile.value, precision.stationary_bits),
        "output": (tiles.m_tile.value, tiles.n_tile.value, precision.bits("partial_sums")),
    }
    for name, (rows, columns, bits) in shapes.items():
        if name not in hardware.buffers:
            raise ConfigError(f"adaptiv: buffers: '{name}' is missing; expected {', '.join(shapes)}")
        buffer = hardware.buffers[name]
        needed = bytes_of(2 * rows * columns, bits)
        if buffer.size is not None and needed > (size := buffer.size.value * word_ratio(hardware, buffer)):
            raise ConfigError(
                f"adaptiv: a tile of {rows} x {columns} needs {needed} bytes in buffer '{name}', which has "
                f"{size:.0f}; set tiles.* or buffers.{name}.size"
            )


@dataclass(frozen=True)
class AdaptivTiles:
    """Jobs of one workload; every block is the same.

    Attributes:
        workload: With an AdapTiV sparsity.
        lines: The array.
        corrections: Names that are on.
    """

    workload: Workload
    lines: MacLines
    corrections: frozenset[str]

    @property
    def every(self) -> int:
        """All visual tokens."""
        return self.workload.visual_tokens

    @cached_property
    def kept(self) -> int:
        """Tokens left after merging."""
        kept = self.every * (1 - (self.workload.row(SPARSITY) or 0.0))
        # Published counts round down; whole tokens cannot.
        return -int(-kept // 1) if "tile_lengths" in self.corrections else int(kept)

    @cached_property
    def rows(self) -> Rows:
        """Rows of each m-tile."""
        return uniform_tiles(self.kept, self.lines.tile_rows, is_averaged=False)

    @property
    def is_fair(self) -> bool:
        """Whether attention meets merged tokens, and an input is merged once."""
        return "adaptiv_attention" in self.corrections

    def jobs(self) -> Sequence[GemmJob]:
        """Return the jobs of a prefill."""
        block = list(self.block())
        return [
            replace(job, block=number) for number in range(self.workload.geometry.layers) for job in block
        ]

    def merging(self, inputs: int) -> int:
        """Cycles of the merge unit for an input of all tokens."""
        return int(ceil_div(self.every * inputs, self.lines.deepest.row_lanes))

    def block(self) -> Iterator[GemmJob]:
        """Yield one block."""
        geometry, bits = self.workload.geometry, self.lines.deepest.input_bits
        shapes = LinearShapes.of(geometry)
        for place, layer in enumerate(LINEAR_LAYERS):
            inputs, outputs = int(shapes.inputs[place]), int(shapes.outputs[place])
            machine = self.lines.machine(inputs)
            # As published, GEMMs that share an input merge it again.
            is_merged = not (self.is_fair and layer in _SHARED)
            merged = bytes_of(self.every * inputs, bits) if is_merged else 0
            yield GemmJob(
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
                activation_bytes=bytes_of(inputs * self.kept, bits),
                serial_cycles={"preprocess": self.merging(inputs)} if is_merged else {},
                extra_read_bytes=merged
                + second_operand_bytes(layer, bytes_of(self.kept * outputs, bits), self.corrections),
                traffic={("sram", "read", "input"): _INPUT_PASSES * merged},
            )
        yield from self._attention()

    def _attention(self) -> Iterator[GemmJob]:
        geometry = self.workload.geometry
        heads, head = geometry.heads, geometry.head_dim_elements
        keys = self.kept if self.is_fair else self.every
        machine = self.lines.machine(head)
        ends = np.cumsum(self.rows, dtype=np.int64) if self.is_fair else spread_ends(self.rows, self.every)
        shape = AttentionShape(
            0,
            heads,
            head,
            keys,
            ends,
            "causal_tiles" in self.corrections,
            "causal_triangle" in self.corrections,
            sharing_heads(geometry, self.corrections),
            self.lines.tile_rows,
        )
        # Rows that are not merged with their keys meet half of them, and half a key more for the diagonal.
        kept_pairs, pairs = (visible_pairs(one, self.corrections) for one in (keys, self.every))
        facts = {
            "macs": self.kept * kept_pairs // max(keys, 1) * head * heads // 2,
            "dense_macs": pairs * head * heads // 2,
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
            activation_bytes=bytes_of(self.kept * heads * head, machine.input_bits),
            serial_cycles=merging,
        )
        yield scores
        if not self.is_fair:
            # As published: scores x V is taken to cost what Q x K^T costs.
            yield replace(
                scores, part="values", activation_bytes=bytes_of(self.kept**2 * heads, machine.score_bits)
            )
            return
        yield values_job(
            shape,
            self.lines.machine(self.lines.deepest.slice_elements),
            self.rows,
            self.rows,
            **facts,
            activation_bytes=bytes_of(self.kept * keys * heads, machine.score_bits),
        )


def adaptiv_jobs(hardware: Any, workload: Workload, context: CycleContext) -> Lowering:
    """Return the jobs of a prefill on the lines of an AdapTiV hardware file; raises as `mac_lines`."""
    lines = mac_lines(hardware, context)
    return Lowering(AdaptivTiles(workload, lines, context.corrections), lines)
