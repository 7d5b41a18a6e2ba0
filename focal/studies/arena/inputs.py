"""What a worker keeps between jobs: loaded models, their questions and their encoded pictures."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from focal.studies.arena.plan import ArenaPlan, ModelFolder
from focal_algorithm.checkpoints.loading import LoadedModel, load_model
from focal_algorithm.evaluation.offline.evaluator import Evaluator
from focal_algorithm.evaluation.offline.pictures import PictureCache
from focal_algorithm.evaluation.offline.questions import BENCHMARKS, QuestionSet, load_questions
from focal_algorithm.tracing.identity import checkpoint_digest

_CHUNK_QUESTIONS = 60
"""Questions of a job, rounded up to whole pictures: seconds to half a minute of work."""


@dataclass
class ArenaInputs:
    """Models and questions of a plan, loaded when they are first needed.

    Attributes:
        plan: The arena.
    """

    plan: ArenaPlan
    _models: dict[ModelFolder, tuple[LoadedModel, PictureCache]] = field(default_factory=dict)
    _questions: dict[str, QuestionSet] = field(default_factory=dict)
    _evaluators: dict[tuple[ModelFolder, str], Evaluator] = field(default_factory=dict)
    _digests: dict[ModelFolder, dict[str, object]] = field(default_factory=dict)

    def loaded(self, model: ModelFolder) -> LoadedModel:
        """Return a model; see `load_model` for errors."""
        return self._model(model)[0]

    def questions(self, benchmark: str) -> QuestionSet:
        """Return the questions that are asked of a benchmark.

        Raises:
            ConfigError: The plan asks for more than it holds.
        """
        if benchmark not in self._questions:
            self._questions[benchmark] = load_questions(benchmark, self.plan.questions or None)
        return self._questions[benchmark]

    def evaluator(self, model: ModelFolder, benchmark: str) -> Evaluator:
        """Return a model before the questions of a benchmark."""
        if (model, benchmark) not in self._evaluators:
            loaded, pictures = self._model(model)
            self._evaluators[model, benchmark] = Evaluator(loaded, self.questions(benchmark), pictures)
        return self._evaluators[model, benchmark]

    def suits(self, model: ModelFolder, benchmark: str) -> bool:
        """Return whether a model answers a benchmark: clips for models that take videos, images for others."""
        takes_videos = "video" in self.loaded(model).adapter.modalities
        return BENCHMARKS[benchmark].is_video == takes_videos

    def traced(self, benchmark: str) -> tuple[int, ...]:
        """Return the numbers of the questions that are recorded: one about each of some seeded pictures."""
        return traced_questions(self.questions(benchmark), self.plan.traced, self.plan.seed)

    def chunks(self, benchmark: str) -> list[tuple[int, ...]]:
        """Return the numbers of the questions of each job; questions about one picture stay together."""
        chunks: list[list[int]] = [[]]
        last = -1
        for one in self.questions(benchmark).asked:
            if one.picture != last and len(chunks[-1]) >= _CHUNK_QUESTIONS:
                chunks.append([])
            chunks[-1].append(one.number)
            last = one.picture
        return [tuple(chunk) for chunk in chunks]

    def digest(self, model: ModelFolder) -> dict[str, object]:
        """Return what identifies a checkpoint: the SHA-256 of each of its files."""
        if model not in self._digests:
            self._digests[model] = checkpoint_digest(model.folder, "", 0)
        return self._digests[model]

    def _model(self, model: ModelFolder) -> tuple[LoadedModel, PictureCache]:
        if model not in self._models:
            loaded = load_model(
                model.folder,
                size="",
                seed=0,
                dtype="fp32",
                attention="sdpa",
                device="cpu",
                is_offline=True,
            )
            self._models[model] = (loaded, PictureCache(loaded))
        return self._models[model]


def traced_questions(questions: QuestionSet, count: int, seed: int) -> tuple[int, ...]:
    """Return the numbers of questions, one about each of some pictures, chosen by a seed and the benchmark's name.

    Args:
        questions: To choose from.
        count: Most of them.
        seed: Of the choice.
    """
    generator = np.random.default_rng([seed, *questions.benchmark.encode("utf-8")])
    pictures = sorted({one.picture for one in questions.asked})
    chosen = generator.choice(pictures, size=min(count, len(pictures)), replace=False).tolist()
    own = ([one.number for one in questions.asked if one.picture == picture] for picture in sorted(chosen))
    return tuple(int(generator.choice(numbers)) for numbers in own)
