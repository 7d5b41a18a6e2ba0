"""How many visual tokens are alive in front of each GEMM under a token-pruning schedule.

Focus, HPCA 2026, sec. IV (semantic concentration); the fractions of the published artifact.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from focal_common.errors import TraceError
from numpy.typing import NDArray

from focal_traces.schema import GEMMS

__all__ = ["tokens_alive"]

_AFTER_PRUNING = np.array([gemm in ("gate_proj", "down_proj") for gemm in GEMMS])


def tokens_alive(
    visual_tokens: int, layers: int, selected_layers: Sequence[int], alphas: Sequence[float]
) -> NDArray[np.int64]:
    """Return T for every (layer, GEMM) when pruning is all that happens.

    A selected layer drops tokens after its attention residual, so its own attention GEMMs still see the old
    count and its MLP the new one. Each alpha is a fraction of the original count, truncated, at least one
    token, and never more than are left.

    Args:
        visual_tokens: S, tokens before the first layer.
        layers: Decoder layers.
        selected_layers: Layers that prune, ascending.
        alphas: Fraction of S kept from each selected layer on, same length.

    Returns:
        Array of axes (layers, GEMMS), dtype int64.

    Raises:
        TraceError: The two lists differ in length, a layer is out of range or a fraction is outside (0, 1].
    """
    if len(selected_layers) != len(alphas):
        raise TraceError(
            f"pruning schedule: {len(selected_layers)} selected_layers but {len(alphas)} values in alpha_list"
        )
    for layer, alpha in zip(selected_layers, alphas, strict=True):
        if not 0 <= layer < layers:
            raise TraceError(f"pruning schedule: selected layer {layer} must be in 0..{layers - 1}")
        if not 0 < alpha <= 1:
            raise TraceError(f"pruning schedule: alpha {alpha} of layer {layer} must be in (0, 1]")
    kept = dict(zip(selected_layers, alphas, strict=True))
    alive = np.empty((layers, len(GEMMS)), dtype=np.int64)
    current = visual_tokens
    for layer in range(layers):
        alive[layer, ~_AFTER_PRUNING] = current
        if layer in kept:
            current = max(1, min(current, int(kept[layer] * visual_tokens)))
        alive[layer, _AFTER_PRUNING] = current
    return alive
