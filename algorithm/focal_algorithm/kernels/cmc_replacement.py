"""Replacement of tokens by the reference tokens that a CMC motion search found."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from focal_algorithm.kernels.cmc_motion import INTERVAL_FRAMES, REFERENCE_FRAME, Motion


def replaced_by(motion: Motion, *, is_strict: bool = False) -> Tensor:
    """Return the token that stands for each token.

    Args:
        motion: Motion of F frames of P tokens.
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


def replace_rows(values: Tensor, places: Tensor) -> None:
    """Do in place what `replace_tokens` does, moving replaced tokens only.

    Args:
        values: Axes (tokens, width).
        places: Axes (tokens).
    """
    changed = (places != torch.arange(len(places), device=places.device)).nonzero().flatten()
    source = places[changed]
    taken = values[source.clamp(min=0)]
    taken[source < 0] = 0
    values[changed] = taken


def kept_by_codec(places: Tensor, frames: int) -> Tensor:
    """Return the places with tokens of reference frames standing for themselves.

    The codec keeps them all, also where one was exchanged for an identical other of its frame.

    Args:
        places: See `replaced_by`, axes (heads, S).
        frames: F.
    """
    own = torch.arange(places.shape[1], device=places.device)
    is_reference = own // (places.shape[1] // frames) % INTERVAL_FRAMES == REFERENCE_FRAME
    return torch.where(is_reference, own, places)


@dataclass(frozen=True)
class ReplacedVectors:
    """Vectors of a GEMM input after replacement.

    Attributes:
        is_zero: All elements are zero, axes (S, slices), bool.
        is_similar: The vector is the one of another token, same axes, disjoint from ``is_zero``.
        token: That token, itself where it is not similar, same axes, int64.
    """

    is_zero: Tensor
    is_similar: Tensor
    token: Tensor


def vector_masks(values: Tensor, places: Tensor, *, frames: int, vector_size: int) -> ReplacedVectors:
    """Return what a replacement of tokens, or of heads of tokens, means for vectors.

    A vector that lies in several heads is similar if one token stands for it in all of them.

    Args:
        values: After replacement, axes (S, width), heads side by side.
        places: See `replaced_by`, axes (heads, S); one head for whole tokens.
        frames: F.
        vector_size: Elements per vector.
    """
    tokens, width = values.shape
    heads = places.shape[0]
    slices = -(-width // vector_size)
    device = values.device
    padded = torch.nn.functional.pad(values != 0, (0, slices * vector_size - width))
    is_zero = ~padded.view(tokens, slices, vector_size).any(dim=-1)
    own = torch.arange(tokens, device=device)
    stands = kept_by_codec(places, frames)
    stands = torch.where(stands < 0, own, stands).T
    start = torch.arange(slices, device=device) * vector_size
    first = start * heads // width
    last = (start + vector_size - 1).clamp(max=width - 1) * heads // width
    token = stands[:, first]
    is_similar = token != own[:, None]
    for step in range(1, int((last - first).max()) + 1):
        is_similar &= stands[:, torch.minimum(first + step, last)] == token
    is_similar &= ~is_zero
    return ReplacedVectors(is_zero, is_similar, torch.where(is_similar, token, own[:, None]))
