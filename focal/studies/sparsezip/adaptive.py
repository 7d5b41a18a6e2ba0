"""K that follows the picture and keeps its mean: two rules without a scale of their own, calibrated beforehand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from focal_algorithm.kernels.hybrid_scores import attention_mass_k
from focal_common.errors import ConfigError

_ROUNDS = 60  # halvings; beyond the resolution of a float64 share


@dataclass(frozen=True)
class AdaptiveK:
    """A rule for K of one picture.

    Attributes:
        rule: ``mass``: fewest patches that hold a share of the CLS attention; ``entropy``: linear in the
            normalised entropy of that attention.
        knob: Share for ``mass``; entropy that gets the middle of the bounds for ``entropy``.
        k_min: Least K.
        k_max: Largest K.
        span: Entropy from ``k_min`` to ``k_max``; for ``entropy``.
    """

    rule: Literal["mass", "entropy"]
    knob: float
    k_min: int
    k_max: int
    span: float = 1.0

    def k(self, attention: Tensor) -> int:
        """Return K; ``attention`` has axes (heads, patches)."""
        if self.rule == "mass":
            return attention_mass_k(attention, self.knob, self.k_min, self.k_max)
        position = 0.5 + (normalised_entropy(attention) - self.knob) / self.span
        wanted = self.k_min + (self.k_max - self.k_min) * position
        return min(max(round(wanted), self.k_min), self.k_max)


def normalised_entropy(attention: Tensor) -> float:
    """Return the entropy of the head-mean attention over that of an even one, in [0, 1]; axes (heads, patches)."""
    received = attention.to(torch.float64).mean(0)
    share = received / received.sum()
    return float(-torch.special.xlogy(share, share).sum()) / math.log(len(share))


def calibrated(
    rule: Literal["mass", "entropy"],
    mean_k: float,
    attentions: Sequence[Tensor],
    *,
    k_min: int,
    k_max: int,
) -> AdaptiveK:
    """Return the rule whose mean K over some pictures is nearest to a budget.

    Args:
        rule: See `AdaptiveK`.
        mean_k: Mean K wanted.
        attentions: Of pictures kept for calibration, each axes (heads, patches).
        k_min: Least K.
        k_max: Largest K.

    Raises:
        ConfigError: No pictures, or a mean outside the bounds.
    """
    if not attentions:
        raise ConfigError("calibration: no pictures; expected at least one")
    if not k_min <= mean_k <= k_max:
        raise ConfigError(f"mean K must lie between k_min {k_min} and k_max {k_max}, got {mean_k}")
    span = 1.0
    low, high = 0.0, 1.0
    if rule == "entropy":
        values = torch.tensor([normalised_entropy(one) for one in attentions], dtype=torch.float64)
        # Two deviations each way use the bounds without cutting most pictures at them.
        span = max(4 * float(values.std(unbiased=False)), 1e-9)
        low, high = float(values.min()) - span, float(values.max()) + span

    def mean_at(knob: float) -> float:
        chosen = AdaptiveK(rule, knob, k_min, k_max, span)
        return sum(chosen.k(one) for one in attentions) / len(attentions)

    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        is_short = mean_at(middle) < mean_k
        # A larger share needs more tokens; a larger middle entropy gives fewer.
        low, high = (middle, high) if is_short == (rule == "mass") else (low, middle)
    best = min((low, high), key=lambda knob: abs(mean_at(knob) - mean_k))
    return AdaptiveK(rule, best, k_min, k_max, span)
