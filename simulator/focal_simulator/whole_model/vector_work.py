"""Elementary operations behind one element of each vector operator.

Counts are of the textbook formulas, without fused multiply-add: softmax with a subtracted row maximum; RMSNorm
and LayerNorm with mean and variance over a row; rotary embedding x cos + rotate(x) sin; SiLU x / (1 + exp(-x));
GELU in its tanh form written with a logistic function, which an exp unit and a reciprocal unit can compute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["ELEMENTARY", "VECTOR_WORK", "Elementary", "VectorClass", "VectorWork"]

Elementary = Literal["add", "mul", "max", "exp", "sqrt", "reciprocal"]
ELEMENTARY: tuple[Elementary, ...] = ("add", "mul", "max", "exp", "sqrt", "reciprocal")

VectorClass = Literal[
    "softmax", "rmsnorm", "layernorm", "rope", "silu", "gelu", "quick_gelu", "add", "mul", "pool", "copy"
]


@dataclass(frozen=True, slots=True)
class VectorWork:
    """Work of one class of vector operators.

    Attributes:
        per_element: Elementary operations per output element.
        per_row: Elementary operations per row (softmax and normalisations).
        passes: Times the input is read when a row stays in a buffer, not in registers.
    """

    per_element: dict[Elementary, int]
    per_row: dict[Elementary, int]
    passes: int = 1


VECTOR_WORK: dict[VectorClass, VectorWork] = {
    # Row maximum; subtract, exp, sum; scale.
    "softmax": VectorWork({"max": 1, "add": 2, "exp": 1, "mul": 1}, {"reciprocal": 1}, passes=3),
    # Sum of squares; scale by the inverse root mean square and by the weight.
    "rmsnorm": VectorWork({"mul": 3, "add": 1}, {"mul": 1, "add": 1, "sqrt": 1, "reciprocal": 1}, passes=2),
    # Sum and sum of squares in one pass; then subtract, scale, weight, bias.
    "layernorm": VectorWork({"mul": 3, "add": 4}, {"mul": 3, "add": 2, "sqrt": 1, "reciprocal": 1}, passes=2),
    "rope": VectorWork({"mul": 2, "add": 1}, {}),
    "silu": VectorWork({"mul": 1, "add": 1, "exp": 1, "reciprocal": 1}, {}),
    # x logistic(1.5958 (x + 0.044715 x^3)) = x logistic(x (a + b x^2)).
    "gelu": VectorWork({"mul": 4, "add": 2, "exp": 1, "reciprocal": 1}, {}),
    "quick_gelu": VectorWork({"mul": 2, "add": 1, "exp": 1, "reciprocal": 1}, {}),
    "add": VectorWork({"add": 1}, {}),
    "mul": VectorWork({"mul": 1}, {}),
    # Four weighted inputs, the halving of LLaVA-OneVision and LLaVA-Video.
    "pool": VectorWork({"mul": 4, "add": 3}, {}),
    "copy": VectorWork({}, {}),
}
