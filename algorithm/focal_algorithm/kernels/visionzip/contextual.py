"""Contextual tokens: what is left of the dropped tokens, merged into evenly spaced targets.

VisionZip, CVPR 2025 (arXiv:2412.04467), sec. 3.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from focal_algorithm.kernels.ordering import first_argmax, one_hot_rows
from focal_common.errors import ConfigError, RunError

__all__ = ["Contextual", "merge_into_targets", "spaced_targets"]


@dataclass(frozen=True)
class Contextual:
    """Merged tokens.

    Attributes:
        features: Axes (contextual, width), the dtype of the input.
        targets: Row of the remaining tokens that each one stands for, axes (contextual), int64.
        assignment: Contextual token that each remaining token went into, -1 for none, axes (remaining), int64.
    """

    features: Tensor
    targets: Tensor
    assignment: Tensor


def spaced_targets(remaining: int, count: int, device: torch.device | None = None) -> Tensor:
    """Return 0, step, 2 step, ... below ``remaining``, at most ``count``, with step = remaining div count."""
    step = max(1, remaining // count)
    return torch.arange(0, remaining, step, device=device)[:count]


def merge_into_targets(
    features: Tensor,
    keys: Tensor,
    count: int,
    *,
    merge: Literal["sum", "mean"] = "sum",
    epsilon: float = 0.0,
    repeats_targets: bool = False,
) -> Contextual:
    """Assign each remaining token to the target of most similar key and merge.

    Args:
        features: Axes (remaining, width), in raster order.
        keys: Axes (remaining, key width).
        count: Contextual tokens.
        merge: ``sum``: target plus mean of the tokens assigned to it, about twice the norm of a token, as
            published; ``mean``: mean of target and assigned tokens.
        epsilon: Added to key norms; 0 as VisionZip, where a zero key is an error.
        repeats_targets: Whether too few remaining tokens are made up for by repeating the last target
            (SparseZip); otherwise they are an error.

    Raises:
        ConfigError: Fewer tokens remain than contextual tokens are asked for.
        RunError: A key is all zero and ``epsilon`` is 0.
    """
    remaining = len(features)
    if count <= 0:
        nothing = torch.full((remaining,), -1, dtype=torch.int64, device=features.device)
        return Contextual(features[:0], nothing[:0], nothing)
    if remaining < count and not repeats_targets:
        raise ConfigError(
            f"contextual: {count} contextual tokens from the {remaining} tokens that are not dominant; "
            f"expected at most {remaining}"
        )
    if not remaining:
        empty = torch.zeros(0, dtype=torch.int64, device=features.device)
        return Contextual(features.new_zeros(count, features.shape[-1]), empty, empty)
    norms = keys.to(torch.float32).norm(dim=-1, keepdim=True) + epsilon
    if bool((norms == 0).any()):
        raise RunError("a key of the vision tower is all zero, so its similarity is undefined")
    unit = keys.to(torch.float32) / norms
    targets = spaced_targets(remaining, count, features.device)
    assignment = first_argmax(unit @ unit[targets].T)
    assignment[targets] = torch.arange(len(targets), device=features.device)
    values = features.to(torch.float32)
    own = values[targets]
    sums = one_hot_rows(assignment, len(targets)) @ values - own
    members = torch.bincount(assignment, minlength=len(targets))[:, None] - 1
    merged = own + sums / members.clamp(min=1) if merge == "sum" else (own + sums) / (members + 1)
    missing = count - len(targets)
    if missing:
        merged = torch.cat((merged, own[-1:].expand(missing, -1)))
        targets = torch.cat((targets, targets[-1:].expand(missing)))
    return Contextual(merged.to(features.dtype), targets, assignment)
