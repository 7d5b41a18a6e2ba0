"""Contextual tokens by one assignment to spaced targets, whose own features stay out of the mean.

SparseZip, an earlier form of its merging (code only).
"""

from __future__ import annotations

import torch
from torch import Tensor

from focal_algorithm.kernels.ordering import first_argmax, one_hot_rows
from focal_algorithm.kernels.sparsezip.scores import EPSILON
from focal_algorithm.kernels.visionzip.contextual import Contextual, spaced_targets

__all__ = ["merge_single_shot"]


def merge_single_shot(
    features: Tensor, keys: Tensor, count: int, weights: Tensor | None = None
) -> Contextual:
    """Merge the remaining tokens of a picture.

    Args:
        features: Axes (remaining, width).
        keys: Axes (remaining, key width).
        count: Contextual tokens; if fewer tokens remain, the last target is repeated.
        weights: Of the tokens, axes (remaining); None for plain means. Negative ones are taken as they are.
    """
    remaining = len(features)
    if not remaining or not count:
        nothing = torch.full((remaining,), -1, dtype=torch.int64, device=features.device)
        return Contextual(features.new_zeros(count, features.shape[-1]), nothing[:0], nothing)
    unit = keys.to(torch.float32)
    unit = unit / (unit.norm(dim=-1, keepdim=True) + EPSILON)
    targets = spaced_targets(remaining, count, features.device)
    assignment = first_argmax(unit @ unit[targets].T)
    assignment[targets] = torch.arange(len(targets), device=features.device)
    values = features.to(torch.float32)
    others = assignment.clone()
    others[targets] = -1
    share = one_hot_rows(others, len(targets))
    members = share.sum(dim=1, keepdim=True)
    if weights is not None:
        share = share * weights.to(torch.float32)
    means = (share @ values) / (share.sum(dim=1, keepdim=True) + EPSILON)
    merged = torch.where(members > 0, means, values[targets])
    missing = count - len(targets)
    if missing:
        merged = torch.cat((merged, values[targets[-1:]].expand(missing, -1)))
        targets = torch.cat((targets, targets[-1:].expand(missing)))
    return Contextual(merged.to(features.dtype), targets, assignment)
