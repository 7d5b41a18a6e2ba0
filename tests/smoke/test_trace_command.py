"""Does ``focal trace`` run, write what it says, and refuse wrong use in one sentence?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import attach_support as support
from focal.commands.running import run_command
from focal.commands.trace import app
from focal_traces.files.store import open_masks, open_trace

SMALL = ["--frames", "3", "--set", "selected_layers=[0,2]", "--set", "alpha_list=[0.5,0.2]"]


def trace(*words: str) -> int:
    size = [] if "--model" in words else ["--size", "tiny"]
    return run_command(app, [*SMALL, *size, *words])


def test_a_run_writes_a_trace_root(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trace("--output", str(tmp_path), "--samples", "3", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    counts = open_trace(Path(printed["files"]["counts"]))
    assert counts.header.checkpoint == "random:0"
    assert counts.header.parameters == {
        "similarity_threshold": 0.9,
        "block_size": 2,
        "frame_block_size": 2,
        "selected_layers": [0, 2],
        "alpha_list": [0.5, 0.2],
        "sec_only": False,
        "mode": "compatible",
        "vector_size": 32,
        "m_tile": 1024,
    }
    assert [sample["sample_id"] for sample in printed["samples"]] == [
        sample.sample_id for sample in counts.header.samples
    ]
    row = (tmp_path / "meta_data.csv").read_text().splitlines()[1]
    assert row == f"llava_onevision,photographs,27,3,9,{counts.header.median_index}"
    assert open_masks(Path(printed["files"]["masks"])).header == counts.header


def test_the_same_run_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    contents = []
    for name in ("one", "two"):
        assert trace("--output", str(tmp_path / name), "--samples", "1") == 0
        folder = tmp_path / name
        kept = [p for p in sorted(folder.rglob("*")) if p.is_file() and "manifest" not in p.name]
        contents.append({p.relative_to(folder): p.read_bytes() for p in kept})
    assert contents[0] == contents[1]


def test_dense_is_traced_beside_focus_without_touching_it(tmp_path: Path) -> None:
    assert trace("--output", str(tmp_path), "--samples", "1") == 0
    before = (tmp_path / "focus_main" / "llava_onevision_photographs.counts.parquet").read_bytes()
    words = [
        "--size",
        "tiny",
        "--frames",
        "3",
        "--samples",
        "1",
        "--method",
        "dense",
        "--output",
        str(tmp_path),
    ]
    assert run_command(app, words) == 0
    assert (tmp_path / "focus_main" / "llava_onevision_photographs.counts.parquet").read_bytes() == before
    assert (tmp_path / "dense" / "llava_onevision_photographs.counts.parquet").is_file()


def test_a_saved_checkpoint_folder_and_an_image_file_run_through_the_same_command(tmp_path: Path) -> None:
    support.tiny().model.save_pretrained(tmp_path / "my-model")
    support.picture(1, 90, 70).save(tmp_path / "photo.png")
    words = ["--model", str(tmp_path / "my-model"), "--image", str(tmp_path / "photo.png")]
    assert trace(*words, "--output", str(tmp_path / "out"), "--dataset", "mine", "--dtype", "bf16") == 0
    header = open_trace(tmp_path / "out" / "focus_main" / "llava_onevision_mine.counts.parquet").header
    assert header.checkpoint == "my-model"
    assert header.samples[0].sample_id == "photo.png"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "focsu"], "did you mean 'focus'"),
        (["--model", "llava_onevison"], "did you mean 'llava_onevision'"),
        (["--model", "nobody/nothing"], "not in the local cache"),
        (["--dtype", "fp16"], "fp16 on a CPU"),
        (["--video", "absent.mp4"], "absent.mp4: no such file"),
        (["--set", "alpha_list=[0.5]"], "expected equal lengths"),
        (["--set", "threshold"], "expected field=value"),
        (["--profile", "onlin"], "--profile must be offline or hub"),
        (["--size", "tinny"], "did you mean 'tiny'"),
        (["--frames", "0"], "frames must be at least 1"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_code_2(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trace("--output", str(tmp_path / "out"), *words) == 2
    error = capsys.readouterr().err
    assert message in error.replace("\n", " ")
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_the_command_module_imports_without_torch() -> None:
    code = "import sys, focal.commands.trace, focal.commands.doctor; sys.exit('torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
