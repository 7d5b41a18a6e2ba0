"""Is a checkpoint folder of one's own refused in one sentence where its files are not whole?"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluation_support import random_model_folder
from focal.commands import doctor as cli_doctor
from focal.commands import trace as cli
from focal.commands.running import run_command
from focal_algorithm.evaluation.lmms.answering import load
from focal_algorithm.evaluation.lmms.options import ModelOptions
from focal_algorithm.models import weights
from focal_algorithm.training.export import write_manifest
from focal_common.errors import ConfigError

WEIGHTS, MANIFEST = "model.safetensors", "weights.json"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = random_model_folder("image", tmp_path_factory.mktemp("whole") / "own")
    write_manifest(folder, {"seed": 0, "steps": 1, "wall_time_s": 1})
    return folder


@pytest.fixture
def own(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "own")
    return tmp_path / "own"


def without_manifest(change: Callable[[bytes], bytes], name: str = WEIGHTS) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        (folder / MANIFEST).unlink()
        (folder / name).write_bytes(change((folder / name).read_bytes()))

    return damage


def flip_a_bit(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-5] ^= 1
    (folder / WEIGHTS).write_bytes(content)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut short": (without_manifest(lambda content: content[: len(content) // 2]), "cannot be loaded"),
    "empty": (without_manifest(lambda content: b""), "not readable as weights"),
    "a pointer of Git LFS": (
        without_manifest(lambda content: b"version https://git-lfs.github.com/spec/v1\nsize 5\n"),
        "not readable as weights",
    ),
    "no JSON": (without_manifest(lambda content: b"{", "tokenizer.json"), "expected a readable tokenizer"),
    "a bit": (flip_a_bit, f"{WEIGHTS}: does not have the sha256 of {MANIFEST}"),
    "no hashes": (
        lambda folder: (folder / MANIFEST).write_text('{"sha256": {}}'),
        f"{MANIFEST}: field 'sha256' must hold the hashes of all files, {WEIGHTS} among them",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files_of_ones_own_are_one_sentence(
    damage: str, own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    break_it, message = DAMAGES[damage]
    break_it(own)
    assert run_command(cli.app, ["--model", str(own), "--output", str(tmp_path / "out")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert said.startswith(f"error: {own}")
    assert message in said
    with pytest.raises(ConfigError, match="own"):  # as in focal eval
        load(ModelOptions(model=str(own)))


def test_whole_files_are_accepted(own: Path) -> None:
    assert load(ModelOptions(model=str(own))).checkpoint == "own"


def test_the_doctor_does_not_take_an_empty_list_of_hashes_for_a_right_one(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in weights.SHIPPED:
        shutil.copytree(whole, tmp_path / name)
    (tmp_path / "shapes_video" / MANIFEST).write_text('{"sha256": {}}')
    monkeypatch.setattr(weights, "files", lambda package: tmp_path)
    assert run_command(cli_doctor.app, ["--json"]) == 1
    checks = {check["subject"]: check for check in json.loads(capsys.readouterr().out)}
    assert f"{WEIGHTS} among them" in checks["model shapes_video"]["advice"]
    assert checks["model shapes_image"]["advice"] == ""
