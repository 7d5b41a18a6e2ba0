"""Answers behind measured accuracies: one table beside the results, for paired comparisons of points."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from focal_simulator.sweep.axes import METHOD, Axis, Settings, changes_trace
from focal_simulator.sweep.plan import Plan
from focal_simulator.sweep.rows import OK, Row, table_of


def parameter_sets(axes: Iterable[Axis], rows: Iterable[Row]) -> list[Settings]:
    """Return the distinct method fields of rows, in order, with the values of the study.

    Args:
        axes: Of the study.
        rows: As read from Parquet, where lists are text.
    """
    spelled: dict[str, dict[Any, Any]] = {}
    for axis in axes:
        if changes_trace(axis):
            for settings in axis.settings:
                for field, value in settings.items():
                    if field.startswith(METHOD):
                        spelled.setdefault(field, {None: None})[_key(value)] = value
    found: dict[str, Settings] = {}
    for row in rows:
        own = {field: values[_key(row[field])] for field, values in spelled.items()}
        found.setdefault(json.dumps(own, sort_keys=True), own)
    return list(found.values())


def answers_table(plan: Plan, rows: Sequence[Row]) -> pa.Table | None:
    """Return the answers of every set of method parameters of the finished rows; None if nobody kept any.

    Columns: the method fields as in the results, then those of `TraceProvider.answers`.
    """
    provider = plan.provider()
    settings: list[Settings] = []
    answers: list[dict[str, Any]] = []
    for fields in parameter_sets(plan.study.axes, (row for row in rows if row["status"] == OK)):
        given = {name.removeprefix(METHOD): value for name, value in fields.items() if value is not None}
        found = provider.answers(given)
        settings += [fields] * len(found)
        answers += found
    if not answers:
        return None
    table = table_of(settings, plan.study.axes)
    for name in answers[0]:
        table = table.append_column(name, pa.array([one[name] for one in answers]))
    return table


def _key(value: Any) -> Any:
    """Return a value as a Parquet cell holds it: lists as JSON, numbers of mixed columns as real ones."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | None):
        return json.dumps(value)
    return float(value) if isinstance(value, int | float) else value
