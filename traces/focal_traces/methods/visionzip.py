"""VisionZip, CVPR 2025: attention received in the tower, then likeness of keys to the contextual targets."""

from __future__ import annotations

from focal_traces.methods.selection import SelectionContext, SelectionWork, unknown

__all__ = ["work"]


def work(context: SelectionContext) -> SelectionWork:
    """Count sums of received attention and dot products of head-mean keys, over all pictures."""
    shape, parameters = context.trace.header.model_shape, context.parameters
    if shape is None or "dominant" not in parameters:
        return unknown("the vision tower behind VisionZip")
    tower = shape.vision
    rows = 1 if tower.class_tokens else tower.tokens
    received = rows * tower.tokens * tower.heads
    rest = max(0, tower.patches - parameters["dominant"])
    merging = rest * parameters.get("contextual", 0) * tower.head_dim_elements
    return SelectionWork(
        shape.frames * (received + merging),
        "sums of attention received and dot products of keys, per picture",
    )
