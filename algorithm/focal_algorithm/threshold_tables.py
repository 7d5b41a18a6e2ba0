"""Published thresholds of a method for each (model, dataset) pair, from a table packaged beside the methods."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files

from focal_traces.tables import Key, read_rows

__all__ = ["published_thresholds"]


@cache
def published_thresholds(file: str, columns: tuple[str, ...]) -> dict[Key, tuple[float, ...]]:
    """Read a table.

    Args:
        file: Name in ``focal_algorithm/methods``.
        columns: Columns of thresholds, in the order returned.
    """
    with as_file(files("focal_algorithm.methods") / file) as path:
        _, rows = read_rows(path, ("model", "dataset", *columns))
    return {(row["model"], row["dataset"]): tuple(float(row[name]) for name in columns) for row in rows}
