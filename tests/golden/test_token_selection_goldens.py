"""Do the golden files of VisionZip, SparseVLM and SparseZip agree, and is a changed entry noticed?"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import check_goldens

FOLDER = Path(__file__).resolve().parents[1] / "data" / "golden_token_selection"
FILES = sorted(path for path in FOLDER.iterdir() if path.suffix in check_goldens.SUFFIXES)

pytestmark = pytest.mark.golden


def verdict(path: Path) -> list[str]:
    return check_goldens.verdict(path, check_goldens.handlers())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_file_agrees(path: Path) -> None:
    assert verdict(path) == []


@pytest.mark.parametrize(
    ("source", "array"),
    [
        ("vz_select_merge.npz", "idx_d13_c5"),
        ("vz_select_merge.npz", "tok_d20_c7"),
        ("sz_scorer_zscore.npz", "out_two_layer_gates"),
        ("sz_dynamic_k.npz", "k_spread_1475d0a"),
        ("sz_merge_kmeans.npz", "out_noagg_now"),
        ("sz_compressor_variants.npz", "tok_v26_kmeans_scoreweights"),
        ("svlm_raters_select.npz", "mask_layer6"),
        ("svlm_e2e_v1_64.npz", "kv_lengths"),
        ("svlm_e2e_v1_64.npz", "decode_out"),
    ],
)
def test_a_changed_entry_is_noticed(source: str, array: str, tmp_path: Path) -> None:
    with np.load(FOLDER / source) as stored:
        arrays = {name: stored[name] for name in stored.files}
    changed = arrays[array].copy()
    changed.flat[-1] = ~changed.flat[-1] if changed.dtype == bool else changed.flat[-1] + 1
    arrays[array] = changed
    np.savez(tmp_path / source, **arrays)
    assert any(array.removeprefix("idx_").removeprefix("tok_") in line for line in verdict(tmp_path / source))


def test_a_changed_score_is_noticed(tmp_path: Path) -> None:
    stored = json.loads((FOLDER / "metrics.json").read_text())
    stored["pope_prf"]["pope_tp"] += 1
    (tmp_path / "metrics.json").write_text(json.dumps(stored))
    assert verdict(tmp_path / "metrics.json") == [
        "pope_tp: 1 of 1 entries differ, first at (): expected 5, got 4"
    ]


@pytest.mark.parametrize(("offset", "is_right"), [(2.25, True), (8.0, False)])
def test_the_offset_of_dynamic_k_that_a_file_carries_is_the_one_that_counts(
    offset: float, is_right: bool, tmp_path: Path
) -> None:
    source = "sz_compressor_variants.npz"
    with np.load(FOLDER / source) as stored:
        arrays = {name: stored[name] for name in stored.files}
    np.savez(tmp_path / source, **arrays, c_dynamic=offset)
    wrong = verdict(tmp_path / source)
    assert wrong == [] if is_right else "no offset of [8.0] gives the counts" in wrong[0]
