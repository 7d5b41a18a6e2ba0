"""Operators of the language model: prefill, LM head, and decode steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from focal_simulator.whole_model.operator import Operator, Phase
from focal_simulator.whole_model.vectors import attention, gemm, norm, vector
from focal_traces.model_shape.geometry import DecoderGeometry


@dataclass(frozen=True, slots=True)
class LayerTokens:
    """Visual tokens alive at each recorded GEMM input of a layer, ordered as `focal_traces.header.schema.GEMMS`."""

    q_proj: int
    query: int
    o_proj: int
    gate_proj: int
    down_proj: int


@dataclass(frozen=True, slots=True)
class _Place:
    """Where operators of a layer stand: how often they run, and how many sequences side by side."""

    phase: Phase
    layer: int
    batch: int
    steps: int = 1

    def linear(self, name: str, text: int, visual: int, n: int, k: int, recorded: str) -> Operator:
        return gemm(
            self.phase,
            self.layer,
            name,
            self.batch * (text + visual),
            n,
            k,
            steps=self.steps,
            visual_m=self.batch * visual,
            recorded_input=recorded,
        )

    def rms(self, name: str, text: int, visual: int, width: int) -> Operator:
        return norm(
            self.phase,
            self.layer,
            name,
            "rmsnorm",
            self.batch * (text + visual),
            width,
            steps=self.steps,
            visual_m=self.batch * visual,
        )


def prefill_operators(
    decoder: DecoderGeometry, tokens: list[LayerTokens], text: int, batch: int
) -> Iterator[Operator]:
    """Yield every operator of the prefill, in order.

    Args:
        decoder: Shape.
        tokens: Visual tokens, one entry per layer.
        text: Text tokens, alive in every layer.
        batch: Sequences of equal lengths.
    """
    yield vector("prefill", -1, "embedding", "copy", batch * text, decoder.hidden_elements)
    for layer, alive in enumerate(tokens):
        place = _Place("prefill", layer, batch)
        keys = text + alive.q_proj
        yield from _attention(decoder, place, text, alive, keys, growth=0)
        yield from _mlp(decoder, place, text, alive)


def decode_operators(
    decoder: DecoderGeometry, tokens: list[LayerTokens], text: int, batch: int, steps: int, vocabulary: int
) -> Iterator[Operator]:
    """Yield every operator of ``steps`` decode steps, each operator once for all steps; none for no step.

    The cache of a layer holds the tokens that reached its K and V projections, then one more per step.
    """
    if not steps:
        return
    width = decoder.hidden_elements
    yield vector("decode", -1, "embedding", "copy", batch, width, steps=steps)
    one = LayerTokens(0, 0, 0, 0, 0)
    for layer, alive in enumerate(tokens):
        place = _Place("decode", layer, batch, steps)
        yield from _attention(decoder, place, 1, one, text + alive.q_proj + 1, growth=1)
        yield from _mlp(decoder, place, 1, one)
    yield norm("decode", -1, "final_norm", "rmsnorm", batch, width, steps=steps)
    yield gemm("decode", -1, "lm_head", batch, vocabulary, width, steps=steps)


def head_operators(decoder: DecoderGeometry, vocabulary: int, rows: int) -> Iterator[Operator]:
    """Yield the final normalisation and the LM head over ``rows`` tokens; those not asked for are not normed."""
    yield norm("lm_head", -1, "final_norm", "rmsnorm", rows, decoder.hidden_elements)
    yield gemm("lm_head", -1, "lm_head", rows, vocabulary, decoder.hidden_elements)


def _attention(
    decoder: DecoderGeometry, place: _Place, text: int, alive: LayerTokens, keys: int, growth: int
) -> Iterator[Operator]:
    width, head = decoder.hidden_elements, decoder.head_dim_elements
    query_width, key_width = decoder.heads * head, decoder.kv_heads * head
    phase, layer, batch, steps = place.phase, place.layer, place.batch, place.steps
    yield place.rms("input_norm", text, alive.q_proj, width)
    yield place.linear("q_proj", text, alive.q_proj, query_width, width, "q_proj")
    yield place.linear("k_proj", text, alive.q_proj, key_width, width, "q_proj")
    yield place.linear("v_proj", text, alive.q_proj, key_width, width, "q_proj")
    for name, visual, of in (("rope_q", alive.query, query_width), ("rope_k", alive.q_proj, key_width)):
        rows = batch * (text + visual)
        yield vector(phase, layer, name, "rope", rows, of, steps=steps, visual_m=batch * visual)
    yield from attention(
        phase,
        layer,
        text + alive.query,
        keys,
        head,
        batch * decoder.heads,
        kv_groups=decoder.heads // decoder.kv_heads,
        recorded_input="query",
        steps=steps,
        growth=growth,
        is_causal=True,
        visual_m=alive.query,
    )
    yield place.linear("o_proj", text, alive.o_proj, width, query_width, "o_proj")
    rows, visual_m = batch * (text + alive.o_proj), batch * alive.o_proj
    yield vector(
        phase, layer, "attention_residual", "add", rows, width, steps=steps, operands=2, visual_m=visual_m
    )


def _mlp(decoder: DecoderGeometry, place: _Place, text: int, alive: LayerTokens) -> Iterator[Operator]:
    width, inner = decoder.hidden_elements, decoder.intermediate_elements
    phase, layer, steps = place.phase, place.layer, place.steps
    yield place.rms("post_norm", text, alive.gate_proj, width)
    yield place.linear("gate_proj", text, alive.gate_proj, inner, width, "gate_proj")
    yield place.linear("up_proj", text, alive.gate_proj, inner, width, "gate_proj")
    rows, visual_m = place.batch * (text + alive.down_proj), place.batch * alive.down_proj
    yield vector(phase, layer, "activation", "silu", rows, inner, steps=steps, visual_m=visual_m)
    yield vector(phase, layer, "gate", "mul", rows, inner, steps=steps, operands=2, visual_m=visual_m)
    yield place.linear("down_proj", text, alive.down_proj, width, inner, "down_proj")
    yield vector(phase, layer, "mlp_residual", "add", rows, width, steps=steps, operands=2, visual_m=visual_m)
