"""Do the kernels of CMC, AdapTiV and FrameFusion equal plain loops over tokens?"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from focal_algorithm.kernels import cmc_motion
from focal_algorithm.kernels.adaptiv import linear_margins, sign_merge
from focal_algorithm.kernels.cmc_motion import search_motion
from focal_algorithm.kernels.cmc_replacement import replace_tokens, replaced_by, vector_masks
from focal_algorithm.kernels.framefusion import merge_alike, prune_to_budget, remaining_reduction
from focal_common.errors import RunError
from focal_traces import TokenGrid
from oracles.baseline_twins import (
    adaptiv_twin,
    cmc_twin,
    framefusion_budget_twin,
    framefusion_merge_twin,
)


@pytest.mark.parametrize("frames", [1, 3, 4, 8, 11, 12, 17])
def test_motion_search_and_replacement(frames: int) -> None:
    generator = np.random.default_rng(frames)
    # Few distinct values: exact ties and matches occur, and sums are exact in fp32.
    visual = generator.integers(0, 3, (frames * 5, 4)).astype(np.float32)
    visual[::7] = 0
    motion = search_motion(torch.from_numpy(visual).view(1, frames, 5, 4), 0.6)
    table, mask, sparsity, result = cmc_twin(visual, 5, 0.6)
    assert np.array_equal(motion.table.view(-1, 5), table)
    assert np.array_equal(motion.is_replaceable.view(-1, 5), mask)
    assert motion.sparsity == pytest.approx(sparsity, abs=1e-12)
    assert sparsity <= 7 / 8
    replaced = replace_tokens(torch.from_numpy(visual)[None], replaced_by(motion))
    assert np.array_equal(replaced[0], result)


def test_motion_of_heads_is_searched_head_by_head() -> None:
    visual = torch.from_numpy(np.random.default_rng(0).integers(0, 3, (3, 9, 4, 6)).astype(np.float32))
    together = search_motion(visual, 0.5)
    for head in range(3):
        alone = search_motion(visual[head : head + 1], 0.5)
        assert torch.equal(together.table[head], alone.table[0])
        assert torch.equal(together.informative()[head], alone.informative()[0])


@pytest.mark.parametrize("sharpness", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("few", [0.1, 1.0])
def test_ruling_pairs_out_changes_no_replacement(
    few: float, sharpness: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cmc_motion, "_FEW_PAIRS", few)
    generator = torch.Generator().manual_seed(0)
    scenes = torch.randn(1, 1, 6, 75, generator=generator)
    rows = (sharpness * (scenes + torch.randn(1, 13, 6, 75, generator=generator))).softmax(dim=-1)
    rows[0, 5] = rows[0, 3].roll(1, dims=0)  # exact matches
    threshold = 0.012 * min(1.0, sharpness)
    whole = search_motion(rows, threshold)
    ruled = search_motion(rows, threshold, only_replaceable=True)
    assert 0 < whole.is_replaceable.sum() < whole.is_replaceable.numel()
    assert torch.equal(ruled.is_replaceable, whole.is_replaceable)
    chosen = whole.is_replaceable
    assert torch.equal(ruled.table[chosen], whole.table[chosen])


def test_trailing_zero_columns_change_no_decision() -> None:
    visual = torch.rand(1, 9, 4, 6, generator=torch.Generator().manual_seed(0))
    wide = torch.nn.functional.pad(visual, (0, 10))
    narrow, padded = search_motion(visual, 0.32), search_motion(wide, 0.32 * 6 / 16)
    assert torch.equal(narrow.table, padded.table)
    assert torch.equal(narrow.is_replaceable, padded.is_replaceable)
    assert narrow.is_counted.any()


def test_strict_replacement_leaves_reference_frames_and_tails() -> None:
    visual = torch.from_numpy(np.random.default_rng(1).integers(0, 2, (1, 10, 6, 4)).astype(np.float32))
    motion = search_motion(visual, 0.6)
    places = replaced_by(motion, is_strict=True)[0].view(10, 6)
    own = torch.arange(60).view(10, 6)
    assert torch.equal(places[3], own[3])
    assert torch.equal(places[8:], own[8:])
    assert not torch.equal(replaced_by(motion)[0].view(10, 6)[8:], own[8:])


@pytest.mark.parametrize("vector_size", [1, 3, 4, 7, 8, 30])
def test_vector_masks_of_heads(vector_size: int) -> None:
    generator = np.random.default_rng(vector_size)
    visual = torch.from_numpy(generator.integers(0, 2, (4, 8, 3, 2)).astype(np.float32))
    places = replaced_by(search_motion(visual, 0.6))
    values = replace_tokens(visual.flatten(1, 2), places).transpose(0, 1).flatten(1)
    found = vector_masks(values, places, frames=8, vector_size=vector_size)
    for token in range(24):
        for place in range(found.is_zero.shape[1]):
            elements = range(place * vector_size, min((place + 1) * vector_size, 8))
            assert found.is_zero[token, place] == all(values[token, e] == 0 for e in elements)
            stands = {int(places[e // 2, token]) for e in elements}
            is_alone = len(stands) == 1 and stands != {token} and token // 3 != 3
            assert found.is_similar[token, place] == (is_alone and not found.is_zero[token, place])
            if found.is_similar[token, place]:
                assert {int(found.token[token, place])} == stands


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("strides", [(12, 4, 1), (14, 4, 1), (15, 6, 2)])
@pytest.mark.parametrize("threshold", [0.1, 0.4])
def test_sign_merging(frames: int, strides: tuple[int, int, int], threshold: float) -> None:
    generator = np.random.default_rng(frames)
    visual = generator.integers(-2, 3, (40, 11)).astype(np.float32)
    grid = dict(zip(("frame_stride", "row_stride", "column_stride"), strides, strict=True)) | {
        "frames": frames
    }
    open_up, open_left = linear_margins(TokenGrid(rows=3, columns=4, **grid), 40)
    merge = sign_merge(
        torch.from_numpy(visual),
        up=torch.full((40,), strides[1]),
        left=torch.full((40,), strides[2]),
        open_up=open_up,
        open_left=open_left,
        threshold=threshold,
    )
    expected = adaptiv_twin(visual, grid, threshold)
    assert np.array_equal(merge.representative, expected)
    assert merge.sparsity == (expected != np.arange(40)).mean()
    assert not merge.is_kept.all() or threshold == 0.4


@pytest.mark.parametrize("budget", [0.05, 0.3, 0.9])
@pytest.mark.parametrize("seed", range(4))
def test_merging_of_alike_tokens(seed: int, budget: float) -> None:
    generator = np.random.default_rng(seed)
    scenes = generator.standard_normal((4, 8))
    visual = (np.tile(scenes, (6, 1)) + 0.4 * generator.standard_normal((24, 8))).astype(np.float32)
    keep = np.sort(generator.permutation(24)[:19])  # as after an earlier round
    visual, types = visual[keep], (np.arange(24) % 4)[keep]
    merge = merge_alike(torch.from_numpy(visual), torch.from_numpy(types), similarity=0.6, budget=budget)
    stands, values, ratio = framefusion_merge_twin(visual, types, 0.6, budget)
    assert np.array_equal(merge.representative, stands)
    assert np.allclose(merge.values[np.unique(stands)], values[np.unique(stands)], atol=1e-6)
    assert merge.ratio == ratio
    assert merge.is_over_budget == (ratio >= budget)


@pytest.mark.parametrize("ratios", [[], [0.3], [0.3, 0.2], [0.5, 0.2, 0.05], [0.6], [0.1] * 9])
def test_budget(ratios: list[float]) -> None:
    found = remaining_reduction(ratios, cost=0.3, layers=28)
    assert found == pytest.approx(framefusion_budget_twin(ratios, 0.3, 28), abs=1e-12)


def test_published_budgets() -> None:
    # Examples of the published implementation.
    expected = {(): 0.7, (0.3,): 0.5925925925925926, (0.5, 0.2, 0.05): 0.2505263157894737}
    for ratios, budget in expected.items():
        assert remaining_reduction(ratios, cost=0.3, layers=28) == pytest.approx(budget, abs=1e-15)


def test_a_budget_that_is_spent_is_refused() -> None:
    with pytest.raises(RunError, match="raise cost"):
        remaining_reduction([0.1, 0.1], cost=0.3, layers=4)


def test_pruning_keeps_the_most_attended_in_order() -> None:
    weights = torch.tensor([0.1, 0.4, 0.2, 0.4, 0.0])
    assert prune_to_budget(weights, 0.4).tolist() == [1, 2, 3]
    assert prune_to_budget(weights, 0.7).tolist() == [1, 3]  # round(1.5) = 2
    assert prune_to_budget(weights, 1.0).tolist() == []
