"""A plain systolic array: every vector of the tokens that are there, all of them or those a method kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from focal_common.errors import ConfigError
from focal_simulator.jobs.attention import (
    AttentionShape,
    importance_job,
    scores_job,
    sharing_heads,
    values_job,
    visible_pairs,
)
from focal_simulator.jobs.context import CycleContext
from focal_simulator.jobs.jobs import GemmJob, second_operand_bytes, uniform_tiles
from focal_simulator.jobs.lowering import ArrayModel, Lowering
from focal_simulator.jobs.systolic import systolic_array
from focal_simulator.workload.arithmetic import bytes_of, ceil_div
from focal_simulator.workload.layer_table import LINEAR_LAYERS, LinearShapes
from focal_simulator.workload.workload import Workload
from focal_traces.header.schema import GEMMS

_TEXT_QUERIES = 100
"""Assumed where a trace does not tell its prompt, as in ``shapes/llava_video_7b.yaml``."""

_QUERY, _GATE = GEMMS.index("query"), GEMMS.index("gate_proj")


@dataclass(frozen=True, slots=True)
class TokenTiles:
    """Jobs of a prefill in which every vector of the tokens that are there is computed.

    Attributes:
        workload: With counts, unless no token was left out.
        array: Of the accelerator, without what it does to tokens or vectors itself.
        corrections: Names that are on.
        sorter_lanes: Lanes of the unit that sorts token importance; 0 without one.
        has_all_tokens: Whether tokens that the method left out are computed as well.
    """

    workload: Workload
    array: ArrayModel
    corrections: frozenset[str]
    sorter_lanes: int = 0
    has_all_tokens: bool = False

    def jobs(self) -> Sequence[GemmJob]:
        """Return the jobs."""
        geometry = self.workload.geometry
        if self.has_all_tokens:
            tokens = np.full((geometry.layers, len(GEMMS)), self.workload.visual_tokens, dtype=np.int64)
        else:
            tokens = self.workload.kept_tokens
        found: list[GemmJob] = []
        alike: list[GemmJob] = []
        for block in range(geometry.layers):
            if alike and (tokens[block] == tokens[block - 1]).all():
                # Blocks of equal tokens share the arrays of the first: a long prompt has gigabytes of them.
                alike = [replace(job, block=block) for job in alike]
            else:
                alike = list(_block(self, block, tokens[block]))
            found += alike
        return found


def all_token_jobs(hardware: Any, workload: Workload, context: CycleContext) -> Lowering:
    """Return the jobs of a prefill of all tokens; raises as `token_jobs`."""
    check_tile(hardware, hardware.tiles.m_tile.value)
    array = systolic_array(hardware, context, hardware.core.row_limit.value)
    return array_token_jobs(array, workload, context, has_all_tokens=True)


def token_jobs(
    hardware: Any,
    workload: Workload,
    context: CycleContext,
    *,
    held_rows: int | None = None,
    sorter_lanes: int = 0,
) -> Lowering:
    """Return the jobs of a prefill whose token counts per block and GEMM are those of the workload.

    Args:
        hardware: A systolic array with ``core.row_limit`` rows a tile.
        workload: With counts, unless no token was left out.
        context: Memory and corrections.
        held_rows: Rows of a pass that the buffers hold; ``tiles.m_tile`` if None.
        sorter_lanes: See `TokenTiles`.

    Raises:
        ConfigError: A pass has more rows than the buffers hold.
    """
    check_tile(hardware, hardware.tiles.m_tile.value if held_rows is None else held_rows)
    array = systolic_array(hardware, context, hardware.core.row_limit.value)
    return array_token_jobs(array, workload, context, sorter_lanes=sorter_lanes)


def array_token_jobs(
    array: ArrayModel,
    workload: Workload,
    context: CycleContext,
    *,
    sorter_lanes: int = 0,
    has_all_tokens: bool = False,
) -> Lowering:
    """Return the jobs of a prefill with the workload's own token counts, on any array; see `TokenTiles`."""
    tiles = TokenTiles(workload, array, context.corrections, sorter_lanes, has_all_tokens)
    return Lowering(tiles, array)


