"""The shape of a language-model decoder."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt, model_validator

from focal_common.config import StrictModel

Width = Annotated[PositiveInt, Field(le=1 << 24)]
"""Elements of a vector, an order above the widest MLP there is."""
Few = Annotated[PositiveInt, Field(le=4096)]
"""Layers or heads."""


class DecoderGeometry(StrictModel):
    """Shape of the language-model decoder.

    Attributes:
        layers: Number of decoder layers.
        hidden_elements: Width of the residual stream.
        intermediate_elements: Width of the MLP.
        heads: Query heads.
        kv_heads: Key and value heads; divides ``heads``.
        head_dim_elements: Width of one head.
    """

    layers: Few
    hidden_elements: Width
    intermediate_elements: Width
    heads: Few
    kv_heads: Few
    head_dim_elements: Annotated[PositiveInt, Field(le=1 << 16)]

    @model_validator(mode="after")
    def _heads_divide(self) -> DecoderGeometry:
        if self.heads % self.kv_heads:
            raise ValueError(f"kv_heads ({self.kv_heads}) must divide heads ({self.heads})")
        return self

    def input_elements(self, gemm: str) -> int:
        """Return the width K of the recorded input of a GEMM named in `GEMMS`."""
        if gemm == "down_proj":
            return self.intermediate_elements
        if gemm in ("query", "o_proj"):
            return self.heads * self.head_dim_elements
        return self.hidden_elements


QWEN2_7B = DecoderGeometry(
    layers=28,
    hidden_elements=3584,
    intermediate_elements=18944,
    heads=28,
    kv_heads=4,
    head_dim_elements=128,
)
"""Decoder of every model of the published artifact (Focus, HPCA 2026). Source: Qwen/Qwen2-7B config.json."""
