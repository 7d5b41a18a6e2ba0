"""How the shipped models are trained: data, stages and weights of the losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from focal_algorithm.prompts.media.preprocess import CLIP, SIGLIP
from focal_algorithm.tasks.image_scene import crowd_sample
from focal_algorithm.tasks.sample import TaskSample
from focal_algorithm.tasks.shapes_mme import image_training_sample
from focal_algorithm.tasks.shapes_video import shapes_video_sample
from focal_algorithm.training.architecture import (
    IMAGE_SIZE_PIXELS,
    VISUAL_SIDE,
    image_model,
    video_model,
    vocabulary,
)
from focal_algorithm.training.probes import Guidance
from focal_common.errors import ConfigError, near_matches
from focal_common.provenance import content_hash


@dataclass(frozen=True)
class Stage:
    """A stretch of training with one shape of batch.

    Attributes:
        frames: Frames of a clip; 1 for images.
        samples: Samples of a batch.
        steps: Optimizer steps.
        trains_tower: Whether tower and projector learn too; always in the vision stage.
        rounds: How often sub-tasks are asked of a sample that are asked more often than the others.
        restarts: Whether the schedules of learning rate and of the losses on reading begin anew here.
    """

    frames: int
    samples: int
    steps: int
    trains_tower: bool = False
    rounds: Mapping[str, int] = field(default_factory=dict)
    restarts: bool = False


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, but the seed.

    Attributes:
        name: ``video`` or ``image``.
        build: Makes the model from torch's current random state, given the size of the vocabulary.
        sample: Makes a sample from (seed, split, index, stage).
        crowd: Makes a still picture with many shapes from (seed, split, index), for the vision stage.
        normalise: From RGB in 0 to 1, axes (..., channels, rows, columns), to what the tower expects.
        template: Text before and after the visual tokens, the latter with ``{question}``.
        side: Visual tokens per side of a frame.
        vision: Stage in which tower and projector learn alone.
        stages: Stages of the decoder, in order.
        questions: Questions of a sample in one step.
        slot: Most tokens of a question with its answer.
        vision_rate: Peak learning rate of the vision stage.
        tower_rate: Peak learning rate of the tower beside the decoder.
        rate: Peak learning rate of the decoder.
        guidance: Which layers read.
        weights: Factor of each auxiliary loss; one that is absent counts nothing.
        evidence_until: Part of a cycle of the decoder's schedule after which the losses on reading have faded out.
    """

    name: str
    build: Callable[[int], Any]
    sample: Callable[[int, str, int, Stage], TaskSample]
    crowd: Callable[[int, str, int], TaskSample]
    normalise: Callable[[Tensor], Tensor]
    template: tuple[str, str]
    side: int
    vision: Stage
    stages: tuple[Stage, ...]
    questions: int = 12
    slot: int = 18
    vision_rate: float = 2e-3
    tower_rate: float = 8e-4
    rate: float = 1.5e-3
    guidance: Guidance = field(default_factory=Guidance)
    weights: dict[str, float] = field(default_factory=dict)
    evidence_until: float = 0.8

    @property
    def words(self) -> tuple[str, ...]:
        """Vocabulary of the model."""
        return vocabulary(" ".join(self.template))

    @property
    def digest(self) -> str:
        """SHA-256 of all that is data, the vocabulary included, cut to 16 digits; functions are not told apart."""
        plain = {name: value for name, value in asdict(self).items() if not callable(value)}
        return content_hash(plain | {"words": self.words})[:16]

    @property
    def steps(self) -> int:
        """Steps of all stages, the vision stage first."""
        return self.vision.steps + sum(stage.steps for stage in self.stages)

    def stage_at(self, step: int) -> tuple[int, Stage]:
        """Return the number (0 is vision) and the stage of a step."""
        for number, stage in enumerate((self.vision, *self.stages)):
            if step < stage.steps:
                return number, stage
            step -= stage.steps
        raise IndexError(step)

    def cycle_at(self, step: int) -> tuple[int, int]:
        """Return the first step of the schedule's cycle that a step belongs to, and the cycle's steps."""
        stages = (self.vision, *self.stages)
        ends = list(accumulate(stage.steps for stage in stages))
        opens = [0, self.vision.steps]
        opens += [start for start, stage in zip([0, *ends], stages, strict=False) if stage.restarts]
        first = max(start for start in opens if start <= step)
        return first, min([start for start in opens if start > step] + [ends[-1]]) - first

    def scaled(self, factor: float) -> Recipe:
        """Return the recipe with every stage shortened or lengthened, to try things out."""

        def scale(stage: Stage) -> Stage:
            return replace(stage, steps=max(1, round(stage.steps * factor)))

        return replace(self, vision=scale(self.vision), stages=tuple(scale(stage) for stage in self.stages))


