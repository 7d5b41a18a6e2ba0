"""From samples of a benchmark to the tensors of one training step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from focal_algorithm.prompts.media.media import Question
from focal_algorithm.tasks.drawing import COLORS, SHAPES
from focal_algorithm.tasks.sample import TaskSample
from focal_algorithm.training.architecture import ANSWER_END, PAD

MOST_OBJECTS = 6
WINDOWS = ("life", "start", "end")
CATEGORIES = len(COLORS) * len(SHAPES)
"""Colour and shape together; the label 0 is background, labels of categories start at 1."""

IGNORED = -100
_LEAST_COVER = 0.2
"""Part of a cell that an object must cover to own it. Assumed."""


@dataclass(frozen=True)
class QuestionBatch:
    """Questions of a batch of samples, packed.

    Attributes:
        token_ids: Axes (batch, Q, slot): question, end of turn, answer, padding.
        labels: The next token where it is to be learned, else -100; same axes.
        answer_rows: Index in its slot of the token that predicts the answer; axes (batch, Q).
        evidence: Which targets must be looked at, axes (batch, Q, C); all false where there is none.
        mentions: Which targets a word names by colour or shape, axes (batch, Q, slot, C); false for other words.
        subjects: Index of the object that a word names alone, else -100; axes (batch, Q, slot).
        found: At a shape after a colour: 1 if there is such an object, else 0; -100 at other words; same axes.
        pair: First and second object that the question names by colour and shape, else -100; axes (batch, Q, 2).
        columns: Which visual token belongs to which target, axes (batch, visual, C).
    """

    token_ids: Tensor
    labels: Tensor
    answer_rows: Tensor
    evidence: Tensor
    mentions: Tensor
    subjects: Tensor
    found: Tensor
    pair: Tensor
    columns: Tensor


def pixels_of(samples: Sequence[TaskSample]) -> Tensor:
    """Return frames in 0 to 1, axes (batch, frames, channels, rows, columns)."""
    frames = torch.from_numpy(np.stack([sample.frames for sample in samples]))
    return frames.permute(0, 1, 4, 2, 3).to(torch.float32) / 255


def cell_owners(owners: NDArray[np.int8], side: int) -> NDArray[np.int64]:
    """Return the object that covers most of each cell of a grid, -1 for background.

    Args:
        owners: Axes (frames, rows, columns).
        side: Cells per side.

    Returns:
        Axes (frames, side, side).
    """
    frames, size, _ = owners.shape
    step = size // side
    blocks = owners.reshape(frames, side, step, side, step)
    covers = np.stack(
        [(blocks == index).mean((2, 4)) for index in range(max(MOST_OBJECTS, int(owners.max()) + 1))]
    )
    best: NDArray[np.int64] = covers.argmax(0)
    return np.where(covers.max(0) >= _LEAST_COVER, best, -1)


def question_batch(
    samples: Sequence[TaskSample],
    chosen: Sequence[Sequence[Question]],
    tokenizer: Any,
    after: str,
    side: int,
    slot: int,
) -> QuestionBatch:
    """Tokenise and pack questions.

    Args:
        samples: The batch.
        chosen: As many questions of each sample.
        tokenizer: Word tokenizer.
        after: Template after the visual tokens, with ``{question}``.
        side: Visual tokens per side of a frame.
        slot: Tokens of a slot.
    """
    shape = (len(samples), len(chosen[0]), slot)
    pad = tokenizer.convert_tokens_to_ids(PAD)
    end = tokenizer.convert_tokens_to_ids(ANSWER_END)
    token_ids = np.full(shape, pad, dtype=np.int64)
    labels = np.full(shape, IGNORED, dtype=np.int64)
    rows = np.zeros(shape[:2], dtype=np.int64)
    evidence = np.zeros((*shape[:2], 1 + MOST_OBJECTS * len(WINDOWS)), dtype=bool)
    mentions = np.zeros((*shape, evidence.shape[-1]), dtype=bool)
    subjects, found = np.full(shape, IGNORED, dtype=np.int64), np.full(shape, IGNORED, dtype=np.int64)
    pair = np.full((*shape[:2], 2), IGNORED, dtype=np.int64)
    for row, questions in enumerate(chosen):
        named = _named(samples[row])
        for place, question in enumerate(questions):
            words = tokenizer.encode(after.format(question=question.text), add_special_tokens=False)
            answer = tokenizer.convert_tokens_to_ids(question.answer)
            token_ids[row, place, : len(words) + 1] = [*words, answer]
            rows[row, place] = len(words) - 1
            labels[row, place, len(words) - 1 : len(words) + 1] = answer, end
            texts = tokenizer.convert_ids_to_tokens(words)
            for spot, targets in enumerate(_named_by(texts, named)):
                mentions[row, place, spot, targets] = True
                if len(targets) == 1:
                    subjects[row, place, spot] = (targets[0] - 1) // len(WINDOWS)
                if spot and texts[spot] in SHAPES and texts[spot - 1] in COLORS:
                    found[row, place, spot] = len(targets)
            both = subjects[row, place][found[row, place] == 1][:2]
            pair[row, place, : len(both)] = both
            for index, window in question.evidence:
                evidence[row, place, 1 + index * len(WINDOWS) + WINDOWS.index(window)] = True
    columns = np.stack([_columns(sample, side) for sample in samples])
    arrays = (token_ids, labels, rows, evidence, mentions, subjects, found, pair, columns)
    return QuestionBatch(*(torch.from_numpy(array) for array in arrays))


def _named(sample: TaskSample) -> dict[str, list[int]]:
    """Return the targets that each colour or shape word names: its objects, over their whole life."""
    named: dict[str, list[int]] = {}
    for index, one in enumerate(sample.scene.objects):
        for word in (one.color, one.shape):
            named.setdefault(word, []).append(1 + index * len(WINDOWS))
    return named


def _named_by(words: list[str], named: dict[str, list[int]]) -> list[list[int]]:
    """Return the targets that each word names; a shape after a colour names the objects that are both."""
    found = []
    for word, before in zip(words, ["", *words], strict=False):
        targets = named.get(word, [])
        if word in SHAPES and before in COLORS:
            targets = [target for target in targets if target in named.get(before, [])]
        found.append(targets)
    return found


def _columns(sample: TaskSample, side: int) -> NDArray[np.float32]:
    """Return indicators of all visual tokens, then of each object in each window; axes (visual, C)."""
    owners = cell_owners(sample.owners, side)
    frames = np.arange(len(owners))[:, None, None]
    columns = np.zeros((owners.size, 1 + MOST_OBJECTS * len(WINDOWS)), dtype=np.float32)
    columns[:, 0] = 1
    for index, one in enumerate(sample.scene.objects):
        fifth = (one.last - one.first) // 5
        spans = {
            "life": (one.first, one.last),
            "start": (one.first, one.first + fifth),
            "end": (one.last - fifth, one.last),
        }
        for place, window in enumerate(WINDOWS):
            low, high = spans[window]
            is_there = (owners == index) & (frames >= low) & (frames <= high)
            columns[:, 1 + index * len(WINDOWS) + place] = is_there.ravel()
    return columns
