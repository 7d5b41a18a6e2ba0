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
    scale = points.shape[-1] ** -0.5
    density, largest = _density(points, scale, clusters)
    if noise is not None:
        density = density + _NOISE * noise.to(density)
    separation = _separation(points, scale, density, largest)
    centres = top_indices(density * separation, clusters)
    cluster = first_argmin(_distances(points, points[centres]))
    cluster[centres] = torch.arange(clusters, device=values.device)
    share = one_hot_rows(cluster, clusters)
    merged = (share @ points) / (share.sum(dim=1, keepdim=True) + _MEMBERS_EPSILON)
    return merged.to(values.dtype), centres, cluster


def _distances(points: Tensor, others: Tensor) -> Tensor:
    return torch.cdist(points, others, compute_mode="donot_use_mm_for_euclid_dist")


def _density(points: Tensor, scale: float, neighbours: int) -> tuple[Tensor, Tensor]:
    parts: list[Tensor] = []
    largest = points.new_zeros(())
    for start, stop in row_blocks(len(points), len(points), points.device):
        distance = _distances(points[start:stop], points) * scale
        nearest = distance.topk(neighbours, dim=-1, largest=False).values
        parts.append((-(nearest**2).mean(dim=-1)).exp())
        largest = largest.maximum(distance.amax())
    return torch.cat(parts), largest


def _separation(points: Tensor, scale: float, density: Tensor, largest: Tensor) -> Tensor:
    parts: list[Tensor] = []
    for start, stop in row_blocks(len(points), len(points), points.device):
        distance = _distances(points[start:stop], points) * scale
        own = density[start:stop, None]
        # With two neighbours, each other's nearest points have equal density: one of them must be the denser.
        index = torch.arange(len(points), device=points.device)
        is_earlier = index[None, :] < index[start:stop, None]
        is_denser = (density > own) | ((density == own) & is_earlier)
        parts.append(distance.masked_fill(~is_denser, float(largest)).amin(dim=-1))
    return torch.cat(parts)
