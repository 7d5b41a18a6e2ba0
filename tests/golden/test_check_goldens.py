"""Do the golden files still agree, and does the checker notice when one does not?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import check_goldens
from oracles.ten_samples import write_ten_samples

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "data" / "golden_algorithm"
FILES = sorted(FOLDER.glob("*.npz"))

pytestmark = pytest.mark.golden


def change(source: Path, target: Path, name: str) -> None:
    """Copy a golden file with one entry of one array altered."""
    with np.load(source) as stored:
        arrays = {key: stored[key] for key in stored.files}
    altered = arrays[name].copy()
    altered.flat[-1] = ~altered.flat[-1] if altered.dtype == bool else altered.flat[-1] + 1
    arrays[name] = altered
    np.savez(target, **arrays)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_file_agrees(path: Path) -> None:
    assert check_goldens.verdict(path, check_goldens.handlers()) == []


def test_script_passes_from_the_repository_root() -> None:
    command = [sys.executable, "tests/check_goldens.py", str(FILES[0]), str(FILES[0])]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=_environment())
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.splitlines() == [f"ok {FILES[0].name}", "1 of 1 golden files ok"]


def _environment() -> dict[str, str]:
    packages = ("common", "traces", "algorithm", "simulator", "evaluation_scripts")
    return {"PYTHONPATH": ":".join(str(ROOT / package) for package in packages), "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize(
    ("source", "array"),
    [
        ("sic_01_basic_2x2x2.npz", "v1_mask_similar"),
        ("sic_01_basic_2x2x2.npz", "v0_group_idx"),
        ("sic_04_mtile_sweep_zero_tokens.npz", "v3_tiles"),
        ("sic_05_dtype_sweep.npz", "v2_mask_zero"),
        ("sec_01_schedule.npz", "e1_retained_ids"),
        ("sec_03_attention_importance.npz", "importance"),
        ("cmc_03_linear_10f_pad6_tail.npz", "table"),
        ("cmc_07_attnscore_11f.npz", "mask"),
        ("cmc_05_linear_16f_simplified.npz", "act_out"),
        ("adaptiv_01_video.npz", "merged_ids"),
        ("adaptiv_02_single_image_4d.npz", "cos_out"),
        ("framefusion_01_merge_then_prune.npz", "r3_positions"),
    ],
)
def test_altered_entry_is_named_and_fails(
    source: str, array: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(FOLDER / source, tmp_path / source, array)
    assert check_goldens.main([str(tmp_path)]) == 1
    assert f"{array}: 1 of " in capsys.readouterr().out


def test_unknown_name_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mystery_01.npz").write_bytes(FILES[0].read_bytes())
    assert check_goldens.main([str(tmp_path), str(FILES[0])]) == 1
    assert "unknown" in capsys.readouterr().out


def test_damaged_file_is_reported_and_the_others_are_still_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sic_99.npz").write_bytes(FILES[0].read_bytes()[:500])
    assert check_goldens.main([str(tmp_path), str(FILES[0])]) == 1
    printed = capsys.readouterr().out
    assert "could not be checked" in printed
    assert f"ok {FILES[0].name}" in printed


def test_no_files_is_wrong_use(tmp_path: Path) -> None:
    assert check_goldens.main([str(tmp_path)]) == 2
    assert check_goldens.main([]) == 2


def test_ten_sample_file_made_by_plain_loops_agrees_and_an_altered_one_does_not(tmp_path: Path) -> None:
    path = tmp_path / "e2e_01_made_here.npz"
    write_ten_samples(path)
    known = check_goldens.handlers()
    assert check_goldens.verdict(path, known) == []
    altered = tmp_path / "e2e_02_altered.npz"
    for array in ("trace_mask_similar_down_proj", "weighted_sparsity", "retained_count"):
        change(path, altered, array)
        assert any(array in line for line in check_goldens.verdict(altered, known)), array
