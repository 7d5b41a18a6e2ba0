"""Every operator of one inference: vision tower, projector, prefill, LM head, decode."""

from __future__ import annotations

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
from focal_simulator.whole_model.operator import Operator
from focal_simulator.whole_model.vision import projector_operators, tower_operators
from focal_traces.header.schema import GEMMS
from focal_traces.model_shape.model_shape import ModelShape


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
        visual_tokens_per_layer: Visual tokens alive, axes (layers, GEMMS) as in the totals of a trace,
            or (layers) where a layer drops none inside; None for all of them everywhere.
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
