"""The shape of a language-model decoder."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, PositiveInt, SerializerFunctionWrapHandler, model_serializer, model_validator

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
        windows_tokens: Of each layer the tokens that one attends to, None for all before it; empty, and absent from
            files, where no layer has a window.
    """

    layers: Few
    hidden_elements: Width
    intermediate_elements: Width
    heads: Few
    kv_heads: Few
    head_dim_elements: Annotated[PositiveInt, Field(le=1 << 16)]
    windows_tokens: tuple[PositiveInt | None, ...] = Field(default=(), max_length=4096)

    @model_validator(mode="after")
    def _heads_divide(self) -> DecoderGeometry:
        if self.heads % self.kv_heads:
            raise ValueError(f"kv_heads ({self.kv_heads}) must divide heads ({self.heads})")
        if len(self.windows_tokens) not in (0, self.layers):
            raise ValueError(f"windows_tokens has {len(self.windows_tokens)} entries, expected {self.layers}")
        return self

    @model_serializer(mode="wrap")
    def _without_empty(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        tree: dict[str, Any] = write(self)
        if not self.windows_tokens:
            del tree["windows_tokens"]  # older readers refuse unknown fields
        return tree

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
