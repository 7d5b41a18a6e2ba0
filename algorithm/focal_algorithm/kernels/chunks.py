"""Cutting work into row blocks whose temporaries stay in cache."""

from __future__ import annotations

from collections.abc import Iterator

import torch

__all__ = ["row_blocks"]

# Two fp32 blocks of this size fit the second-level caches of two current cores; best measured, 2^17 to 2^21.
_CPU_ELEMENTS = 1 << 19
# An accelerator wants few, large launches; 64 Mi fp32 elements are 256 MiB per temporary.
_DEVICE_ELEMENTS = 1 << 26


def row_blocks(rows: int, width: int, device: torch.device) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) pairs that cover ``rows`` rows of ``width`` elements in cache-sized blocks."""
    budget = _CPU_ELEMENTS if device.type == "cpu" else _DEVICE_ELEMENTS
    step = max(1, budget // max(1, width))
    for start in range(0, rows, step):
        yield start, min(start + step, rows)
