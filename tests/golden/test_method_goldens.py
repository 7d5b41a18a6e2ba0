"""Do the golden files of token-pruning methods agree, is a changed entry noticed, and is every setting read?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import check_goldens

FOLDER = Path(__file__).resolve().parents[1] / "data" / "methods"
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
    ],
)
def test_a_changed_entry_is_noticed(source: str, array: str, tmp_path: Path) -> None:
    with np.load(FOLDER / source) as stored:
        altered = stored[array].copy()
    altered = altered + (np.arange(altered.size) == altered.size - 1).reshape(altered.shape)
    wrong = verdict(changed(source, tmp_path, **{array: altered}))
    assert any(array in line for line in wrong), wrong


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
