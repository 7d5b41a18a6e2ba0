"""One prefill of a picture for all questions about it, under methods that do not read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from focal_algorithm.hooks import Session
from focal_algorithm.loading import LoadedModel
from focal_algorithm.prompts import Prompt
from focal_algorithm.transformers_versions import cache_name, cache_of
from focal_common.errors import RunError

__all__ = ["shared_logits"]


def shared_logits(
    loaded: LoadedModel, session: Session, prompts: Sequence[Prompt], pictures: dict[str, Any]
) -> Tensor:
    """Return the logits after each prompt, axes (prompts, vocabulary).

    The decoder sees the picture and the text before it once; the questions follow as a batch on copies of its cache.
    Causal attention keeps them from what came before, so these are the logits of whole prefills, but for the
    rounding of products of another shape.

    Args:
        loaded: The model.
        session: A method that does not read questions, attached.
        prompts: About one picture, alike up to its end.
        pictures: Further keyword arguments of the prefill: pictures encoded before, where prompts hold no pixels.

    Raises:
        RunError: The prompts differ before the end of the picture.
    """
    token_ids = [prompt.inputs["input_ids"][0] for prompt in prompts]
    stop = _alike(token_ids)
    pictures_shown = {replace(prompt.layout, sequence_tokens=0) for prompt in prompts}
    if len(pictures_shown) > 1 or stop < prompts[0].layout.visual_stop:
        raise RunError(f"{prompts[0].layout.sample_id}: prompts about one picture differ before its end")
    cache = _prefix(loaded, session, prompts[0], stop, pictures)
    cache.batch_repeat_interleave(len(prompts))
    rests = [one[stop:] for one in token_ids]
    # Padding comes last, where no real token sees it; any id will do.
    padded = torch.nn.utils.rnn.pad_sequence(rests, batch_first=True, padding_value=int(rests[0][0]))
    logits = loaded.model(input_ids=padded, use_cache=True, **{cache_name(): cache}).logits
    last = torch.tensor([len(rest) - 1 for rest in rests], device=logits.device)
    answers: Tensor = logits[torch.arange(len(rests), device=logits.device), last]
    return answers


def _alike(token_ids: Sequence[Tensor]) -> int:
    """Return how many tokens all prompts begin with, leaving each at least one of its own."""
    length = min(map(len, token_ids)) - 1
    rows = torch.stack([one[:length] for one in token_ids])
    return int((rows == rows[0]).all(0).cumprod(0).sum())


def _prefix(
    loaded: LoadedModel, session: Session, prompt: Prompt, stop: int, pictures: dict[str, Any]
) -> Any:
    """Return the cache after the first ``stop`` tokens of a prompt."""
    whole = prompt.layout.sequence_tokens
    inputs = {
        name: value[:, :stop] if value.ndim == 2 and value.shape[1] == whole else value
        for name, value in prompt.inputs.items()
    }
    session.layouts = loaded.adapter.layouts(loaded.model, inputs, [prompt.layout.sample_id])
    output = loaded.model(**inputs, **pictures, use_cache=True, logits_to_keep=1)
    return cache_of(output)
