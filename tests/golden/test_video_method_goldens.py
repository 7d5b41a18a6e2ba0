"""Do the golden files of methods for videos agree, is a changed entry noticed, and is every array read?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import check_goldens

FOLDER = Path(__file__).resolve().parents[1] / "data" / "video_methods"
FILES = sorted(FOLDER.glob("*.npz"))

pytestmark = pytest.mark.golden


def verdict(path: Path) -> list[str]:
    return check_goldens.verdict(path, check_goldens.handlers())


def changed(source: str, target: Path, **arrays: Any) -> Path:
    with np.load(FOLDER / source) as stored:
        whole = {name: stored[name] for name in stored.files} | arrays
    np.savez(target / source, **whole)
    return target / source


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_file_agrees(path: Path) -> None:
    assert verdict(path) == []


@pytest.mark.parametrize(
    ("source", "array"),
    [
        ("evs_01_basic.npz", "dissimilarity"),
        ("evs_02_rates.npz", "count_expected"),
        ("evs_02_rates.npz", "masks"),
        ("evs_05_mrope_positions.npz", "positions"),
        ("evs_05_mrope_positions.npz", "delta_full"),
        ("fastvid_01_dyseg.npz", "case2_segment_sizes"),
        ("fastvid_04_onevision_budget_r40.npz", "out_hidden"),
        ("fastvid_08_qwen.npz", "out_positions"),
        ("holitom_01_windows.npz", "case7_total_reduced"),
        ("holitom_02_16x49x64.npz", "effective_ratio"),
        ("holitom_05_grid_newline.npz", "tokens_per_window"),
        ("holitom_07_inner_merge.npz", "hidden_out"),
        ("holitom_08_context_D05_repaired.npz", "out_features"),
        ("dycoke_03_ttm_sweep.npz", "case5_kept_rows"),
        ("dycoke_04_kv_steps.npz", "similarity"),
    ],
)
def test_a_changed_entry_is_noticed(source: str, array: str, tmp_path: Path) -> None:
    with np.load(FOLDER / source) as stored:
        altered = np.array(stored[array])
    altered.flat[-1] = ~altered.flat[-1] if altered.dtype == bool else altered.flat[-1] + 1
    wrong = verdict(changed(source, tmp_path, **{array: altered}))
    assert any(array.rpartition("case")[2].partition("_")[2] in line for line in wrong), wrong


@pytest.mark.parametrize(
    ("source", "setting", "value"),
    [
        ("evs_01_basic.npz", "q", 0.6),
        ("fastvid_02_onevision_16x49x64.npz", "dtm_beta", 0.7),
        ("fastvid_08_qwen.npz", "dyseg_ignore", 0.999),
        ("fastvid_04_onevision_budget_r40.npz", "dtm_p", 1),
        ("holitom_03_ratio_r25.npz", "beta", 0.4),
        ("holitom_04_no_beta.npz", "uses_beta", True),
        ("holitom_10_fewer_clusters_than_k.npz", "knn_k", 2),
        ("holitom_06_short_windows.npz", "max_window", 3),
        ("dycoke_01_ttm_8f.npz", "merging_ratio_K", 0.5),
        ("dycoke_04_kv_steps.npz", "pruning_rate_P", 0.5),
        ("dycoke_06_kv_threshold.npz", "similarity_threshold", 0.8),
    ],
)
def test_another_setting_gives_another_result(source: str, setting: str, value: Any, tmp_path: Path) -> None:
    assert verdict(changed(source, tmp_path, **{setting: value}))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_array_that_no_one_reads_is_noticed(path: Path, tmp_path: Path) -> None:
    wrong = verdict(changed(path.name, tmp_path, temperature=0.7))
    assert wrong == ["params: 'temperature' says something that this check does not read"]
