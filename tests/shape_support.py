"""Small model shapes, without torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

from focal_simulator.whole_model import PHASES, Operator
from focal_traces.model_shape.geometry import DecoderGeometry
from focal_traces.model_shape.model_shape import ModelShape, Projector, VisionTower

TOWER = VisionTower(
    kind="siglip",
    layers=2,
    hidden_elements=12,
    intermediate_elements=20,
    heads=3,
    patch_pixels=2,
    patch_rows=4,
    patch_columns=3,
)
DECODER = DecoderGeometry(
    layers=3, hidden_elements=16, intermediate_elements=24, heads=4, kv_heads=2, head_dim_elements=6
)
PROJECTOR = Projector(kind="mlp", input_elements=12, hidden_elements=16, output_elements=16, pooled_tokens=4)


def small_shape(**changes: Any) -> ModelShape:
    fields: dict[str, Any] = {
        "family": "llava_onevision",
        "vision": TOWER,
        "projector": PROJECTOR,
        "decoder": DECODER,
        "vocabulary_size": 40,
        "is_lm_head_tied": False,
        "frames": 2,
        "visual_tokens": 8,
        "text_tokens_before": 2,
        "text_tokens_after": 3,
    }
    return ModelShape(**(fields | changes))


class PhaseWork(NamedTuple):
    """Sums over the operators of one phase; ``causal_flops`` without what masks hide."""

    phase: str
    flops: int
    causal_flops: int
    vector_operations: int
    weight_elements: int


def work_by_phase(listed: Iterable[Operator]) -> tuple[PhaseWork, ...]:
    """Return the sums of each phase that occurs, in order of computation."""
    every = list(listed)
    return tuple(
        PhaseWork(
            phase,
            sum(one.flops for one in members),
            sum(2 * one.causal_macs for one in members),
            sum(sum(one.elementary().values()) for one in members),
            sum(one.total_weight_elements for one in members),
        )
        for phase in PHASES
        if (members := [one for one in every if one.phase == phase])
    )


def at_step(operator: Operator, step: int) -> Operator:
    """Return one decode step of an operator that stands for all of them."""
    keys = operator.growth * step
    return replace(
        operator,
        steps=1,
        growth=0,
        growth_elements=0,
        n=operator.n + (keys if operator.kind == "attention_scores" else 0),
        k=operator.k + (keys if operator.kind == "attention_values" else 0),
        elements=operator.elements + operator.growth_elements * step,
    )
