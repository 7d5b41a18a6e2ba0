"""Multiply-accumulates and bytes of an inference, from a model's shape and the counts of a trace.

Masked halves of causal attention are counted, as a full product computes them. Written apart from the simulator's
operator list, which tests compare it with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from focal_traces.counts.trace import Trace
from focal_traces.header.schema import GEMMS
from focal_traces.model_shape.geometry import DecoderGeometry
from focal_traces.model_shape.model_shape import Projector, VisionTower

_LINEAR = tuple(gemm for gemm in GEMMS if gemm != "query")


@dataclass(frozen=True)
class PrefillWork:
    """Work of the decoder in one prefill, summed over layers; text rows included.

    Attributes:
        linear_macs: Projections and MLP, over the vectors that are neither zero nor similar.
        score_macs: Query x key of those vectors.
        value_macs: Probabilities x values of the tokens present.
        kv_elements: Keys and values that the cache holds afterwards.
        moved_elements: Weights, inputs (unique vectors), outputs and cached keys and values, each once.
        present_tokens: Visual tokens present, mean over layers and GEMM inputs by their work.
        equivalent_tokens: Visual tokens of a dense run with the same projections and MLP: unique vectors by
            their work.
    """

    linear_macs: int
    score_macs: int
    value_macs: int
    kv_elements: int
    moved_elements: int
    present_tokens: float
    equivalent_tokens: float


def output_elements(geometry: DecoderGeometry, gemm: str) -> int:
    """Return the columns N that the recorded input of a linear layer meets: Q, K and V; gate and up."""
    query = geometry.heads * geometry.head_dim_elements
    key = geometry.kv_heads * geometry.head_dim_elements
    return {
        "q_proj": query + 2 * key,
        "o_proj": geometry.hidden_elements,
        "gate_proj": 2 * geometry.intermediate_elements,
        "down_proj": geometry.hidden_elements,
    }[gemm]


def prefill_work(trace: Trace, sample: int) -> PrefillWork:
    """Return the work of the decoder over the prompt of one sample.

    Raises:
        TraceError: The counts do not cover every (layer, gemm).
    """
    header, geometry = trace.header, trace.header.geometry
    text = header.samples[sample].sequence_tokens - header.samples[sample].visual_tokens
    tokens = trace.totals(sample).tokens
    unique = _unique_elements(trace, sample)
    weights = {gemm: geometry.input_elements(gemm) * output_elements(geometry, gemm) for gemm in _LINEAR}
    linear = moved = 0
    work_present = work_unique = 0
    for gemm in _LINEAR:
        place, width, columns = (
            GEMMS.index(gemm),
            geometry.input_elements(gemm),
            output_elements(geometry, gemm),
        )
        alive, elements = int(tokens[:, place].sum()), int(unique[:, place].sum())
        rows = text * geometry.layers
        linear += (elements + rows * width) * columns
        moved += geometry.layers * weights[gemm] + elements + rows * width + (alive + rows) * columns
        work_present += alive * weights[gemm]
        work_unique += elements * columns
    query_width = geometry.heads * geometry.head_dim_elements
    keys = text + tokens[:, GEMMS.index("q_proj")]
    rows_of_query = text + tokens[:, GEMMS.index("query")]
    kv = 2 * geometry.kv_heads * geometry.head_dim_elements * int(keys.sum())
    dense = geometry.layers * sum(weights.values())
    return PrefillWork(
        linear_macs=linear,
        score_macs=int(((unique[:, GEMMS.index("query")] + text * query_width) * keys).sum()),
        value_macs=int((rows_of_query * keys).sum()) * query_width,
        kv_elements=kv,
        # Fused attention: scores stay on chip; keys and values, written above, are read once.
        moved_elements=moved + kv,
        present_tokens=work_present / dense,
        equivalent_tokens=work_unique / dense,
    )


def decode_macs(trace: Trace, sample: int, vocabulary_size: int | None) -> int:
    """Return the MACs of the first decode step, without the LM head if its rows are unknown."""
    header, geometry = trace.header, trace.header.geometry
    text = header.samples[sample].sequence_tokens - header.samples[sample].visual_tokens
    keys = text + trace.totals(sample).tokens[:, GEMMS.index("q_proj")] + 1
    linear = sum(geometry.input_elements(gemm) * output_elements(geometry, gemm) for gemm in _LINEAR)
    attention = 2 * geometry.heads * geometry.head_dim_elements * int(keys.sum())
    return geometry.layers * linear + attention + (vocabulary_size or 0) * geometry.hidden_elements


def tower_macs(tower: VisionTower, pictures: int) -> int:
    """Return the MACs of the vision tower over some pictures."""
    width, inner = tower.hidden_elements, tower.intermediate_elements
    linear = tower.tokens * (4 * width * width + (3 if tower.is_mlp_gated else 2) * width * inner)
    attention = sum(
        2 * number * tokens * tokens * width
        for layer in range(tower.layers)
        for tokens, number in tower.attention_segments(layer)
    )
    return pictures * (tower.patches * tower.patch_elements * width + tower.layers * linear + attention)


def projector_macs(projector: Projector, tower: VisionTower, pictures: int) -> int:
    """Return the MACs between tower and decoder over some pictures; pooling has none."""
    inner, out = projector.hidden_elements, projector.output_elements
    if projector.kind != "resampler":
        rows = tower.tokens if projector.keeps_class_token else tower.patches
        per_row = projector.input_elements * inner + inner * out
        if projector.kind == "linear":
            per_row = projector.input_elements * out
        return pictures * rows // projector.merged_patches * per_row
    rows, queries = tower.tokens, projector.queries
    entry = rows * projector.input_elements * inner if projector.input_elements != inner else 0
    attention = 2 * queries * rows * inner
    return pictures * (entry + 2 * (rows + queries) * inner * inner + attention + queries * inner * out)


def _unique_elements(trace: Trace, sample: int) -> NDArray[np.int64]:
    """Return elements of the vectors left to compute, axes (layers, GEMMS); a last short vector counts as such."""
    counts, header = trace.samples[sample], trace.header
    widths = np.array([header.geometry.input_elements(gemm) for gemm in GEMMS], dtype=np.int64)
    start = counts.k_slice.astype(np.int64) * header.vector_size
    elements = np.minimum(header.vector_size, widths[counts.gemm] - start) * counts.unique
    return np.add.reduceat(elements, counts.group_starts).reshape(header.geometry.layers, len(GEMMS))
