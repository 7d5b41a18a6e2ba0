"""Are the questions of a benchmark spread evenly, the same whichever number is asked, and judged as they should be?"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from focal_algorithm.checkpoints.loading import LoadedModel
from focal_algorithm.methods.build import build_method
from focal_algorithm.models.llava import Llava
from focal_algorithm.prompts.media.media import Question
from focal_algorithm.prompts.media.tokens import ByteTokenizer
from focal_algorithm.tasks.asking import AskedTask, chosen_questions
from focal_algorithm.tasks.sample import StoredSample
from focal_algorithm.tracing.accuracy import judged, run_accuracy
from focal_algorithm.tracing.settings import RunSettings
from focal_common.errors import ConfigError
from focal_common.statistics import wilson

KINDS = ("color", "shape", "count", "order", "speed")
GROUPS = st.lists(st.lists(st.sampled_from(KINDS), min_size=1, max_size=6), min_size=1, max_size=8)


def stored(groups: list[list[str]]) -> list[StoredSample]:
    blank = np.zeros((1, 2, 2, 3), dtype=np.uint8)
    return [
        StoredSample(
            f"t-{index}",
            blank,
            tuple(Question(kind, f"{kind} {number}?", "a", ("a", "b")) for number, kind in enumerate(group)),
            True,
        )
        for index, group in enumerate(groups)
    ]


@settings(max_examples=60, deadline=None)
@given(groups=GROUPS, data=st.data())
def test_samples_are_asked_as_evenly_as_their_questions_allow(
    groups: list[list[str]], data: st.DataObject
) -> None:
    held = sum(map(len, groups))
    count = data.draw(st.integers(1, held))
    asked = chosen_questions(stored(groups), count)
    assert len(asked) == len({(one.sample.sample_id, one.number) for one in asked}) == count
    taken = Counter(one.sample.sample_id for one in asked)
    for index, group in enumerate(groups):
        mine = taken[f"t-{index}"]
        # Only a sample without questions left may have got two fewer than another.
        assert mine == len(group) or mine >= max(taken.values()) - 1
    places = [(one.sample.sample_id, one.number) for one in asked]
    assert places == sorted(places, key=lambda place: (int(place[0][2:]), place[1]))


def test_sub_tasks_are_asked_equally_often_where_every_sample_has_all() -> None:
    asked = chosen_questions(stored([list(KINDS)] * 10), 20)
    assert set(Counter(one.question.kind for one in asked).values()) == {4}


def test_questions_are_those_of_focal_eval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOCAL_CACHE", str(tmp_path))
    few, more = (AskedTask("shapes-video", samples=count, frames=4).load() for count in (1, 2))
    assert [one.question for one in few] == [one.question for one in more][: len(few)]
    assert few[3].media().sample_id == "shapes-video-0-test-0-3"
    assert (few[3].media().question, few[3].media().asked) == (few[3].question.text, few[3].question)
    assert np.array_equal(few[0].sample.frames, more[0].sample.frames)
    other = AskedTask("shapes-video", samples=1, frames=4, seed=1).load()
    assert not np.array_equal(few[0].sample.frames, other[0].sample.frames)
    spread = AskedTask("shapes-video", frames=4).load()
    assert (len(spread), len({one.sample.sample_id for one in spread})) == (24, 12)
    assert (
        AskedTask("shapes-pope-random", samples=1).load()[0].sample.sample_id.startswith("shapes-pope-random")
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"name": "shapes-vidoe"}, "did you mean 'shapes-video'"),
        ({"name": "shapes-mme", "split": "tset"}, "did you mean 'test'"),
        ({"name": "shapes-mme", "questions": -1}, "questions must not be negative"),
        ({"name": "shapes-mme", "seed": -1}, "task_seed must not be negative"),
    ],
)
def test_wrong_requests_are_refused(words: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AskedTask(**words)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "told"), [({}, (24, 12)), ({"questions": 5}, (5, 3)), ({"samples": 2}, ("all", 2))]
)
def test_a_request_tells_the_numbers_that_zeros_stand_for(
    given: dict[str, int], told: tuple[object, int]
) -> None:
    found = AskedTask("shapes-video", **given).to_json()  # type: ignore[arg-type]
    assert (found["questions"], found["samples"]) == told


def test_settings_name_the_task_and_keep_what_is_zero(tmp_path: Path) -> None:
    asked = RunSettings(output=tmp_path, task=AskedTask("shapes-mme", questions=4), chosen_sample=0)
    assert asked.dataset_name == "shapes-mme"
    told = replace(asked, new_tokens=0).to_json()  # as a search for a budget asks
    assert (told["chosen_sample"], told["task"]["questions"]) == (0, 4)
    assert "against_dense" not in told
    plain = RunSettings(output=tmp_path).to_json()
    assert "task" not in plain
    assert {"question", "samples"} <= plain.keys()
    assert told.keys().isdisjoint({"question", "samples"})  # of the task they are
    with pytest.raises(ConfigError, match="chosen_sample must be 0 to 3"):
        replace(asked, chosen_sample=4)


@pytest.mark.parametrize("frames", [3, 33])
def test_clips_have_the_frames_that_scenes_are_made_for(frames: int) -> None:
    with pytest.raises(ConfigError, match="frames must be 4 to 32"):
        AskedTask("shapes-video", frames=frames).load()


def test_more_questions_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match="2 samples hold 3; give more samples"):
        chosen_questions(stored([["color"], ["color", "shape"]]), 4)


@pytest.mark.parametrize(
    ("answer", "right", "parsable"),
    [
        ("yes", True, True),
        (" Yes.", True, True),
        ("no", False, True),
        ("", False, False),
        ("red", False, False),
    ],
)
def test_an_answer_is_the_first_word_or_unparsable(answer: str, right: bool, parsable: bool) -> None:
    question = Question("existence", "is there a dot?", "yes", ("yes", "no"))
    assert judged(question, answer) == {"is_right": right, "is_parsable": parsable}


def test_accuracy_counts_every_question_and_names_its_configuration(tmp_path: Path) -> None:
    questions = [Question("existence", f"is there a dot {n}?", "yes", ("yes", "no")) for n in range(4)]
    answers = ("yes", "no", "", "yes")
    records = [
        {"sample_id": f"t-{n // 2}-{n}", "answer": answer, "dense_answer": "yes"}
        for n, answer in enumerate(answers)
    ]
    task = AskedTask("shapes-video")
    shown = ["pixels"] * 4

    def found(**changes: object) -> dict[str, object]:
        method = build_method("focus", {"vector_size": changes.pop("vector_size", 32)})
        given = RunSettings(output=tmp_path, task=task, **changes)  # type: ignore[arg-type]
        loaded = LoadedModel(None, Llava(), ByteTokenizer(), f"random:{given.seed}")
        return run_accuracy(given, task, method, loaded, questions, records, shown)

    plain = found()
    low, high = wilson(2, 4)
    assert (plain["n"], plain["right"], plain["unparsable"], plain["samples"]) == (4, 2, 1, 2)
    assert (plain["low"], plain["high"]) == pytest.approx((100 * low, 100 * high), abs=1e-4)
    assert plain["dense"] is not None
    assert plain["dense"]["right"] == 4  # type: ignore[index]
    assert plain["by_kind"] == {"existence": {"n": 4, "right": 2}}
    assert (plain["precision"], found(precision="int8")["precision"]) == ("fp32", "int8")
    changed = [found(), found(precision="int8"), found(seed=1), found(vector_size=16)]
    assert len({str(one["config_sha256"]) for one in changed}) == 4
    assert found() == plain
    assert plain["checkpoint"] == "random:0"
    shown[0] = "others"
    assert found()["config_sha256"] != plain["config_sha256"]
