"""Recorded prefills on every accelerator, in fidelity ``cycle``."""

from __future__ import annotations

from dataclasses import dataclass

from focal.simulation import prefill_figures
from focal_algorithm.evaluation.offline.evaluator import Evaluator, Reply
from focal_algorithm.methods.base import CompressionMethod
from focal_common.errors import RunError

__all__ = ["Simulated", "simulate"]


@dataclass(frozen=True)
class Simulated:
    """One prefill on all accelerators, in fidelity ``cycle``.

    Attributes:
        figures: Accelerator to ``cycles``, ``energy_mj`` and ``seconds``.
        refused: Accelerator to the reason why it does not take the trace.
    """

    figures: dict[str, dict[str, float]]
    refused: dict[str, str]


def simulate(evaluator: Evaluator, method: CompressionMethod, reply: Reply) -> Simulated:
    """Run the simulator on a recorded reply.

    Raises:
        RunError: The reply was not recorded.
    """
    if reply.recorded is None:
        raise RunError(f"question {reply.number} was not recorded; only recorded ones can be simulated")
    figures = prefill_figures(evaluator.loaded, method, reply.recorded, evaluator.questions.benchmark)
    return Simulated(*figures)
