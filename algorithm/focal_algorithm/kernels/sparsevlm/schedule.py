"""How many visual tokens SparseVLM keeps at each pruning layer for a published budget.

A budget is the mean over all 32 layers, not a limit at each of them.
"""

from __future__ import annotations

from typing import Literal

from focal_common.errors import ConfigError, near_matches

__all__ = ["PRUNING_LAYERS", "PUBLISHED_LAYERS", "PUBLISHED_TOKENS", "Version", "kept_counts", "rank_line"]

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
