"""Records on disk: ``NAME.records.parquet``, a long table any Parquet tool reads, checked when we read it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from focal_common.commit import verify_file
from focal_common.errors import TraceError
from focal_common.files import atomic_write_bytes
from focal_common.reading.parquet_files import CHECKSUM, read_parquet, read_schema
from focal_traces.header.text import header_to_text, text_to_header
from focal_traces.records.records import KINDS, Record, RecordTrace, check_records

RECORDS_SUFFIX = ".records.parquet"

_HEADER = b"focal.records_header"
_WORDS = pa.dictionary(pa.int16(), pa.string())
_SCHEMA = pa.schema(
    [
        ("sample", pa.int32()),
        ("record", pa.int32()),
        ("layer", pa.int16()),
        ("point", _WORDS),
        ("kind", _WORDS),
        ("head", pa.int16()),
        ("index", pa.int32()),
        ("value", pa.int32()),
        ("total", pa.int32()),
    ]
)
_KEYS = ("sample", "record", "layer", "head")
_ENTRIES = ("index", "value", "total")


def write_records(trace: RecordTrace, path: Path) -> None:
    """Write all records in one step; the same records give the same bytes.

    Raises:
        TraceError: The records break an invariant of the format.
        RunError: The disk is full or the folder cannot be written; an earlier file is untouched.
    """
    check_records(trace, str(path))
    rows = [(sample, record) for sample, records in enumerate(trace.samples) for record in records]
    sizes = [len(record.index) for _, record in rows]
    text = header_to_text(trace.header)
    columns: dict[str, NDArray[Any]] = {
        "sample": np.repeat(np.array([sample for sample, _ in rows], dtype=np.int32), sizes),
        "record": np.repeat(np.arange(len(rows), dtype=np.int32), sizes),
        "layer": np.repeat(np.array([record.layer for _, record in rows], dtype=np.int16), sizes),
        "head": np.repeat(np.array([record.head for _, record in rows], dtype=np.int16), sizes),
    }
    for name in _ENTRIES:
        parts = [getattr(record, name) for _, record in rows]
        columns[name] = np.concatenate([*parts, np.zeros(0, dtype=np.int32)]).astype(np.int32)
    words = {
        "point": np.repeat(np.array([record.point for _, record in rows], dtype=object), sizes).tolist(),
        "kind": np.repeat(np.array([record.kind for _, record in rows], dtype=object), sizes).tolist(),
    }
    arrays = [
        pa.array(words[name], type=pa.string()).dictionary_encode().cast(_WORDS)
        if name in words
        else pa.array(columns[name], type=_SCHEMA.field(name).type)
        for name in _SCHEMA.names
    ]
    metadata = {_HEADER: text.encode(), CHECKSUM: _checksum(text, columns, words).encode()}
    sink = pa.BufferOutputStream()
    table = pa.Table.from_arrays(arrays, schema=_SCHEMA.with_metadata(metadata))
    pq.write_table(table, sink, compression="zstd", compression_level=9)
    atomic_write_bytes(path, sink.getvalue().to_pybytes())


def holds_records(path: Path) -> bool:
    """Return whether a file is one of records, told by its content."""
    schema = read_schema(path)
    return schema is not None and _HEADER in (schema.metadata or {})


def read_records(path: Path) -> RecordTrace:
    """Read and check records.

    Raises:
        TraceError: Missing, truncated, damaged, not a file of records, or inconsistent.
    """
    verify_file(path)
    table = read_parquet(path)
    metadata = dict(table.schema.metadata or {})
    if _HEADER not in metadata:
        raise TraceError(f"{path}: a Parquet file but not one of records ({RECORDS_SUFFIX})")
    for field in _SCHEMA:
        # A dictionary may have come back with codes of another width.
        found = table.schema.field(field.name) if field.name in table.column_names else None
        same = found is not None and str(found.type).partition("<")[0] == str(field.type).partition("<")[0]
        if found is None or not same or table.column(field.name).null_count:
            raise TraceError(f"{path}: column '{field.name}' must be {field.type} without gaps")
    text = metadata[_HEADER].decode("utf-8")
    header = text_to_header(text, str(path))
    columns = {name: table.column(name).to_numpy() for name in (*_KEYS, *_ENTRIES)}
    words = {name: table.column(name).to_pylist() for name in ("point", "kind")}
    if _checksum(text, columns, words) != metadata.get(CHECKSUM, b"").decode("ascii", "replace"):
        raise TraceError(f"{path}: damaged: the content does not have the SHA-256 that the file records")
    samples: list[list[Record]] = [[] for _ in header.samples]
    edges = np.flatnonzero(np.diff(columns["record"], prepend=-1, append=-1))
    for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        sample = int(columns["sample"][start])
        if not 0 <= sample < len(samples):
            raise TraceError(f"{path}: 'sample' is {sample}, expected a number below {len(samples)}")
        kind = words["kind"][start]
        if kind not in KINDS:
            raise TraceError(f"{path}: 'kind' is '{kind}', expected one of {', '.join(KINDS)}")
        index, value, total = (columns[name][start:stop] for name in _ENTRIES)
        layer, head = int(columns["layer"][start]), int(columns["head"][start])
        samples[sample].append(Record(kind, layer, words["point"][start], index, value, total, head))
    trace = RecordTrace(header, tuple(tuple(records) for records in samples))
    check_records(trace, str(path))
    return trace


def _checksum(header: str, columns: dict[str, NDArray[Any]], words: dict[str, list[str]]) -> str:
    digest = hashlib.sha256(header.encode("utf-8"))
    for name in _SCHEMA.names:
        if name in words:
            digest.update("\n".join(words[name]).encode("utf-8"))
        else:
            little = columns[name].astype(columns[name].dtype.newbyteorder("<"), copy=False)
            digest.update(np.ascontiguousarray(little).data)
    return digest.hexdigest()
