"""Operators of the vision tower, and of the projector between it and the decoder."""

from __future__ import annotations

from collections.abc import Iterator

from focal_simulator.whole_model.operator import Operator
from focal_simulator.whole_model.vectors import attention, gemm, norm, vector
from focal_traces.model_shape.model_shape import Projector, VisionTower


def tower_operators(tower: VisionTower, pictures: int) -> Iterator[Operator]:
    """Yield every operator of the tower over ``pictures`` pictures, in order; none for none.

    Attention runs within a picture, or within its windows. Every layer of the tower runs, as in the library,
    even where the feature is taken from an earlier one.
    """
    if not pictures:
        return
    rows, width = pictures * tower.tokens, tower.hidden_elements
    patches = pictures * tower.patches
    yield gemm("vision", -1, "patch_embedding", patches, width, tower.patch_elements)
    if not tower.has_rope:
        yield vector("vision", -1, "position", "add", rows, width, weight_elements=tower.tokens * width)
    for place in range(tower.norms_outside_layers):
        yield norm("vision", -1, f"norm_{place}", tower.norm, rows, width)
    for layer in range(tower.layers):
        yield from _attention(tower, layer, rows, pictures)
        yield from _mlp(tower, layer, rows)


def _attention(tower: VisionTower, layer: int, rows: int, pictures: int) -> Iterator[Operator]:
    width, head = tower.hidden_elements, tower.head_dim_elements
    yield norm("vision", layer, "input_norm", tower.norm, rows, width)
    for name in ("q_proj", "k_proj", "v_proj"):
        yield gemm("vision", layer, name, rows, width, width)
    if tower.has_rope:
        yield vector("vision", layer, "rope", "rope", 2 * rows, width, operands=2)
    segments = tower.attention_segments(layer)
    for tokens, number in segments:
        suffix = f"_{tokens}" if len(segments) > 1 else ""
        count = pictures * number * tower.heads
        yield from attention("vision", layer, tokens, tokens, head, count, suffix=suffix)
    yield gemm("vision", layer, "o_proj", rows, width, width)
    yield vector("vision", layer, "attention_residual", "add", rows, width, operands=2)


def _mlp(tower: VisionTower, layer: int, rows: int) -> Iterator[Operator]:
    width, inner = tower.hidden_elements, tower.intermediate_elements
    yield norm("vision", layer, "post_norm", tower.norm, rows, width)
    if tower.is_mlp_gated:
        yield gemm("vision", layer, "gate_proj", rows, inner, width)
    yield gemm("vision", layer, "up_proj", rows, inner, width)
    yield vector("vision", layer, "activation", tower.activation, rows, inner)
    if tower.is_mlp_gated:
        yield vector("vision", layer, "gate", "mul", rows, inner, operands=2)
    yield gemm("vision", layer, "down_proj", rows, width, inner)
    yield vector("vision", layer, "mlp_residual", "add", rows, width, operands=2)


def projector_operators(projector: Projector, tower: VisionTower, pictures: int) -> Iterator[Operator]:
    """Yield every operator of the projector, pooling included, over ``pictures`` pictures, in order."""
    if not pictures:
        return
    if projector.kind == "resampler":
        yield from _resampler(projector, tower, pictures)
    else:
        yield from _projector_mlp(projector, tower, pictures)
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


def _projector_mlp(projector: Projector, tower: VisionTower, pictures: int) -> Iterator[Operator]:
    per_picture = tower.tokens if projector.keeps_class_token else tower.patches
    rows = pictures * per_picture // projector.merged_patches
    inner, width = projector.hidden_elements, projector.output_elements
    if projector.kind == "merger":
        yield norm("projector", -1, "norm", tower.norm, pictures * tower.patches, tower.hidden_elements)
    if projector.kind == "linear":
        yield gemm("projector", -1, "proj", rows, width, projector.input_elements)
        return
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
    yield from attention("projector", -1, queries, tower.tokens, inner // heads, count)
    yield gemm("projector", -1, "o_proj", out, inner, inner)
    yield norm("projector", -1, "output_norm", "layernorm", out, inner)
    yield gemm("projector", -1, "proj", out, projector.output_elements, inner)
