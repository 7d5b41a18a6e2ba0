"""EVS (arXiv:2510.14624): how much each token differs from the frame before, and how many stay."""

from __future__ import annotations

import torch
from torch import Tensor

from focal_algorithm.kernels.frames import paired_cosine

FIRST_FRAME = 255.0
"""Difference given to every token of the first frame, above any other. Source: vLLM."""


def frame_differences(values: Tensor, *, is_strict: bool = False) -> Tensor:
    """Return 1 - cosine of each token with the same place of the frame before, axes (frames, tokens).

    Args:
        values: Embeddings, axes (frames, tokens, width); the result has their dtype.
        is_strict: Whether to compute in float32, where equal tokens differ by exactly 0.
    """
    later = 1 - paired_cosine(values[1:], values[:-1], is_strict=is_strict)
    return torch.cat((later.new_full((1, values.shape[1]), FIRST_FRAME), later))


def retained_count(frames: int, tokens: int, pruning_rate: float) -> int:
    """Return how many tokens of a video stay: the share asked for, and never less than one frame.

    Args:
        frames: Of the video.
        tokens: Of a frame.
        pruning_rate: Share removed, in [0, 1).
    """
    return max(tokens, int(frames * tokens * (1 - pruning_rate)))
