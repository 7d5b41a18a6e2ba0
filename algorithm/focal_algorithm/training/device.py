"""Where a training computes. CUDA is untried on hardware: no machine with a GPU was at hand."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TypeVar

import torch

from focal_common.errors import ConfigError

__all__ = ["DEVICES", "moved", "training_device"]

DEVICES = ("cpu", "cuda")

T = TypeVar("T")


def training_device(name: str | None, is_bf16: bool) -> torch.device:
    """Return the device of a training.

    Args:
        name: ``cpu`` or ``cuda``; None takes CUDA where torch sees a device, else the CPU.
        is_bf16: Whether products are to be rounded to bf16.

    Raises:
        ConfigError: Another name, no CUDA device, or one without bf16.
    """
    if name not in (None, *DEVICES):
        raise ConfigError(f"device must be {' or '.join(DEVICES)}, got '{name}'", about=("device",))
    has_cuda = torch.cuda.is_available()
    if name == "cuda" and not has_cuda:
        raise ConfigError(
            f"device cuda: torch {torch.__version__} finds no CUDA device; choose cpu", about=("device",)
        )
    chosen = name or ("cuda" if has_cuda else "cpu")
    if chosen == "cuda" and is_bf16 and not torch.cuda.is_bf16_supported():
        raise ConfigError(
            f"{torch.cuda.get_device_name()} has no bf16; do without, or choose device cpu",
            about=("bf16", "device"),
        )
    return torch.device(chosen)


def moved(batch: T, device: torch.device) -> T:
    """Return a copy of a dataclass of tensors with all of them on a device; on that device already, the same ones."""
    found = {one.name: getattr(batch, one.name).to(device) for one in fields(batch)}  # type: ignore[arg-type]
    return replace(batch, **found)  # type: ignore[type-var]
