"""How many dominant tokens a picture gets from the spread of its scores.

SparseZip (code only). The logarithm of a variance is used as a number of tokens, so a tenfold variance moves K by
2.3: with standardised scores the published rule is nearly constant.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

__all__ = ["KRule", "attention_mass_k", "dynamic_k"]

KRule = Literal["variance", "spread"]


def dynamic_k(
    scores: Tensor, *, offset: float, k_min: int, k_max: int, epsilon: float = 1e-6, rule: KRule = "variance"
) -> int:
    """Return K, at least 1.

    Args:
        scores: Axes (patches).
        offset: c, added to the spread.
        k_min: Least K.
        k_max: Largest K; wins where the two cross.
        epsilon: Floor of the spread.
        rule: ``variance``: ln(population variance + epsilon) + c; ``spread``: c + 10 ln(1 + q90 - q10).
    """
    values = scores.to(torch.float32)
    if rule == "variance":
        wanted = math.log(float(values.var(unbiased=False)) + epsilon) + offset
    else:
        quantiles = torch.quantile(values, torch.tensor([0.1, 0.9], device=values.device))
        wanted = offset + 10.0 * math.log1p(max(float(quantiles[1] - quantiles[0]), epsilon))
    return max(1, min(max(round(wanted), k_min), k_max))


def attention_mass_k(attention: Tensor, mass: float, k_min: int, k_max: int) -> int:
    """Return the fewest patches that hold a share of all attention; free of scale, unlike the published rule.

    Args:
        attention: Attention that each patch receives, axes (heads, patches).
        mass: Share in (0, 1].
        k_min: Least K.
        k_max: Largest K.
    """
    received = attention.to(torch.float64).mean(dim=0).sort(descending=True).values
    reached = received.cumsum(0) / received.sum()
    wanted = int((reached < mass).sum()) + 1
    return max(1, min(max(wanted, k_min), k_max))