_WEIGHTS = {
    "category": 1.0,
    "centre": 1.0,
    "middle": 0.5,
    "radius": 0.5,
    "presence": 0.1,
    "drawn": 0.3,
    "deep category": 0.1,
    "deep time": 0.3,
    "deep direction": 0.3,
    "deep speed": 0.2,
    "deep start": 0.2,
    "early mass": 1.0,
    "early share": 0.05,
    "named": 0.15,
    "word category": 0.1,
    "word numbers": 1.0,
    "word motion": 0.1,
    "word found": 0.3,
    "pair numbers": 1.0,
    "evidence": 0.2,
}

_RELATIONS = {"relation": 12, "two-hop": 12}

PIXEL_SCALES = {"video": SIGLIP, "image": CLIP}
"""Mean and deviation of each channel that the adapters apply."""


def recipe(name: str) -> Recipe:
    """Return a recipe by name.

    Raises:
        ConfigError: There is none.
    """
    makers = {"image": _image, "video": _video}
    if name not in makers:
        raise ConfigError(f"unknown model '{name}'; {near_matches(name, makers)}")
    return makers[name]()


def _normalised(pixels: Tensor, name: str) -> Tensor:
    mean, deviation = (torch.tensor(three)[:, None, None] for three in PIXEL_SCALES[name])
    return (pixels - mean) / deviation


def _video() -> Recipe:
    from focal_algorithm.models.llava_onevision import LlavaOnevision

    def sample(seed: int, split: str, index: int, stage: Stage) -> TaskSample:
        return shapes_video_sample(seed, split, index, frames=stage.frames, rounds=2, more=stage.rounds)

    return Recipe(
        name="video",
        build=video_model,
        sample=sample,
        crowd=partial(crowd_sample, size_pixels=IMAGE_SIZE_PIXELS["video"], radii=(5.5, 7.0), most=9),
        normalise=partial(_normalised, name="video"),
        template=LlavaOnevision().prompt_text("{question}"),
        side=VISUAL_SIDE["video"],
        vision=Stage(frames=1, samples=64, steps=1000),
        stages=(
            Stage(frames=4, samples=6, steps=2000, trains_tower=True),
            Stage(frames=8, samples=4, steps=700, trains_tower=True),
            Stage(frames=16, samples=4, steps=500),
            # A second cycle: of both sub-tasks too few were asked, and they were late to leave chance.
            Stage(frames=4, samples=6, steps=500, rounds=_RELATIONS, restarts=True),
            Stage(frames=16, samples=4, steps=250, rounds=_RELATIONS),
        ),
        questions=14,
        weights=_WEIGHTS,
    )


def _image() -> Recipe:
    from focal_algorithm.models.llava import Llava

    def sample(seed: int, split: str, index: int, stage: Stage) -> TaskSample:
        return image_training_sample(seed, split, index)

    return Recipe(
        name="image",
        build=image_model,
        sample=sample,
        crowd=partial(crowd_sample, size_pixels=IMAGE_SIZE_PIXELS["image"], radii=(7.0, 12.5), most=12),
        normalise=partial(_normalised, name="image"),
        template=Llava().prompt_text("{question}"),
        side=VISUAL_SIDE["image"],
        vision=Stage(frames=1, samples=32, steps=1000),
        stages=(Stage(frames=1, samples=8, steps=3600, trains_tower=True),),
        questions=14,
        weights=_WEIGHTS,
    )
