"""Puts normalisation, position embedding, softmax and activation beside the GEMM that makes or takes their data.

Model: the special-function unit works tile by tile on what leaves or enters the array, so it hides under that GEMM and
only what exceeds the GEMM counts. Its operands never travel to DRAM by themselves.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from typing import Any

from focal_simulator.accelerators.base import Accelerator
from focal_simulator.cycle.context import CycleContext
from focal_simulator.cycle.jobs import GemmJob
from focal_simulator.whole_model.decoder import LayerTokens, prefill_operators
from focal_simulator.whole_model.special_function_unit import special_function_unit
from focal_simulator.whole_model.special_functions import vector_timing
from focal_simulator.workload import Workload
from focal_traces.schema import DecoderGeometry

__all__ = ["with_special_functions"]

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

_UNBOUNDED_BYTES = 1 << 60


def with_special_functions(
    jobs: list[GemmJob], accelerator: Accelerator[Any], workload: Workload, context: CycleContext
) -> list[GemmJob]:
    """Return the jobs with the cycles of the special-function unit beside them.

    Args:
        jobs: Of one prefill.
        accelerator: For its units and the tokens it keeps.
        workload: For the geometry.
        context: Whether attention is causal tile by tile.
    """
    if not context.has("special_functions"):
        return jobs
    unit = special_function_unit(accelerator.hardware)
    is_causal = context.has("causal_tiles")

    @lru_cache(maxsize=1024)
    def beside(tokens: LayerTokens, geometry: DecoderGeometry) -> dict[tuple[str, str], int]:
        cycles: dict[tuple[str, str], int] = defaultdict(int)
        for operator in prefill_operators(geometry, [tokens], 0, 1):
            if operator.name in _PARTNER and operator.kind == "vector":
                timing = vector_timing(
                    operator, unit, _UNBOUNDED_BYTES, is_streamed=True, is_mask_skipped=is_causal
                )
                cycles[_PARTNER[operator.name]] += timing.cycles
        return cycles

    live = [LayerTokens(*row) for row in accelerator.live_tokens(workload).tolist()]
    found = []
    for job in jobs:
        cycles = beside(live[job.block], workload.geometry).get((job.layer, job.part), 0)
        found.append(job.changed(beside={**job.beside, "sfu": cycles}) if cycles else job)
    return found
