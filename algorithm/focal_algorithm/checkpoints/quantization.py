"""Replacing the linear layers of a loaded model by 8-bit ones; which arithmetic was used is said in one label."""

from __future__ import annotations

import importlib.util
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn

from focal_algorithm.models.arithmetic import PRECISIONS
from focal_algorithm.models.inference_only import refuse_gradients
from focal_common.errors import ConfigError, UnsupportedError, near_matches

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


def stock_quantization(precision: str, kind: str, dtype: torch.dtype) -> dict[str, Any]:
    """Return what `from_pretrained` is told, so that bitsandbytes quantises weights as they are read.

    Args:
        precision: One of `PRECISIONS`.
        kind: Kind of the device. int8 on a CPU is that of `quantize`, after loading.
        dtype: Of what is not quantised, and of products with ``nf4`` weights.

    Raises:
        UnsupportedError: bitsandbytes is not installed.
    """
    if precision not in PRECISIONS or precision == "float" or (precision, kind) == ("int8", "cpu"):
        return {}
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UnsupportedError(
            f"precision {precision} on {kind} needs bitsandbytes, which the published runs use; pip install "
            "bitsandbytes, or use device cpu and precision int8, which torch computes"
        )
    from transformers import BitsAndBytesConfig

    if precision == "int8":
        config = BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=OUTLIER_THRESHOLD)
    else:
        config = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
        )
    return {"quantization_config": config}


def quantize(model: Any, precision: str, kind: str) -> str:
    """Quantise every linear layer but the language-model head, in place, unless that was done while loading.

    Compression methods still act on floating activations, before each quantised product, and attention, norms
    and the cache stay in floating point, as in the published INT8 runs (Focus, HPCA 2026, sec. VII-E).

    Args:
        model: In evaluation mode, in its place.
        precision: One of `PRECISIONS`.
        kind: Kind of the device.

    Returns:
        The arithmetic of its linear layers, for the trace header; empty for ``float``.

    Raises:
        ConfigError: Unknown precision.
        UnsupportedError: Weights that were quantised before, or that only bitsandbytes quantises, while loading.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"unknown precision '{precision}'; {near_matches(precision, PRECISIONS)}")
    if getattr(model, "is_quantized", False):
        return _label(model, precision)
    if precision == "float":
        return ""
    if (precision, kind) != ("int8", "cpu"):
        raise UnsupportedError(
            f"precision {precision} on {kind} quantises weights as they are read from files, and these are random; "
            "expected a checkpoint, or precision int8 on a CPU"
        )
    if any(hasattr(module, "_hf_hook") for module in model.modules()):
        raise UnsupportedError(
            "precision int8 on a CPU needs all weights in memory, and a device map leaves some elsewhere; expected "
            "device cpu, or precision nf4"
        )
    head = model.get_output_embeddings()
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            # type(), not isinstance: subclasses of Linear compute something else.
            if type(child) is nn.Linear and child is not head:
                setattr(module, name, Int8Linear.of(child))
    return f"int8: rows of weights, tokens of activations, outlier columns from {OUTLIER_THRESHOLD}; torch"


def _label(model: Any, precision: str) -> str:
    """Return how a library quantised while loading; where a checkpoint brings quantised weights, in its words."""
    own = model.config.quantization_config
    if precision == "float":
        return f"{getattr(own.quant_method, 'value', own.quant_method)}: as the checkpoint brings it"
    used = f"bitsandbytes {version('bitsandbytes')}"
    if precision == "int8":
        return f"int8: {used}, LLM.int8(), outliers from {OUTLIER_THRESHOLD}"
    return f"nf4: {used}, blocks of 64 weights, products in {str(own.bnb_4bit_compute_dtype).removeprefix('torch.')}"
