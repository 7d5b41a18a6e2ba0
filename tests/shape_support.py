"""Small model shapes, without torch."""

from __future__ import annotations

from typing import Any

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
