"""From one media sample and a question to the inputs of a model's forward, and what one finished prefill gave."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from focal_algorithm.checkpoints.loading import LoadedModel
from focal_algorithm.hooks import attach
from focal_algorithm.hooks.placement import input_device
from focal_algorithm.hooks.recorder import RecordedSample, Recorder
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.models.base import VisualPart
from focal_algorithm.prompts.cells import CellMaker, kept_frames
from focal_algorithm.prompts.layout import SampleLayout
from focal_algorithm.prompts.media import MediaSample
from focal_algorithm.prompts.media.media import Question
from focal_common.errors import RunError, UnsupportedError
from focal_traces.frames.frames import SampleFrames


@dataclass(frozen=True)
class Prompt:
    """Inputs of one prefill.

    Attributes:
        inputs: Keyword arguments of the model's forward, batch of 1.
        layout: Where the visual tokens lie.
        frames: Makes what a trace keeps of the pictures; None where the family cannot say.
    """

    inputs: dict[str, Any]
    layout: SampleLayout
    frames: Callable[[], SampleFrames] | None = None


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
        visual = visual_part(loaded, sample)
    before, after = adapter.prompt_text(question)
    token_ids: list[int] = []
    is_placeholder: list[bool] = []
    for piece in (before, *visual.pieces, after):
        if isinstance(piece, str):
            token_ids += loaded.tokenizer.encode(piece)
        else:
            token_ids += [piece.token_id] * piece.tokens
        is_placeholder += [not isinstance(piece, str)] * (len(token_ids) - len(is_placeholder))
    rows = torch.tensor([token_ids])
    inputs = {"input_ids": rows, "attention_mask": torch.ones_like(rows)}
    inputs |= token_types(model, rows) | visual.inputs
    device = input_device(model)
    inputs = {name: tensor.to(device) for name, tensor in inputs.items()}
    layout = adapter.layouts(model, inputs, [sample.sample_id])[0]
    if visual.cells is None or not layout.visual_tokens:
        return Prompt(inputs, layout)
    own = is_placeholder[layout.visual_start : layout.visual_stop]
    return Prompt(inputs, layout, partial(_frames, visual.cells, own, layout, question))


def answer_of(
    loaded: LoadedModel, method: CompressionMethod, recorder: Recorder | None, prompt: Prompt, new_tokens: int
) -> str:
    """Run a prefill under a method and return the greedy continuation; nothing is generated for 0 tokens.

    Raises:
        RunError: Out of memory.
    """
    with torch.inference_mode(), attach(loaded.model, loaded.adapter, method, recorder, [prompt.layout]):
        if not new_tokens:
            loaded.model(**prompt.inputs, logits_to_keep=1)
            return ""
        try:
            output = loaded.model.generate(**prompt.inputs, max_new_tokens=new_tokens, do_sample=False)
        except torch.OutOfMemoryError as error:
            raise RunError(f"{prompt.layout.sample_id}: out of memory; try fewer frames or bf16") from error
    return loaded.tokenizer.decode(output[0, prompt.layout.sequence_tokens :].tolist())


def visual_part(loaded: LoadedModel, sample: MediaSample) -> VisualPart:
    """Return the pictures' part of a prompt; raises `UnsupportedError` where the family does not take such pictures."""
    kind, adapter = "video" if sample.is_video else "image", loaded.adapter
    if kind not in adapter.modalities:
        raise UnsupportedError(
            f"{adapter.family} takes no {kind}s; expected {' or '.join(sorted(adapter.modalities))}"
        )
    return adapter.visual_inputs(loaded.model, sample.frames, sample.is_video)


def token_types(model: Any, token_ids: Tensor) -> dict[str, Tensor]:
    """Return which tokens are text (0), image (1) and video (2) for a model whose positions follow from them.

    Args:
        model: The model.
        token_ids: Axes (batch, tokens).
    """
    taken = inspect.signature(model.forward).parameters
    name = next((name for name in ("mm_token_type_ids", "token_type_ids") if name in taken), None)
    if name is None:
        return {}
    is_image, is_video = (
        (token_ids == getattr(model.config, f"{kind}_token_id", -1)).int() for kind in ("image", "video")
    )
    return {name: is_image + 2 * is_video}


def _frames(make: CellMaker, is_placeholder: list[bool], layout: SampleLayout, question: str) -> SampleFrames:
    return kept_frames(make(), np.array(is_placeholder), layout.sample_id, question)


@dataclass(frozen=True)
class TracedSample:
    """One finished prefill with what the model answered.

    Attributes:
        recorded: Counts, masks, records.
        answer: Generated text.
        origin: Where the pixels come from.
        question: As it was asked.
        asked: Question of a benchmark with its right answer; None for other inputs.
        dense_answer: Dense answer of the untouched model; None where it was not asked.
        frames: Pictures to keep beside the trace; None for none.
        notes: Of its `MediaSample`.
    """

    recorded: RecordedSample
    answer: str
    origin: str
    question: str = ""
    asked: Question | None = None
    dense_answer: str | None = None
    frames: SampleFrames | None = None
    notes: tuple[str, ...] = ()
