"""SparseVLM: budgets, text raters and relevance, correction for positions, recycling of dropped tokens.

SparseVLM, ICML 2025 (arXiv:2410.04417), sec. 3.2 to 3.4; head selection and the correction are those of its second
version (code only).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from focal_algorithm.kernels.ordering import first_argmin, one_hot_rows, top_indices
from focal_algorithm.kernels.vectors import row_blocks
from focal_common.errors import ConfigError, near_matches

Version = Literal["1.0", "1.5", "2.0"]

PRUNING_LAYERS = (2, 6, 15)
"""Layers, counted from 0, whose output is shortened. Source: published code."""
PUBLISHED_LAYERS = 32  # LLaVA-1.5-7B, for which the layers and counts were published
PUBLISHED_TOKENS = 576  # its visual tokens

_KEPT: dict[str, dict[int, tuple[int, ...]]] = {  # source: published code
    "1.5": {192: (300, 200, 110), 128: (303, 110, 36), 96: (238, 48, 26), 64: (66, 30, 17)},
    "2.0": {192: (300, 200, 118), 128: (238, 108, 60), 96: (246, 54, 28), 64: (66, 34, 20)},
}
_RANK_LINES: dict[int, tuple[float, float]] = {192: (13.5, 0.0), 128: (9.0, 6.0), 64: (0.8, 0.0)}
"""Scale and bias on the rank, first version. Source: published code."""


def kept_counts(version: str, budget: int) -> tuple[int, ...]:
    """Return tokens kept at each pruning layer; raises `ConfigError` for a budget that was not published."""
    table = _KEPT[version]
    if budget not in table:
        raise ConfigError(
            f"retained_tokens: SparseVLM {version} has no published schedule for {budget}; "
            f"{near_matches(str(budget), map(str, table))}"
        )
    return table[budget]


def rank_line(budget: int) -> tuple[float, float]:
    """Return scale and bias of the first version; raises `ConfigError` for a budget without them."""
    if budget not in _RANK_LINES:
        raise ConfigError(
            f"retained_tokens: SparseVLM 1.0 has no published scale for {budget}; "
            f"{near_matches(str(budget), map(str, _RANK_LINES))}"
        )
    return _RANK_LINES[budget]


def rater_scores(visual: Tensor, text: Tensor) -> Tensor:
    """Return how much each text token is meant by the visual ones: mean over them of a softmax over text.

    Args:
        visual: Input embeddings, axes (visual tokens, hidden).
        text: Input embeddings of the text after the visual tokens, axes (text tokens, hidden).

    Returns:
        Axes (text tokens), float32.
    """
    likeness = visual.to(torch.float32) @ text.to(torch.float32).T
    return likeness.softmax(dim=-1).mean(dim=0)


def raters_of(scores: Tensor) -> Tensor:
    """Return the text tokens whose score is above the mean, ascending, int64."""
    return (scores > scores.mean()).nonzero().flatten()


def attention_rows(
    query: Tensor, key: Tensor, rows: Tensor, scaling: float, mask: Tensor | None = None
) -> Tensor:
    """Return the attention of some rows only.

    Args:
        query: Axes (heads, tokens, head_dim), after the position embedding.
        key: Axes (kv_heads, tokens, head_dim).
        rows: Rows wanted, axes (rows), int64.
        scaling: Factor of the scores.
        mask: Whether each row may attend to each token, axes (rows, tokens), bool; None for causal.

    Returns:
        Axes (heads, rows, tokens), float32.
    """
    wanted = query[:, rows].to(torch.float32)
    heads, count, head_dim = wanted.shape
    grouped = wanted.view(len(key), heads // len(key) * count, head_dim)
    scores = (grouped @ key.to(torch.float32).transpose(1, 2)) * scaling
    if mask is None:
        mask = torch.arange(key.shape[1], device=key.device)[None, :] <= rows[:, None]
    return scores.view(heads, count, -1).masked_fill(~mask, -torch.inf).softmax(dim=-1)


def selected_heads(attention: Tensor, count: int) -> Tensor:
    """Return the heads that pay most attention in all, in descending order.

    Args:
        attention: Attention of the raters to the visual tokens, axes (heads, raters, visual tokens).
        count: Heads to keep.
    """
    return top_indices(attention.sum(dim=(1, 2)), count)


def relevance_of(attention: Tensor) -> Tensor:
    """Return the mean over heads and raters, axes (visual tokens); arguments as `selected_heads`."""
    return attention.mean(dim=0).mean(dim=0)


def rank_of(attention: Tensor) -> int:
    """Return the rank of the head-mean block of raters by visual tokens, as the first version uses it."""
    return int(torch.linalg.matrix_rank(attention.mean(dim=0).to(torch.float32)))


def position_weights(cos: Tensor, sin: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the scaled product of all-ones queries and keys after the rotary embedding.

    Args:
        cos: Axes (tokens, head_dim), halves repeated.
        sin: Same axes.
        rows: Tokens that ask, axes (rows), int64.
        columns: Tokens asked, axes (columns), int64.

    Returns:
        Axes (rows, columns), float32. May be near zero or negative.
    """
    cos, sin = cos.to(torch.float32), sin.to(torch.float32)
    half = cos.shape[-1] // 2
    sign = torch.cat((-torch.ones(half), torch.ones(half))).to(cos)
    ones = cos + sign * sin
    return (ones[rows] @ ones[columns].T) * cos.shape[-1] ** -0.5


