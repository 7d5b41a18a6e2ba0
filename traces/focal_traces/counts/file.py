"""Tier 1 on disk: ``NAME.counts.parquet``, readable by any Parquet tool and checked when we read it.

Does not decide which tier a file is; see `focal_traces.files.store`.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from focal_common.errors import TraceError
from focal_common.files import atomic_write_bytes
from focal_common.reading.parquet_files import CHECKSUM, read_parquet
from focal_common.reading.values import whole_number
from focal_traces.counts.integrity import check_trace
from focal_traces.counts.trace import COLUMNS, TileCounts, Trace
from focal_traces.header.schema import GEMMS
from focal_traces.header.text import check_version, header_to_text, text_to_header

COUNTS_SUFFIX = ".counts.parquet"

_HEADER, _VERSION = b"focal.header", b"focal.schema_version"
_DTYPES = {"sample": np.int32, "layer": np.int16, "gemm": np.int8} | dict.fromkeys(COLUMNS[2:], np.int32)
_SCHEMA = pa.schema(
    [
        ("sample", pa.int32()),
        ("layer", pa.int16()),
        ("gemm", pa.dictionary(pa.int8(), pa.string())),
        *((name, pa.int32()) for name in COLUMNS[2:]),
    ]
)
_DELTA = {"m_tile": "DELTA_BINARY_PACKED", "k_slice": "DELTA_BINARY_PACKED"}
"""Columns that count up; the others repeat few values and take a dictionary."""


def write_counts(trace: Trace, path: Path) -> None:
    """Write tier 1 in one step; the same trace gives the same bytes.

    Args:
        trace: Header and counts; checked before anything is written.
        path: Target, by convention ``NAME.counts.parquet``.

    Raises:
        TraceError: The counts break an invariant of the format.
        RunError: The disk is full or the folder cannot be written; an earlier file is untouched.
    """
    check_trace(trace, str(path))
    columns = _columns(trace)
    text = header_to_text(trace.header)
    gemm = pa.DictionaryArray.from_arrays(_to_arrow(columns["gemm"], pa.int8()), pa.array(list(GEMMS)))
    arrays = [
        gemm if name == "gemm" else _to_arrow(columns[name], _SCHEMA.field(name).type)
        for name in _SCHEMA.names
    ]
    metadata = {
        _VERSION: str(trace.header.schema_version).encode(),
        _HEADER: text.encode("utf-8"),
        CHECKSUM: _checksum(text, columns).encode(),
    }
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.Table.from_arrays(arrays, schema=_SCHEMA.with_metadata(metadata)),
        sink,
        compression="zstd",
        compression_level=9,
        use_dictionary=[name for name in _SCHEMA.names if name not in _DELTA],
        column_encoding=_DELTA,
        row_group_size=1 << 20,
    )
    atomic_write_bytes(path, sink.getvalue().to_pybytes())


def read_counts(path: Path) -> Trace:
    """Read and check tier 1.

    Raises:
        TraceError: Missing, truncated, damaged, not a Focal trace, from a newer Focal, or inconsistent.
    """
    table = read_parquet(path)
    metadata = dict(table.schema.metadata or {})
    if _HEADER not in metadata:
        raise TraceError(
            f"{path}: a Parquet file but not a Focal trace (no '{_HEADER.decode()}' in its metadata)"
        )
    check_version(_version(metadata.get(_VERSION)), str(path))
    header = text_to_header(metadata[_HEADER].decode("utf-8"), str(path))
    columns = {name: _numpy(table, name, path) for name in _SCHEMA.names}
    found = _checksum(metadata[_HEADER].decode("utf-8"), columns)
    expected = metadata.get(CHECKSUM, b"").decode("ascii", "replace")
    if found != expected:
        raise TraceError(
            f"{path}: damaged: content SHA-256 is {found[:16]}..., expected {expected[:16] or '(absent)'}..."
        )
    trace = Trace(header, _split(columns, len(header.samples), path))
    check_trace(trace, str(path))
    return trace


def _columns(trace: Trace) -> dict[str, NDArray[Any]]:
    sizes = [len(counts) for counts in trace.samples]
    columns = {"sample": np.repeat(np.arange(len(sizes)), sizes)}
    for name in COLUMNS:
        columns[name] = np.concatenate([getattr(counts, name) for counts in trace.samples])
    return {name: column.astype(_DTYPES[name], copy=False) for name, column in columns.items()}


def _checksum(header: str, columns: dict[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256(header.encode("utf-8"))
    for name in _SCHEMA.names:
        little = columns[name].astype(columns[name].dtype.newbyteorder("<"), copy=False)
        digest.update(np.ascontiguousarray(little).data)
    return digest.hexdigest()


def _numpy(table: pa.Table, name: str, path: Path) -> NDArray[Any]:
    if name not in table.column_names:
        raise TraceError(f"{path}: column '{name}' is missing; expected {', '.join(_SCHEMA.names)}")
    column = table.column(name).combine_chunks()
    if column.null_count:
        raise TraceError(f"{path}: column '{name}' holds {column.null_count} nulls, expected none")
    if name != "gemm":
        if not pa.types.is_integer(column.type):
            raise TraceError(f"{path}: column '{name}' is {column.type}, expected {_SCHEMA.field(name).type}")
        return _from_arrow(column.cast(_SCHEMA.field(name).type))
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    words = column.dictionary.to_pylist()
    if unknown := [word for word in words if word not in GEMMS]:
        raise TraceError(f"{path}: column 'gemm' holds {unknown[0]!r}, expected one of {', '.join(GEMMS)}")
    codes = np.array([GEMMS.index(word) for word in words], dtype=np.int8)
    named: NDArray[np.int8] = codes[_from_arrow(column.indices)]
    return named


def _to_arrow(column: NDArray[Any], kind: pa.DataType) -> pa.Array:
    # pa.array() and to_numpy() would import pandas where it is installed, for 0.2 s.
    return pa.Array.from_buffers(kind, len(column), [None, pa.py_buffer(np.ascontiguousarray(column))])


def _from_arrow(column: pa.Array) -> NDArray[Any]:
    array: NDArray[Any] = np.from_dlpack(column)
    return array


def _split(columns: dict[str, NDArray[Any]], samples: int, path: Path) -> tuple[TileCounts, ...]:
    sample = columns["sample"]
    if len(sample) and (np.any(np.diff(sample) < 0) or sample[0] < 0 or sample[-1] >= samples):
        raise TraceError(f"{path}: column 'sample' must rise from 0 to {samples - 1}")
    edges = np.searchsorted(sample, np.arange(samples + 1))
    return tuple(
        TileCounts(*(columns[name][start:stop] for name in COLUMNS)) for start, stop in pairwise(edges)
    )


def _version(text: bytes | None) -> int | None:
    try:
        return whole_number(text.decode() if text is not None else "")
    except ValueError:
        return None
