"""How a model is trained: data, stages and weights of the losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import accumulate
from typing import Any

from torch import Tensor

from focal_algorithm.tasks.sample import TaskSample
from focal_algorithm.training.guidance import Guidance
from focal_algorithm.training.words import vocabulary
from focal_common.provenance import content_hash

__all__ = ["Recipe", "Stage"]


@dataclass(frozen=True)
class Stage:
    """A stretch of training with one shape of batch.

    Attributes:
        frames: Frames of a clip; 1 for images.
        samples: Of a batch.
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
        starts = [0, *ends]
        opens = [at for at, stage in zip(starts, stages, strict=False) if stage.restarts] + [
            0,
            self.vision.steps,
        ]
        first = max(at for at in opens if at <= step)
        return first, min([at for at in opens if at > step] + [ends[-1]]) - first

    def scaled(self, factor: float) -> Recipe:
        """Return the recipe with every stage shortened or lengthened, to try things out."""

        def scale(stage: Stage) -> Stage:
            return replace(stage, steps=max(1, round(stage.steps * factor)))

        return replace(self, vision=scale(self.vision), stages=tuple(scale(stage) for stage in self.stages))
