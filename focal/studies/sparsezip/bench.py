"""Everything that stays the same over a study: model, questions, and what the tower saw."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from focal.studies.sparsezip.budgets import DecoderShape
from focal.studies.sparsezip.features import Features, read_features, see_pictures, write_features
from focal.studies.sparsezip.forward import Prompts, prepare
from focal.studies.sparsezip.questions import QuestionSet
from focal_algorithm.models.base import ModelAdapter
from focal_algorithm.models.llava import Llava
from focal_algorithm.prompts.layout import SampleLayout
from focal_algorithm.prompts.vision import VisionPoints
from focal_algorithm.training.export import read_trained
from focal_algorithm.training.recipe import recipe
from focal_common.provenance import content_hash
from focal_traces.header.schema import DecoderGeometry, TokenGrid

__all__ = ["Bench", "Eyes", "open_bench", "open_eyes"]

_MODEL = "image"  # the recipe whose model the study runs on
_HASH = 16


@dataclass(frozen=True)
class Eyes:
    """A model ready to look at pictures.

    Attributes:
        model: In evaluation mode.
        adapter: Its family.
        tokenizer: Its tokenizer.
        points: Its vision tower.
        digest: Of its weights.
        name: What the user called it.
    """

    model: Any
    adapter: ModelAdapter
    tokenizer: Any
    points: VisionPoints
    digest: str
    name: str

    def look(
        self,
        questions: QuestionSet,
        cache: Path | None,
        track: Callable[[Iterable[int]], Iterable[int]] = lambda items: items,
    ) -> Features:
        """Return features of the pictures, from the folder ``cache`` where they were kept."""
        key = content_hash([self.digest, questions.manifest["sha256"]])
        path = None if cache is None else cache / f"features-{key[:_HASH]}.npz"
        kept = None if path is None else read_features(path, key)
        if kept is not None:
            return kept
        normalise = recipe(_MODEL).normalise
        found = see_pictures(self.model, self.adapter, normalise, questions.pictures, track)
        if path is not None:
            write_features(path, found, key)
        return found


@dataclass(frozen=True)
class Bench:
    """A model with questions.

    Attributes:
        eyes: The model.
        questions: The questions.
        features: Of every picture.
        prompts: Token ids of every text.
        geometry: Of the decoder.
        grid: Of the visual tokens.
    """

    eyes: Eyes
    questions: QuestionSet
    features: Features
    prompts: Prompts
    geometry: DecoderGeometry
    grid: TokenGrid

    @property
    def visual(self) -> int:
        """Visual tokens of a picture."""
        return len(self.features[0].embeddings)

    @property
    def shape(self) -> DecoderShape:
        """Shape of the decoder, for FLOPs."""
        return DecoderShape(
            self.geometry.layers, self.geometry.hidden_elements, self.geometry.intermediate_elements
        )

    def text_tokens(self, text: str) -> int:
        """Return the tokens of a prompt that are not visual."""
        return len(self.prompts.opening) + len(self.prompts.texts[text])

    def text_embeddings(self, text: str) -> Tensor:
        """Return the embeddings of the prompt after the visual tokens, axes (text tokens, hidden)."""
        with torch.no_grad():
            found: Tensor = self.eyes.model.get_decoder().embed_tokens(self.prompts.texts[text])
        return found

    def layout(self, name: str, text: str) -> SampleLayout:
        """Return the layout of a dense prompt."""
        start = len(self.prompts.opening)
        return SampleLayout(name, self.visual + self.text_tokens(text), start, self.visual, self.grid)


def open_eyes(folder: Path | None) -> Eyes:
    """Read the offline image model.

    Args:
        folder: With the files that training exported; the shipped model if None.

    Raises:
        ConfigError: Files are missing, changed, or of another model.
    """
    model, tokenizer, facts = read_trained(_MODEL, folder)
    adapter = Llava()
    name = "shapes_image" if folder is None else folder.name
    digest = content_hash(json.loads(json.dumps(facts.get("sha256", {}))))
    return Eyes(model, adapter, tokenizer, adapter.vision_points(model), digest, name)


def open_bench(
    eyes: Eyes,
    questions: QuestionSet,
    cache: Path | None = None,
    track: Callable[[Iterable[int]], Iterable[int]] = lambda items: items,
) -> Bench:
    """Let the model see every picture once.

    Args:
        eyes: The model.
        questions: The questions.
        cache: Folder in which features are kept; None to keep none.
        track: Wraps the batches of the tower to show progress.
    """
    features = eyes.look(questions, cache, track)
    texts = list(dict.fromkeys(one.text for one in questions.questions))
    prompts = prepare(eyes.tokenizer, recipe(_MODEL).template, texts)
    side = round(len(features[0].embeddings) ** 0.5)
    grid = TokenGrid(
        frames=1, rows=side, columns=side, frame_stride=side**2, row_stride=side, column_stride=1
    )
    return Bench(eyes, questions, features, prompts, eyes.adapter.points(eyes.model).geometry, grid)
