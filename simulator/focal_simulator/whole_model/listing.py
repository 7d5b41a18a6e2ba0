"""Every operator of one inference: vision tower, projector, prefill, LM head, decode."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from focal_common.errors import ConfigError
from focal_simulator.whole_model.decoder import (
    LayerTokens,
    decode_operators,
    head_operators,
    prefill_operators,
)
from focal_simulator.whole_model.operator import PHASES, Operator, Phase
from focal_simulator.whole_model.projector import projector_operators
from focal_simulator.whole_model.vision import tower_operators
from focal_traces.header.schema import GEMMS
from focal_traces.model_shape.model_shape import ModelShape

__all__ = ["PhaseWork", "operators", "work_by_phase"]


@dataclass(frozen=True, slots=True)
class PhaseWork:
    """Work of one phase.

    Attributes:
        phase: Name.
        flops: Of full products, two per multiply-accumulate.
        causal_flops: Without what causal masks hide.
        vector_operations: Elementary operations of vector operators.
        weight_elements: Parameters read.
        kv_elements: Keys and values read.
    """

    phase: Phase
    flops: int
    causal_flops: int
    vector_operations: int
    weight_elements: int
    kv_elements: int


def operators(
    shape: ModelShape,
    visual_tokens_per_layer: ArrayLike | None = None,
    text_tokens: int | None = None,
    generated_tokens: int = 0,
    batch: int = 1,
    *,
    lm_head_tokens: int = 1,
) -> tuple[Operator, ...]:
    """Return every operator of one inference, in order of computation.

    Args:
        shape: Model and prompt.
        visual_tokens_per_layer: Visual tokens alive, axes (layers, GEMMS) as `token_counts_per_layer` returns
            them, or (layers) where a layer drops none inside; None for all of them everywhere.
        text_tokens: Text tokens; those of the shape if None. Methods never drop them.
        generated_tokens: G decode steps, after the token that the prefill itself yields.
        batch: Prompts of equal lengths side by side.
        lm_head_tokens: Tokens of each prompt the LM head sees in prefill; 1 in generation.

    Raises:
        ConfigError: Counts of another decoder, more tokens than the prompt has, or a negative number.
    """
    # Python integers: sums over a million tokens leave 64 bits.
    text = int(shape.text_tokens if text_tokens is None else text_tokens)
    generated_tokens, batch, lm_head_tokens = int(generated_tokens), int(batch), int(lm_head_tokens)
    least_values = (
        ("text_tokens", text, 0),
        ("generated_tokens", generated_tokens, 0),
        ("batch", batch, 1),
        ("lm_head_tokens", lm_head_tokens, 1),
    )
    for name, value, least in least_values:
        if value < least:
            raise ConfigError(f"{name} must be at least {least}, got {value}")
    counts = _counts(shape, visual_tokens_per_layer)
    if text == 0 and int(counts.min()) == 0:
        raise ConfigError("a layer of the decoder has neither visual nor text tokens; expected at least one")
    tokens = [LayerTokens(*row) for row in counts.tolist()]
    decoder, vocabulary = shape.decoder, shape.vocabulary_size
    pictures = batch * shape.frames
    return (
        *tower_operators(shape.vision, pictures),
        *projector_operators(shape.projector, shape.vision, pictures),
        *prefill_operators(decoder, tokens, text, batch),
        *head_operators(decoder, vocabulary, batch * lm_head_tokens),
        *decode_operators(decoder, tokens, text, batch, generated_tokens, vocabulary),
    )


def work_by_phase(listed: Iterable[Operator]) -> tuple[PhaseWork, ...]:
    """Return the sums over operators of each phase that occurs, in order of computation."""
    found = list(listed)
    works = []
    for phase in PHASES:
        mine = [one for one in found if one.phase == phase]
        if mine:
            works.append(
                PhaseWork(
                    phase=phase,
                    flops=sum(one.flops for one in mine),
                    causal_flops=sum(2 * one.causal_macs for one in mine),
                    vector_operations=sum(one.vector_operations for one in mine),
                    weight_elements=sum(one.total_weight_elements for one in mine),
                    kv_elements=sum(one.kv_elements for one in mine),
                )
            )
    return tuple(works)


def _counts(shape: ModelShape, given: ArrayLike | None) -> NDArray[np.int64]:
    layers = shape.decoder.layers
    if given is None:
        return np.full((layers, len(GEMMS)), shape.visual_tokens, dtype=np.int64)
    raw: NDArray[Any] = np.asarray(given)
    if raw.shape not in ((layers,), (layers, len(GEMMS))):
        raise ConfigError(
            f"visual_tokens_per_layer has axes {raw.shape}, expected ({layers},) or ({layers}, {len(GEMMS)}) "
            f"for a decoder of {layers} layers"
        )
    if not np.issubdtype(raw.dtype, np.integer):
        raise ConfigError(f"visual_tokens_per_layer must be whole numbers, got dtype {raw.dtype}")
    counts = np.broadcast_to(raw[:, None] if raw.ndim == 1 else raw, (layers, len(GEMMS))).astype(np.int64)
    if counts.min() < 0 or counts.max() > shape.visual_tokens:
        raise ConfigError(
            f"visual_tokens_per_layer lies in [{counts.min()}, {counts.max()}], "
            f"expected within [0, {shape.visual_tokens}], the visual tokens of the model shape"
        )
    return counts
