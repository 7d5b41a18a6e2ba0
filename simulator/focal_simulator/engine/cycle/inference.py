"""A whole inference, phase by phase: vision tower, projector, visual prefill, text, LM head, decode."""

from __future__ import annotations

from typing import Any

from focal_simulator.accelerators.base import Accelerator
from focal_simulator.accelerators.corrections import ALL
from focal_simulator.costs.buffer_costs import SramChoice
from focal_simulator.engine.cycle.phases import phase_jobs
from focal_simulator.engine.cycle.simulate import (
    CycleResult,
    cycle_context,
    simulate_cycles,
    simulate_lowering,
)
from focal_simulator.workload.workload import Workload
from focal_traces.model_shape.model_shape import ModelShape

__all__ = ["PHASES", "simulate_inference"]

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
    """Run a whole inference of one prompt.

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
    results = {"prefill": simulate_cycles(accelerator, workload, sram, corrections)}
    for phase, lowering in phase_jobs(accelerator, workload, shape, generated_tokens, context).items():
        results[phase] = simulate_lowering(accelerator, lowering, context, sram)
    return {phase: results[phase] for phase in PHASES if phase in results}
