"""Merging of dropped visual tokens by density-peak clustering.

SparseVLM, ICML 2025 (arXiv:2410.04417), sec. 3.4; the clustering is that of Rodriguez and Laio 2014
(DOI 10.1126/science.1242072).
"""

from __future__ import annotations

import torch
from torch import Tensor

from focal_algorithm.kernels.chunks import row_blocks
from focal_algorithm.kernels.ordering import first_argmin, one_hot_rows, top_indices

__all__ = ["cluster_count", "merge_by_density_peaks", "recycled_count"]

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
