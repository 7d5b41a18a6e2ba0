"""Operators between the vision tower and the decoder."""

from __future__ import annotations

from collections.abc import Iterator

from focal_simulator.whole_model.operator import Operator
from focal_simulator.whole_model.vectors import gemm, norm, softmax, vector
from focal_traces.model_shape.model_shape import Projector, VisionTower

__all__ = ["projector_operators"]


def projector_operators(projector: Projector, tower: VisionTower, pictures: int) -> Iterator[Operator]:
    """Yield every operator of the projector, pooling included, over ``pictures`` pictures, in order."""
    if not pictures:
        return
    if projector.kind == "resampler":
        yield from _resampler(projector, tower, pictures)
    else:
        yield from _mlp(projector, tower, pictures)
    if projector.pooled_tokens is not None:
        yield vector(
            "projector",
            -1,
            "pooling",
            "pool",
            pictures * projector.pooled_tokens,
            projector.output_elements,
            operands=projector.pooling_reads,
        )


def _mlp(projector: Projector, tower: VisionTower, pictures: int) -> Iterator[Operator]:
    per_picture = tower.tokens if projector.keeps_class_token else tower.patches
    rows = pictures * per_picture // projector.merged_patches
    inner, width = projector.hidden_elements, projector.output_elements
    if projector.kind == "merger":
        yield norm("projector", -1, "norm", tower.norm, pictures * tower.patches, tower.hidden_elements)
    yield gemm("projector", -1, "linear_1", rows, inner, projector.input_elements)
    yield vector("projector", -1, "activation", projector.activation, rows, inner)
    yield gemm("projector", -1, "linear_2", rows, width, inner)


def _resampler(projector: Projector, tower: VisionTower, pictures: int) -> Iterator[Operator]:
    rows, queries = pictures * tower.tokens, projector.queries
    inner, heads = projector.hidden_elements, projector.heads
    count, out = pictures * heads, pictures * queries
    if projector.input_elements != inner:
        yield gemm("projector", -1, "kv_proj", rows, inner, projector.input_elements)
    yield norm("projector", -1, "kv_norm", "layernorm", rows, inner)
    yield vector("projector", -1, "position", "add", rows, inner, operands=2)
    # The learnt queries are the same for all pictures; the published module projects them for each.
    yield gemm("projector", -1, "q_proj", out, inner, inner)
    for name in ("k_proj", "v_proj"):
        yield gemm("projector", -1, name, rows, inner, inner)
    yield Operator(
        phase="projector",
        layer=-1,
        name="scores",
        kind="attention_scores",
        m=queries,
        n=tower.tokens,
        k=inner // heads,
        count=count,
    )
    yield softmax("projector", -1, queries, tower.tokens, count)
    yield Operator(
        phase="projector",
        layer=-1,
        name="values",
        kind="attention_values",
        m=queries,
        n=inner // heads,
        k=tower.tokens,
        count=count,
    )
    yield gemm("projector", -1, "o_proj", out, inner, inner)
    yield norm("projector", -1, "output_norm", "layernorm", out, inner)
    yield gemm("projector", -1, "proj", out, projector.output_elements, inner)
