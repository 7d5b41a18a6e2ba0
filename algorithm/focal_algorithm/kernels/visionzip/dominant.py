"""Dominant tokens of a picture: those that receive most attention in the vision tower.

VisionZip, CVPR 2025 (arXiv:2412.04467), sec. 3.2.
"""

from __future__ import annotations

import torch
from torch import Tensor

from focal_algorithm.kernels.ordering import top_indices
from focal_common.errors import ConfigError

__all__ = ["select_dominant", "split_tokens"]


def select_dominant(scores: Tensor, count: int) -> Tensor:
    """Return the tokens of highest score in descending order, axes (count), int64.

    Args:
        scores: Axes (tokens).
        count: K, the dominant tokens to keep.

    Raises:
        ConfigError: More are asked for than there are.
    """
    if count > len(scores):
        raise ConfigError(
            f"dominant: {count} dominant tokens of a picture with {len(scores)}; "
            f"expected at most {len(scores)}, such as dominant={max(len(scores) // 4, 1)} and contextual=1"
        )
    return top_indices(scores, count)


def split_tokens(dominant: Tensor, tokens: int) -> tuple[Tensor, Tensor]:
    """Return (dominant, remaining) token indices, each in raster order.

    Args:
        dominant: Token indices in any order, int64.
        tokens: Tokens of the picture.
    """
    is_dominant = torch.zeros(tokens, dtype=torch.bool, device=dominant.device)
    is_dominant[dominant] = True
    return is_dominant.nonzero().flatten(), (~is_dominant).nonzero().flatten()
