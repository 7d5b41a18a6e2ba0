"""SparseZip, published as code: hybrid scores over keys, then k-means of the rest."""

from __future__ import annotations

from focal_traces.methods.selection import SelectionContext, SelectionWork, unknown

__all__ = ["work"]


def work(context: SelectionContext) -> SelectionWork:
    """Count attention sums, entropy, similarities of all keys, and Lloyd rounds, over all pictures."""
    shape, parameters = context.trace.header.model_shape, context.parameters
    if shape is None or "contextual" not in parameters:
        return unknown("the vision tower behind SparseZip")
    tower = shape.vision
    width, patches = tower.head_dim_elements, tower.patches
    scores = (1 if tower.class_tokens else tower.tokens) * tower.tokens * tower.heads
    _, entropy, mutual = (*parameters.get("alphas", ()), 0.0, 0.0, 0.0)[:3]
    if not parameters.get("skip_hybrid_attn"):
        scores += (patches * width if entropy else 0) + (patches * patches * width if mutual else 0)
    centres = parameters["contextual"]
    rounds = 1
    if parameters.get("variant") != "s2" and not parameters.get("skip_ctx_merge"):
        centres = int(centres * parameters.get("kmeans_init_factor", 1.0))
        rounds = max(1, parameters.get("kmeans_iters", 1))
    rest = max(0, patches - parameters.get("dominant", 0))
    return SelectionWork(
        shape.frames * (scores + rest * centres * width * rounds),
        "scores over attention and keys, and distances of at most all Lloyd rounds, per picture",
    )
