"""Short makers of the operators that every transformer repeats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from focal_simulator.whole_model.operator import Operator, Phase, VectorClass
from focal_traces.model_shape.model_shape import Norm


def gemm(phase: Phase, layer: int, name: str, m: int, n: int, k: int, **fields: Any) -> Operator:
    """Return a product with a weight matrix of k x n, with further fields of `Operator`; biases are left out."""
    return Operator(
        phase=phase, layer=layer, name=name, kind="gemm", m=m, n=n, k=k, weight_elements=n * k, **fields
    )


def vector(
    phase: Phase, layer: int, name: str, what: VectorClass, rows: int, width: int, **fields: Any
) -> Operator:
    """Return a vector operation on ``rows`` rows of ``width`` elements, with further fields of `Operator`."""
    return Operator(
        phase=phase,
        layer=layer,
        name=name,
        kind="vector",
        vector=what,
        m=rows,
        rows=rows,
        elements=rows * width,
        **fields,
    )


def norm(phase: Phase, layer: int, name: str, what: Norm, rows: int, width: int, **fields: Any) -> Operator:
    """Return a normalisation; LayerNorm reads a weight and a bias per column, RMSNorm a weight."""
    weights = width * (2 if what == "layernorm" else 1)
    return vector(phase, layer, name, what, rows, width, weight_elements=weights, **fields)


def attention(
    phase: Phase,
    layer: int,
    queries: int,
    keys: int,
    head: int,
    count: int,
    *,
    suffix: str = "",
    kv_groups: int = 1,
    recorded_input: str | None = None,
    **fields: Any,
) -> Iterator[Operator]:
    """Yield Q x K^T, softmax and P x V of ``count`` heads of ``head`` elements.

    Args:
        phase: Part of the inference.
        layer: Layer, -1 outside of layers.
        queries: Rows of a score matrix.
        keys: Its columns.
        head: Elements of a head.
        count: Heads x pictures x batch.
        suffix: End of the names, where a layer has several kinds of windows.
        kv_groups: Query heads that share a key head.
        recorded_input: GEMM input of a trace whose vectors are the queries.
        **fields: Of all three: ``steps``, ``growth``, ``is_causal``, ``visual_m`` of `Operator`.
    """
    scores = Operator(
        phase=phase,
        layer=layer,
        name=f"scores{suffix}",
        kind="attention_scores",
        m=queries,
        n=keys,
        k=head,
        count=count,
        kv_groups=kv_groups,
        recorded_input=recorded_input,
        **fields,
    )
    yield scores
    growth = fields.pop("growth", 0)
    yield Operator(
        phase=phase,
        layer=layer,
        name=f"softmax{suffix}",
        kind="vector",
        vector="softmax",
        m=queries,
        n=keys,
        count=count,
        rows=queries * count,
        elements=queries * keys * count,
        growth_elements=queries * growth * count,
        **fields,
    )
    yield replace(
        scores, name=f"values{suffix}", kind="attention_values", n=head, k=keys, recorded_input=None
    )
