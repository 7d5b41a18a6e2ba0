"""Token selection put together from parts: scores by the chosen scorer, then selector and merger."""

from __future__ import annotations

from focal_traces.methods.selection import SelectionContext, SelectionWork, unknown

__all__ = ["work"]

_LLOYD_ROUNDS = 10
"""Of the method's k-means; the most it takes."""


def work(context: SelectionContext) -> SelectionWork:
    """Count scores, similarities to chosen tokens, and distances of the rest to its targets, over all pictures."""
    shape, parameters = context.trace.header.model_shape, context.parameters
    if shape is None or "scorer" not in parameters:
        return unknown("the vision tower behind the parts")
    tower = shape.vision
    width, patches = tower.head_dim_elements, tower.patches
    scorer, merger = parameters["scorer"], parameters.get("merger", "none")
    scores = (
        0 if scorer == "random" else (1 if tower.class_tokens else tower.tokens) * tower.tokens * tower.heads
    )
    if scorer in ("hybrid", "hybrid_min_max"):
        _, entropy, mutual = (*parameters.get("alphas", ()), 0.0, 0.0, 0.0)[:3]
        scores += (patches * width if entropy else 0) + (patches * patches * width if mutual else 0)
    if scorer == "projected_text":
        scores += patches * context.geometry.hidden_elements
    kept = parameters.get("dominant", 0)
    chosen = kept * patches * width if parameters.get("selector") == "diverse" else 0
    rounds = {"none": 0, "kmeans": _LLOYD_ROUNDS}.get(merger, 1)
    rest = max(0, patches - kept) * parameters.get("contextual", 0) * width * rounds
    return SelectionWork(
        shape.frames * (scores + chosen + rest),
        "scores, similarities to chosen tokens, and distances of at most all rounds of merging, per picture",
    )
