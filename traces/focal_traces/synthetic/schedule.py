"""How many visual tokens are alive at each GEMM input under a token-pruning schedule.

Paper: Focus, HPCA 2026, Table I (schedule). That a selected layer prunes between attention and MLP, with
fractions of the original tokens, follows the published Focus artifact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import ConfigError
from focal_traces.counts.tiles import GemmTiles, assemble_counts
from focal_traces.counts.trace import TileCounts, Trace
from focal_traces.header.schema import GEMMS, TraceHeader

__all__ = [
    "Schedule",
    "counts_from_schedule",
    "kept_tokens",
    "schedule_trace",
    "tile_rows",
    "tokens_per_gemm",
]

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


def counts_from_schedule(header: TraceHeader, sample: int, schedule: Schedule) -> TileCounts:
    """Return counts of pruning alone: every vector of a token that is alive is unique.

    Args:
        header: Geometry, vector size, m-tile and the sample's length.
        sample: Index into ``header.samples``.
        schedule: When and how far to prune.

    Raises:
        ConfigError: As `tokens_per_gemm`.
    """
    tokens = tokens_per_gemm(schedule, header.geometry.layers, header.samples[sample].visual_tokens)
    blocks = []
    for row in tokens:
        for name, alive in zip(GEMMS, row.tolist(), strict=True):
            rows = tile_rows(alive, header.m_tile)
            dense = np.repeat(rows[:, None], header.slices(name), axis=1)
            blocks.append(GemmTiles(rows, dense, dense))
    return assemble_counts(blocks)


def schedule_trace(header: TraceHeader, schedule: Schedule) -> Trace:
    """Return a trace of token pruning alone for every sample of a header."""
    return Trace(
        header, tuple(counts_from_schedule(header, place, schedule) for place in range(len(header.samples)))
    )


def tile_rows(alive_tokens: int, m_tile: int) -> NDArray[np.int32]:
    """Return the tokens of each m-tile: full tiles and a rest; one empty tile where nothing is alive."""
    size = m_tile if m_tile > 0 else max(alive_tokens, 1)
    edges = [*range(0, max(alive_tokens, 1), size), alive_tokens]
    return np.diff(edges).astype(np.int32)
