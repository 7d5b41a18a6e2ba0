"""Do schedules and sparsities follow the published formulas?"""

from __future__ import annotations

import numpy as np
import pytest

from focal_common.errors import ConfigError, TraceError
from focal_traces.counts.sparsity import (
    gemm_weights,
    median_index,
    sparsity_by_layer,
    weighted_sparsity,
)
from focal_traces.header.schema import GEMMS, QWEN2_7B
from focal_traces.synthetic.schedule import Schedule, kept_tokens, tokens_per_gemm
from synthetic_traces import schedule_trace, synthetic_counts, synthetic_masks
from traces_support import tiny_input, tiny_masks, tiny_trace


def test_published_example_of_llava_video() -> None:
    tokens = tokens_per_gemm(Schedule((3, 6, 9, 18, 26), (0.4, 0.3, 0.2, 0.15, 0.1)), 28, 11648)
    attention, mlp = tokens[:, GEMMS.index("query")], tokens[:, GEMMS.index("down_proj")]
    assert attention[[0, 3, 4, 6, 7, 27]].tolist() == [11648, 11648, 4659, 4659, 3494, 1164]
    assert mlp[[2, 3, 6, 9, 18, 26, 27]].tolist() == [11648, 4659, 3494, 2329, 1747, 1164, 1164]


@pytest.mark.parametrize(
    ("tokens", "alpha", "kept"),
    [
        (11648, 0.15, 1747),
        (6272, 0.25, 1568),
        (12736, 0.15, 1910),
        (402, 0.1, 40),
        (100, 0.29, 28),
        (3, 0.1, 1),
    ],
)
def test_products_are_cut_as_doubles(tokens: int, alpha: float, kept: int) -> None:
    assert kept_tokens(alpha, tokens, tokens) == kept


def test_a_larger_fraction_later_keeps_what_is_left() -> None:
    assert kept_tokens(0.9, 100, 20) == 20


@pytest.mark.parametrize(
    ("layers", "alphas", "message"),
    [
        ((1, 2), (0.5,), "2 entries"),
        ((1, 1), (0.5, 0.4), "distinct"),
        ((1,), (0.0,), r"\(0, 1\]"),
        ((1,), (1.1,), "1.1"),
    ],
)
def test_an_impossible_schedule_is_refused(
    layers: tuple[int, ...], alphas: tuple[float, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Schedule(layers, alphas)


def test_a_layer_the_decoder_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="layer 28 does not exist, expected below 28"):
        tokens_per_gemm(Schedule((28,), (0.5,)), 28, 100)


def test_weights_of_the_published_geometry() -> None:
    weights = gemm_weights(QWEN2_7B, 11648).tolist()
    assert weights == [16_515_072, 41_746_432, 12_845_056, 135_790_592, 67_895_296]


def test_sparsity_of_pruning_alone_is_the_share_of_dead_tokens() -> None:
    header = tiny_masks(samples=1).header
    schedule = Schedule((0, 2), (0.7, 0.4))
    sparsity = sparsity_by_layer(schedule_trace(header, schedule), 0)
    assert np.allclose(sparsity, 1 - tokens_per_gemm(schedule, 3, 18) / 18)


def test_weighted_sparsity_is_the_published_weighing() -> None:
    trace = tiny_trace(samples=1)
    hidden, mlp, tokens, group = 8, 20, 18, 2
    weights = [hidden**2 + 2 * hidden**2 // group, hidden * tokens, hidden**2, 2 * hidden * mlp, hidden * mlp]
    expected = np.dot(weights, sparsity_by_layer(trace, 0).mean(axis=0)) / sum(weights)
    assert weighted_sparsity(trace, 0) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("values", "index"),
    [
        ((0.5, 0.3, 0.9, 0.1, 0.7, 0.2, 0.8, 0.4, 0.6, 0.65), 0),
        ((0.3, 0.3, 0.3, 0.5, 0.5, 0.5, 0.4, 0.4, 0.2, 0.9), 6),
        ((0.25,), 0),
    ],
)
def test_median_sample_is_the_first_at_the_lower_median(values: tuple[float, ...], index: int) -> None:
    assert median_index(values) == index


def test_the_median_of_nothing_is_refused() -> None:
    with pytest.raises(TraceError, match="at least one"):
        median_index([])


def test_synthetic_traces_repeat_by_seed_and_follow_the_schedule() -> None:
    given = tiny_input()
    assert synthetic_masks(given) == synthetic_masks(given)
    assert synthetic_masks(given) != synthetic_masks(tiny_input(seed=2))
    expected = tokens_per_gemm(given.schedule, 3, 18)
    assert np.array_equal(tiny_trace().totals(0).tokens, expected)
    assert np.array_equal(synthetic_counts(given).totals(1).tokens, expected)


def test_synthetic_similarity_comes_close_to_its_probability() -> None:
    totals = synthetic_counts(tiny_input(similarity=dict.fromkeys(GEMMS, 0.25), samples=1)).totals(0)
    assert totals.similar.sum() / totals.vectors.sum() == pytest.approx(0.25, abs=0.05)
