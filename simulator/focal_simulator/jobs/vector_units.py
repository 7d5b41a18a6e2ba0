"""Puts normalisation, position embedding, softmax and activation beside the GEMM that makes or takes their data.

Model: the special-function unit works tile by tile on what leaves or enters the array, so it hides under that GEMM and
only what exceeds the GEMM counts. Its operands never travel to DRAM by themselves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from focal_simulator.hardware.specs import HardwareSpec
from focal_simulator.jobs.jobs import GemmJob, with_vectors
from focal_simulator.jobs.lowering import Lowering, TileJobs
from focal_simulator.whole_model.decoder import LayerTokens, prefill_operators
from focal_simulator.whole_model.special_functions import (
    VectorLanes,
    VectorTime,
    vector_cycles,
    vector_lanes,
    vector_sum,
)
from focal_traces.header.schema import GEMMS, DecoderGeometry

_PARTNER = {
    "input_norm": ("q_proj", "gemm"),
    "rope_q": ("q_proj", "gemm"),
    "rope_k": ("k_proj", "gemm"),
    "softmax": ("attn", "scores"),
    "attention_residual": ("o_proj", "gemm"),
    "post_norm": ("gate_proj", "gemm"),
    "activation": ("up_proj", "gemm"),
    "gate": ("up_proj", "gemm"),
    "mlp_residual": ("down_proj", "gemm"),
}
"""GEMM beside which each vector operator runs."""


@dataclass(frozen=True, slots=True)
class _WithSpecialFunctions:
    """Tile jobs with the cycles of the special-function unit beside them; equal by value if the tiles are.

    Attributes:
        tiles: The jobs.
        geometry: Of the decoder.
        live_tokens: Tokens that the operators see, axes (blocks, GEMMs of a trace), int64, as bytes.
        lanes: Of the unit.
        is_causal: Whether attention is causal tile by tile.
    """

    tiles: TileJobs
    geometry: DecoderGeometry
    live_tokens: bytes
    lanes: VectorLanes
    is_causal: bool

    def jobs(self) -> Sequence[GemmJob]:
        """Return the jobs; raises as those of the tiles do."""
        live = np.frombuffer(self.live_tokens, dtype=np.int64).reshape(-1, len(GEMMS))
        cycles = [
            _cycles(LayerTokens(*row), self.geometry, self.lanes, self.is_causal) for row in live.tolist()
        ]
        return [
            with_vectors(job, *cycles[job.block].get((job.layer, job.part), (0, "")))
            for job in self.tiles.jobs()
        ]


def with_special_functions(
    lowering: Lowering,
    hardware: HardwareSpec,
    live_tokens: NDArray[np.int64],
    geometry: DecoderGeometry,
    is_causal: bool,
) -> Lowering:
    """Return a lowering with the cycles of the special-function unit beside its jobs.

    Args:
        lowering: Of one prefill.
        hardware: For the lanes of its special-function unit.
        live_tokens: Visual tokens that the accelerator keeps, axes (blocks, recorded GEMM inputs).
        geometry: Of the decoder.
        is_causal: Whether attention is causal tile by tile.
    """
    live = live_tokens.astype(np.int64, copy=False).tobytes()
    tiles = _WithSpecialFunctions(lowering.tiles, geometry, live, vector_lanes(hardware), is_causal)
    return Lowering(tiles, lowering.array)


@lru_cache(maxsize=1024)
def _cycles(
    tokens: LayerTokens, geometry: DecoderGeometry, lanes: VectorLanes, is_causal: bool
) -> Mapping[tuple[str, str], tuple[int, str]]:
    """Return the cycles beside each GEMM of a block, and their arithmetic, by (layer, part)."""
    times: dict[tuple[str, str], list[tuple[str, VectorTime]]] = defaultdict(list)
    for operator in prefill_operators(geometry, [tokens], 0, 1):
        if operator.name in _PARTNER and operator.kind == "vector":
            time = vector_cycles(operator, lanes, is_mask_skipped=is_causal)
            times[_PARTNER[operator.name]].append((operator.name, time))
    return {place: vector_sum(found) for place, found in times.items()}