def corrected(attention: Tensor, weights: Tensor, least: float = 0.0) -> Tensor:
    """Return attention over the position weights.

    Args:
        attention: Axes (heads, rows, columns).
        weights: Axes (rows, columns).
        least: Entries whose weight is not above this stay as they are; 0 with ``weights`` of any sign divides
            everywhere, as published.
    """
    if least:
        weights = torch.where(weights > least, weights, 1.0)
    return attention / weights


_RECYCLED_SHARE = 0.3  # of the dropped tokens; source: published code
_TOKENS_PER_CLUSTER = 10  # source: published code
_MEMBERS_EPSILON = 1e-6  # source: published code
_NOISE = 1e-6  # source: published code


def recycled_count(dropped: int) -> int:
    """Return how many of the dropped tokens are clustered."""
    return min(dropped, int(_RECYCLED_SHARE * dropped) + 1)


def cluster_count(recycled: int) -> int:
    """Return into how many tokens they are merged."""
    return min(recycled, recycled // _TOKENS_PER_CLUSTER + 1)


def merge_by_density_peaks(
    values: Tensor, clusters: int, noise: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Average tokens around the peaks of their density.

    Args:
        values: Axes (tokens, hidden).
        clusters: k, at most the tokens.
        noise: Breaks ties of the density, axes (tokens), in [0, 1), as published; None to let the lower index
            win.

    Returns:
        Merged tokens, axes (clusters, hidden), the dtype of ``values``; the token at each centre, axes
        (clusters), int64; the cluster of each token, axes (tokens), int64.
    """
    points = values.to(torch.float32)
    distance = _distances(points)
    nearest = distance.topk(clusters, dim=-1, largest=False).values
    density = (-(nearest**2).mean(dim=-1)).exp()
    if noise is not None:
        density = density + _NOISE * noise.to(density)
    centres = top_indices(density * _separation(distance, density), clusters)
    cluster = first_argmin(distance[:, centres])
    cluster[centres] = torch.arange(clusters, device=values.device)
    share = one_hot_rows(cluster, clusters)
    merged = (share @ points) / (share.sum(dim=1, keepdim=True) + _MEMBERS_EPSILON)
    return merged.to(values.dtype), centres, cluster


def _distances(points: Tensor) -> Tensor:
    """Return Euclidean distances over the root of the width, axes (tokens, tokens), float32.

    By products in float64: as exact as differences in float32, and many times faster.
    """
    exact = points.to(torch.float64)
    squares = (exact**2).sum(dim=-1)
    result = torch.empty(len(points), len(points), device=points.device)
    for start, stop in row_blocks(len(points), len(points), points.device):
        products = exact[start:stop] @ exact.T
        apart = (squares[start:stop, None] + squares - 2 * products).clamp(min=0)
        result[start:stop] = (apart / points.shape[-1]).sqrt()
    return result.fill_diagonal_(0.0)


def _separation(distance: Tensor, density: Tensor) -> Tensor:
    """Return the distance to the nearest denser token, or the largest distance of all for the densest."""
    # With two neighbours, each other's nearest points have equal density: one of them must be the denser.
    index = torch.arange(len(distance), device=distance.device)
    is_earlier = index[None, :] < index[:, None]
    is_denser = (density > density[:, None]) | ((density == density[:, None]) & is_earlier)
    return distance.masked_fill(~is_denser, float(distance.amax())).amin(dim=-1)
