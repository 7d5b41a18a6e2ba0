"""Tokens of a vision tower: what selection reads from it, dominant tokens, and merging of the others.

VisionZip, CVPR 2025 (arXiv:2412.04467), sec. 3.2 and 3.3; single-shot merging is an earlier form of SparseZip's (code
only).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from focal_algorithm.kernels.hybrid_scores import EPSILON
from focal_algorithm.kernels.ordering import first_argmax, one_hot_rows, top_indices
from focal_algorithm.kernels.vectors import row_blocks
from focal_common.errors import ConfigError, RunError


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
    merge: Literal["sum", "mean", "others"] = "sum",
    epsilon: float = 0.0,
    repeats_targets: bool = False,
    weights: Tensor | None = None,
) -> Contextual:
    """Assign each remaining token to the target of most similar key and merge.

    Args:
        features: Axes (remaining, width), in raster order.
        keys: Axes (remaining, key width).
        count: Contextual tokens.
        merge: ``sum``: target plus mean of the tokens assigned to it, about twice the norm of a token, as
            published; ``mean``: mean of target and assigned tokens; ``others``: mean of the tokens assigned to it,
            the target itself where there are none (SparseZip's single-shot merging).
        epsilon: Added to key norms; 0 as VisionZip, where a zero key is an error.
        repeats_targets: Whether too few remaining tokens are made up for by repeating the last target
            (SparseZip); otherwise they are an error.
        weights: Of the tokens in the mean of ``others``, axes (remaining); None for a plain mean. Negative ones are
            taken as they are.

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
    if merge == "others":
        is_other = torch.ones_like(assignment).index_fill_(0, targets, 0)
        share = one_hot_rows(assignment, len(targets)) * is_other
        members = share.sum(dim=1, keepdim=True)
        if weights is not None:
            share = share * weights.to(torch.float32)
        means = (share @ values) / (share.sum(dim=1, keepdim=True) + EPSILON)
        merged = torch.where(members > 0, means, own)
    else:
        sums = one_hot_rows(assignment, len(targets)) @ values - own
        members = torch.bincount(assignment, minlength=len(targets))[:, None] - 1
        merged = own + sums / members.clamp(min=1) if merge == "sum" else (own + sums) / (members + 1)
    missing = count - len(targets)
    if missing:
        merged = torch.cat((merged, own[-1:].expand(missing, -1)))
        targets = torch.cat((targets, targets[-1:].expand(missing)))
    return Contextual(merged.to(features.dtype), targets, assignment)


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


PUBLISHED_TOKENS = 576  # patches of CLIP ViT-L/14 at 336 pixels, the tower of LLaVA-1.5


def scaled_budget(dominant: int, contextual: int, tokens: int, prefix: int) -> tuple[int, int]:
    """Return dominant and contextual tokens that are the same share of a picture as they are of 576.

    Args:
        dominant: For 576 tokens, at least 1, those of ``prefix`` included.
        contextual: For 576 tokens.
        tokens: Tokens of the picture.
        prefix: CLS tokens, which are kept whatever the size.

    Returns:
        Both rounded to the nearest, half to even; at least one dominant token beside ``prefix``.
    """
    share = tokens / PUBLISHED_TOKENS
    kept = max(1, round((dominant - prefix) * share))
    return prefix + kept, round(contextual * share)


def head_mean(projected: Tensor, heads: int) -> Tensor:
    """Return the mean over heads of a projection.

    Args:
        projected: Axes (tokens, heads x head_dim).
        heads: Number of heads.

    Returns:
        Axes (tokens, head_dim), float32.
    """
    return projected.to(torch.float32).view(len(projected), heads, -1).mean(dim=1)


def attention_from_first(query: Tensor, key: Tensor, heads: int, scaling: float) -> Tensor:
    """Return the softmaxed attention of the first token (CLS) to all tokens.

    Args:
        query: Axes (tokens, heads x head_dim), unscaled.
        key: Same axes.
        heads: Number of heads.
        scaling: Factor of the scores.

    Returns:
        Axes (heads, tokens), float32.
    """
    return _rows(_by_head(query[:1], heads), _by_head(key, heads), scaling)[:, 0]


def attention_received(query: Tensor, key: Tensor, heads: int, scaling: float) -> Tensor:
    """Return the mean over queries of the softmaxed attention that each token receives.

    Rows are worked on in chunks, so memory is O(chunk x tokens). Arguments and result as
    `attention_from_first`.
    """
    queries, keys = _by_head(query, heads), _by_head(key, heads)
    tokens = keys.shape[1]
    total = keys.new_zeros(heads, tokens)
    for start, stop in row_blocks(tokens, heads * tokens, keys.device):
        total += _rows(queries[:, start:stop], keys, scaling).sum(dim=1)
    return total / tokens


def attention_of_mean_query(
    query: Tensor, key: Tensor, heads: int, scaling: float, patches_per_token: int
) -> Tensor:
    """Return the softmaxed attention of the mean of all queries to the mean key of each group of patches.

    Args:
        query: Axes (patches, heads x head_dim), unscaled.
        key: Same axes.
        heads: Number of heads.
        scaling: Factor of the scores.
        patches_per_token: Consecutive patches of a group, each of which is given the attention of its group.

    Returns:
        Axes (heads, patches), float32.
    """
    keys = _by_head(key, heads).unflatten(1, (-1, patches_per_token)).mean(dim=2)
    found = _rows(_by_head(query, heads).mean(dim=1, keepdim=True), keys, scaling)[:, 0]
    return found.repeat_interleave(patches_per_token, dim=1)


def _by_head(projected: Tensor, heads: int) -> Tensor:
    return projected.to(torch.float32).view(len(projected), heads, -1).transpose(0, 1)


def _rows(queries: Tensor, keys: Tensor, scaling: float) -> Tensor:
    return ((queries * scaling) @ keys.transpose(1, 2)).softmax(dim=-1)
