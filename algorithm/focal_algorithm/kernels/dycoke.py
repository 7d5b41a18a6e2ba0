"""DyCoke (CVPR 2025, arXiv:2411.15024): tokens that repeat a frame before, and keys that a decode step reads."""

from __future__ import annotations

import torch
from torch import Tensor

from focal_algorithm.kernels.frames import paired_cosine
from focal_algorithm.kernels.ordering import select_top, top_indices

SAME_ATTENTION = 0.9
"""Cosine of the visual attention of two steps from which a step does not choose anew. Source: published code."""


def kept_per_frame(tokens: int, merging_ratio: float) -> int:
    """Return how many tokens a reduced frame keeps, in double precision as published."""
    return int((1 - merging_ratio) * tokens)


def merged_frames(values: Tensor, merging_ratio: float, *, is_strict: bool = False) -> list[Tensor]:
    """Return the places of each frame that stay, in the order in which they follow each other.

    Frames 1, 3, 5, ... keep the places that resemble the frame before least; of frames 2, 6, 10, ... those that
    resemble the frame two before. Frames are compared as they were.

    Args:
        values: Axes (frames, tokens, width).
        merging_ratio: K, share of a reduced frame that goes, in [0, 1].
        is_strict: Whether every group of four frames is treated alike, an odd last frame included, in float32 and in
            raster order. Otherwise, as published, an odd last frame vanishes, the last group keeps its third frame
            whole, and a reduced frame is in order of rising likeness.

    Returns:
        One tensor for each frame, int64.
    """
    frames, tokens = values.shape[:2]
    kept = kept_per_frame(tokens, merging_ratio)
    whole = torch.arange(tokens, device=values.device)
    found = []
    for frame in range(frames if is_strict else frames - frames % 2):
        back = 1 if frame % 2 else 2 if frame % 4 == 2 else 0
        if back and (is_strict or back == 1 or frame - 2 < frames - 4):
            one, two = values[frame - back], values[frame]
            if back == 1 and not is_strict:
                # Published code normalises first, which rounds once more in half precision.
                one, two = (torch.nn.functional.normalize(x, dim=-1) for x in (one, two))
            distance = -paired_cosine(one, two, is_strict=is_strict)
            found.append(select_top(distance, kept) if is_strict else top_indices(distance, kept))
        else:
            found.append(whole)
    return found


def attention_cosine(attention: Tensor, previous: Tensor) -> float:
    """Return the cosine of the visual attention of two steps, axes (visual tokens) each; 0 where one is all zero."""
    return float(paired_cosine(attention.to(torch.float32), previous.to(torch.float32)))


def keys_to_read(attention: Tensor, pruning_rate: float) -> Tensor:
    """Return the visual tokens whose keys a step reads, ascending, int64: the most attended int(V (1 - P)).

    Args:
        attention: Of the new token, axes (visual tokens).
        pruning_rate: P, share left out, in [0, 1].
    """
    return select_top(attention, int(len(attention) * (1 - pruning_rate)))
