"""From retained rows back to all visual tokens: the masks and the group index of the published trace."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from focal_algorithm.kernels.similarity import Concentration

__all__ = ["FullMasks", "expand"]


@dataclass(frozen=True, slots=True)
class FullMasks:
    """Masks over all visual tokens; axes (visual tokens, slices).

    Attributes:
        is_zero: bool; true for pruned tokens.
        is_similar: bool.
        group_index: int32, flat index (token x slices + slice) of the group root; the own index if alone.
    """

    is_zero: Tensor
    is_similar: Tensor
    group_index: Tensor

    @property
    def sparsity(self) -> float:
        """Share of vectors that need no computation: (similar + zero) / all."""
        return (int(self.is_zero.sum()) + int(self.is_similar.sum())) / self.is_zero.numel()


def expand(concentration: Concentration, positions: Tensor, visual_tokens: int) -> FullMasks:
    """Spread the masks of the retained rows over all visual tokens, as the published trace stores them.

    Args:
        concentration: Of the retained rows.
        positions: (rows,) int64 visual indices of those rows.
        visual_tokens: S.
    """
    slices = concentration.is_zero.shape[1]
    device = positions.device
    is_zero = torch.ones(visual_tokens, slices, dtype=torch.bool, device=device)
    is_similar = torch.zeros_like(is_zero)
    root = torch.arange(visual_tokens, dtype=torch.int32, device=device)[:, None].repeat(1, slices)
    is_zero[positions] = concentration.is_zero
    is_similar[positions] = concentration.is_similar
    root[positions] = concentration.representative
    slot = torch.arange(slices, dtype=torch.int32, device=device)
    return FullMasks(is_zero, is_similar, root * slices + slot)
