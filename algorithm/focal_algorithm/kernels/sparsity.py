"""Sparsity of one prefill and the choice of the median sample (published Focus artifact; sec. VII-A)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from focal_traces import GEMMS, DecoderGeometry

__all__ = ["gemm_weights", "median_index", "weighted_sparsity"]


def gemm_weights(geometry: DecoderGeometry, visual_tokens: int) -> dict[str, int]:
    """Return the multiply-accumulate weight of each recorded GEMM per token and layer.

    ``q_proj`` covers the Q, K and V projections, ``gate_proj`` the gate and up projections, ``query`` the
    product of queries and keys. With h the hidden width, i the MLP width, g the query heads per key head and
    S the visual tokens: h^2 + 2 floor(h^2 / g), h S, h^2, 2 h i, h i.
    """
    hidden = geometry.hidden_elements
    group = geometry.heads // geometry.kv_heads
    mlp = hidden * geometry.intermediate_elements
    weights = (hidden**2 + 2 * (hidden**2 // group), hidden * visual_tokens, hidden**2, 2 * mlp, mlp)
    return dict(zip(GEMMS, weights, strict=True))


def weighted_sparsity(sparsity: Mapping[str, float], weights: Mapping[str, int]) -> float:
    """Return the mean of the GEMM sparsities weighted by work.

    Args:
        sparsity: Per GEMM, the mean over layers of (similar + zero) / all vectors.
        weights: From `gemm_weights`.
    """
    return sum(weights[gemm] * sparsity[gemm] for gemm in GEMMS) / sum(weights[gemm] for gemm in GEMMS)


def median_index(values: Sequence[float]) -> int:
    """Return the first position of the lower median, compared in fp32 as published.

    Args:
        values: One weighted sparsity per sample, in order of processing; the artifact takes ten.

    Raises:
        ValueError: There are no values.
    """
    if not values:
        raise ValueError("the median of no samples is undefined")
    stored = np.asarray(values, dtype=np.float32)
    median = np.sort(stored)[(len(stored) - 1) // 2]
    return int(np.argmin(np.abs(stored - median)))
