"""Is a shipped model found by its name everywhere, and a damaged one refused in one sentence?"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluation_support import model_folder
from focal.commands import doctor as cli_doctor
from focal.commands import eval as cli_eval
from focal.commands import matrix as cli_matrix
from focal.commands import trace as cli
from focal.commands.running import run_command
from focal_algorithm.checkpoints.loading import load_model
from focal_algorithm.evaluation.lmms.options import ModelOptions
from focal_algorithm.models import weights
from focal_algorithm.tracing import runner
from focal_algorithm.tracing.identity import checkpoint_digest
from focal_algorithm.training.export import write_manifest
from focal_common.errors import ConfigError


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models as the package has it, with random weights."""
    root = tmp_path_factory.mktemp("weights")
    for name in weights.SHIPPED:
        folder = model_folder(name.removeprefix("shapes_"), root / name, ("yes", "no"))
        (folder / "README.md").write_text("card\n")
        write_manifest(folder, {"seed": 0, "steps": 1, "wall_time_s": 1})
    return root


@pytest.fixture
def shipped(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that a test may damage, in the place of the package's own."""
    shutil.copytree(exported, tmp_path / "weights")
    monkeypatch.setattr(weights, "files", lambda package: tmp_path / "weights")
    return tmp_path / "weights"


def flip_a_byte(folder: Path) -> None:
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a byte": (flip_a_byte, "model.safetensors", "does not have the sha256"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors", "is missing"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json", "is missing"),
    "no manifest": (
        lambda folder: (folder / "weights.json").unlink(),
        "weights.json",
        "no such file",
    ),
    "half a manifest": (
        lambda folder: (folder / "weights.json").write_text('{"sha256": 3}'),
        "weights.json",
        "must hold the hashes of all files",
    ),
    "no folder": (shutil.rmtree, "weights.json", "no such file"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_weights_are_one_sentence_with_file_and_remedy(
    damage: str, shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    break_it, name, reason = DAMAGES[damage]
    break_it(shipped / "shapes_video")
    code = run_command(cli.app, ["--model", "shapes_video", "--output", str(tmp_path / "out")])
    said = " ".join(capsys.readouterr().err.split())
    assert code == 2
    assert said.startswith(f"error: {shipped / 'shapes_video' / name}: ")
    assert reason in said
    assert said.endswith("install Focal again, or train it with 'focal train video'")
    assert run_command(cli_doctor.app, ["--json"]) == 1
    checks = {check["subject"]: check for check in json.loads(capsys.readouterr().out)}
    assert reason in checks["model shapes_video"]["advice"]
    assert checks["model shapes_image"]["advice"] == ""


def test_the_name_stands_for_the_folder(shipped: Path) -> None:
    common = {"size": "", "seed": 0, "dtype": "fp32", "attention": "sdpa", "device": "cpu"}
    loaded = load_model("shapes_video", **common, is_offline=True)  # type: ignore[arg-type]
    assert loaded.name == "shapes_video"
    digest = json.loads((shipped / "shapes_video" / "weights.json").read_text())["sha256"][
        "model.safetensors"
    ]
    assert loaded.checkpoint == f"shapes_video@{digest[:12]}"
    by_folder = load_model(str(shipped / "shapes_video"), **common, is_offline=True)  # type: ignore[arg-type]
    assert by_folder.name == "llava_onevision"
    assert checkpoint_digest("shapes_video", "", 0) == checkpoint_digest(str(shipped / "shapes_video"), "", 0)
    assert checkpoint_digest("shapes_video", "", 0) != checkpoint_digest("shapes_image", "", 0)
    named, placed = (ModelOptions(model=one) for one in ("shapes_image", str(shipped / "shapes_image")))
    assert named.identity() == placed.identity()


def test_the_doctor_describes_it_by_name(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(cli_doctor.app, ["--model", "shapes_image", "--json"]) == 0
    found = {check["subject"]: check["found"] for check in json.loads(capsys.readouterr().out)}
    assert found["model"] == "shapes_image: a llava trained model that ships with Focal"
    assert found["decoder"] == "8 layers, 128 wide, 4 heads"
    assert "all hashes right" in found["model shapes_video"]


def test_a_matrix_takes_it_by_name(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FOCAL_CACHE", str(tmp_path / "cache"))
    text = """
models: {trained: {family: llava, checkpoint: shapes_image}}
datasets: {shapes-pope: {modality: image, task: shapes-pope}}
suites: {focus: {models: [trained], datasets: [shapes-pope], method: focus, samples: 3}}
"""
    path = tmp_path / "matrix.yaml"
    path.write_text(text)
    words = ["--profile", str(path), "--output", str(tmp_path / "out"), "--json"]
    assert run_command(cli_matrix.app, words) == 0
    capsys.readouterr()
    accuracy = tmp_path / "out" / "focus_main" / "shapes_image_shapes-pope.accuracy.json"
    assert json.loads(accuracy.read_text())["n"] == 3
    assert "is_parsable" in (tmp_path / "out" / "matrix_results.csv").read_text().splitlines()[0]
    for old, new, message in (
        ("shapes_image", "shapes_imgae", "did you mean 'shapes_image'"),
        ("family: llava,", "family: llava_video,", "'shapes_image' is a llava, got 'llava_video'"),
    ):
        path.write_text(text.replace(old, new))
        assert run_command(cli_matrix.app, words) == 2
        assert message in " ".join(capsys.readouterr().err.split())


def test_an_interrupted_row_of_questions_resumes_to_the_same_bytes(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.setenv("FOCAL_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "matrix.yaml"
    path.write_text("""
models: {trained: {family: llava, checkpoint: shapes_image}}
datasets: {shapes-mme: {modality: image, task: shapes-mme}}
suites: {dense: {models: [trained], datasets: [shapes-mme], method: dense, samples: 4}}
""")

    def run(output: str, *words: str) -> int:
        return run_command(
            cli_matrix.app, ["--profile", str(path), "--output", str(tmp_path / output), *words]
        )

    assert run("whole") == 0
    real, calls = runner.trace_sample, []

    def interrupted(*given: object) -> object:
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(1)
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(runner, "trace_sample", interrupted)
    assert run("cut") == 130
    monkeypatch.setattr(runner, "trace_sample", real)
    assert run("cut", "--resume") == 0
    found = []
    for name in ("whole", "cut"):
        folder = tmp_path / name
        files = [p for p in sorted(folder.rglob("*")) if p.is_file() and "manifest" not in p.name]
        found.append({p.relative_to(folder): p.read_bytes() for p in files})
    assert found[0] == found[1]


@pytest.mark.parametrize("app", [cli.app, cli_eval.app])
def test_a_near_name_is_suggested(app: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(app, ["--model", "shape_video"]) == 2  # type: ignore[arg-type]
    assert "did you mean 'shapes_video'" in " ".join(capsys.readouterr().err.split())


def test_a_model_of_ones_own_is_checked_with_another_remedy(shipped: Path) -> None:
    flip_a_byte(shipped / "shapes_video")
    with pytest.raises(ConfigError, match="train the model again"):
        weights.check_weights(shipped / "shapes_video")


@pytest.mark.parametrize("name", weights.SHIPPED)
def test_the_weights_that_ship_are_whole_and_small(name: str) -> None:
    folder = weights.shipped_model(name)
    manifest = json.loads((folder / "weights.json").read_text())
    unlisted = {path.name for path in folder.iterdir()} - set(manifest["sha256"])
    assert unlisted <= {"README.md", "weights.json"}
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 10e6
    assert (folder / "README.md").is_file()
