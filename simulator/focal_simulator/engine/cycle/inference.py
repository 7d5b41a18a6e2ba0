"""A whole inference, phase by phase: vision tower, projector, visual prefill, text, LM head, decode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from focal_simulator.accelerators.base import Accelerator
from focal_simulator.accelerators.corrections import ALL
from focal_simulator.costs.buffer_costs import SramChoice
from focal_simulator.engine.cycle.simulate import (
    CycleResult,
    cycle_context,
    simulate_cycles,
    simulate_lowering,
)
from focal_simulator.jobs.context import CycleContext
from focal_simulator.jobs.jobs import GemmJob
from focal_simulator.jobs.lowering import GivenJobs, Lowering
from focal_simulator.jobs.operators import operator_jobs, timed_lanes
from focal_simulator.whole_model.listing import operators
from focal_simulator.whole_model.operator import Operator
from focal_simulator.workload.workload import Workload
from focal_traces.model_shape.model_shape import ModelShape

_NOT_PUBLISHED = frozenset({"causal_tiles", "tile_lengths"})
"""Nothing was published of these phases, so there is nothing that leaving these out would repeat."""

PHASES = ("vision", "projector", "prefill", "text", "lm_head", "decode")
"""In order; ``prefill`` is that of the visual tokens, ``text`` what text tokens add to it."""


def simulate_inference(
    accelerator: Accelerator[Any],
    workload: Workload,
    shape: ModelShape,
    generated_tokens: int = 0,
    sram: SramChoice = "auto",
    corrections: frozenset[str] = ALL,
) -> dict[str, CycleResult]:
    """Run a whole inference of the prompts of a workload.

    Args:
        accelerator: Plug-in with its hardware.
        workload: The visual prefill, with what a method left of it.
        shape: The model and its prompt.
        generated_tokens: G, decode steps after the token that the prefill yields.
        sram: Buffer cost model.
        corrections: Names that are on.

    Returns:
        One result per phase that has work, in order.

    Raises:
        UnsupportedError: The accelerator does not accept the workload, or does not describe its array.
        ConfigError: The shape is of another decoder.
    """
    context = cycle_context(accelerator, corrections)
    # Text queries are rows of the phase ``text`` here, so that their scores are there already.
    prefill = simulate_cycles(accelerator, workload, sram, corrections - {"importance_rows"})
    results = {"prefill": prefill}
    for phase, lowering in phase_jobs(accelerator, workload, shape, generated_tokens, context).items():
        results[phase] = simulate_lowering(accelerator, lowering, context, sram)
    return {phase: results[phase] for phase in PHASES if phase in results}


def phase_jobs(
    accelerator: Accelerator[Any],
    workload: Workload,
    shape: ModelShape,
    generated_tokens: int,
    context: CycleContext,
) -> dict[str, Lowering]:
    """Return the jobs of every phase but the visual prefill, by phase; text rows are the phase ``text``.

    Args:
        accelerator: For its array and the tokens it keeps.
        workload: The prefill they surround.
        shape: The model and its prompt.
        generated_tokens: G, decode steps.
        context: Memory and corrections.

    Raises:
        UnsupportedError: The accelerator does not describe its array.
        ConfigError: The shape is not that of the workload's decoder.
    """
    live, batch = accelerator.live_tokens(workload), workload.batch
    listed = operators(shape, live, generated_tokens=generated_tokens, batch=batch)
    array, lanes = accelerator.array(context), timed_lanes(accelerator.hardware, context)
    corrections = context.corrections | _NOT_PUBLISHED
    found: dict[str, list[GemmJob]] = {}
    for phase in ("vision", "projector", "lm_head", "decode"):
        found[phase] = list(
            operator_jobs(array, (one for one in listed if one.phase == phase), lanes, corrections)
        )
    text = (row for one in listed if one.phase == "prefill" for row in _text_rows(one, shape))
    found["text"] = list(operator_jobs(array, text, lanes, corrections))
    return {phase: Lowering(GivenJobs(tuple(jobs)), array) for phase, jobs in found.items() if jobs}


def _text_rows(operator: Operator, shape: ModelShape) -> Iterator[Operator]:
    """Yield what text adds to an operator of the prefill: its own rows, and text keys before the visual tokens."""
    if operator.kind == "vector":
        if operator.rows > 0 and shape.text_tokens:
            text = max(operator.rows - _visual_rows(operator), 0)
            elements = operator.elements * text // operator.rows
            if text:
                yield replace(operator, rows=text, elements=elements, m=0, visual_m=0)
        return
    rows = operator.m - operator.visual_m
    if rows > 0:
        yield replace(operator, m=rows, visual_m=0, is_causal=False)
    if operator.kind != "gemm" and operator.visual_m and shape.text_tokens_before:
        rows, keys = operator.visual_m, shape.text_tokens_before
        if operator.kind == "attention_scores":
            yield replace(operator, m=rows, n=keys, is_causal=False)
        else:
            yield replace(operator, m=rows, k=keys, is_causal=False)


def _visual_rows(operator: Operator) -> int:
    """Return the rows of a vector operator that are visual tokens; a softmax has one row per head and query."""
    return operator.visual_m * (operator.rows // operator.m if operator.m else 1)
