"""What the user should know of a finished run: questions beyond the model, methods that had nothing to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from focal_algorithm.loading import LoadedModel
from focal_algorithm.methods.base import CompressionMethod
from focal_traces.counts import Trace

if TYPE_CHECKING:
    from focal_algorithm.runner import TracedSample

__all__ = ["idle_notes", "unfit_notes"]


def unfit_notes(loaded: LoadedModel, traced: Sequence[TracedSample]) -> list[str]:
    """Say where a model was asked what it was not trained for."""
    words = dict.fromkeys(word for one in traced for word in loaded.tokenizer.unknown_words(one.question))
    notes = []
    if words:
        listed = ", ".join(f"'{word}'" for word in words)
        notes.append(
            f"{loaded.name} does not know {listed}, which its tokenizer reads as unknown; the answer says little"
        )
    if loaded.shipped and any(one.asked is None for one in traced):
        notes.append(
            f"{loaded.name} was trained on procedural scenes alone; its answers about other pictures mean nothing"
        )
    return notes


def idle_notes(method: CompressionMethod, trace: Trace) -> list[str]:
    """Say where a method had nothing to do, so that a dense trace is not taken for a compressed one."""
    headers = trace.header.samples
    notes = [
        f"{one.sample_id}: the prompt holds no visual token, so {method.name} passed it through"
        for one in headers
        if not one.visual_tokens
    ]
    if method.hook_points and all(one.weighted_sparsity == 0 for one in headers):
        notes.append(
            f"{method.name} left out nothing in any prompt: its budget or threshold is not reached by these few "
            "tokens; the trace is that of the dense model"
        )
    return notes
