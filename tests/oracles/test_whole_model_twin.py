"""Do the operators of a decoder sum to what a token-by-token walk counts, prefill and decode, pruned or not?"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from focal_simulator.whole_model import Operator, operators
from focal_traces.header.schema import GEMMS
from focal_traces.model_shape.model_shape import ModelShape
from shape_support import at_step, small_shape


def _walk(shape: ModelShape, counts: list[list[int]], text: int, steps: int, batch: int) -> dict[str, int]:
    """Multiply-accumulates that a causal decoder needs, one token and one (query, key) pair at a time."""
    geometry = shape.decoder
    head, width, inner = geometry.head_dim_elements, geometry.hidden_elements, geometry.intermediate_elements
    query, key = geometry.heads * head, geometry.kv_heads * head
    found = {"prefill": 0, "decode": 0}

    def token(phase: str, gemm: str) -> None:
        found[phase] += {
            "q_proj": width * (query + key + key),
            "o_proj": query * width,
            "gate_proj": 2 * width * inner,
            "down_proj": inner * width,
        }[gemm]

    def attend(phase: str, queries: int, keys: int) -> None:
        for place in range(queries):
            visible = keys - queries + place + 1
            for _ in range(visible):
                found[phase] += geometry.heads * 2 * head

    for _ in range(batch):
        for row in counts:
            for gemm in ("q_proj", "o_proj", "gate_proj", "down_proj"):
                for _ in range(text + row[GEMMS.index(gemm)]):
                    token("prefill", gemm)
            attend("prefill", text + row[1], text + row[0])
        for step in range(steps):
            for row in counts:
                for gemm in ("q_proj", "o_proj", "gate_proj", "down_proj"):
                    token("decode", gemm)
                attend("decode", 1, text + row[0] + step + 1)
            found["decode"] += width * shape.vocabulary_size
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 8), min_size=6, max_size=6),
    st.integers(1, 6),
    st.integers(0, 5),
    st.integers(1, 3),
)
def test_operators_equal_a_walk_over_tokens(alive: list[int], text: int, steps: int, batch: int) -> None:
    shape = small_shape()
    # The first three GEMMs of a layer see the tokens before its pruning, the others those after.
    ordered = sorted(alive, reverse=True)
    counts = [[before] * 3 + [after] * 2 for before, after in zip(ordered[::2], ordered[1::2], strict=True)]
    listed = operators(shape, counts, text, steps, batch)
    wanted = _walk(shape, counts, text, steps, batch)
    for phase, macs in wanted.items():
        assert sum(one.causal_macs for one in listed if one.phase == phase) == macs


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 4))
def test_sums_over_decode_steps_are_exact(steps: int, batch: int) -> None:
    def numbers(one: Operator) -> list[int]:
        return [
            one.macs,
            one.causal_macs,
            one.total_elements,
            *one.elementary().values(),
            one.total_weight_elements,
            one.kv_elements,
            one.input_elements,
            one.output_elements,
            one.traffic_bytes(2),
        ]

    for one in operators(small_shape(), None, None, steps, batch):
        if one.phase == "decode":
            assert one.steps == steps
            parts = [numbers(at_step(one, step)) for step in range(steps)]
            assert numbers(one) == [sum(column) for column in zip(*parts, strict=True)]
