"""Does the checker read formats of golden files that are not kept here: pruned input, 4-D tables?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import check_goldens
from focal_traces import TokenGrid
from oracles.similarity_twin import twin

FOLDER = Path(__file__).resolve().parents[1] / "data" / "golden_algorithm"
START, VISUAL, LENGTH = 3, 48, 55

pytestmark = pytest.mark.golden


def verdict(path: Path) -> list[str]:
    return check_goldens.verdict(path, check_goldens.handlers())


def write_pruned(path: Path, dtype: torch.dtype) -> dict[str, NDArray[Any]]:
    """Write a similarity file whose input is already pruned, with plain loops; return its arrays."""
    generator = np.random.default_rng(5)
    ids = np.sort(generator.permutation(np.arange(START, START + VISUAL))[:30])
    retained = np.concatenate((np.arange(START), ids, np.arange(START + VISUAL, LENGTH)))
    hidden = generator.integers(-2, 3, (1, len(retained), 16)) + 0.25 * generator.integers(-1, 2, (1, 37, 16))
    grid = {"num_frames": 4, "patch_height": 3, "patch_width": 4}
    strides = {"frame_stride": 12, "height_stride": 4, "width_stride": 1}
    variants: list[dict[str, Any]] = [{"vs": 4, "m": -1}, {"vs": 4, "m": 8, "block": 3, "fblock": 3}]
    arrays: dict[str, NDArray[Any]] = {"retained_ids": retained, "hidden_in": hidden.astype(np.float32)}
    rows = slice(START, START + len(ids))
    for index, variant in enumerate(variants):
        found = twin(
            torch.from_numpy(arrays["hidden_in"][0, rows]).to(dtype),
            torch.from_numpy(ids - START),
            grid=TokenGrid(frames=4, rows=3, columns=4, frame_stride=12, row_stride=4, column_stride=1),
            visual_tokens=VISUAL,
            vector_size=4,
            m_tile=variant["m"],
            block=(variant.get("fblock", 2), variant.get("block", 2), variant.get("block", 2)),
            threshold=0.9,
        )
        assert found.margin > 1e-6
        output = arrays["hidden_in"].copy()
        output[0, rows] = found.values[ids - START]
        group = found.root * 4 + np.arange(4)
        arrays |= {
            f"v{index}_mask_zero": found.is_zero[None],
            f"v{index}_mask_similar": found.is_similar[None],
            f"v{index}_group_idx": group[None].astype(np.int32),
            f"v{index}_argmax_candidate": found.winner[None],
            f"v{index}_sparsity": np.array((found.is_zero | found.is_similar).mean()),
            f"v{index}_hidden_out": output,
        }
    params = {
        **grid,
        **strides,
        "image_token_start": START,
        "image_token_length": VISUAL,
        "text_after": 4,
        "hidden_dim": 16,
        "heads": None,
        "dtype": str(dtype).removeprefix("torch."),
        "variants": variants,
    }
    arrays["params"] = np.array(json.dumps(params))
    np.savez(path, **arrays)
    return arrays


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_similarity_file_with_pruned_input(dtype: torch.dtype, tmp_path: Path) -> None:
    path = tmp_path / "sic_12_made_here.npz"
    arrays = write_pruned(path, dtype)
    assert verdict(path) == []
    assert arrays["v0_mask_similar"].any()
    arrays["v1_mask_similar"][0, 20] ^= True
    np.savez(path, **arrays)
    assert any("v1_mask_similar: 4 of 192" in line for line in verdict(path))


def test_schedule_file_with_four_dimensional_rotary_tables(tmp_path: Path) -> None:
    with np.load(FOLDER / "sec_01_schedule.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    for name in arrays:
        if name.endswith(("cos_in", "sin_in", "_cos")):
            arrays[name] = np.stack((arrays[name], 2 * arrays[name], 3 * arrays[name]))
    path = tmp_path / "sec_02_made_here.npz"
    np.savez(path, **arrays)
    assert verdict(path) == []
    arrays["e2_cos"][1, 0, 3, 0] += 1
    np.savez(path, **arrays)
    assert len(verdict(path)) == 1
