"""Does a training compute where it was told to, with the same data, and refuse a device that is not there?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from focal_algorithm.training.recipe import Stage, recipe
from focal_algorithm.training.trainer import train, training_device
from focal_common.errors import ConfigError
from pretended_device import ELSEWHERE, PretendedDevice

torch.set_num_threads(1)


@pytest.mark.parametrize(("name", "frames"), [("video", 4), ("image", 1)])
def test_no_tensor_stays_behind(
    name: str, frames: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(frames, 2, 1, trains_tower=True)
    short = replace(recipe(name), vision=Stage(1, 2, 1), stages=(stage,), questions=3)
    here = train(short, tmp_path / "here", seed=1, is_bf16=False)
    device = PretendedDevice()
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, place: device.move(module))
    with device:
        there = train(short, tmp_path / "there", seed=1, is_bf16=False, device=ELSEWHERE)
        assert {weight.device for weight in there.model.parameters()} == {ELSEWHERE}
    for name_, weight in here.model.state_dict().items():
        assert torch.equal(weight, there.model.state_dict()[name_]), name_


@pytest.mark.parametrize(
    ("has_cuda", "name", "chosen"),
    [(False, None, "cpu"), (False, "cpu", "cpu"), (True, None, "cuda"), (True, "cpu", "cpu")],
)
def test_cuda_is_taken_where_there_is_one(
    has_cuda: bool, name: str | None, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_cuda)
    assert training_device(name, is_bf16=False) == torch.device(chosen)


def test_a_device_that_cannot_do_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"device cuda: torch .* finds no CUDA device"):
        training_device("cuda", is_bf16=True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "an old one")
    with pytest.raises(ConfigError, match="an old one has no bf16; do without"):
        training_device(None, is_bf16=True)
