"""FastVID (NeurIPS 2025, arXiv:2503.11187): segments of a video, and what is left of each.

Symbols: F frames, N tokens a frame, C width; r share kept, c segments, d share of merged tokens, p distance of anchor
frames, beta least weight of an anchor in its mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from focal_algorithm.kernels.frames import MergedVideo, density_peaks, group_means, most_alike
from focal_algorithm.kernels.ordering import select_top
from focal_common.errors import ConfigError, UnsupportedError

Variant = Literal["parallel", "shared", "sampled"]

_NEIGHBOURS = 4
"""Distances that a density is the mean of. Source: published code."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How FastVID shares its budget.

    Attributes:
        variant: ``parallel``: every frame keeps as many; ``shared``: a segment's tokens are dealt out with nothing
            lost; ``sampled``: likewise, to one of each run of frames that are alike.
        retain_ratio: r.
        merged_share: d.
        anchor_step: p.
        anchor_weight: beta.
        same_frame: For ``sampled``: likeness of consecutive frames below which a new run begins.
        is_strict: Whether counts are capped and zero vectors are like nothing, where published code fails.
    """

    variant: Variant
    retain_ratio: float
    merged_share: float
    anchor_step: int
    anchor_weight: float
    same_frame: float
    is_strict: bool

    def per_frame(self, tokens: int) -> int:
        """Return k of a frame of N tokens, in double precision as published."""
        return int(tokens * self.retain_ratio)


def frame_likeness(features: Tensor, *, is_strict: bool = False) -> Tensor:
    """Return the cosine of each frame with the next, axes (F - 1).

    Args:
        features: One vector a frame, axes (F, width).
        is_strict: Whether a zero vector gives 0 instead of a cosine that is not a number.
    """
    units = features / features.norm(dim=-1, keepdim=True)
    found = (units[:-1] * units[1:]).sum(dim=-1)
    return found.nan_to_num(nan=0.0) if is_strict else found


def segment_sizes(
    likeness: Tensor,
    segments: int,
    threshold: float,
    *,
    variant: Variant = "parallel",
    is_strict: bool = False,
) -> list[int]:
    """Cut a video between frames that are least alike, and wherever their likeness is below a threshold.

    Args:
        likeness: See `frame_likeness`.
        segments: c, the least number of segments.
        threshold: tau.
        variant: Published code of the last two fails where there is nothing to cut.
        is_strict: Whether c may be more than there are frames.

    Returns:
        Frames of each segment.

    Raises:
        UnsupportedError: Published code fails here.
    """
    frames = len(likeness) + 1
    if segments > frames and not is_strict:
        raise UnsupportedError(
            f"segments: {segments} segments of a video of {frames} frames; expected at most {frames}, or mode=strict, "
            "which takes a segment for each"
        )
    is_cut = likeness < threshold
    is_cut[likeness.sort(stable=True).indices[: min(segments, frames) - 1]] = True
    if variant != "parallel" and not is_strict and not bool(is_cut.any()):
        raise UnsupportedError(
            "segments: nothing cuts this video, where the published code of this variant fails; expected segments "
            "of at least 2, or mode=strict, which takes one segment"
        )
    ends = [-1, *is_cut.nonzero().flatten().tolist(), frames - 1]
    return [stop - start for start, stop in pairwise(ends)]


@dataclass(frozen=True)
class _Shares:
    """What the frames of a segment keep.

    Attributes:
        salient: Salient tokens of each frame.
        anchors: Anchors of each frame.
        pools_frame: Whether anchors gather the tokens of their own frame only.
    """

    salient: list[int]
    anchors: list[int]
    pools_frame: bool


def merge_video(
    values: Tensor, saliency: Tensor, likeness: Tensor, sizes: list[int], rule: Rule
) -> MergedVideo:
    """Keep the salient tokens of each frame, and merge the others of a segment into anchors.

    Args:
        values: Embeddings, axes (F, N, C).
        saliency: Axes (F, N).
        likeness: Of consecutive frames, axes (F - 1).
        sizes: Frames of each segment.
        rule: How the budget is shared.

    Raises:
        ConfigError: Counts do not fit, where published code fails.
    """
    tokens = values.shape[1]
    flat = values.flatten(0, 1)
    none = torch.full((len(flat),), -1, dtype=torch.int64, device=values.device)
    found = MergedVideo(flat, flat.clone(), none, none.clone())
    start = 0
    for size in sizes:
        shares = _shares(rule, tokens, likeness[start : start + size - 1], size)
        is_salient = torch.zeros(size, tokens, dtype=torch.bool, device=values.device)
        for frame, count in enumerate(shares.salient):
            is_salient[frame, select_top(saliency[start + frame], count)] = True
        _merge_segment(found, slice(start * tokens, (start + size) * tokens), is_salient, shares, rule)
        start += size
    places = (found.merged_into == torch.arange(len(flat), device=values.device)).nonzero().flatten()
    return MergedVideo(places, found.values[places], found.merged_into, found.made_of)


def _merge_segment(found: MergedVideo, own: slice, is_salient: Tensor, shares: _Shares, rule: Rule) -> None:
    """Fill in one segment.

    Args:
        found: Of the whole video; ``places`` holds its tokens, axes (F x N, C), until all segments are done.
        own: Tokens of the segment.
        is_salient: Axes (frames, N), bool.
        shares: What its frames keep.
        rule: How anchors gather.
    """
    values, tokens = found.places[own], is_salient.shape[1]
    rest = ~is_salient.flatten()
    kept = is_salient.flatten().nonzero().flatten()
    found.merged_into[own.start + kept] = own.start + kept
    joined = []
    for frame, count in enumerate(shares.anchors):
        if not count:
            continue
        inside = slice(frame * tokens, (frame + 1) * tokens)
        places = inside.start + rest[inside].nonzero().flatten()
        neighbours = min(_NEIGHBOURS, len(places))
        anchors = places[density_peaks(values[places], count, neighbours)]
        is_pool = rest.clone()
        if shares.pools_frame:
            is_pool[: inside.start] = False
            is_pool[inside.stop :] = False
        if rule.variant != "parallel":
            is_pool[anchors] = False
        pool = is_pool.nonzero().flatten()
        centres = values[anchors]
        nearest = most_alike(values[pool], centres, is_strict=rule.is_strict)
        members = torch.bincount(nearest, minlength=count)
        means = group_means(values[pool], nearest, count)
        weight = (1 / (members + 1.0)).clamp(min=rule.anchor_weight)[:, None].to(centres.dtype)
        found.values[own.start + anchors] = weight * centres + (1 - weight) * means
        joined.append((anchors, pool, nearest, members))
    # Anchors of other frames are in the pool too, so they are told last to stand for themselves.
    for anchors, pool, nearest, members in reversed(joined):
        found.merged_into[own.start + pool] = own.start + anchors[nearest]
        found.made_of[own.start + anchors] = members + (rule.variant != "parallel")
    for anchors, *_ in joined:
        found.merged_into[own.start + anchors] = own.start + anchors


def _shares(rule: Rule, tokens: int, likeness: Tensor, size: int) -> _Shares:
    """Return what the frames of a segment of ``size`` frames keep; ``likeness`` is of its frames, axes (size - 1)."""
    per_frame = rule.per_frame(tokens)
    frames = list(range(size))
    if rule.variant == "parallel" and not rule.is_strict:
        merged = int(per_frame * rule.merged_share)
        anchor_frames = _anchor_frames(frames, rule.anchor_step)
        each = merged * size // len(anchor_frames)
        anchors = [each if frame in anchor_frames else 0 for frame in frames]
        return _checked(_Shares([per_frame - merged] * size, anchors, each == merged), rule, tokens)
    total = per_frame * size
    merged = int(total * rule.merged_share)
    if rule.variant == "sampled":
        merged = max(merged, 1)
        if size > 1:
            frames = [frame for frame in frames if frame == size - 1 or likeness[frame] < rule.same_frame]
    salient, anchors = [0] * size, [0] * size
    for frame, count in zip(frames, _dealt(total - merged, len(frames)), strict=True):
        salient[frame] = count
    anchor_frames = _anchor_frames(frames, rule.anchor_step)
    for frame, count in zip(anchor_frames, _dealt(merged, len(anchor_frames)), strict=True):
        anchors[frame] = count
    if rule.variant == "sampled" and size > 1:
        anchors = [min(count, tokens // 2) for count in anchors]
        salient = [min(count, tokens - own) for count, own in zip(salient, anchors, strict=True)]
    pools_frame = rule.variant == "parallel" and len(anchor_frames) == size
    return _checked(_Shares(salient, anchors, pools_frame), rule, tokens)


def _anchor_frames(frames: list[int], step: int) -> list[int]:
    """Return the last frame and every ``step``-th before it, from the last on."""
    return frames[::-1][::step]


def _dealt(count: int, hands: int) -> list[int]:
    """Deal ``count`` tokens out as evenly as can be, the first hands getting one more."""
    return [count // hands + (hand < count % hands) for hand in range(hands)]


def _checked(shares: _Shares, rule: Rule, tokens: int) -> _Shares:
    """Refuse what published code fails at, or cap it where strict."""
    rest = [tokens - count for count in shares.salient]
    if rule.is_strict:
        capped = [min(count, left) for count, left in zip(shares.anchors, rest, strict=True)]
        return _Shares(shares.salient, capped, shares.pools_frame)
    advice = "or mode=strict, which keeps what fits"
    if not any(shares.anchors):
        raise ConfigError(
            f"retain_ratio: {rule.retain_ratio:g} of {tokens} tokens a frame leaves none to merge into, where the "
            f"published code fails; expected more, {advice}"
        )
    for count, left in zip(shares.anchors, rest, strict=True):
        if count and (count > left or left < _NEIGHBOURS):
            raise ConfigError(
                f"retain_ratio: {rule.retain_ratio:g} asks for {count} anchors among the {left} tokens of a frame that "
                f"are not salient, where the published code fails; expected at most as many and {_NEIGHBOURS} tokens, "
                f"{advice}"
            )
    return shares
