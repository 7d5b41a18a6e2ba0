"""What a trained model is asked to be accepted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from focal_algorithm.tasks.sample import TaskSample
from focal_algorithm.tasks.shapes_mme import shapes_mme_sample
from focal_algorithm.tasks.shapes_pope import shapes_pope_sample
from focal_algorithm.tasks.shapes_video import shapes_video_sample

__all__ = ["checking_samples", "rare_samples"]

_RARE_FROM = 1_000_000
"""Index of the first sample with questions of rare sub-tasks, far from those that are asked in full."""


def checking_samples(name: str, questions: int, seed: int = 0) -> list[TaskSample]:
    """Return samples of the test split with at least so many questions.

    Video: shapes-video with 16 frames. Image: as many questions of shapes-mme as of shapes-pope, adversarial.
    """
    samples: list[TaskSample] = []
    found = index = 0
    while found < questions:
        more = _samples(name, index, seed)
        samples += more
        found += sum(len(sample.questions) for sample in more)
        index += 1
    return samples


def rare_samples(name: str, samples: Sequence[TaskSample], least: int, seed: int = 0) -> list[TaskSample]:
    """Return further samples with questions of the sub-tasks that are asked less often, ``least`` times in all.

    Args:
        name: ``video`` or ``image``.
        samples: Those of `checking_samples`, in which every sub-task occurs.
        least: Questions of each sub-task.
        seed: Of the benchmark.
    """
    missing = Counter({kind: least - times for kind, times in _kinds(samples).items() if times < least})
    found: list[TaskSample] = []
    index = _RARE_FROM
    while missing:
        for sample in _samples(name, index, seed):
            wanted = tuple(question for question in sample.questions if question.kind in missing)
            if wanted:
                found.append(replace(sample, questions=wanted))
                missing -= Counter(question.kind for question in wanted)
        index += 1
    return found


def _samples(name: str, index: int, seed: int) -> list[TaskSample]:
    if name == "video":
        return [shapes_video_sample(seed, "test", index)]
    pairs = [shapes_mme_sample(seed, "test", 3 * index + offset) for offset in range(3)]
    return [*pairs, shapes_pope_sample(seed, "test", index)]


def _kinds(samples: Sequence[TaskSample]) -> Counter[str]:
    return Counter(question.kind for sample in samples for question in sample.questions)
