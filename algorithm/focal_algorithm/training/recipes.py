"""The recipes of the shipped models."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from focal_algorithm.tasks.image_scene import crowd_sample
from focal_algorithm.tasks.sample import TaskSample
from focal_algorithm.tasks.shapes_mme import image_training_sample
from focal_algorithm.tasks.shapes_video import shapes_video_sample
from focal_algorithm.training.architecture import IMAGE_SIZE_PIXELS, VISUAL_SIDE, image_model, video_model
from focal_algorithm.training.recipe import Recipe, Stage
from focal_common.errors import ConfigError, near_matches

__all__ = ["PIXEL_SCALES", "recipe"]

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

_IMAGE_TEMPLATE = (
    "<s>A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, "
    "detailed, and polite answers to the human's questions. USER: ",
    "\n{question} ASSISTANT:",
)
"""Vicuna conversation, as LLaVA-1.5 was trained with (arXiv 2310.03744)."""

PIXEL_SCALES = {
    # Source: google/siglip-so400m-patch14-384 preprocessor_config.json.
    "video": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    # Source: openai/clip-vit-large-patch14-336 preprocessor_config.json.
    "image": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}
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
    def sample(seed: int, split: str, index: int, stage: Stage) -> TaskSample:
        return image_training_sample(seed, split, index)

    return Recipe(
        name="image",
        build=image_model,
        sample=sample,
        crowd=partial(crowd_sample, size_pixels=IMAGE_SIZE_PIXELS["image"], radii=(7.0, 12.5), most=12),
        normalise=partial(_normalised, name="image"),
        template=_IMAGE_TEMPLATE,
        side=VISUAL_SIDE["image"],
        vision=Stage(frames=1, samples=32, steps=1000),
        stages=(Stage(frames=1, samples=8, steps=3600, trains_tower=True),),
        questions=14,
        weights=_WEIGHTS,
    )
