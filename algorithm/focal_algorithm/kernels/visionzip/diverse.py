"""Dominant tokens that do not repeat each other: maximal marginal relevance (SIGIR 1998, doi 10.1145/290941.291025)."""

from __future__ import annotations

import torch
from torch import Tensor

from focal_algorithm.kernels.ordering import first_argmax
from focal_algorithm.kernels.sparsezip.scores import EPSILON
from focal_common.errors import ConfigError

__all__ = ["select_diverse"]


def select_diverse(scores: Tensor, keys: Tensor, count: int, redundancy: float) -> Tensor:
    """Choose tokens one by one: the score less a penalty for likeness to what is chosen already.

    Args:
        scores: Axes (tokens); mapped to [0, 1].
        keys: Axes (tokens, key width); likeness is their cosine.
        count: K, tokens to choose.
        redundancy: Weight of the largest cosine with a chosen token; 0 gives the top scores.

    Returns:
        Tokens in the order of choice, axes (count), int64.

    Raises:
        ConfigError: More are asked for than there are.
    """
    if count > len(scores):
        raise ConfigError(
            f"dominant: {count} dominant tokens of {len(scores)}; expected at most {len(scores)}"
        )
    values = scores.to(torch.float32)
    values = (values - values.amin()) / (values.amax() - values.amin() + EPSILON)
    unit = keys.to(torch.float32)
    unit = unit / (unit.norm(dim=-1, keepdim=True) + EPSILON)
    likeness = unit @ unit.T
    nearest = torch.full_like(values, -1.0)
    chosen: list[int] = []
    for step in range(count):
        gain = values if not step else values - redundancy * nearest
        gain = gain.clone()
        gain[chosen] = -torch.inf
        chosen.append(int(first_argmax(gain)))
        nearest = nearest.maximum(likeness[chosen[-1]])
    return torch.tensor(chosen, dtype=torch.int64, device=scores.device)
