"""Everything that stays the same over a study: model, questions, and what the tower saw in each picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from focal.studies.sparsezip.methods import TowerLook
from focal.studies.sparsezip.questions import QuestionSet
from focal_algorithm.checkpoints.loading import LoadedModel, load_model
from focal_algorithm.evaluation.offline.evaluator import Evaluator
from focal_algorithm.models.weights import MANIFEST, check_weights, shipped_model
from focal_algorithm.prompts.layout import SampleLayout
from focal_algorithm.prompts.pictures import TowerPicture
from focal_algorithm.prompts.vision import VisionPoints
from focal_algorithm.tracing.prompting import build_prompt
from focal_common.errors import UnsupportedError
from focal_common.provenance import content_hash
from focal_common.reading.json_files import read_json
from focal_traces.header.schema import DecoderGeometry

VisualFeatures = tuple[TowerPicture, ...]
"""What methods before the decoder are shown of each picture, numbered as in the question set."""


@dataclass(frozen=True)
class LoadedVisionModel:
    """A model with a vision tower that has a CLS token.

    Attributes:
        loaded: The model with adapter and tokenizer.
        digest: Of its files.
        name: What the user called it.
    """

    loaded: LoadedModel
    digest: str
    name: str

    @property
    def points(self) -> VisionPoints:
        """The vision tower."""
        return self.loaded.adapter.vision_points(self.loaded.model)

    def features(
        self, questions: QuestionSet, track: Callable[[Iterable[Any]], Iterable[Any]] = lambda items: items
    ) -> VisualFeatures:
        """Return the features of the pictures of a question set, by one prefill each.

        Args:
            questions: With the pictures.
            track: Wraps the pictures to show progress.
        """
        seen: list[TowerPicture] = []
        evaluator = Evaluator(self.loaded, questions.offline())
        first = {one.picture: one.number for one in reversed(evaluator.questions.asked)}
        for number in track(sorted(first)):
            list(evaluator.replies(TowerLook(seen=seen), [first[number]]))
        return tuple(replace(picture, index=number) for number, picture in enumerate(seen))


@dataclass(frozen=True)
class ModelUnderStudy:
    """A model with its questions.

    Attributes:
        vision_model: The model.
        questions: The questions.
        features: Of every picture.
    """

    vision_model: LoadedVisionModel
    questions: QuestionSet
    features: VisualFeatures

    @cached_property
    def evaluator(self) -> Evaluator:
        """The model before each text once a picture, in the order of `QuestionSet.prompts`."""
        return Evaluator(self.vision_model.loaded, self.questions.offline())

    @property
    def model(self) -> Any:
        """The transformers model."""
        return self.vision_model.loaded.model

    @property
    def geometry(self) -> DecoderGeometry:
        """Of the decoder."""
        return self.vision_model.loaded.geometry

    @property
    def visual(self) -> int:
        """Visual tokens of a picture."""
        return len(self.features[0].embeddings)

    @cached_property
    def _layout(self) -> SampleLayout:
        asked = self.evaluator.questions
        sample = asked.samples[0].media()
        return build_prompt(self.vision_model.loaded, sample, asked.asked[0].text).layout

    def layout(self, number: int, text: str) -> SampleLayout:
        """Return the layout of the whole prompt of a question about a picture."""
        tokens = self._layout.visual_stop + len(self.token_ids(text)[1])
        return replace(self._layout, sample_id=f"picture {number}", sequence_tokens=tokens)

    def token_ids(self, text: str) -> tuple[list[int], list[int]]:
        """Return the token ids of a prompt before and after its visual tokens."""
        before, after = self.vision_model.loaded.adapter.prompt_text(text)
        encode = self.vision_model.loaded.tokenizer.encode
        return encode(before), encode(after)

    @torch.no_grad()
    def embeddings(self, token_ids: Sequence[int]) -> Tensor:
        """Return input embeddings, axes (tokens, hidden)."""
        found: Tensor = self.model.get_decoder().embed_tokens(torch.tensor(token_ids))
        return found


def open_model(folder: Path | None) -> LoadedVisionModel:
    """Read the offline image model.

    Args:
        folder: With the files that training exported; the shipped model if None.

    Raises:
        ConfigError: Files are missing or changed.
        UnsupportedError: The vision tower has no CLS token or no projector that works row by row.
    """
    where = shipped_model("shapes_image") if folder is None else folder
    check_weights(where)
    name = str(where) if folder is not None else "shapes_image"
    loaded = load_model(
        name, size="", seed=0, dtype="fp32", attention="sdpa", device="cpu", is_offline=True
    )  # fmt: skip
    points = loaded.adapter.vision_points(loaded.model)
    if points.prefix_tokens != 1 or points.projector is None:
        raise UnsupportedError(
            f"{where}: the study needs a vision tower with a CLS token and a projector that works row by row; "
            "expected a LLaVA-1.5 model such as shapes_image"
        )
    manifest = read_json(where / MANIFEST)
    return LoadedVisionModel(loaded, content_hash(manifest["sha256"]), where.name)


def open_study(
    vision_model: LoadedVisionModel,
    questions: QuestionSet,
    track: Callable[[Iterable[Any]], Iterable[Any]] = lambda items: items,
) -> ModelUnderStudy:
    """Let the model see every picture once.

    Args:
        vision_model: The model.
        questions: The questions.
        track: Wraps the pictures to show progress.
    """
    return ModelUnderStudy(vision_model, questions, vision_model.features(questions, track))
