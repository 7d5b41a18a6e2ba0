"""Do schedules restart where a stage says so, and are sub-tasks asked as often as a stage says?"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from focal_algorithm.tasks.shapes_video import shapes_video_sample
from focal_algorithm.training.recipe import Recipe, Stage, recipe


def with_stages(*stages: Stage) -> Recipe:
    return replace(recipe("video"), vision=Stage(1, 2, 10), stages=stages)


@pytest.mark.parametrize(("step", "cycle"), [(0, (0, 10)), (9, (0, 10)), (10, (10, 25)), (34, (10, 25))])
def test_the_vision_stage_and_the_decoder_have_a_cycle_each(step: int, cycle: tuple[int, int]) -> None:
    assert with_stages(Stage(4, 2, 20), Stage(8, 2, 5)).cycle_at(step) == cycle


@pytest.mark.parametrize(("step", "cycle"), [(9, (0, 10)), (29, (10, 20)), (30, (30, 12)), (41, (30, 12))])
def test_a_stage_that_restarts_opens_a_cycle(step: int, cycle: tuple[int, int]) -> None:
    chosen = with_stages(Stage(4, 2, 20), Stage(4, 2, 5, restarts=True), Stage(8, 2, 7))
    assert chosen.cycle_at(step) == cycle


def test_cycles_cover_every_step_of_a_scaled_recipe_once() -> None:
    chosen = recipe("video").scaled(0.01)
    cycles = {chosen.cycle_at(step) for step in range(chosen.steps)}
    assert sum(total for _, total in cycles) == chosen.steps


def test_more_rounds_ask_more_of_the_named_sub_tasks_and_leave_the_first_rounds_as_they_were() -> None:
    plain, more = Counter[str](), Counter[str]()
    for index in range(20):
        few = shapes_video_sample(0, "train", index, frames=4)
        many = shapes_video_sample(0, "train", index, frames=4, more={"relation": 8})
        assert many.questions[: len(few.questions)] == few.questions
        assert (many.frames == few.frames).all()
        assert len({question.text for question in many.questions}) == len(many.questions)
        plain.update(question.kind for question in few.questions)
        more.update(question.kind for question in many.questions)
    assert more.pop("relation") > 2 * plain.pop("relation")
    assert more == plain
