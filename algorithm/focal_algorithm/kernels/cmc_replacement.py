"""Replacement of tokens by the reference tokens that a CMC motion search found."""

from __future__ import annotations

import torch
from torch import Tensor

from focal_algorithm.kernels.cmc_motion import INTERVAL_FRAMES, REFERENCE_FRAME, Motion

__all__ = ["replace_tokens", "replaced_by"]


def replaced_by(motion: Motion, *, is_strict: bool = False) -> Tensor:
    """Return the token that stands for each token.

    Args:
        motion: Of F frames of P tokens.
        is_strict: Leave reference frames, and intervals without one, as they are.

    Returns:
        Places in the F x P tokens, axes (heads, F x P), int64; -1 for zeros: in ``compatible`` mode the missing
        reference frame of the last interval stands for tokens near zero.
    """
    heads, intervals, _, patches = motion.table.shape
    device = motion.table.device
    starts = (torch.arange(intervals, device=device) * INTERVAL_FRAMES + REFERENCE_FRAME) * patches
    target = motion.table + starts[None, :, None, None]
    own = torch.arange(intervals * INTERVAL_FRAMES * patches, device=device).view(target.shape[1:])
    is_replaced = motion.is_replaceable
    if is_strict:
        is_replaced = is_replaced.clone()
        is_replaced[:, :, REFERENCE_FRAME] = False
        if motion.has_tail:
            is_replaced[:, -1] = False
    places = torch.where(is_replaced, target, own[None])
    tokens = motion.frames * patches
    found = motion.of_frames(places).reshape(heads, tokens)
    return found.masked_fill(found >= tokens, -1)


def replace_tokens(values: Tensor, places: Tensor) -> Tensor:
    """Return the tokens with each replaced by the original value of the one that stands for it.

    Args:
        values: Axes (heads, tokens, width).
        places: See `replaced_by`, axes (heads or 1, tokens).

    Returns:
        New tensor, same axes.
    """
    index = places.clamp(min=0).expand(values.shape[:2])
    taken = values.gather(1, index[..., None].expand_as(values))
    return taken.masked_fill_((places < 0).expand(values.shape[:2])[..., None], 0)
