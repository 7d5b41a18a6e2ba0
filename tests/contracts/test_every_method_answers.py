"""Does every method answer a question in an evaluation, repeatably, or refuse it in one sentence?"""

from __future__ import annotations

from contextlib import suppress

import pytest

import attach_support as support
from focal_algorithm.evaluation.lmms.answering import Answerer, load
from focal_algorithm.evaluation.lmms.options import ModelOptions
from focal_algorithm.methods import METHODS
from focal_algorithm.tasks.shapes_pope import shapes_pope_sample
from focal_algorithm.tasks.shapes_video import shapes_video_sample
from focal_common.errors import UnsupportedError

OPTIONS = ModelOptions(model="llava_onevision", size="tiny")


@pytest.mark.parametrize("method", list(METHODS))
def test_method_answers(method: str) -> None:
    given = {"method": method, "parameters": dict(support.SMALL.get(method, {}))}
    answerer = Answerer(OPTIONS.model_copy(update=given), load(OPTIONS))
    video = shapes_video_sample(0, "test", 0, frames=4)
    first, second = (
        answerer.answer(video.media(), video.questions[0].text, "shapes-video", 2) for _ in range(2)
    )
    assert first == second
    image = shapes_pope_sample(0, "test", 0)
    with suppress(UnsupportedError):  # some methods are for videos alone
        answerer.answer(image.media(), image.questions[0].text, "shapes-pope", 2)
