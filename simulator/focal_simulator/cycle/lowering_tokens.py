"""A plain systolic array: every vector of the tokens that are there, all of them or those a method kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from focal_common.errors import ConfigError
from focal_simulator.arithmetic import ceil_div
from focal_simulator.cycle.attention import AttentionShape, scores_job, values_job
from focal_simulator.cycle.context import CycleContext
from focal_simulator.cycle.jobs import GemmJob, uniform_tiles
from focal_simulator.cycle.systolic import systolic_machine, with_systolic_traffic
from focal_simulator.layer_table import LINEAR_LAYERS, LinearShapes
from focal_simulator.workload import Workload
from focal_traces.schema import GEMMS

__all__ = ["dense_jobs", "sort_cycles", "token_jobs"]

_QUERY = GEMMS.index("query")


def dense_jobs(hardware: Any, workload: Workload, context: CycleContext) -> list[GemmJob]:
    """Return the jobs of a prefill of all tokens."""
    _check_tile(hardware, hardware.tiles.m_tile.value)
    every = np.full(len(GEMMS), workload.visual_tokens, dtype=np.int64)
    return [
        job
        for block in range(workload.geometry.layers)
        for job in _block(hardware, workload, context, block, every)
    ]


def token_jobs(
    hardware: Any, workload: Workload, context: CycleContext, *, held_rows: int | None = None
) -> list[GemmJob]:
    """Return the jobs of a prefill whose token counts per block and GEMM are those of the workload.

    Args:
        hardware: A systolic array with ``core.row_limit`` rows a tile.
        workload: With counts, or with a schedule.
        context: Memory and corrections.
        held_rows: Rows of a pass that the buffers hold; ``tiles.m_tile`` if None.

    Raises:
        ConfigError: A pass has more rows than the buffers hold.
    """
    _check_tile(hardware, hardware.tiles.m_tile.value if held_rows is None else held_rows)
    known = workload if workload.counts is not None else workload.with_schedule_counts()
    counts = known.counts
    assert counts is not None  # noqa: S101  (with_schedule_counts gives them)
    return [
        job
        for block in range(workload.geometry.layers)
        for job in _block(hardware, workload, context, block, counts.tokens[block])
    ]


def _sorting(hardware: Any, context: CycleContext, tokens: int, kept: int) -> dict[str, int]:
    """Return the cycles of the sorter that picks the tokens to keep, where the hardware has one."""
    if not context.has("special_functions") or "max_unit_sec" not in hardware.components:
        return {}
    cycles = sort_cycles(tokens, kept, hardware.components["max_unit_sec"].count.value)
    return {"sec": cycles} if cycles else {}


def sort_cycles(tokens: int, kept: int, lanes: int) -> int:
    """Return the cycles of the bubble sorter: one pass over all tokens for every ``lanes`` it keeps.

    Paper: Focus, HPCA 2026, sec. V: M k / a cycles, a lanes.
    """
    return int(ceil_div(kept, lanes)) * tokens if kept < tokens else 0


def _check_tile(hardware: Any, held_rows: int) -> None:
    """Refuse passes of more rows than the buffers hold."""
    if hardware.core.row_limit.value > held_rows:
        raise ConfigError(
            f"{hardware.accelerator}: core.row_limit is {hardware.core.row_limit.value}, expected at most "
            f"tiles.m_tile ({held_rows}): the buffers hold no more rows; set both"
        )


def _block(
    hardware: Any, workload: Workload, context: CycleContext, block: int, tokens: Any
) -> Iterator[GemmJob]:
    machine = systolic_machine(hardware, context)
    geometry, element, every = workload.geometry, machine.element_bytes, workload.visual_tokens
    is_averaged, limit = not context.has("tile_lengths"), hardware.core.row_limit.value
    shapes = LinearShapes.of(geometry)
    for place, layer in enumerate(LINEAR_LAYERS):
        inputs, outputs = int(shapes.inputs[place]), int(shapes.outputs[place])
        live = int(tokens[shapes.recorded[place]])
        rows = uniform_tiles(live, limit, is_averaged=is_averaged)
        yield with_systolic_traffic(
            GemmJob(
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
                activation_bytes=element * inputs * live,
            )
        )
    live, heads, head = int(tokens[_QUERY]), geometry.heads, geometry.head_dim_elements
    rows = uniform_tiles(live, limit, is_averaged=is_averaged)
    ends = np.minimum(np.cumsum(rows, dtype=np.int64), live)
    shape = AttentionShape(block, heads, head, live, ends, context.has("causal_tiles"))
    half, dense_half = live * live * head * heads // 2, every * every * head * heads // 2
    slices = np.repeat(rows[:, None], ceil_div(head, machine.slice_elements), axis=1)
    yield with_systolic_traffic(
        scores_job(
            shape,
            machine,
            rows,
            slices,
            macs=half,
            dense_macs=dense_half,
            activation_bytes=element * live * heads * head,
            beside=_sorting(hardware, context, live, int(tokens[GEMMS.index("gate_proj")])),
        )
    )
    yield with_systolic_traffic(
        values_job(
            shape,
            machine,
            rows,
            rows,
            macs=half,
            dense_macs=dense_half,
            activation_bytes=element * live * live * heads,
        )
    )
