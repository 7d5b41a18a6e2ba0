"""Operators of a model as jobs of an array that concentrates nothing: GEMMs with special functions beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from focal_common.errors import UnsupportedError
from focal_simulator.hardware.specs import HardwareSpec
from focal_simulator.jobs.attention import AttentionShape, scores_job, values_job, visible_pairs
from focal_simulator.jobs.context import CycleContext
from focal_simulator.jobs.jobs import GemmJob, uniform_tiles, with_vectors
from focal_simulator.jobs.lowering import ArrayModel
from focal_simulator.whole_model.operator import Operator
from focal_simulator.whole_model.special_functions import (
    VectorLanes,
    VectorTime,
    vector_cycles,
    vector_lanes,
    vector_sum,
)
from focal_simulator.workload.arithmetic import bytes_of, ceil_div
from focal_simulator.workload.workload import Workload

_MOST_TILES = 50_000_000
"""Row counts of one GEMM, m-tiles x k-slices, that are held at once: 200 MB."""


@dataclass(frozen=True, slots=True)
class OperatorTiles:
    """Jobs of the operators that a workload gives; equal for designs of one array and one special-function unit.

    Attributes:
        workload: With operators.
        array: Of the accelerator.
        lanes: Of its special-function unit; None where it takes no time.
        corrections: Names that are on.
    """

    workload: Workload
    array: ArrayModel
    lanes: VectorLanes | None
    corrections: frozenset[str]

    def jobs(self) -> Sequence[GemmJob]:
        """Return the jobs; raises as `operator_jobs`."""
        return [
            *operator_jobs(
                self.array,
                self.workload.operators,
                self.lanes,
                self.corrections,
            )
        ]


def timed_lanes(hardware: HardwareSpec, context: CycleContext) -> VectorLanes | None:
    """Return the special-function unit of a run; None where it takes no time."""
    is_timed = bool(hardware.special_functions) and context.has("special_functions")
    return vector_lanes(hardware) if is_timed else None


def operator_jobs(
    array: ArrayModel,
    listed: Iterable[Operator],
    lanes: VectorLanes | None,
    corrections: frozenset[str],
) -> Iterator[GemmJob]:
    """Yield GEMMs with the special functions that follow each beside it; those before the first go with it.

    Args:
        array: Of the accelerator.
        listed: In the order of execution.
        lanes: Of the special-function unit; None where it takes no time.
        corrections: Names that are on.

    Raises:
        UnsupportedError: A GEMM has too many tiles on this array.
    """
    waiting: list[tuple[str, VectorTime]] = []
    operands, job = 0, None
    is_causal, is_averaged = "causal_tiles" in corrections, "tile_lengths" not in corrections
    for operator in listed:
        if operator.kind == "vector":
            if lanes is not None:
                waiting.append((operator.name, vector_cycles(operator, lanes, is_mask_skipped=is_causal)))
            operands += _second_operand(operator, corrections)
            continue
        if job is not None:
            yield _beside(job, waiting, operands)
            waiting, operands = [], 0
        if operator.is_causal and operator.m == operator.keys:
            job = _causal(array, operator, corrections)
        else:
            job = _gemm(array, operator, is_averaged=is_averaged)
    if job is not None:
        yield _beside(job, waiting, operands)


def _second_operand(operator: Operator, corrections: frozenset[str]) -> int:
    """Return the elements of what was written before and is added to, or multiplied with, what comes from the array."""
    needed = {"add": "residual_stream", "mul": "gate_product"}.get(str(operator.vector))
    return operator.total_elements if operator.operands > 1 and needed in corrections else 0


def _beside(job: GemmJob, times: Sequence[tuple[str, VectorTime]], operands: int) -> GemmJob:
    if operands:
        # In the format of the output that they meet.
        job = replace(job, extra_read_bytes=bytes_of(operands, job.machine.output_bits))
    return with_vectors(job, *vector_sum(times))


def _gemm(array: ArrayModel, operator: Operator, *, is_averaged: bool) -> GemmJob:
    rows, copies = operator.m, operator.count * operator.steps
    inputs, outputs = operator.k, operator.n
    mean_growth = operator.growth * (operator.steps - 1) // 2
    if operator.kind == "attention_scores":
        outputs += mean_growth
    elif operator.kind == "attention_values":
        inputs += mean_growth
    if operator.kind != "gemm" and operator.count % operator.kv_groups == 0:
        rows, copies = rows * operator.kv_groups, copies // operator.kv_groups
    machine = array.machine(inputs)
    if operator.kind == "attention_scores":
        machine = machine.for_scores()
    elif operator.kind == "attention_values":
        machine = machine.for_values()
    slices = ceil_div(inputs, machine.slice_elements)
    if (held := ceil_div(rows, array.tile_rows) * slices) > _MOST_TILES:
        raise UnsupportedError(
            f"{operator.label}: {rows} x {operator.n} x {inputs} (M, N, K) makes {held} row counts in tiles of "
            f"{array.tile_rows} rows and slices of {machine.slice_elements} inputs, expected at most {_MOST_TILES}; "
            "split the GEMM or take a larger tile"
        )
    tiles = uniform_tiles(rows, array.tile_rows, is_averaged=is_averaged)
    return GemmJob(
        block=operator.layer,
        layer=operator.name,
        part="gemm",
        machine=machine,
        rows=tiles,
        unique=np.repeat(tiles[:, None], slices, axis=1),
        output_rows=tiles,
        outputs=outputs,
        macs=operator.macs,
        dense_macs=operator.macs,
        activation_bytes=bytes_of(rows * inputs * copies, machine.input_bits),
        copies=copies,
    )


def _causal(array: ArrayModel, operator: Operator, corrections: frozenset[str]) -> GemmJob:
    """Return attention of a whole prompt: query i meets the keys up to its own, at the granularity of m-tiles."""
    tokens, heads = operator.m, operator.count
    is_scores = operator.kind == "attention_scores"
    head = operator.k if is_scores else operator.n
    rows = uniform_tiles(tokens, array.tile_rows, is_averaged="tile_lengths" not in corrections)
    ends = np.minimum(np.cumsum(rows, dtype=np.int64), tokens)
    shape = AttentionShape(
        operator.layer,
        heads,
        head,
        tokens,
        ends,
        "causal_tiles" in corrections,
        "causal_triangle" in corrections,
        operator.kv_groups if "shared_keys" in corrections else 1,
        array.tile_rows,
    )
    half, machine = visible_pairs(tokens, corrections) * head * heads // 2, array.machine(operator.k)
    facts = {"macs": half, "dense_macs": half}
    if is_scores:
        slices = np.repeat(rows[:, None], ceil_div(head, machine.slice_elements), axis=1)
        moved = bytes_of(tokens * heads * head, machine.input_bits)
        return scores_job(shape, machine, rows, slices, activation_bytes=moved, **facts)
    moved = bytes_of(tokens * tokens * heads, machine.score_bits)
    return values_job(shape, machine, rows, rows, activation_bytes=moved, **facts)
