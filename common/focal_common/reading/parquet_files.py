"""The one reader of Parquet tables, and the checksum that a table of ours carries."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from focal_common.errors import FocalError, TraceError
from focal_common.reading.doors import MIB, one_line, open_regular

if TYPE_CHECKING:
    import pyarrow as pa

CHECKSUM = b"focal.content_sha256"
"""Key of the metadata that holds the hash of the content."""

_MOST_BYTES = 1024 * MIB
"""Of all cells, as the file announces them: 64 bits for each and the text."""


def read_schema(path: Path, error: type[FocalError] = TraceError) -> pa.Schema | None:
    """Return the schema of a Parquet file; None where the file is none."""
    import pyarrow.parquet as pq

    with open_regular(path, error) as source:
        try:
            return pq.read_schema(source)
        except Exception:
            return None


def read_parquet(path: Path, error: type[FocalError] = TraceError, hint: str = "") -> pa.Table:
    """Return a Parquet table with its metadata, every cell checked to be what its type says.

    Raises:
        FocalError: Truncated or damaged, or it announces more than 1 GiB of cells.
    """
    import pyarrow.parquet as pq

    end = f"; {hint}" if hint else ""
    with open_regular(path, error, hint=hint) as source:
        try:
            # Most files are small and read once; threads would cost more than they save.
            with pq.ParquetFile(source, pre_buffer=False) as opened:
                announced = _announced_bytes(opened.metadata)
                if announced > _MOST_BYTES:
                    raise error(
                        f"{path}: announces {announced} bytes of cells, expected at most {_MOST_BYTES}{end}"
                    )
                table = opened.read(use_threads=False)
            table.validate(full=True)
            # Names of columns and text of metadata are decoded when they are asked for.
            _ = (
                table.column_names,
                [value.decode() for pair in (table.schema.metadata or {}).items() for value in pair],
            )
        except FocalError:
            raise
        # Beside its own errors pyarrow raises UnicodeDecodeError, MemoryError, KeyError and others on damaged files.
        except Exception as problem:
            raise error(f"{path}: truncated or damaged Parquet file ({one_line(problem)}){end}") from problem
    return table


def table_sha256(table: pa.Table) -> str:
    """Return the hash of names, types and cells of a table, whatever its chunks and its metadata but the checksum."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    metadata = {
        key: value
        for key, value in (table.schema.metadata or {}).items()
        if key not in (CHECKSUM, b"ARROW:schema")
    }
    digest = hashlib.sha256(repr(sorted(metadata.items())).encode())
    for name, column in zip(table.column_names, table.columns, strict=True):
        digest.update(f"{name}\0{column.type}\0{len(column)}\0{column.null_count}\0".encode())
        if column.null_count:
            digest.update(np.packbits(pc.is_null(column).to_numpy()).data)
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            filled = pc.fill_null(column, pa.scalar(0, column.type)) if column.null_count else column
            digest.update(np.ascontiguousarray(filled.to_numpy()).data)
        else:
            words = column.combine_chunks().dictionary_encode() if pa.types.is_string(column.type) else None
            if words is None:
                digest.update(repr(column.to_pylist()).encode())
            else:
                digest.update(repr(words.dictionary.to_pylist()).encode())
                digest.update(
                    pc.fill_null(words.indices, -1).to_numpy(zero_copy_only=False).astype("<i4").tobytes()
                )
    return digest.hexdigest()


def sealed(table: pa.Table) -> pa.Table:
    """Return a table whose metadata hold the hash of its content."""
    metadata = dict(table.schema.metadata or {}) | {CHECKSUM: table_sha256(table).encode()}
    return table.replace_schema_metadata(metadata)


def read_sealed(path: Path, error: type[FocalError] = TraceError, hint: str = "") -> pa.Table:
    """Return a table that `sealed` gave; see `read_parquet`.

    Raises:
        FocalError: As `read_parquet`; or the content is not that whose hash it holds, or it holds none.
    """
    table = read_parquet(path, error, hint)
    said = (table.schema.metadata or {}).get(CHECKSUM, b"").decode("ascii", "replace")
    if said != table_sha256(table):
        found = "does not have the SHA-256 that the file records" if said else "carries no SHA-256"
        raise error(
            f"{path}: damaged, changed, or of an older Focal: the content {found}{f'; {hint}' if hint else ''}"
        )
    return table


def _announced_bytes(metadata: Any) -> int:
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    text = sum(max(group.total_byte_size, 0) for group in groups)
    rows = max(metadata.num_rows, sum(max(group.num_rows, 0) for group in groups))
    return int(max(text, rows * metadata.num_columns * 8))
