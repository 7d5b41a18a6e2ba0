"""Are the procedural benchmarks deterministic, kept apart by split, balanced, and safe on disk?"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from focal_algorithm.tasks import TASKS
from focal_algorithm.tasks.shapes_mme import mme_scores
from focal_algorithm.tasks.shapes_pope import VARIANTS, pope_scores, shapes_pope_sample
from focal_algorithm.tasks.shapes_video import shapes_video_sample
from focal_algorithm.tasks.store import contact_sheet, load_split
from focal_algorithm.tasks.video_questions import VIDEO_KINDS
from focal_common.errors import ConfigError


@pytest.mark.parametrize("task", list(TASKS))
def test_the_same_seed_gives_the_same_bytes(task: str) -> None:
    make = TASKS.load(task)
    one, again = make(1, "test", 4), make(1, "test", 4)
    assert one.frames.tobytes() == again.frames.tobytes()
    assert one.questions == again.questions


@pytest.mark.parametrize("task", list(TASKS))
def test_seeds_splits_and_indices_give_different_scenes(task: str) -> None:
    make = TASKS.load(task)
    wheres = [(0, "train", 0), (0, "val", 0), (0, "test", 0), (1, "train", 0), (0, "train", 1)]
    pictures = {make(*where).frames.tobytes() for where in wheres}
    assert len(pictures) == len(wheres)
    train = {make(0, "train", index).frames.tobytes() for index in range(30)}
    test = {make(0, "test", index).frames.tobytes() for index in range(30)}
    assert not train & test


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ConfigError, match="split"):
        shapes_video_sample(0, "tset", 0)
    with pytest.raises(ConfigError, match="variant"):
        shapes_pope_sample(0, "test", 0, variant="rare")


def test_every_sub_task_is_asked_and_no_answer_dominates() -> None:
    answers: dict[str, Counter[str]] = {kind: Counter() for kind in VIDEO_KINDS}
    for index in range(120):
        for question in shapes_video_sample(0, "train", index).questions:
            answers[question.kind][question.answer] += 1
    for kind, found in answers.items():
        assert sum(found.values()) >= 15, kind
        assert max(found.values()) <= 0.65 * sum(found.values()), (kind, found)


def test_pope_variants_share_images_and_are_half_yes() -> None:
    ones = [shapes_pope_sample(0, "test", 2, variant=variant) for variant in VARIANTS]
    assert len({one.frames.tobytes() for one in ones}) == 1
    for one in ones:
        assert [question.answer for question in one.questions] == ["yes"] * 3 + ["no"] * 3
    crossed = {(one.color, one.shape) for one in ones[0].scene.objects}
    colors, shapes = {color for color, _ in crossed}, {shape for _, shape in crossed}
    first = ones[2].questions[3].text.split()
    assert first[3] in colors
    assert first[4] in shapes


def test_scores_by_hand() -> None:
    scores = mme_scores(["count"] * 4 + ["size"] * 2, [True, True, True, False, False, False])
    assert scores["count"] == {"acc": 0.75, "acc+": 0.5, "score": 125.0}
    assert scores["size"]["score"] == 0.0
    polled = pope_scores([True, True, False, False], [True, False, True, False])
    assert polled == {"accuracy": 0.5, "precision": 0.5, "recall": 0.5, "f1": 0.5, "yes": 0.5}
    assert pope_scores([True], [False])["f1"] == 0.0


def test_a_split_is_read_back_as_it_was_made(tmp_path: Path) -> None:
    made = load_split("shapes-video", seed=2, split="test", samples=3, cache=tmp_path, frames=8)
    read = load_split("shapes-video", seed=2, split="test", samples=3, cache=tmp_path, frames=8)
    assert made.manifest == read.manifest
    for index, sample in enumerate(read.samples):
        fresh = shapes_video_sample(2, "test", index, frames=8)
        assert np.array_equal(sample.frames, fresh.frames)
        assert sample.questions == fresh.questions
    assert read.manifest["questions"] == sum(len(sample.questions) for sample in read.samples)
    sheet = contact_sheet(read.samples)
    assert sheet.size == (8 * 64 * 2, 3 * 64 * 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda manifest: [], "expected a JSON object"),
        (lambda manifest: {k: v for k, v in manifest.items() if k != "is_video"}, "lacks 'is_video'"),
        (lambda manifest: manifest | {"is_video": "no"}, "'is_video' is 'no', expected true or false"),
        (lambda manifest: manifest | {"seed": 5}, "'seed' is 5, expected 1"),
        (
            lambda manifest: manifest | {"options": {"variant": "random"}},
            "'options' is {'variant': 'random'}, expected {'variant': 'popular'}",
        ),
    ],
)
def test_a_manifest_of_other_data_is_refused(
    change: Callable[[dict[str, Any]], Any], message: str, tmp_path: Path
) -> None:
    def load() -> object:
        return load_split("shapes-pope", seed=1, split="test", samples=1, cache=tmp_path, variant="popular")

    load()
    (path,) = tmp_path.rglob("manifest.json")
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(ConfigError, match=re.escape(message)):
        load()


def test_an_empty_file_of_frames_is_refused(tmp_path: Path) -> None:
    load_split("shapes-pope", seed=1, split="test", samples=1, cache=tmp_path)
    (path,) = tmp_path.rglob("frames.npy")
    path.write_bytes(b"")
    with pytest.raises(ConfigError, match="remove the folder to generate it again"):
        load_split("shapes-pope", seed=1, split="test", samples=1, cache=tmp_path)


def test_a_changed_cache_is_refused(tmp_path: Path) -> None:
    load_split("shapes-mme", seed=2, split="test", samples=2, cache=tmp_path)
    path = next(tmp_path.rglob("questions.jsonl"))
    path.write_text(path.read_text().replace('"yes"', '"no"'))
    with pytest.raises(ConfigError, match="was changed"):
        load_split("shapes-mme", seed=2, split="test", samples=2, cache=tmp_path)
