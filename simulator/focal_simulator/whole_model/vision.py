"""Operators of the vision tower."""

from __future__ import annotations

from collections.abc import Iterator

from focal_simulator.whole_model.operator import Operator
from focal_simulator.whole_model.vectors import gemm, norm, softmax, vector
from focal_traces.model_shape.model_shape import VisionTower

__all__ = ["tower_operators"]


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
        yield Operator(
            phase="vision",
            layer=layer,
            name=f"scores{suffix}",
            kind="attention_scores",
            m=tokens,
            n=tokens,
            k=head,
            count=count,
        )
        yield softmax("vision", layer, tokens, tokens, count, name=f"softmax{suffix}")
        yield Operator(
            phase="vision",
            layer=layer,
            name=f"values{suffix}",
            kind="attention_values",
            m=tokens,
            n=head,
            k=tokens,
            count=count,
        )
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
