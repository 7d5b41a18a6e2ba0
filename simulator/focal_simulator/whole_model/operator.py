"""One operator of a model: a GEMM, an attention product or a vector operation, with its work and traffic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from focal_common.errors import ConfigError

Phase = Literal["vision", "projector", "prefill", "lm_head", "decode"]
PHASES: tuple[Phase, ...] = ("vision", "projector", "prefill", "lm_head", "decode")
Kind = Literal["gemm", "attention_scores", "attention_values", "vector"]

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
"""Of the textbook formulas, without fused multiply-add: softmax with a subtracted row maximum; RMSNorm and LayerNorm
with mean and variance over a row; rotary embedding x cos + rotate(x) sin; SiLU x / (1 + exp(-x)); GELU in its tanh form
written with a logistic function, which an exp unit and a reciprocal unit can compute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """A product (m x k) (k x n), or a vector operation on ``elements``; ``count`` times, ``steps`` times over.

    In decode the operator stands for all steps: a GEMM repeats ``steps`` times and reads its weights each time;
    an attention product sees one key more in each step (``growth`` 1), so that sums over steps are exact.

    Attributes:
        phase: Part of the inference.
        layer: Layer of the tower or the decoder; -1 outside of layers.
        name: Such as ``q_proj``, ``scores`` or ``post_norm``.
        kind: What it is.
        m: Rows of the left operand; of the score matrix in a softmax; 0 for other vectors.
        n: Columns; keys in ``attention_scores`` and softmax, of the first step in decode.
        k: Inner width; keys in ``attention_values``, of the first step in decode.
        count: Independent products: heads x pictures x batch.
        steps: Times the operator runs one after the other.
        growth: Keys added per step.
        is_causal: Whether query i sees only keys up to its own place; the queries are the last m of the keys.
        kv_groups: Query heads that share a key head.
        visual_m: Rows of ``m`` that are visual tokens, which a method may have concentrated.
        recorded_input: GEMM input of a trace whose vectors feed this operator; None where none is recorded.
        vector: Class of a vector operation; None for products.
        elements: Output elements of a vector operation in one step; in decode of the first step.
        rows: Rows they lie in, in one step.
        growth_elements: Elements added per step.
        operands: Arrays a vector operation reads, of the size of its output.
        weight_elements: Parameters read in one step.
    """

    phase: Phase
    layer: int
    name: str
    kind: Kind
    m: int = 0
    n: int = 0
    k: int = 0
    count: int = 1
    steps: int = 1
    growth: int = 0
    is_causal: bool = False
    kv_groups: int = 1
    visual_m: int = 0
    recorded_input: str | None = None
    vector: VectorClass | None = None
    elements: int = 0
    rows: int = 0
    growth_elements: int = 0
    operands: int = 1
    weight_elements: int = 0

    def __post_init__(self) -> None:
        numbers = (self.m, self.n, self.k, self.elements, self.rows, self.weight_elements, self.visual_m)
        if min(numbers) < 0 or self.count < 1 or self.steps < 1:
            raise ConfigError(f"operator {self.phase}.{self.layer}.{self.name}: sizes must not be negative")
        if self.visual_m > self.m:
            raise ConfigError(
                f"operator {self.phase}.{self.layer}.{self.name}: visual_m is {self.visual_m}, "
                f"expected at most m ({self.m})"
            )
        if (self.kind == "vector") != (self.vector is not None):
            raise ConfigError(f"operator {self.name}: a vector operation, and no other, names its class")

    @property
    def label(self) -> str:
        """Place and name, such as ``prefill.9.o_proj``."""
        return f"{self.phase}.{self.name}" if self.layer < 0 else f"{self.phase}.{self.layer}.{self.name}"

    @property
    def keys(self) -> int:
        """Keys of an attention product, of the first step in decode; 0 for others."""
        return {"attention_scores": self.n, "attention_values": self.k}.get(self.kind, 0)

    @property
    def _extra_keys(self) -> int:
        """Keys beyond those of the first step, summed over steps."""
        return self.growth * self.steps * (self.steps - 1) // 2

    @property
    def macs(self) -> int:
        """Multiply-accumulates of full products, the masked half of causal attention included."""
        if self.kind == "vector":
            return 0
        other = self.k if self.kind == "attention_scores" else self.n
        return self.count * self.m * (self.steps * self.n * self.k + self._extra_keys * other)

    @property
    def causal_macs(self) -> int:
        """Multiply-accumulates that a causal mask leaves; equal to `macs` without one."""
        if self.kind == "vector" or not self.is_causal or self.m < 2:
            return self.macs
        width = self.k if self.kind == "attention_scores" else self.n
        return self.macs - self.steps * self.count * width * (self.m * (self.m - 1) // 2)

    @property
    def causal_elements(self) -> int:
        """Output elements of a vector operation that a causal mask leaves (softmax); `total_elements` else."""
        if self.vector != "softmax" or not self.is_causal or self.m < 2:
            return self.total_elements
        return self.total_elements - self.steps * self.count * (self.m * (self.m - 1) // 2)

    @property
    def flops(self) -> int:
        """Floating-point operations of full products, two per multiply-accumulate; 0 for vectors."""
        return 2 * self.macs

    @property
    def total_elements(self) -> int:
        """Output elements of a vector operation over all steps."""
        return self.steps * self.elements + self.growth_elements * self.steps * (self.steps - 1) // 2

    def elementary(self, is_mask_skipped: bool = False) -> dict[Elementary, int]:
        """Return elementary operations of a vector operation over all steps; all 0 for products.

        Args:
            is_mask_skipped: Nothing is computed for scores that a causal mask hides.
        """
        if self.vector is None:
            return dict.fromkeys(ELEMENTARY, 0)
        work, rows = VECTOR_WORK[self.vector], self.rows * self.steps
        elements = self.causal_elements if is_mask_skipped else self.total_elements
        return {
            name: work.per_element.get(name, 0) * elements + work.per_row.get(name, 0) * rows
            for name in ELEMENTARY
        }

    @property
    def total_weight_elements(self) -> int:
        """Parameters read over all steps, once in each."""
        return self.steps * self.weight_elements

    @property
    def kv_elements(self) -> int:
        """Keys or values read over all steps, each once for the query heads that share it."""
        if self.kind not in ("attention_scores", "attention_values"):
            return 0
        width = self.k if self.kind == "attention_scores" else self.n
        return self.count // self.kv_groups * width * (self.steps * self.keys + self._extra_keys)

    @property
    def input_elements(self) -> int:
        """Activations read over all steps, without scores, keys and values of attention."""
        if self.kind == "vector":
            return 0 if self.vector == "softmax" else self.operands * self.total_elements
        return 0 if self.kind == "attention_values" else self.steps * self.count * self.m * self.k

    @property
    def output_elements(self) -> int:
        """Activations written over all steps, without scores; new keys and values are outputs of k_proj, v_proj."""
        if self.kind == "vector":
            return 0 if self.vector == "softmax" else self.total_elements
        return 0 if self.kind == "attention_scores" else self.steps * self.count * self.m * self.n

    def traffic_bytes(self, element_bytes: int) -> int:
        """Return bytes that cross the memory port if nothing but the operator's own reuse is on chip.

        Scores and probabilities of attention never leave the chip, as in FlashAttention.
        """
        moved = self.total_weight_elements + self.kv_elements + self.input_elements + self.output_elements
        return element_bytes * moved
