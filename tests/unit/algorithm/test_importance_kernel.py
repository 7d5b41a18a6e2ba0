"""Are importance, retention, sparsity and the median sample those of the published artifact?"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from focal_algorithm.kernels.importance import importance, importance_of_probabilities
from focal_algorithm.kernels.ordering import select_top, tokens_to_keep
from focal_common.errors import RunError, UnsupportedError
from goldens.published_forms import retained_after

torch.set_num_threads(1)


def case_i() -> Tensor:
    """Probabilities of 2 heads over 13 tokens: text, 10 visual, 2 text."""
    attention = torch.zeros(2, 13, 13)
    attention[0, 11, 1:11] = torch.tensor([0.05, 0.01, 0.30, 0.02, 0.03, 0.04, 0.06, 0.07, 0.08, 0.09])
    attention[1, 12, 1:11] = torch.tensor([0.20, 0, 0, 0.10, 0, 0, 0, 0, 0, 0.25])
    attention[0, 5, 3] = 0.9  # a visual row: must not count
    return attention


def test_case_i_maximum_over_heads_and_text_rows_then_two_prunings() -> None:
    ranks = importance_of_probabilities(case_i()[:, -2:], first_visual=1, visual_count=10)
    expected = torch.tensor([0.20, 0.01, 0.30, 0.10, 0.03, 0.04, 0.06, 0.07, 0.08, 0.25])
    assert torch.equal(ranks, expected)
    kept = select_top(ranks, tokens_to_keep(10, 0.35, 10))
    retained = retained_after(torch.arange(13), kept, visual_start=1, query_tokens=2)
    assert retained.tolist() == [0, 1, 3, 10, 11, 12]
    kept = select_top(torch.tensor([0.1, 0.4, 0.3]), tokens_to_keep(10, 0.2, 3))
    retained = retained_after(retained, kept, visual_start=1, query_tokens=2)
    assert retained.tolist() == [0, 3, 10, 11, 12]


@pytest.mark.parametrize(
    ("visual_tokens", "alpha", "count"),
    [
        (11648, 0.4, 4659),
        (11648, 0.3, 3494),
        (11648, 0.2, 2329),
        (11648, 0.15, 1747),
        (11648, 0.1, 1164),
        (6272, 0.4, 2508),
        (6272, 0.3, 1881),
        (6272, 0.25, 1568),
        (6272, 0.15, 940),
        (12736, 0.15, 1910),
        (2366, 0.3, 709),
        (414, 0.3, 124),
        (3149, 0.1, 314),
        (402, 0.1, 40),
        (100, 0.29, 28),
        (3, 0.1, 1),
    ],
)
def test_ratio_is_truncated_in_double_precision(visual_tokens: int, alpha: float, count: int) -> None:
    assert tokens_to_keep(visual_tokens, alpha, visual_tokens) == count


def test_no_more_are_kept_than_are_present() -> None:
    assert tokens_to_keep(100, 0.5, 7) == 7


def test_equal_importances_keep_the_lower_index() -> None:
    assert select_top(torch.tensor([0.5, 0.9, 0.5, 0.5, 0.1]), 3).tolist() == [0, 1, 2]


def test_without_pruning_all_remain() -> None:
    retained = retained_after(torch.arange(5), torch.arange(5), visual_start=0, query_tokens=0)
    assert retained.tolist() == [0, 1, 2, 3, 4]


def naive(queries: Tensor, keys: Tensor, scaling: float, bias: Tensor) -> Tensor:
    repeated = keys.repeat_interleave(len(queries) // len(keys), 0)
    return torch.softmax(queries @ repeated.transpose(1, 2) * scaling + bias, -1)


@pytest.mark.parametrize("kind", ["causal", "additive", "bool"])
def test_trailing_rows_alone_give_the_importance_of_full_attention(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(4, 9, 8, generator=generator)
    keys = torch.randn(2, 9, 8, generator=generator)
    allowed = torch.ones(9, 9, dtype=torch.bool).tril()
    if kind != "causal":
        allowed[:, 3] = False
    bias = torch.zeros(9, 9).masked_fill_(~allowed, -1e4)
    mask = {"causal": None, "additive": bias[-3:], "bool": allowed[-3:]}[kind]
    full = naive(queries, keys, 1 / math.sqrt(8), bias)
    expected = full[:, -3:, 2:6].amax((0, 1))
    found = importance(
        queries[:, -3:], keys, scaling=1 / math.sqrt(8), first_visual=2, visual_count=4, mask=mask
    )
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    assert (found[1] == 0) == (kind != "causal")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_rounds_after_every_published_step(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(2, 2, 16, generator=generator).to(dtype)
    keys = torch.randn(1, 12, 16, generator=generator).to(dtype)
    scores = torch.einsum("htd,nd->htn", queries.float(), keys[0].float()).to(dtype) * 0.25
    bias = torch.zeros(2, 12, dtype=dtype)
    bias[0, 11] = -1e4
    expected = torch.softmax((scores + bias).float(), -1).to(dtype)[..., 1:10].amax((0, 1))
    found = importance(queries, keys, scaling=0.25, first_visual=1, visual_count=9)
    assert found.dtype == dtype
    assert torch.equal(found, expected)


def test_scores_beyond_half_range_stay_finite() -> None:
    queries = torch.full((1, 1, 8), 200.0, dtype=torch.float16)
    keys = torch.full((1, 4, 8), 200.0, dtype=torch.float16)
    found = importance(queries, keys, scaling=0.35, first_visual=0, visual_count=3)
    assert found.tolist() == [0.25, 0.25, 0.25]


def test_no_text_after_the_image_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="at least one token after"):
        importance(torch.ones(1, 0, 4), torch.ones(1, 5, 4), scaling=1, first_visual=0, visual_count=5)


def test_nan_attention_is_refused_by_name() -> None:
    queries = torch.full((1, 1, 4), float("nan"))
    with pytest.raises(RunError, match="layer 2: attention"):
        importance(queries, torch.ones(1, 5, 4), scaling=1, first_visual=0, visual_count=4, name="layer 2")
