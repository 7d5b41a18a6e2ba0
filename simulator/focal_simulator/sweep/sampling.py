"""Which points a study visits, where that is known beforehand: one at a time, full grid, quasi-random."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from focal_common.errors import ConfigError
from focal_simulator.sweep.axes import BASE, Point, Space, changes_trace, settings_key
from focal_simulator.sweep.study import ONE_AT_A_TIME, Sampling

Choices = tuple[int, ...]

_MOST_POINTS = 10_000_000
_DRAWS_PER_POINT = 64


def one_at_a_time(space: Space, sampling: Sampling) -> Iterator[Choices]:
    """Yield every value of every axis with the other axes at the base design."""
    for place, axis in enumerate(space.axes):
        for choice in range(len(axis.settings)):
            yield tuple(choice if other == place else BASE for other in range(len(space.axes)))


def grid(space: Space, sampling: Sampling) -> Iterator[Choices]:
    """Yield the full product, the last axis fastest; method axes are slowest, so that a trace is read once."""
    _check_grid(space, sampling)
    order = sorted(range(len(space.axes)), key=lambda place: not changes_trace(space.axes[place]))
    for found in itertools.product(*(range(len(space.axes[place].settings)) for place in order)):
        by_axis = dict(zip(order, found, strict=True))
        yield tuple(by_axis[place] for place in range(len(order)))


def quasi_random(space: Space, sampling: Sampling) -> Iterator[Choices]:
    """Yield distinct points of a scrambled Sobol or Halton sequence (scipy.stats.qmc)."""
    from scipy.stats import qmc

    _check_quasi_random(space, sampling)
    sequences = {"sobol": qmc.Sobol, "halton": qmc.Halton}
    sequence = sequences[sampling.sequence](
        len(space.axes), scramble=True, rng=np.random.default_rng(sampling.seed)
    )
    levels = np.array([len(axis.settings) for axis in space.axes])
    seen: set[Choices] = set()
    # Axes are discrete, so a sequence comes back to earlier points; powers of two keep Sobol balanced.
    batch = 1 << max(sampling.points - 1, 1).bit_length()
    for _ in range(_DRAWS_PER_POINT):
        for draw in np.floor(sequence.random(batch) * levels).astype(int):
            choices = tuple(int(one) for one in draw)
            if choices not in seen:
                seen.add(choices)
                yield choices
            if len(seen) == sampling.points:
                return
    raise ConfigError(
        f"sampling.points is {sampling.points}, but {_DRAWS_PER_POINT * batch} draws gave only {len(seen)} distinct "
        "points; use kind: grid"
    )


SAMPLERS: dict[str, Callable[[Space, Sampling], Iterator[Choices]]] = {
    ONE_AT_A_TIME: one_at_a_time,
    "grid": grid,
    "quasi_random": quasi_random,
}
"""Kinds whose points do not depend on results; ``search`` is the other one."""


def _check_grid(space: Space, sampling: Sampling) -> None:
    if space.size > _MOST_POINTS:
        raise ConfigError(
            f"the grid has {space.size} points, expected at most {_MOST_POINTS}; use kind: search"
        )


def _check_quasi_random(space: Space, sampling: Sampling) -> None:
    if sampling.points > space.size:
        raise ConfigError(f"sampling.points is {sampling.points}, but the axes have only {space.size} points")


def check_size(kind: str, space: Space, sampling: Sampling) -> None:
    """Refuse a number of points that a kind cannot choose, before anything runs.

    Raises:
        ConfigError: The grid is too large, or has fewer points than are asked for.
    """
    checks = {"grid": _check_grid, "quasi_random": _check_quasi_random}
    if kind in checks:
        checks[kind](space, sampling)


def chosen_points(space: Space, choices: Iterable[Choices], include_base: bool) -> list[Point]:
    """Return numbered points without repeats; two ways to write the same design count once."""
    first = [(BASE,) * len(space.axes)] if include_base else []
    # Each field belongs to one axis. The base value stands last, where `BASE` finds it.
    keys = [
        [
            settings_key(settings)
            for settings in (*axis.settings, {name: space.base[name] for name in axis.settings[0]})
        ]
        for axis in space.axes
    ]
    points: dict[tuple[str, ...], Point] = {}
    for one in itertools.chain(first, choices):
        key = tuple(of_axis[choice] for of_axis, choice in zip(keys, one, strict=True))
        if key not in points:
            points[key] = Point(len(points), one)
    return list(points.values())
