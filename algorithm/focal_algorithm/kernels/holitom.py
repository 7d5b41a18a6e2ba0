"""HoliTom (NeurIPS 2025, arXiv:2505.21334): static windows of a video, what is left of each, and merging in a decoder.

Symbols: F frames, N tokens a frame, C width; r share kept, D share of merged tokens among those of moving places, K
neighbours of a density, beta weight of a centre in its mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from focal_algorithm.kernels.frames import (
    MergedVideo,
    density_peaks,
    group_means,
    most_alike,
    nearest_centre,
    paired_cosine,
)
from focal_algorithm.kernels.ordering import select_top


def place_likeness(values: Tensor, *, is_strict: bool = False) -> Tensor:
    """Return the cosine of each token with the same place of the next frame, axes (F - 1, N).

    Args:
        values: Embeddings, axes (F, N, C).
        is_strict: Whether in float32; otherwise in the dtype of ``values``.
    """
    return paired_cosine(values[:-1], values[1:], is_strict=is_strict, epsilon=1e-12)


@dataclass(frozen=True)
class Windows:
    """Windows of frames in which places are static.

    Attributes:
        bounds: First and last frame of each.
        reduced: Tokens that merging over time takes away.
    """

    bounds: list[tuple[int, int]]
    reduced: int


def static_windows(likeness: Tensor, threshold: float, longest: int) -> Windows:
    """Cut a video into windows such that most tokens merge: frames but one, times places alike throughout.

    Args:
        likeness: See `place_likeness`, axes (F - 1, N).
        threshold: tau, above which two tokens are alike.
        longest: Most frames of a window.

    Returns:
        Of equally good cuts the one with single frames, then with shorter windows, at the end of the video.
    """
    frames = len(likeness) + 1
    is_alike = likeness > threshold
    best, lengths = [0] * frames, [1] * frames
    for last in range(1, frames):
        best[last] = best[last - 1]
        is_static = torch.ones_like(is_alike[0])
        counts = []
        for length in range(2, min(longest, last + 1) + 1):
            is_static = is_static & is_alike[last - length + 1]
            counts.append(is_static.sum())
        for length, count in enumerate(torch.stack(counts).tolist() if counts else [], 2):
            first = last - length + 1
            gain = (best[first - 1] if first else 0) + (length - 1) * count
            if gain > best[last]:
                best[last], lengths[last] = gain, length
    bounds, last = [], frames - 1
    while last >= 0:
        bounds.append((last - lengths[last] + 1, last))
        last -= lengths[last]
    return Windows(bounds[::-1], best[-1])


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How HoliTom keeps tokens of a window.

    Attributes:
        effective_ratio: r', share kept of what merging over time has left, at most 1.
        merged_share: D.
        neighbours: K.
        centre_weight: beta; None for a plain mean of a cluster.
        is_strict: Whether a window with static places keeps at least one of them.
    """

    effective_ratio: float
    merged_share: float
    neighbours: int
    centre_weight: float | None
    is_strict: bool


def effective_ratio(retain_ratio: float, frames: int, tokens: int, reduced: int) -> float:
    """Return r' = r / ((F N - R) / (F N)), at most 1, in double precision and in this order as published."""
    total = frames * tokens
    return min(retain_ratio / ((total - reduced) / total), 1.0)


