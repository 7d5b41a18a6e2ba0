"""The columns of a study's table, their types, and Parquet files of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from focal_common.errors import ConfigError
from focal_common.files import atomic_path
from focal_common.reading.parquet_files import read_sealed, sealed
from focal_simulator.sweep.axes import Axis

Row = dict[str, Any]

OK, INFEASIBLE, FAILED = "ok", "infeasible", "failed"
"""Values of the column ``status``."""

INDEX = "index"
"""The column of a point's place in the study."""

TEXT_COLUMNS = (
    "status",
    "reason",
    "accelerator",
    "fidelity",
    "sram_model",
    "origin",
    "remarks",
    "focal_version",
    "code_version",
    "configuration_sha256",
)


def check_names(axes: Sequence[Axis], metrics: Iterable[str]) -> None:
    """Refuse an axis whose column would be that of something else.

    Args:
        axes: Of the study.
        metrics: Every metric a row may hold.

    Raises:
        ConfigError: One axis is named like a column of every study, like a metric, or like a metric of a workload.
    """
    taken = {
        INDEX: "a column",
        **dict.fromkeys(TEXT_COLUMNS, "a column"),
        **dict.fromkeys(metrics, "a metric"),
    }
    for axis in axes:
        for name in (axis.label, *axis.settings[0]):
            if name in taken:
                raise ConfigError(
                    f"axes: '{name}' is {taken[name]} of the results; expected another name for the axis"
                )
            if ":" in name:
                raise ConfigError(
                    f"axes: '{name}' holds ':', which columns of single workloads have; expected another name"
                )


def row_check(axes: Sequence[Axis], metrics: Collection[str]) -> Callable[[Row], bool]:
    """Return what tells whether an object can be a row: cells of the right types, and all metrics if it is ok.

    Args:
        axes: Of the study.
        metrics: Of its objectives.
    """
    types = _axis_types(axes)

    def is_row(row: Row) -> bool:
        return (
            type(row.get(INDEX)) is int
            and row.get("status") in (OK, INFEASIBLE, FAILED)
            and all(_is_cell(name, value, types) for name, value in row.items() if value is not None)
            and (row["status"] != OK or all(row.get(name) is not None for name in metrics))
        )

    return is_row


def _is_cell(name: str, value: Any, types: Mapping[str, pa.DataType]) -> bool:
    if name in TEXT_COLUMNS:
        return isinstance(value, str)
    kind = types.get(name, pa.float64())
    if pa.types.is_string(kind):
        return True
    if type(value) is int:
        return kind == pa.int64() or abs(value) <= 1 << 53
    return type(value) is float and kind == pa.float64()


def table_of(rows: Sequence[Row], axes: Sequence[Axis]) -> pa.Table:
    """Return rows as a table; the types follow from the study, never from which rows came first.

    Columns: ``index`` int64, text as in `TEXT_COLUMNS`, axis fields int64, float64 or text, all others float64.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    types = _axis_types(axes)
    columns, fields = [], []
    for name in names:
        kind = pa.int64() if name == INDEX else pa.string() if name in TEXT_COLUMNS else types.get(name)
        kind = pa.float64() if kind is None else kind
        values = [row.get(name) for row in rows]
        if pa.types.is_string(kind):
            values = [
                value if value is None or isinstance(value, str) else json.dumps(value) for value in values
            ]
        columns.append(pa.array(values, type=kind))
        fields.append(pa.field(name, kind))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def write_table(table: pa.Table, path: Path, metadata: Mapping[str, Any] | None = None) -> None:
    """Write a table in one step; equal tables give equal bytes.

    Raises:
        RunError: The disk is full or the folder cannot be written; an earlier file is untouched.
    """
    if metadata is not None:
        table = table.replace_schema_metadata({"focal_sweep": json.dumps(metadata, sort_keys=True)})
    with atomic_path(path) as temporary:
        pq.write_table(sealed(table), temporary, compression="zstd")


def read_table(path: Path) -> pa.Table:
    """Return one Parquet file.

    Raises:
        TraceError: It is damaged, or of another content than it says.
    """
    return read_sealed(path, hint="remove it to make its rows again")


def joined_table(paths: Iterable[Path]) -> pa.Table:
    """Return the rows of Parquet files as one table, in order; a column that a file lacks is empty there.

    Raises:
        TraceError: A file is damaged.
    """
    parts = [read_table(path) for path in paths]
    return pa.concat_tables(parts, promote_options="default").combine_chunks()


def rows_of(table: pa.Table) -> list[Row]:
    """Return the rows of a table; column by column, which is many times faster than row by row."""
    columns = [_values(column) for column in table.columns]
    names = table.column_names
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def read_rows(paths: Iterable[Path]) -> list[Row]:
    """Return the rows of Parquet files, in order.

    Raises:
        TraceError: A file is damaged.
    """
    return [row for path in paths for row in rows_of(read_table(path))]


def _values(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_string(column.type):
        # Few texts are repeated often: one object each.
        coded = column.combine_chunks().dictionary_encode()
        texts = [*coded.dictionary.to_pylist(), None]
        return [texts[place] for place in coded.indices.fill_null(len(texts) - 1).to_numpy().tolist()]
    if column.null_count:
        return column.to_pylist()  # type: ignore[no-any-return]
    return column.to_numpy().tolist()  # type: ignore[no-any-return]


def _axis_types(axes: Sequence[Axis]) -> dict[str, pa.DataType]:
    types: dict[str, pa.DataType] = {}
    for axis in axes:
        if axis.choices is not None:
            types[axis.label] = pa.string()
        for field in axis.settings[0]:
            types[field] = _common_type([settings[field] for settings in axis.settings])
    return types


def _common_type(values: Sequence[Any]) -> pa.DataType:
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        return pa.string()
    return pa.int64() if all(isinstance(value, int) for value in values) else pa.float64()
