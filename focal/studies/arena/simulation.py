"""Recorded prefills on every accelerator, in fidelity ``cycle``: this package does not know the simulator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from focal_algorithm.checkpoints.loading import LoadedModel
from focal_algorithm.evaluation.offline.evaluator import Evaluator, Reply
from focal_algorithm.hooks.recorder import RecordedSample
from focal_algorithm.methods.base import CompressionMethod
from focal_common.errors import RunError
from focal_common.registry import Registry

__all__ = ["Simulated", "Simulator", "accelerators", "simulate"]

_ABOVE: Registry[Any] = Registry(
    "simulator",
    {"accelerators": "focal.plugins:accelerators", "prefill": "focal.simulation:prefill_figures"},
    group="focal.simulators",
)
"""What stands above both halves, by name; it goes when the arena moves there."""

Figures = dict[str, dict[str, float]]
Simulator = Callable[[LoadedModel, CompressionMethod, RecordedSample, str], tuple[Figures, dict[str, str]]]
"""From a model, a method, one recorded prefill and the name of its data to figures and refusals by accelerator."""


@dataclass(frozen=True)
class Simulated:
    """One prefill on all accelerators, in fidelity ``cycle``.

    Attributes:
        figures: Accelerator to ``cycles``, ``energy_mj`` and ``seconds``.
        refused: Accelerator to the reason why it does not take the trace.
    """

    figures: Figures
    refused: dict[str, str]


def accelerators() -> tuple[str, ...]:
    """Return the names of all accelerators; loads none."""
    names: tuple[str, ...] = _ABOVE.load("accelerators")()
    return names


def simulate(evaluator: Evaluator, method: CompressionMethod, reply: Reply) -> Simulated:
    """Run the simulator on a recorded reply.

    Raises:
        RunError: The reply was not recorded.
    """
    if reply.recorded is None:
        raise RunError(f"question {reply.number} was not recorded; only recorded ones can be simulated")
    run: Simulator = _ABOVE.load("prefill")
    return Simulated(*run(evaluator.loaded, method, reply.recorded, evaluator.questions.benchmark))