def merge_windows(
    values: Tensor, saliency: Tensor, likeness: Tensor, threshold: float, windows: Windows, rule: Rule
) -> MergedVideo:
    """Merge what is static in each window, and keep the most attended of the rest.

    Args:
        values: Embeddings, axes (F, N, C).
        saliency: Attention that each token receives in the vision tower, axes (F, N).
        likeness: See `place_likeness`.
        threshold: tau.
        windows: Of the video.
        rule: What to keep.

    Returns:
        Window by window its static tokens, which stand at their places of its first frame, then frame by frame those
        kept and those merged within the frame.
    """
    frames, tokens, _ = values.shape
    none = torch.full((frames * tokens,), -1, dtype=torch.int64, device=values.device)
    merged_into, made_of = none, none.clone()
    places, new = [], []
    for first, last in windows.bounds:
        is_static = torch.zeros(tokens, dtype=torch.bool, device=values.device)
        if last > first:
            is_static = (likeness[first:last] > threshold).all(dim=0)
        static, moving = is_static.nonzero().flatten(), (~is_static).nonzero().flatten()
        means = values[first : last + 1, static].mean(dim=0)
        count = round(len(static) * rule.effective_ratio)
        if rule.is_strict and len(static):
            count = max(count, 1)
        centres, merged, cluster = _clusters(means, count, rule)
        if count:
            places.append(first * tokens + static[centres])
            new.append(merged)
            for frame in range(first, last + 1):
                merged_into[frame * tokens + static] = places[-1][cluster]
            made_of[places[-1]] = torch.bincount(cluster, minlength=count) * (last - first + 1)
        kept = math.ceil(len(moving) * rule.effective_ratio)
        attended = round(kept * (1 - rule.merged_share))
        for frame in range(first, last + 1):
            start = frame * tokens
            chosen = select_top(saliency[frame, moving], attended)
            own = start + moving[chosen]
            merged_into[own] = own
            is_rest = torch.ones_like(moving, dtype=torch.bool)
            is_rest[chosen] = False
            rest = moving[is_rest]
            centres, merged, cluster = _clusters(values[frame, rest], kept - attended, rule)
            places += [own, start + rest[centres]]
            new += [values[frame, moving[chosen]], merged]
            if kept > attended:
                merged_into[start + rest] = start + rest[centres][cluster]
                made_of[start + rest[centres]] = torch.bincount(cluster, minlength=kept - attended)
    return MergedVideo(torch.cat(places), torch.cat(new), merged_into, made_of)


def _clusters(values: Tensor, count: int, rule: Rule) -> tuple[Tensor, Tensor, Tensor]:
    """Return centres, ascending, axes (count); their merged values; and the cluster of each token, axes (tokens)."""
    centres = density_peaks(values, count, min(rule.neighbours, count)).sort().values
    if not count:
        return centres, values[:0], torch.full_like(values[:, 0], -1, dtype=torch.int64)
    cluster = nearest_centre(values, values[centres])
    cluster[centres] = torch.arange(count, device=values.device)
    if rule.centre_weight is None:
        return centres, group_means(values, cluster, count), cluster
    own = values[centres]
    is_joined = torch.ones_like(cluster, dtype=torch.bool)
    is_joined[centres] = False
    means = group_means(values[is_joined], cluster[is_joined], count)
    has_joined = torch.bincount(cluster, minlength=count)[:, None] > 1
    weight = rule.centre_weight
    return centres, torch.where(has_joined, weight * own + (1 - weight) * means, own), cluster


@dataclass(frozen=True)
class InnerMerge:
    """What merging in a decoder layer leaves of the visual tokens present.

    Attributes:
        kept: Tokens that stay, ascending, axes (kept), int64.
        values: What they become, axes (kept, C).
        merged_into: For each token the place in ``kept`` of the one that stands for it, axes (tokens), int64.
    """

    kept: Tensor
    values: Tensor
    merged_into: Tensor


def merge_unattended(values: Tensor, attention: Tensor, count: int, *, is_strict: bool = False) -> InnerMerge:
    """Keep the most attended tokens, and merge each other one into the kept one of largest cosine.

    Args:
        values: Residual stream of the visual tokens present, axes (tokens, C).
        attention: That the prompt's last token pays them in the layer before, axes (tokens).
        count: How many to keep, at least 1.
        is_strict: Whether a kept token becomes the mean of its group. Otherwise, as published, each merged token in
            turn is averaged with what the kept one has become, so that later ones weigh more.
    """
    kept = select_top(attention, count)
    is_kept = torch.zeros(len(values), dtype=torch.bool, device=values.device)
    is_kept[kept] = True
    others = (~is_kept).nonzero().flatten()
    nearest = most_alike(values[others], values[kept], is_strict=is_strict)
    merged_into = torch.empty_like(is_kept, dtype=torch.int64)
    merged_into[kept] = torch.arange(count, device=values.device)
    merged_into[others] = nearest
    if is_strict:
        return InnerMerge(kept, group_means(values, merged_into, count), merged_into)
    new = values[kept].clone()
    # The n-th token of every group at once: as many rounds as the largest group has tokens.
    order = nearest.sort(stable=True).indices
    sizes = torch.bincount(nearest, minlength=count)
    first = sizes.cumsum(0) - sizes
    for turn in range(int(sizes.max()) if len(others) else 0):
        groups = (sizes > turn).nonzero().flatten()
        joining = others[order[first[groups] + turn]]
        new[groups] = (new[groups] + values[joining]) / 2
    return InnerMerge(kept, new, merged_into)
