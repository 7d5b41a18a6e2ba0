"""Are intervals and tests those of the textbooks? Slow twins are written out here."""

from __future__ import annotations

from math import comb, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from focal_common.errors import ConfigError
from focal_common.statistics import accuracy, compared, holm, wilson


@pytest.mark.parametrize(("right", "total"), [(0, 5), (5, 5), (7, 20), (812, 1200)])
def test_wilson_interval_equals_the_closed_form(right: int, total: int) -> None:
    found = accuracy([1.0] * right + [0.0] * (total - right), [str(index) for index in range(total)])
    assert found.mean == pytest.approx(right / total)
    share, square = right / total, 1.959963984540054**2
    half = sqrt(square * (share * (1 - share) / total + square / (4 * total**2)))
    ends = [(share + square / (2 * total) + sign * half) / (1 + square / total) for sign in (-1, 1)]
    assert (found.low, found.high) == wilson(right, total) == pytest.approx(ends)
    assert found.questions == total


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (5, 0), (3, 9), (14, 15)])
def test_mcnemar_equals_the_sum_of_binomial_terms(only_first: int, only_second: int) -> None:
    first = [1.0] * 10 + [0.0] * 4 + [1.0] * only_first + [0.0] * only_second
    second = [1.0] * 10 + [0.0] * 4 + [0.0] * only_first + [1.0] * only_second
    found = compared(first, second, [str(index) for index in range(len(first))])
    changed = only_first + only_second
    tail = sum(comb(changed, count) for count in range(min(only_first, only_second) + 1)) / 2**changed
    assert (found.only_first, found.only_second) == (only_first, only_second)
    assert found.p_value == pytest.approx(min(1.0, 2 * tail))


def test_bootstrap_resamples_whole_pictures() -> None:
    generator = np.random.default_rng(3)
    pictures = [str(index // 5) for index in range(200)]
    shift = np.repeat(generator.integers(0, 2, 40), 5)  # all questions of a picture change together
    first, second = shift.astype(float).tolist(), [0.0] * 200
    found = compared(first, second, pictures)
    draws = []
    for _ in range(4000):
        taken = generator.integers(0, 40, 40)
        chosen = np.concatenate([shift[5 * one : 5 * one + 5] for one in taken])
        draws.append(chosen.mean())
    assert (found.low, found.high) == pytest.approx(np.percentile(draws, [2.5, 97.5]), abs=0.03)
    alone = compared(first, second, [str(index) for index in range(200)])
    assert alone.high - alone.low < 0.6 * (found.high - found.low)
    assert compared(first, second, pictures) == found  # same seed, same interval


def test_equal_runs_differ_by_nothing() -> None:
    found = compared([1.0, 0.0, 1.0], [1.0, 0.0, 1.0], ["a", "b", "c"])
    assert (found.difference, found.low, found.high, found.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_fractions_have_an_interval_but_no_mcnemar_test() -> None:
    found = compared([0.3, 1.0, 0.6], [0.0, 1.0, 0.9], ["a", "b", "c"])
    assert found.p_value is None
    assert found.low < found.difference < found.high
    share = accuracy([0.3, 1.0, 0.6, 0.0], ["a", "a", "b", "c"])
    assert 0 <= share.low < share.mean < share.high <= 1


def test_one_picture_says_nothing_about_others() -> None:
    found = compared([1.0, 0.0], [0.0, 0.0], ["a", "a"])
    assert (found.low, found.high) == (-1.0, 1.0)


def test_nothing_asked_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no question was asked"):
        accuracy([], [])
    with pytest.raises(ConfigError, match="cannot be paired"):
        compared([1.0], [1.0, 0.0], ["a"])


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_equals_its_definition(values: list[float]) -> None:
    found = holm(values)
    order = sorted(range(len(values)), key=lambda place: values[place])
    worst = 0.0
    for rank, place in enumerate(order):
        worst = max(worst, min(1.0, (len(values) - rank) * values[place]))
        assert found[place] == pytest.approx(worst)
