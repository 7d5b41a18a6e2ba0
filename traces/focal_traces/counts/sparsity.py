"""Sparsity of a trace, as the published selection of samples weighs it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import TraceError
from focal_traces.counts.trace import Trace
from focal_traces.header.schema import GEMMS, DecoderGeometry


def gemm_weights(geometry: DecoderGeometry, visual_tokens: int) -> NDArray[np.int64]:
    """Return the work behind each recorded input, in multiply-accumulates per visual token, axes (GEMMS).

    The published weights are ``h^2 + 2 h^2/g, h S, h^2, 2 h i, h i`` with g query heads per key head; h is
    split here into the residual width and the width of all query heads, which differ in some decoders. Scores
    x V has no recorded input and no weight.

    Args:
        geometry: Decoder shape.
        visual_tokens: S.
    """
    hidden, mlp = geometry.hidden_elements, geometry.intermediate_elements
    query = geometry.heads * geometry.head_dim_elements
    key = geometry.kv_heads * geometry.head_dim_elements
    weights = {
        "q_proj": hidden * (query + 2 * key),
        "query": query * visual_tokens,
        "o_proj": query * hidden,
        "gate_proj": 2 * hidden * mlp,
        "down_proj": mlp * hidden,
    }
    return np.array([weights[name] for name in GEMMS], dtype=np.int64)


def sparsity_by_layer(trace: Trace, sample: int) -> NDArray[np.float64]:
    """Return (zero + similar vectors) / (S x V), axes (layers, GEMMS); zero without visual tokens."""
    totals = trace.totals(sample)
    vectors = totals.visual_tokens * totals.slices
    return np.divide(
        (totals.zero + totals.similar).astype(np.float64),
        vectors,
        out=np.zeros(vectors.shape),
        where=vectors > 0,
    )


def tokens_by_layer(trace: Trace, sample: int) -> NDArray[np.int64]:
    """Return tokens alive at each recorded input, axes (layers, GEMMS)."""
    return trace.totals(sample).tokens


def weighted_sparsity(trace: Trace, sample: int) -> float:
    """Return the sparsity of a sample, averaged over layers and weighted by work over GEMMs."""
    return weighted_sparsity_of(
        sparsity_by_layer(trace, sample), trace.header.geometry, trace.header.samples[sample].visual_tokens
    )


def weighted_sparsity_of(
    sparsity: NDArray[np.float64], geometry: DecoderGeometry, visual_tokens: int
) -> float:
    """Return the weighted sparsity of values one already has.

    Args:
        sparsity: Axes (layers, GEMMS).
        geometry: Decoder shape.
        visual_tokens: S.
    """
    weights = gemm_weights(geometry, visual_tokens)
    return float(np.dot(weights, sparsity.mean(axis=0)) / weights.sum())


def median_index(weighted: Sequence[float]) -> int:
    """Return the first sample closest to the lower median, as the published artifact selects it.

    Values are rounded to single precision first, as it stores them.

    Raises:
        TraceError: There are no values.
    """
    if not len(weighted):
        raise TraceError("the median sample of no samples was asked for; expected at least one")
    values = np.array(weighted, dtype=np.float32)
    lower_median = np.sort(values)[(len(values) - 1) // 2]
    return int(np.argmin(np.abs(values - lower_median)))