def sort_cycles(tokens: int, kept: int, lanes: int) -> int:
    """Return the cycles of the bubble sorter: one pass over all tokens for every ``lanes`` it keeps.

    Paper: Focus, HPCA 2026, sec. V: M k / a cycles, a lanes.
    Deviations: a cycles more a pass, in which the chain of a cells settles, as in RTL (docs/studies/rtl.md).
    """
    return int(ceil_div(kept, lanes)) * (tokens + lanes) if kept < tokens else 0


def text_queries(workload: Workload) -> int:
    """Return the text tokens behind the picture, whose attention tells the importance of visual tokens."""
    return workload.shape.text_tokens_after if workload.shape is not None else _TEXT_QUERIES


def check_tile(hardware: Any, held_rows: int) -> None:
    """Refuse passes of more rows than the buffers hold.

    Raises:
        ConfigError: ``core.row_limit`` exceeds them.
    """
    if hardware.core.row_limit.value > held_rows:
        raise ConfigError(
            f"{hardware.accelerator}: core.row_limit is {hardware.core.row_limit.value}, expected at most "
            f"tiles.m_tile ({held_rows}): the buffers hold no more rows; set both"
        )


def _block(tiles: TokenTiles, block: int, tokens: Any) -> Iterator[GemmJob]:
    array, workload, corrections = tiles.array, tiles.workload, tiles.corrections
    geometry, every = workload.geometry, workload.visual_tokens
    is_averaged, limit = "tile_lengths" not in corrections, array.tile_rows
    shapes = LinearShapes.of(geometry)
    for place, layer in enumerate(LINEAR_LAYERS):
        inputs, outputs = int(shapes.inputs[place]), int(shapes.outputs[place])
        machine = array.machine(inputs)
        live = int(tokens[shapes.recorded[place]])
        rows = uniform_tiles(live, limit, is_averaged=is_averaged)
        yield GemmJob(
            block=block,
            layer=layer,
            part="gemm",
            machine=machine,
            rows=rows,
            unique=np.repeat(rows[:, None], ceil_div(inputs, machine.slice_elements), axis=1),
            output_rows=rows,
            outputs=outputs,
            macs=live * inputs * outputs,
            dense_macs=every * inputs * outputs,
            activation_bytes=bytes_of(inputs * live, machine.input_bits),
            extra_read_bytes=second_operand_bytes(
                layer, bytes_of(live * outputs, machine.output_bits), corrections
            ),
        )
    live, heads, head = int(tokens[_QUERY]), geometry.heads, geometry.head_dim_elements
    rows = uniform_tiles(live, limit, is_averaged=is_averaged)
    ends = np.minimum(np.cumsum(rows, dtype=np.int64), live)
    shape = AttentionShape(
        block,
        heads,
        head,
        live,
        ends,
        "causal_tiles" in corrections,
        "causal_triangle" in corrections,
        sharing_heads(geometry, corrections),
        limit,
    )
    half, dense_half = (visible_pairs(one, corrections) * head * heads // 2 for one in (live, every))
    sorts = tiles.sorter_lanes and "special_functions" in corrections
    sorting = sort_cycles(live, int(tokens[_GATE]), tiles.sorter_lanes) if sorts else 0
    machine = array.machine(head)
    slices = np.repeat(rows[:, None], ceil_div(head, machine.slice_elements), axis=1)
    if tiles.sorter_lanes and int(tokens[_GATE]) < live and "importance_rows" in corrections:
        yield importance_job(shape, machine, text_queries(workload))
    yield scores_job(
        shape,
        machine,
        rows,
        slices,
        macs=half,
        dense_macs=dense_half,
        activation_bytes=bytes_of(live * heads * head, machine.input_bits),
        parallel_cycles={"sec": sorting} if sorting else {},
    )
    yield values_job(
        shape,
        array.machine(max(live, 1)),
        rows,
        rows,
        macs=half,
        dense_macs=dense_half,
        activation_bytes=bytes_of(live * live * heads, machine.score_bits),
    )
