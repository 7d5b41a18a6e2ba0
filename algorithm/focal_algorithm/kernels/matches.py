"""What matching finds, and which kernel finds it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Literal

import torch
from torch import Tensor

__all__ = ["Matches", "matching_kernel", "matching_note"]


@dataclass(frozen=True, slots=True)
class Matches:
    """What each vector matches; all tensors have axes (rows, slices).

    Attributes:
        winner: uint8, place q of the best candidate where similar, else 255.
        pointer: int32, row of that candidate where similar, else the row itself.
        best: fp32, largest similarity, at least 0.
    """

    winner: Tensor
    pointer: Tensor
    best: Tensor


def matching_kernel(device: torch.device) -> Literal["triton", "torch"]:
    """Return which kernel matches vectors on a device: the fused one on CUDA where triton is installed."""
    return "triton" if device.type == "cuda" and _has_triton() else "torch"


def matching_note(device: torch.device) -> str:
    """Return a sentence on the kernel in use; empty on a CPU, where nothing that is installed decides it."""
    if device.type != "cuda":
        return ""
    if matching_kernel(device) == "triton":
        return "similarity matching: fused Triton kernel"
    return (
        "similarity matching: torch, because triton is not installed; pip install triton for the fused kernel"
    )


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None
