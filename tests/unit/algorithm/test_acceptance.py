"""Does the acceptance check know luck, rare sub-tasks, and how little few questions tell?"""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from focal_algorithm.tasks.shapes_video import shapes_video_sample
from focal_algorithm.training.acceptance import (
    Measured,
    chance_accuracy,
    checking_samples,
    rare_samples,
    verdicts,
)
from focal_common.statistics import paired_difference

CONDITIONS = {
    "dense": 0.95,
    "other": 0.3,
    "blank": 0.2,
    "random@0": 0.5,
    "random@3": 0.5,
    "random@5": 0.5,
    "attention@3": 0.9,
    "attention@5": 0.9,
    "tower@0": 0.9,
}


def measured(questions: int, **accuracies: float) -> Measured:
    """Answers of an invented model, ten questions about each picture."""
    generator = random.Random(0)
    shares = CONDITIONS | accuracies
    return Measured(
        kinds=["color"] * questions,
        pictures=[index // 10 for index in range(questions)],
        luck=[1 / 3] * questions,
        right={
            name: [generator.random() < share for _ in range(questions)] for name, share in shares.items()
        },
        common=questions,
    )


def test_a_good_model_passes_with_enough_questions_and_with_one_question_nothing_is_known() -> None:
    assert all(one.holds for one in verdicts(measured(2000), 8))
    assert not any(one.holds for one in verdicts(measured(1, dense=1.0, other=0.0, blank=0.0), 8))


@pytest.mark.parametrize(
    ("accuracies", "criterion", "state"),
    [
        ({"dense": 0.7}, "dense accuracy", "fails"),
        ({"blank": 0.9}, "color", "fails"),
        ({"random@3": 0.93}, "dense beats random@3", "fails"),
        ({"random@3": 0.84}, "dense beats random@3", "undecided"),
        ({"tower@0": 0.3}, "tower@0 beats random@0", "fails"),
    ],
)
def test_each_criterion_can_fail(accuracies: dict[str, float], criterion: str, state: str) -> None:
    found = [one for one in verdicts(measured(2000, **accuracies), 8) if one.criterion.startswith(criterion)]
    assert [one.state for one in found] == [state]


def test_a_sub_task_must_exceed_chance_accuracy() -> None:
    model = measured(2000)
    model.luck = [0.99] * 2000
    assert [one.state for one in verdicts(model, 8) if one.criterion.startswith("color")] == ["fails"]


def test_intervals_cover_as_often_as_they_say_when_questions_share_pictures() -> None:
    generator = np.random.default_rng(0)
    inside = {"clusters": 0, "independent": 0}
    clusters = np.repeat(np.arange(80), 10).tolist()
    for _ in range(400):
        steps = np.repeat(generator.random(80) < 0.3, 10).astype(float)
        zeros = [0.0] * 800
        for name, given in (("clusters", clusters), ("independent", None)):
            _, low, high = paired_difference(steps.tolist(), zeros, given)
            inside[name] += low <= 0.3 <= high
    assert inside["clusters"] / 400 > 0.92
    assert inside["independent"] / 400 < 0.7


def test_no_spread_is_no_certainty() -> None:
    mean, low, high = paired_difference([1.0] * 4, [0.0] * 4)
    assert mean == 1
    assert low < 0.5
    assert paired_difference([1.0], [0.0])[1:] == (-1.0, 1.0)
    assert low < mean <= high


def test_rare_sub_tasks_are_asked_as_often_as_wanted() -> None:
    samples = checking_samples("video", 60)
    more = rare_samples("video", samples, 8)
    times = Counter(question.kind for sample in [*samples, *more] for question in sample.questions)
    assert min(times.values()) >= 8
    assert not {sample.sample_id for sample in samples} & {sample.sample_id for sample in more}


def test_luck_of_a_two_hop_question_is_that_of_the_objects_at_the_end() -> None:
    asked = [
        (sample, question)
        for sample in (shapes_video_sample(0, "test", index) for index in range(40))
        for question in sample.questions
    ]
    kinds = ("two-hop", "color")
    chances = {kind: [chance_accuracy(*pair) for pair in asked if pair[1].kind == kind] for kind in kinds}
    assert {1 / 2} <= set(chances["two-hop"]) <= {1 / 2, 1 / 3}
    assert {chance_accuracy(*pair) for pair in asked if pair[1].kind == "relation"} == {0.5}
    assert min(chances["color"]) >= 1 / 4
