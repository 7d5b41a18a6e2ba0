"""Do the golden files of methods that prune and merge agree, is a changed entry noticed, and is every setting read?"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import check_goldens

FOLDER = Path(__file__).resolve().parents[1] / "data" / "methods"
FILES = sorted(FOLDER.glob("*.npz"))

VIDEO = ("evs", "fastvid", "holitom", "dycoke")

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
        ("fastv_01_basic.npz", "kept_positions"),
        ("fastv_01_basic.npz", "hidden_out"),
        ("fastv_02_budget_sweep.npz", "count_table_trunc_of_keep_share"),
        ("fastv_02_budget_sweep.npz", "kept_positions_4"),
        ("fastv_03_ties_fp16.npz", "score"),
        ("fastv_04_e2e_k3_576.npz", "score_layer_before"),
        ("fastv_05_e2e_k2_small.npz", "kept_positions"),
        ("fastv_05_e2e_k2_small.npz", "last_hidden_state"),
        ("divprune_01_basic.npz", "selection_order"),
        ("divprune_01_basic.npz", "distance_matrix"),
        ("divprune_02_llava15_576.npz", "kept_sorted_128"),
        ("divprune_03_budget_sweep.npz", "count_table"),
        ("divprune_04_duplicates_zero_vector.npz", "few_directions_selection_strict"),
        ("divprune_05_fp16_rounding.npz", "kept_sorted"),
        ("pyramiddrop_01_rank_basic.npz", "score"),
        ("pyramiddrop_02_rank_stage2_truncating.npz", "features_out"),
        ("pyramiddrop_04_e2e_three_stages.npz", "stage_1_original_positions"),
        ("pyramiddrop_04_e2e_three_stages.npz", "first_decode_step_position_per_layer"),
        ("pyramiddrop_04_e2e_three_stages.npz", "last_hidden_state"),
        ("pyramiddrop_05_counts.npz", "mean_over_32_layers_576_default"),
        ("pyramiddrop_06_batch_padding_text_only.npz", "position_ids_out"),
        ("dart_01_basic.npz", "picks_per_pivot_in_reference_order"),
        ("dart_01_basic.npz", "pivot_order_listed"),
        ("dart_02_llava15_576_r778.npz", "kept_positions_listed_order"),
        ("dart_04_budget_sweep.npz", "count_table_ratio_rule"),
        ("dart_06_e2e_k2_gqa.npz", "normed_hidden_at_drop"),
        ("dart_06_e2e_k2_gqa.npz", "kept_positions"),
        ("cdpruner_01_basic.npz", "kernel"),
        ("cdpruner_02_tiles_two_text_segments.npz", "relevance"),
        ("cdpruner_03_budget_sweep.npz", "selection_order_36"),
        ("cdpruner_05_degenerate.npz", "duplicate_selection_order"),
        ("prumerge_01_outlier_ratio.npz", "case2_ratio"),
        ("prumerge_04_plus_adaptive_576.npz", "out_tokens"),
        ("prumerge_06_batch2_shared_ratio.npz", "outlier_ratio"),
        ("prumerge_08_plus_adaptive_step5.npz", "count"),
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
    told = re.sub(r"^case\d+_", "", array) if source.startswith(VIDEO) else array
    assert any(told in line for line in wrong), wrong


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_setting_that_no_one_reads_is_noticed(path: Path, tmp_path: Path) -> None:
    with np.load(path) as stored:
        # Some files hold their settings as arrays beside the others.
        params = json.loads(str(stored["params"])) if "params" in stored else None
    added = {"temperature": 0.7} if params is None else {"params": json.dumps(params | {"temperature": 0.7})}
    (wrong,) = verdict(changed(path.name, tmp_path, **added))
    assert wrong.removeprefix("params: ") == "'temperature' says something that this check does not read"


def test_a_setting_that_disagrees_with_its_copy_or_its_array_is_noticed(tmp_path: Path) -> None:
    wrong = verdict(changed("fastv_01_basic.npz", tmp_path, param_prune_ratio=0.6))
    assert any("param_prune_ratio" in line for line in wrong)
    with np.load(FOLDER / "divprune_01_basic.npz") as stored:
        params = json.loads(str(stored["params"])) | {"width": 17}
    wrong = verdict(changed("divprune_01_basic.npz", tmp_path, params=json.dumps(params), param_width=17))
    assert any("width" in line for line in wrong)


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
