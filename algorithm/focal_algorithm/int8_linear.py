"""LLM.int8() with torch alone: 8-bit weights per row and activations per token, outlier columns in floating point."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from focal_algorithm.inference_only import refuse_gradients

__all__ = ["OUTLIER_THRESHOLD", "Int8Linear"]

OUTLIER_THRESHOLD = 6.0
"""Magnitude from which on a feature stays in floating point. Source: Dettmers et al., NeurIPS 2022, sec. 3.2;
default of bitsandbytes 0.48.1, which the published runs use."""

_LARGEST = 127


class Int8Linear(nn.Module):
    """A linear layer with int8 weights; products are summed in int32, exactly.

    Paper: LLM.int8(), Dettmers et al., NeurIPS 2022, arXiv 2208.07339, sec. 3.
    Deviations: none in the arithmetic; there is no fused kernel.

    Args:
        weight: Axes (outputs, inputs), int8.
        scale: Largest magnitude of each row before quantisation, axes (outputs), fp32.
        bias: Axes (outputs); None for none.
    """

    def __init__(self, weight: Tensor, scale: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.weight: Tensor
        self.scale: Tensor
        self.bias: Tensor | None
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias)

    @classmethod
    def of(cls, linear: nn.Linear) -> Int8Linear:
        """Quantise a floating-point layer; the new one is in the same mode, for a method refuses training mode."""
        weight, scale = quantise_rows(linear.weight.detach())
        return cls(weight, scale, None if linear.bias is None else linear.bias.detach()).train(
            linear.training
        )

    def forward(self, values: Tensor) -> Tensor:
        """Return (..., outputs) of (..., inputs), in the dtype of the input."""
        rows = values.reshape(-1, self.in_features)
        if not len(rows):
            return values.new_zeros(*values.shape[:-1], self.out_features)
        is_outlier = (rows.abs() >= OUTLIER_THRESHOLD).any(dim=0)
        quantised, scale = quantise_rows(rows.masked_fill(is_outlier, 0))
        sums = torch._int_mm(quantised, self.weight.T)
        result = sums.to(torch.float32) * (scale[:, None] * self.scale) / _LARGEST**2
        columns = is_outlier.nonzero().flatten()
        if len(columns):
            kept = self.weight[:, columns].to(torch.float32) * (self.scale[:, None] / _LARGEST)
            result += rows[:, columns].to(torch.float32) @ kept.T
        if self.bias is not None:
            result += self.bias.to(torch.float32)
        result = result.to(values.dtype).view(*values.shape[:-1], self.out_features)
        return refuse_gradients(result, "8-bit quantisation")


def quantise_rows(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return int8 rows and the largest magnitude of each row (fp32), which stands for 127."""
    scale = values.abs().amax(dim=1).to(torch.float32)
    steps = values.to(torch.float32) * (_LARGEST / scale.clamp(min=torch.finfo(torch.float32).tiny))[:, None]
    return steps.round().to(torch.int8), scale
