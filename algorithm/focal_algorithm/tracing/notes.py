"""What the user should know of a finished run: questions beyond the model, methods that had nothing to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from focal_algorithm.checkpoints.loading import LoadedModel
from focal_algorithm.methods.base import CompressionMethod, hook_points
from focal_algorithm.models.weights import TRAINED_ON
from focal_algorithm.tasks.asking import BENCHMARKS, AskedTask
from focal_traces.counts.trace import Trace

if TYPE_CHECKING:
    from focal_algorithm.tracing.sample import TracedSample

__all__ = ["foreign_notes", "idle_notes", "unfit_notes"]


def foreign_notes(loaded: LoadedModel, generators: Iterable[str]) -> list[str]:
    """Say where a shipped model was asked about pictures that it has not learned.

    Args:
        loaded: The model.
        generators: Of the pictures, by name in `focal_algorithm.tasks.TASKS`; empty for pictures of no benchmark.
    """
    if not loaded.shipped:
        return []
    known = TRAINED_ON[loaded.shipped]
    foreign = dict.fromkeys(name or "of no procedural benchmark" for name in generators if name not in known)
    if not foreign:
        return []
    return [
        f"{loaded.name} was trained on {' and '.join(known)} alone; its answers about other pictures "
        f"({', '.join(foreign)}) mean nothing"
    ]


def unfit_notes(loaded: LoadedModel, traced: Sequence[TracedSample], task: AskedTask | None) -> list[str]:
    """Say where a model was asked what it was not trained for.

    Args:
        loaded: The model.
        traced: What it answered.
        task: Whose questions they are; None for other inputs.
    """
    words = dict.fromkeys(word for one in traced for word in loaded.tokenizer.unknown_words(one.question))
    notes = []
    if words:
        listed = ", ".join(f"'{word}'" for word in words)
        notes.append(
            f"{loaded.name} does not know {listed}, which its tokenizer reads as unknown; the answer says little"
        )
    generator = "" if task is None else BENCHMARKS.get(task.name, (task.name, {}))[0]
    return notes + foreign_notes(loaded, [generator])


def idle_notes(method: CompressionMethod, trace: Trace) -> list[str]:
    """Say where a method had nothing to do, so that a dense trace is not taken for a compressed one."""
    headers = trace.header.samples
    notes = [
        f"{one.sample_id}: the prompt holds no visual token, so {method.name} passed it through"
        for one in headers
        if not one.visual_tokens
    ]
    if hook_points(method) and all(one.weighted_sparsity == 0 for one in headers):
        notes.append(
            f"{method.name} left out nothing in any prompt: its budget or threshold is not reached by these few "
            "tokens; the trace is that of the dense model"
        )
    return notes
