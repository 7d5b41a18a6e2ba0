"""Do the kernels give the worked examples of the published baselines, and are unkept golden formats read?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import check_goldens
from focal_algorithm.kernels.adaptiv import linear_margins, sign_merge
from focal_algorithm.kernels.cmc_motion import search_motion
from focal_algorithm.kernels.cmc_replacement import replace_tokens, replaced_by
from focal_traces import TokenGrid
from oracles.baseline_twins import adaptiv_twin, cmc_twin, framefusion_budget_twin, framefusion_merge_twin

pytestmark = pytest.mark.golden

# Frames of two tokens of one number; the fourth is the reference.
CLIP = [(0, 10), (1, 10), (10, 0.2), (0, 10), (0.1, 3), (5, 5), (0, 10.3), (10, 10)]


def cmc(frames: list[tuple[float, float]]) -> tuple[Any, list[float]]:
    visual = torch.tensor(frames).view(1, -1, 2, 1)
    motion = search_motion(visual, 0.5)
    activations = 10 * torch.arange(1.0, 2 * len(frames) + 1).view(1, -1, 1)
    return motion, replace_tokens(activations, replaced_by(motion)).flatten().tolist()


def test_worked_example_of_cmc() -> None:
    motion, applied = cmc(CLIP)
    assert (int(motion.informative().sum()), motion.sparsity) == (6, 0.625)
    assert motion.table.flatten().tolist() == [0, 1, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 1]
    expected = [70, 80, 30, 80, 80, 70, 70, 80, 70, 100, 110, 120, 70, 80, 80, 80]
    assert applied == expected


def test_worked_example_of_cmc_with_identical_reference_tokens() -> None:
    motion, applied = cmc([(4, 6), (4.1, 6), (9, 9), (5, 5)])
    assert int(motion.informative().sum()) == 8
    assert applied == [10, 20, 30, 40, 50, 60, 70, 70]


def test_worked_example_of_cmc_with_a_tail() -> None:
    motion, applied = cmc([*CLIP, (0.3, 7)])
    assert (int(motion.informative().sum()), motion.sparsity) == (8, pytest.approx(5 / 9))
    assert applied[-2:] == [0, 180]


def test_worked_examples_of_adaptiv() -> None:
    one = torch.tensor(
        [[1, 2, 3, 4], [1, 1, 1, -1], [-1, -1, 0, 1], [2, -3, 4, 5], [1, 2, -3, 4], [0, 1, -1, 3]],
        dtype=torch.float32,
    )
    grid = TokenGrid(frames=1, rows=2, columns=3, frame_stride=6, row_stride=3, column_stride=1)
    assert _merged(one, grid) == [0, 1, 2, 3, 4, 4]
    two = grid.model_copy(update={"frames": 2})
    assert _merged(torch.ones(12, 4), two) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 7, 8]


def _merged(visual: torch.Tensor, grid: TokenGrid) -> list[int]:
    tokens = len(visual)
    open_up, open_left = linear_margins(grid, tokens)
    up, left = torch.full((tokens,), grid.row_stride), torch.full((tokens,), grid.column_stride)
    merge = sign_merge(visual, up=up, left=left, open_up=open_up, open_left=open_left, threshold=0.5)
    return merge.representative.tolist()


def verdict(path: Path, params: dict[str, Any], arrays: dict[str, Any]) -> list[str]:
    np.savez(path, params=np.array(json.dumps(params)), **arrays)
    return check_goldens.verdict(path, check_goldens.handlers())


def test_a_file_of_queries_by_head(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    queries = generator.integers(0, 3, (1, 2, 3 + 26 + 2, 6)).astype(np.float32)
    found = [cmc_twin(head[3:29], 2, 0.5) for head in queries[0]]
    output = queries.copy()
    output[0, :, 3:29] = [result for _, _, _, result in found]
    sparsity = np.mean([value for _, _, value, _ in found])
    informative = round((1 - sparsity) * 52)
    params = {"frames": 13, "patches": 2, "heads": 2, "d": 6, "threshold": 0.5, "which": "query"}
    arrays = {
        "act_in": queries,
        "act_out": output,
        "i_frame_idx": np.array([3, 11]),
        "table": np.stack([table.reshape(2, 8, 2) for table, _, _, _ in found]),
        "mask": np.stack([mask.reshape(2, 8, 2) for _, mask, _, _ in found]),
        "num_informative": np.array(informative),
        "num_non_informative": np.array(52 - informative),
        "sparsity": np.array(sparsity),
    }
    where = {"image_token_start": 3, "image_token_length": 26, "text_after": 2}
    assert verdict(tmp_path / "cmc_90_query.npz", params | where, arrays) == []
    arrays["mask"] = ~arrays["mask"]
    assert verdict(tmp_path / "cmc_90_query.npz", params | where, arrays)


def test_a_wide_file_in_bf16_rounds_scores_and_threshold(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    strides = {"frame_stride": 12, "height_stride": 4, "width_stride": 1}
    size = {"num_frames": 2, "patch_height": 3, "patch_width": 4}
    hidden = torch.from_numpy(generator.choice([-1.0, 1.0], (24, 600)).astype(np.float32))
    for token in range(24):
        if token % 4:  # 29 signs differ: the sum 542 is 544 in bf16
            hidden[token] = hidden[token - 1]
            hidden[token, 29 * token % 500 : 29 * token % 500 + 29] *= -1
    where = {"image_token_start": 0, "image_token_length": 24, "text_after": 0, "dtype": "bfloat16"}
    grid = {"frames": 2, "frame_stride": 12, "row_stride": 4, "column_stride": 1}
    stands = adaptiv_twin(
        hidden.numpy(), grid, 0.9066, lambda number: float(torch.tensor(float(number)).to(torch.bfloat16))
    )
    keep = np.flatnonzero(stands == np.arange(24))
    assert 0 < len(keep) < 24
    assert not np.array_equal(stands, adaptiv_twin(hidden.numpy(), grid, 0.9066))  # rounding does decide
    arrays = {
        "hidden_in": hidden[None],
        "hidden_out": hidden[None, keep],
        "keep_ids": keep,
        "merged_ids": stands,
        "sparsity": np.array(1 - len(keep) / 24),
    }
    assert (
        verdict(tmp_path / "adaptiv_90.npz", {**size, **strides, **where, "threshold": 0.9066}, arrays) == []
    )


def test_a_file_of_merging_over_budget_needs_no_attention(tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    scenes = np.tile(generator.standard_normal((4, 8)), (6, 1))
    hidden = np.zeros((1, 29, 8), dtype=np.float32)
    hidden[0, 2:26] = scenes + 0.1 * generator.standard_normal((24, 8))
    types = np.full((1, 29), -1)
    types[0, 2:26] = np.arange(24) % 4
    budget = framefusion_budget_twin([], 0.5, 28)
    stands, values, ratio = framefusion_merge_twin(hidden[0, 2:26], types[0, 2:26], 0.6, budget)
    assert ratio >= budget
    keep = np.array([0, 1, *(2 + np.flatnonzero(stands == np.arange(24))), 26, 27, 28])
    merged = hidden[0].copy()
    merged[2:26] = values
    params = {"cost": 0.5, "num_layers": 28, "lengths": [len(keep)], "flags": [[True, True]]}
    arrays = {
        "hidden_in": hidden,
        "patch_type": types,
        "r0_positions": keep,
        "r0_hidden": merged[None, keep],
        "r1_positions": keep,
    }
    assert verdict(tmp_path / "framefusion_90.npz", params, arrays) == []
