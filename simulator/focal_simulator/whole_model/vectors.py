"""Short makers of the operators that every transformer repeats."""

from __future__ import annotations

from focal_simulator.whole_model.operator import Operator, Phase
from focal_simulator.whole_model.vector_work import VectorClass
from focal_traces.model_shape.model_shape import Norm

__all__ = ["gemm", "norm", "softmax", "vector"]


def gemm(
    phase: Phase,
    layer: int,
    name: str,
    m: int,
    n: int,
    k: int,
    *,
    steps: int = 1,
    visual_m: int = 0,
    recorded_input: str | None = None,
) -> Operator:
    """Return a product with a weight matrix of k x n; biases are left out."""
    return Operator(
        phase=phase,
        layer=layer,
        name=name,
        kind="gemm",
        m=m,
        n=n,
        k=k,
        steps=steps,
        visual_m=visual_m,
        recorded_input=recorded_input,
        weight_elements=n * k,
    )


def vector(
    phase: Phase,
    layer: int,
    name: str,
    what: VectorClass,
    rows: int,
    width: int,
    *,
    steps: int = 1,
    operands: int = 1,
    visual_m: int = 0,
    weight_elements: int = 0,
) -> Operator:
    """Return a vector operation on ``rows`` rows of ``width`` elements."""
    return Operator(
        phase=phase,
        layer=layer,
        name=name,
        kind="vector",
        vector=what,
        m=rows,
        visual_m=visual_m,
        rows=rows,
        elements=rows * width,
        steps=steps,
        operands=operands,
        weight_elements=weight_elements,
    )


def norm(
    phase: Phase,
    layer: int,
    name: str,
    what: Norm,
    rows: int,
    width: int,
    *,
    steps: int = 1,
    visual_m: int = 0,
) -> Operator:
    """Return a normalisation; LayerNorm reads a weight and a bias per column, RMSNorm a weight."""
    weights = width * (2 if what == "layernorm" else 1)
    return vector(
        phase, layer, name, what, rows, width, steps=steps, visual_m=visual_m, weight_elements=weights
    )


def softmax(
    phase: Phase,
    layer: int,
    m: int,
    n: int,
    count: int,
    *,
    steps: int = 1,
    growth: int = 0,
    is_causal: bool = False,
    visual_m: int = 0,
    name: str = "softmax",
) -> Operator:
    """Return the softmax over ``count`` score matrices of m queries x n keys."""
    return Operator(
        phase=phase,
        layer=layer,
        name=name,
        kind="vector",
        vector="softmax",
        m=m,
        n=n,
        count=count,
        rows=m * count,
        elements=m * n * count,
        growth_elements=m * growth * count,
        steps=steps,
        is_causal=is_causal,
        visual_m=visual_m,
    )
