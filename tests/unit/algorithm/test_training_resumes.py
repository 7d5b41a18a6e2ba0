"""Does an interrupted training give the same weights, and is a checkpoint of another training refused?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from focal_algorithm.training import trainer
from focal_algorithm.training.checkpoint import CHECKPOINT
from focal_algorithm.training.recipe import Recipe, Stage, recipe
from focal_algorithm.training.trainer import train
from focal_common.errors import ConfigError

torch.set_num_threads(1)


def shortened() -> Recipe:
    stage = Stage(frames=4, samples=2, steps=2, trains_tower=True)
    return replace(recipe("video"), vision=Stage(1, 2, 2), stages=(stage,), questions=3)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("training")
    return folder, train(shortened(), folder, seed=3, is_bf16=False)


def test_an_interrupted_training_gives_the_same_weights(
    finished: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stops(steps: Iterable[int]) -> Iterator[int]:
        for step in steps:
            if step == 3:
                return
            yield step

    said: list[str] = []
    monkeypatch.setattr(trainer, "_SAVE_EVERY_STEPS", 1)
    train(shortened(), tmp_path, seed=3, is_bf16=False, track=stops, tell=said.append)
    assert said == []
    resumed = train(shortened(), tmp_path, seed=3, is_bf16=False, tell=said.append)
    assert said == [f"{tmp_path}: goes on at step 3 of 4"]
    for name, weight in finished[1].model.state_dict().items():
        assert torch.equal(weight, resumed.model.state_dict()[name]), name


def test_a_finished_training_says_so(finished: tuple[Path, Any]) -> None:
    said: list[str] = []
    again = train(shortened(), finished[0], seed=3, is_bf16=False, tell=said.append)
    assert said == [f"{finished[0]}: finished already, all 4 steps; remove the folder to train again"]
    assert (again.step, again.seconds) == (4, finished[1].seconds)


@pytest.mark.parametrize(
    ("changes", "settings", "message"),
    [
        ({}, {"seed": 4}, "seed is 3, expected 4"),
        ({}, {"is_bf16": True}, "bf16 is False, expected True"),
        ({"vision": Stage(1, 2, 3)}, {}, "steps is 4, expected 5"),
        ({"weights": {"category": 2.0}}, {}, "recipe_sha256 is "),
        ({"rate": 1e-3}, {}, "recipe_sha256 is "),
        ({"template": ("", "{question} otherwise")}, {}, "recipe_sha256 is "),
        ({"stages": (Stage(4, 2, 2, True, {"relation": 2}),)}, {}, "recipe_sha256 is "),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(
    changes: dict[str, Any], settings: dict[str, Any], message: str, finished: tuple[Path, Any]
) -> None:
    with pytest.raises(ConfigError, match=message):
        train(replace(shortened(), **changes), finished[0], **{"seed": 3, "is_bf16": False} | settings)


def test_a_damaged_checkpoint_is_refused(finished: tuple[Path, Any], tmp_path: Path) -> None:
    content = (finished[0] / CHECKPOINT).read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"not a checkpoint"):
        (tmp_path / CHECKPOINT).write_bytes(damaged)
        with pytest.raises(ConfigError, match=r"refused.*; remove it to train from the start"):
            train(shortened(), tmp_path, seed=3, is_bf16=False)
    torch.save({"step": 3}, tmp_path / CHECKPOINT)
    with pytest.raises(ConfigError, match="expected the checkpoint of a training"):
        train(shortened(), tmp_path, seed=3, is_bf16=False)


def test_functions_do_not_tell_recipes_apart_and_processes_agree() -> None:
    assert shortened().digest == replace(shortened(), normalise=lambda pixels: pixels).digest
    assert recipe("video").digest == recipe("video").digest != recipe("image").digest
