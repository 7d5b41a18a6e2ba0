"""Replacing the linear layers of a loaded model by 8-bit ones; which arithmetic was used is said in one label."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from focal_algorithm.checkpoints.int8_linear import OUTLIER_THRESHOLD, Int8Linear
from focal_common.errors import ConfigError, UnsupportedError, near_matches

__all__ = ["PRECISIONS", "quantize"]

PRECISIONS = ("float", "int8")
"""``float`` leaves the model in its dtype."""


def quantize(model: Any, precision: str, device: str) -> str:
    """Quantise every linear layer but the language-model head, in place.

    Compression methods still act on floating activations, before each quantised product, and attention, norms
    and the cache stay in floating point, as in the published INT8 runs (Focus, HPCA 2026, sec. VII-E).

    Args:
        model: In evaluation mode, on ``device``.
        precision: One of `PRECISIONS`.
        device: On CUDA the layers of bitsandbytes are used, as published; elsewhere `Int8Linear`.

    Returns:
        What was done, for the trace header; empty for ``float``.

    Raises:
        ConfigError: Unknown precision.
        UnsupportedError: CUDA without bitsandbytes, or a device without an 8-bit path.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"unknown precision '{precision}'; {near_matches(precision, PRECISIONS)}")
    if precision == "float":
        return ""
    kind = torch.device(device).type
    if kind == "cuda":
        build, label = _bitsandbytes()
    elif kind == "cpu":
        build = Int8Linear.of
        label = (
            f"int8: rows of weights, tokens of activations, outlier columns from {OUTLIER_THRESHOLD}; torch"
        )
    else:
        raise UnsupportedError(f"precision int8 runs on cpu and cuda, not on '{device}'")
    head = model.get_output_embeddings()
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            # type(), not isinstance: subclasses of Linear compute something else.
            if type(child) is nn.Linear and child is not head:
                setattr(module, name, build(child))
    return label


def _bitsandbytes() -> tuple[Callable[[nn.Linear], nn.Module], str]:
    try:
        bitsandbytes = importlib.import_module("bitsandbytes")
    except ImportError as error:
        raise UnsupportedError(
            "precision int8 on CUDA needs bitsandbytes, which the published runs use; install bitsandbytes, or "
            "use device cpu for the int8 path of torch"
        ) from error

    def build(linear: nn.Linear) -> nn.Module:
        quantised = bitsandbytes.nn.Linear8bitLt(
            linear.in_features,
            linear.out_features,
            bias=linear.bias is not None,
            has_fp16_weights=False,
            threshold=OUTLIER_THRESHOLD,
        )
        quantised.load_state_dict(linear.state_dict())
        return quantised.to(linear.weight.device).eval()  # quantises while moving

    return (
        build,
        f"int8: bitsandbytes {bitsandbytes.__version__}, LLM.int8(), outliers from {OUTLIER_THRESHOLD}",
    )
