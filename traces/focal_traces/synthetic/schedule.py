"""How many visual tokens are alive at each GEMM input under a token-pruning schedule.

Paper: Focus, HPCA 2026, Table I (schedule). That a selected layer prunes between attention and MLP, with
fractions of the original tokens, follows the published Focus artifact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import ConfigError
from focal_traces.header.schema import GEMMS

_BEFORE_PRUNING = ("q_proj", "query", "o_proj")


@dataclass(frozen=True, slots=True)
class Schedule:
    """Pruning after the attention of some layers.

    Attributes:
        layers: Selected decoder layers.
        alphas: Fraction of the original visual tokens kept from each selected layer on, in (0, 1].

    Raises:
        ConfigError: Unequal lengths, a layer twice or negative, or a fraction outside (0, 1].
    """

    layers: tuple[int, ...] = ()
    alphas: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.layers) != len(self.alphas):
            raise ConfigError(
                f"schedule: selected_layers has {len(self.layers)} entries but alpha_list "
                f"{len(self.alphas)}; expected equal lengths"
            )
        if len(set(self.layers)) != len(self.layers) or any(layer < 0 for layer in self.layers):
            raise ConfigError(
                f"schedule: selected_layers must be distinct and at least 0, got {list(self.layers)}"
            )
        for alpha in self.alphas:
            if not 0 < alpha <= 1:
                raise ConfigError(f"schedule: alpha_list must lie in (0, 1], got {alpha}")


def kept_tokens(alpha: float, visual_tokens: int, current_tokens: int) -> int:
    """Return the tokens kept by one pruning: ``max(1, min(current, floor(alpha * S)))``.

    The product is a double and cut, as published: 100 x 0.29 keeps 28.
    """
    return max(1, min(current_tokens, int(visual_tokens * alpha)))


def tokens_per_gemm(schedule: Schedule, layers: int, visual_tokens: int) -> NDArray[np.int64]:
    """Return the tokens alive at every recorded GEMM input, axes (layers, GEMMS).

    A selected layer prunes after its attention: q_proj, query and o_proj still see the old count, gate_proj
    and down_proj the new one.

    Args:
        schedule: When and how far to prune.
        layers: Decoder layers.
        visual_tokens: S.

    Raises:
        ConfigError: The schedule selects a layer the decoder does not have.
    """
    if schedule.layers and max(schedule.layers) >= layers:
        raise ConfigError(
            f"schedule: selected layer {max(schedule.layers)} does not exist, expected below {layers}"
        )
    tokens = np.zeros((layers, len(GEMMS)), dtype=np.int64)
    before = [name in _BEFORE_PRUNING for name in GEMMS]
    alphas = dict(zip(schedule.layers, schedule.alphas, strict=True))
    current = visual_tokens
    for layer in range(layers):
        after = kept_tokens(alphas[layer], visual_tokens, current) if layer in alphas and current else current
        tokens[layer] = np.where(before, current, after)
        current = after
    return tokens
