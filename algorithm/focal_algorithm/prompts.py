"""From one media sample and a question to the inputs of a model's forward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from focal_algorithm.inputs import MediaSample
from focal_algorithm.layout import SampleLayout
from focal_algorithm.loading import LoadedModel
from focal_algorithm.models.base import VisualPart

__all__ = ["Prompt", "build_prompt"]


@dataclass(frozen=True)
class Prompt:
    """Inputs of one prefill.

    Attributes:
        inputs: Keyword arguments of the model's forward, batch of 1.
        layout: Where the visual tokens lie.
    """

    inputs: dict[str, Any]
    layout: SampleLayout


def build_prompt(
    loaded: LoadedModel, sample: MediaSample, question: str, visual: VisualPart | None = None
) -> Prompt:
    """Preprocess pictures, tokenise the question and place the visual tokens between the two text parts.

    Args:
        loaded: The model.
        sample: One image or video.
        question: Text after it.
        visual: The pictures, where they were preprocessed before.
    """
    model, adapter = loaded.model, loaded.adapter
    if visual is None:
        adapter.require(sample.is_video)
        visual = adapter.visual_inputs(model, sample.frames, sample.is_video)
    before, after = adapter.prompt_text(question)
    token_ids: list[int] = []
    for piece in (before, *visual.pieces, after):
        if isinstance(piece, str):
            token_ids += loaded.tokenizer.encode(piece)
        else:
            token_ids += [piece.token_id] * piece.tokens
    rows = torch.tensor([token_ids])
    inputs = {"input_ids": rows, "attention_mask": torch.ones_like(rows)}
    inputs |= adapter.sequence_inputs(model, rows) | visual.inputs
    inputs = {name: tensor.to(model.device) for name, tensor in inputs.items()}
    return Prompt(inputs, adapter.layouts(model, inputs, [sample.sample_id])[0])
