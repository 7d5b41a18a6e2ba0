"""May a trained model ship? Accuracy above its controls, and loss where visual tokens are dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from focal_algorithm.prompts.media.media import Question
from focal_algorithm.tasks.sample import TaskSample
from focal_algorithm.tasks.shapes_mme import shapes_mme_sample
from focal_algorithm.tasks.shapes_pope import shapes_pope_sample
from focal_algorithm.tasks.shapes_video import shapes_video_sample
from focal_algorithm.training.answering import Drop, answers
from focal_algorithm.training.batches import pixels_of, question_batch
from focal_algorithm.training.forward import see
from focal_algorithm.training.recipe import Recipe
from focal_algorithm.training.tower_attention import tower_attention
from focal_common.statistics import paired_difference, wilson


@dataclass
class Measured:
    """Which questions were answered right under which condition.

    Attributes:
        kinds: Sub-task of each question.
        pictures: Index of the sample that each question is about.
        luck: Chance of each question to be answered right by luck.
        right: Per condition, one value per question.
        common: How many of the questions, the first, are asked as often as the benchmark asks them; the others
            only add to rare sub-tasks.
    """

    kinds: list[str] = field(default_factory=list)
    pictures: list[int] = field(default_factory=list)
    luck: list[float] = field(default_factory=list)
    right: dict[str, list[bool]] = field(default_factory=dict)
    common: int = 0

    def asked(self, kind: str | None = None) -> list[int]:
        """Return the questions of a sub-task; those that make up the whole accuracy if None."""
        if kind is None:
            return list(range(self.common))
        return [index for index, name in enumerate(self.kinds) if name == kind]

    def accuracy(self, condition: str, kind: str | None = None) -> tuple[float, float, float, int]:
        """Return the proportion right with its 95 % interval, and the number of questions."""
        own = [self.right[condition][index] for index in self.asked(kind)]
        return (sum(own) / len(own), *wilson(sum(own), len(own)), len(own))

    def lucky(self, kind: str | None = None) -> float:
        """Return the accuracy of luck."""
        own = [self.luck[index] for index in self.asked(kind)]
        return sum(own) / len(own)

    def gain(self, better: str, worse: str | None, kind: str | None = None) -> tuple[float, float, float]:
        """Return how much more is right under a condition than under another, or than by luck, with its interval."""
        asked = self.asked(kind)
        other: Sequence[float] = self.luck if worse is None else self.right[worse]
        return paired_difference(
            [self.right[better][index] for index in asked],
            [other[index] for index in asked],
            [self.pictures[index] for index in asked],
        )


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
        seed: Seed of the benchmark.
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


State = Literal["holds", "undecided", "fails"]
KEPT = 0.1
_LEAST_OVERALL, _LEAST_GAIN, _LEAST_LOSS = 0.75, 0.20, 0.10


@dataclass(frozen=True)
class Verdict:
    """One criterion.

    Attributes:
        criterion: What was asked.
        state: ``holds`` or ``fails`` where the whole interval does, else ``undecided``: more questions would tell.
        numbers: Behind it.
    """

    criterion: str
    state: State
    numbers: str

    @property
    def holds(self) -> bool:
        """Whether the whole interval meets the criterion."""
        return self.state == "holds"


def depths(layers: int) -> tuple[int, int]:
    """Return the layers at one third and two thirds of the depth, rounded to the nearest."""
    return round(layers / 3), round(2 * layers / 3)


def chance_accuracy(sample: TaskSample, question: Question) -> float:
    """Return the chance to be right, in (0, 1], for somebody who sees what is there but not what is asked of it.

    Colours and shapes are guessed among those of the scene. A two-hop question is guessed among the objects of the
    last frame without the one that it names, as if its side had not been read.
    """
    scene = sample.scene
    if question.kind == "two-hop":
        return 1 / (len(scene.at_end()) - 1)
    there = {word for one in scene.objects for word in (one.color, one.shape)}
    likely = [word for word in question.choices if word in there] or question.choices
    return 1 / len(likely)


def measure(
    model: Any,
    recipe: Recipe,
    tokenizer: Any,
    samples: Sequence[TaskSample],
    more: Sequence[TaskSample] = (),
    track: Callable[[Iterable[Any]], Iterable[Any]] = lambda items: items,
) -> Measured:
    """Answer every question under every condition.

    Conditions: ``dense``; ``other`` (another sample's pictures) and ``blank`` (grey); ``random@L``,
    ``attention@L`` with 10 % of the visual tokens kept from layer L on; ``tower@0`` ranked by the vision tower.

    Args:
        model: In evaluation mode.
        recipe: Recipe of the model.
        tokenizer: Tokenizer of the model.
        samples: Samples of the test split; at least two.
        more: With further questions of rare sub-tasks; see `rare_samples`.
        track: Wraps the samples to show progress.
    """
    before = torch.tensor(tokenizer.encode(recipe.template[0], add_special_tokens=False))
    measured = Measured()
    measured.common = sum(len(sample.questions) for sample in samples)
    every = [*samples, *more]
    for index in track(range(len(every))):
        sample = every[index]
        batch = question_batch(
            [sample], [sample.questions], tokenizer, recipe.template[1], recipe.side, recipe.slot
        )
        wanted = batch.labels[0].gather(1, batch.answer_rows[0][:, None])[:, 0]
        measured.kinds += [question.kind for question in sample.questions]
        measured.pictures += [index] * len(sample.questions)
        measured.luck += [chance_accuracy(sample, question) for question in sample.questions]
        own, other = (recipe.normalise(pixels_of([one])) for one in (sample, every[(index + 1) % len(every)]))
        blank = recipe.normalise(torch.full_like(own, 0.5))
        for name, pixels in {"other": other, "blank": blank}.items():
            with torch.no_grad():
                seen = see(model, pixels)
            _note(measured, name, answers(model, seen, before, batch) == wanted)
        with torch.no_grad():
            seen = see(model, own)
        drops = _drops(model, own, seen.tokens.shape[1], index)
        for name, drop in drops.items():
            _note(measured, name, answers(model, seen, before, batch, drop) == wanted)
    return measured


def _drops(model: Any, pixels: Tensor, visual: int, index: int) -> dict[str, Drop | None]:
    generator = torch.Generator().manual_seed(index)
    third, two_thirds = depths(model.config.text_config.num_hidden_layers)
    drops: dict[str, Drop | None] = {"dense": None}
    for layer in (0, 1, third, two_thirds):
        drops[f"random@{layer}"] = Drop(layer, KEPT, torch.rand(visual, generator=generator))
        if layer:
            drops[f"attention@{layer}"] = Drop(layer, KEPT)
    drops["tower@0"] = Drop(0, KEPT, tower_attention(model, pixels))
    return drops


def _note(measured: Measured, condition: str, right: Tensor) -> None:
    measured.right.setdefault(condition, []).extend(right.tolist())


def verdicts(measured: Measured, layers: int) -> list[Verdict]:
    """Judge the measurements: a margin holds if the near end of its 95 % interval meets it.

    A sub-task is set against the control that comes nearest to it; luck, which knows the scene, it must only exceed.
    """
    third, two_thirds = depths(layers)
    share, low, high, count = measured.accuracy("dense")
    found = [
        Verdict(
            f"dense accuracy of at least {_LEAST_OVERALL}",
            _state(low, high, _LEAST_OVERALL),
            f"{share:.3f} [{low:.3f}, {high:.3f}], {count} questions",
        )
    ]
    found += [_sub_task(measured, kind) for kind in dict.fromkeys(measured.kinds)]
    for layer in (0, third, two_thirds):
        found.append(_compared(measured, "dense", f"random@{layer}", _LEAST_LOSS))
    for layer in (third, two_thirds):
        found.append(_compared(measured, f"attention@{layer}", f"random@{layer}", 0.0))
    found.append(_compared(measured, "tower@0", "random@0", 0.0))
    return found


def _sub_task(measured: Measured, kind: str) -> Verdict:
    mean, low, high = min(measured.gain("dense", worse, kind) for worse in ("other", "blank"))
    lucky, lucky_low, lucky_high = measured.gain("dense", None, kind)
    states = {_state(low, high, _LEAST_GAIN), _state(lucky_low, lucky_high, 0.0)}
    return Verdict(
        f"{kind}: {_LEAST_GAIN:.0%} points above controls, and above luck",
        next(state for state in ("fails", "undecided", "holds") if state in states),
        f"{mean:+.3f} [{low:+.3f}, {high:+.3f}] and {lucky:+.3f} [{lucky_low:+.3f}, {lucky_high:+.3f}], "
        f"{len(measured.asked(kind))} questions",
    )


def _compared(measured: Measured, better: str, worse: str, least: float) -> Verdict:
    mean, low, high = measured.gain(better, worse)
    return Verdict(
        f"{better} beats {worse} by {least:.0%} points at {KEPT:.0%} kept",
        _state(low, high, least),
        f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]",
    )


def _state(low: float, high: float, least: float) -> State:
    if low > least or low == least > 0:
        return "holds"
    return "fails" if high < least else "undecided"
