"""Do fronts and hypervolumes equal counting cell by cell, and sensitivities plain sums?"""

import itertools

import numpy as np
import pytest

from focal_common.errors import UnsupportedError
from focal_simulator.sweep.pareto import hypervolume, hypervolume_history, knee, non_dominated
from focal_simulator.sweep.sensitivity import effects

SIDE = 7


def counted_volume(points: np.ndarray, side: int) -> int:
    """Unit cells of a cube that some point dominates."""
    cells = itertools.product(range(side), repeat=points.shape[1])
    return sum(
        any(all(p <= c for p, c in zip(point, cell, strict=True)) for point in points) for cell in cells
    )


def dominates(one: np.ndarray, other: np.ndarray) -> bool:
    return bool((one <= other).all() and (one < other).any())


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_hypervolume_equals_counted_cells(dimensions: int) -> None:
    random = np.random.default_rng(dimensions)
    for size in (1, 2, 5, 20, 40):
        points = random.integers(0, SIDE + 1, (size, dimensions)).astype(float)
        reference = np.full(dimensions, float(SIDE))
        assert hypervolume(points, reference) == counted_volume(points, SIDE)
        history = hypervolume_history(points, reference)
        assert history[-1] == counted_volume(points, SIDE)
        assert (np.diff(history) >= 0).all()


def test_the_front_is_what_no_point_dominates_and_equal_points_stay() -> None:
    random = np.random.default_rng(0)
    # More points than are settled at once.
    for dimensions, size in ((2, 60), (3, 60), (4, 60), (3, 700)):
        points = random.integers(0, size // 12, (size, dimensions)).astype(float)
        slow = [not any(dominates(other, one) for other in points) for one in points]
        assert non_dominated(points).tolist() == slow
    assert non_dominated(np.array([[1.0, 1.0], [1.0, 1.0], [2.0, 1.0]])).tolist() == [True, True, False]


def test_the_history_of_many_points_is_exact_where_it_is_measured_and_never_too_high() -> None:
    points = np.random.default_rng(1).random((1000, 2))
    reference = np.full(2, 1.1)
    history = hypervolume_history(points, reference)
    exact = np.array([hypervolume(points[: place + 1], reference) for place in range(0, 1000, 7)])
    assert (history[::7] <= exact * (1 + 1e-12)).all()
    rises = np.flatnonzero(np.diff(history)) + 1
    assert 5 < len(rises) <= 300
    for place in (*rises, 999):
        assert history[place] == pytest.approx(hypervolume(points[: place + 1], reference), rel=1e-12)


def test_more_than_three_objectives_are_refused_not_estimated() -> None:
    with pytest.raises(UnsupportedError, match="up to 3 objectives, got 4"):
        hypervolume(np.zeros((1, 4)), np.ones(4))


def test_the_knee_is_farthest_from_the_line_between_the_ends() -> None:
    front = np.array([[0.0, 10.0], [1.0, 2.0], [5.0, 1.0], [10.0, 0.0]])
    ends = front[-1] - front[0]
    away = [abs(np.linalg.det(np.array([ends, point - front[0]]))) for point in front]
    assert knee(front) == int(np.argmax(away)) == 1
    # Units must not matter.
    assert knee(front * np.array([1e6, 1e-3])) == 1


def test_effects_of_a_full_grid_are_the_terms_of_its_formula() -> None:
    grid = itertools.product((-1, 1), (-1, 0, 1), (-1, 1))
    rows = [{"a": a, "b": b, "c": c, "fixed": 1, "y": 3 * a + 2 * b + 5 * a * c + 7} for a, b, c in grid]
    found = effects(rows, ["a", "b", "c", "fixed"], "y")
    # Variances of the terms: 9 x 1, 4 x 2/3, 25 x 1.
    whole = 9 + 8 / 3 + 25
    assert found.is_exact
    assert found.axes == ("a", "b", "c")
    assert found.main == pytest.approx([9 / whole, (8 / 3) / whole, 0.0])
    assert found.pairs[0, 2] == found.pairs[2, 0] == pytest.approx(25 / whole)
    assert found.pairs[0, 1] == pytest.approx(0.0)


def test_effects_of_an_unbalanced_sample_are_not_raised_by_chance() -> None:
    random = np.random.default_rng(1)
    rows = [
        {"a": int(random.integers(12)), "b": int(random.integers(12)), "y": random.normal()}
        for _ in range(300)
    ]
    found = effects(rows, ["a", "b"], "y")
    assert not found.is_exact
    # Uncorrected, twelve levels of pure noise would explain 11/299 each, their pairs nearly half.
    assert found.main.max() < 0.04
    assert found.pairs.max() < 0.15
