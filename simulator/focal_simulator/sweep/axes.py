"""Axes of a study: which fields vary and over which values, and what one point of their product sets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import Field, model_validator

from focal_common.config import StrictModel
from focal_common.errors import ConfigError

BASE = -1
"""Choice of an axis that leaves its fields as the base design has them."""

METHOD = "method."
"""Start of fields that change the trace, not the hardware."""

SRAM_MODEL = "sram.model"
"""The field of the buffer cost model, beside those of the hardware file and of the method."""

Settings = dict[str, Any]
"""Value by dotted field."""

_MOST_VALUES = 10_000
"""Each value is checked before anything runs, which takes a millisecond or more."""


class ValueRange(StrictModel):
    """Evenly spaced or geometric values, both ends included where they are hit.

    Attributes:
        start: First value.
        stop: Last value, at least ``start``.
        step: Difference of neighbours.
        times: Ratio of neighbours, above 1.
    """

    start: int | float
    stop: int | float
    step: int | float | None = None
    times: int | float | None = None

    @model_validator(mode="after")
    def _advances(self) -> ValueRange:
        if (self.step is None) == (self.times is None):
            raise ValueError("a range needs either step or times")
        if self.step is not None and self.step <= 0:
            raise ValueError(f"step must be above 0, got {self.step}")
        if self.times is not None and (self.times <= 1 or self.start <= 0):
            raise ValueError("times must be above 1 and start above 0")
        if self.stop < self.start:
            raise ValueError(f"stop ({self.stop}) lies below start ({self.start})")
        if len(self.values()) > _MOST_VALUES:
            raise ValueError(
                f"the range from {self.start} to {self.stop} has more than {_MOST_VALUES:,} values; expected a "
                "larger step or times"
            )
        return self

    def values(self) -> tuple[int | float, ...]:
        """Return the values in ascending order."""
        found: list[int | float] = []
        # One more than is allowed shows that there are too many.
        while len(found) <= _MOST_VALUES:
            place = len(found)
            value = self.start + place * self.step if self.step else self.start * (self.times or 1) ** place
            # Sums of tenths overshoot by a few units in the last place.
            if value > self.stop * (1 + 1e-12):
                break
            found.append(value)
        return tuple(found)


class AxisChoice(StrictModel):
    """One value of an axis that sets several fields at once.

    Attributes:
        label: Name in tables and figures.
        set: Value by dotted field.
    """

    label: str = Field(min_length=1)
    set: dict[str, Any] = Field(min_length=1)


class Axis(StrictModel):
    """One thing that varies.

    Attributes:
        field: Dotted field of the hardware file, ``method.<parameter>``, or ``sram.model``.
        values: Its values.
        range: Its values as a range.
        name: Name of an axis with ``choices``.
        choices: Several fields at once, such as rows and columns of an array of constant size.
    """

    field: str | None = None
    values: tuple[Any, ...] | None = None
    range: ValueRange | None = None
    name: str | None = None
    choices: tuple[AxisChoice, ...] | None = None

    @model_validator(mode="after")
    def _is_one_kind(self) -> Axis:
        if (self.field is None) == (self.name is None):
            raise ValueError("an axis has either a field with values or range, or a name with choices")
        given = [kind for kind in ("values", "range", "choices") if getattr(self, kind) is not None]
        expected = ("choices",) if self.field is None else ("values", "range")
        if len(given) != 1 or given[0] not in expected:
            raise ValueError(f"axis '{self.label}' needs exactly one of: {', '.join(expected)}")
        if not self.settings:
            raise ValueError(f"axis '{self.label}' is empty; expected at least one value")
        keys = [settings_key(settings) for settings in self.settings]
        if len(set(keys)) != len(keys):
            raise ValueError(f"axis '{self.label}' holds a value twice")
        if self.choices and len(set(self.labels)) != len(self.labels):
            twice = next(label for label in self.labels if self.labels.count(label) > 1)
            raise ValueError(f"axis '{self.label}' has two choices labelled '{twice}'")
        if self.choices and len({frozenset(choice.set) for choice in self.choices}) > 1:
            raise ValueError(f"choices of axis '{self.label}' must all set the same fields")
        return self

    @property
    def label(self) -> str:
        """Field, or name of an axis of choices."""
        return self.field or self.name or ""

    @cached_property
    def settings(self) -> tuple[Settings, ...]:
        """Fields set by each choice."""
        if self.choices is not None:
            return tuple(dict(choice.set) for choice in self.choices)
        values = self.range.values() if self.range is not None else self.values or ()
        return tuple({self.label: value} for value in values)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Name of each choice."""
        if self.choices is not None:
            return tuple(choice.label for choice in self.choices)
        return tuple(_text(value) for settings in self.settings for value in settings.values())

    @property
    def is_ordered(self) -> bool:
        """Whether neighbouring choices are neighbours in value."""
        values = [value for settings in self.settings for value in settings.values()]
        numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        return self.field is not None and numeric and values == sorted(values)


@dataclass(frozen=True, slots=True)
class Point:
    """One design.

    Attributes:
        index: Place in the study; rows are sorted by it.
        choices: Choice of each axis, `BASE` where the axis keeps the base value.
    """

    index: int
    choices: tuple[int, ...]


@dataclass(frozen=True)
class Space:
    """The product of the axes over a base design.

    Attributes:
        axes: In the order of the study.
        base: Base value of every field that some axis sets; None for method parameters.
    """

    axes: tuple[Axis, ...]
    base: Settings

    @property
    def size(self) -> int:
        """Number of points of the full grid."""
        total = 1
        for axis in self.axes:
            total *= len(axis.settings)
        return total

    def settings(self, choices: tuple[int, ...]) -> Settings:
        """Return the value of every varied field at a point."""
        found = dict(self.base)
        for axis, choice in zip(self.axes, choices, strict=True):
            if choice != BASE:
                found.update(axis.settings[choice])
        return found

    def labels(self, choices: tuple[int, ...]) -> list[str]:
        """Return the name of the choice of every axis; ``base`` where it keeps the base value."""
        return [
            "base" if choice == BASE else axis.labels[choice]
            for axis, choice in zip(self.axes, choices, strict=True)
        ]


def fields_of(axes: tuple[Axis, ...]) -> list[str]:
    """Return every field the axes set, in order.

    Raises:
        ConfigError: Two axes set the same field, or the name of an axis is that of another or of a field: each is a
            column of the results.
    """
    owner: dict[str, str] = {}
    for axis in axes:
        for field in axis.settings[0]:
            if field in owner:
                raise ConfigError(f"axes '{owner[field]}' and '{axis.label}' both set the field '{field}'")
            owner[field] = axis.label
    names: set[str] = set()
    for axis in axes:
        if axis.name is not None and axis.name in {*owner, *names}:
            kind = "a field that an axis sets" if axis.name in owner else "another axis"
            raise ConfigError(f"axis '{axis.name}' has the name of {kind}; give it another name")
        names.add(axis.label)
    return list(owner)


def changes_trace(axis: Axis) -> bool:
    """Return whether an axis sets a parameter of the method."""
    return any(field.startswith(METHOD) for field in axis.settings[0])


def settings_key(settings: Settings) -> str:
    """Return text that is the same for equal settings, however their numbers are written: 1 and 1.0."""
    return json.dumps(_plain(settings), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
