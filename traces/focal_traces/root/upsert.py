"""Adding or replacing one row of a table of a trace root, safely from many processes at once.

A row is replaced where it stands, a new row goes to the end: the order is that of first insertion.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from focal_common.errors import RunError, UnsupportedError
from focal_common.files import atomic_write_text, open_lock_file
from focal_traces.root.tables import (
    ADAPTIV_COLUMNS,
    CMC_COLUMNS,
    META_COLUMNS,
    CmcSparsity,
    Workload,
    read_rows,
)

__all__ = ["locked", "upsert_adaptiv_sparsity", "upsert_cmc_sparsity", "upsert_row", "upsert_workload"]


def upsert_workload(root: Path, workload: Workload, extra: Mapping[str, str] | None = None) -> None:
    """Write the row of ``meta_data.csv``; see `upsert_row`.

    Args:
        root: Trace root.
        workload: The row.
        extra: Further columns, such as document ids; added to the right of the published ones.
    """
    cells = dict(
        zip(
            META_COLUMNS,
            (
                workload.model,
                workload.dataset,
                str(workload.visual_tokens),
                str(workload.frames),
                str(workload.patches),
                "" if workload.median_index is None else str(workload.median_index),
            ),
            strict=True,
        )
    )
    upsert_row(root / "meta_data.csv", META_COLUMNS, cells | dict(extra or {}))


def upsert_adaptiv_sparsity(root: Path, model: str, dataset: str, sparsity: float) -> None:
    """Write the row of ``adaptiv_sparsity.csv``; see `upsert_row`."""
    cells = dict(zip(ADAPTIV_COLUMNS, (model, dataset, repr(float(sparsity))), strict=True))
    upsert_row(root / "adaptiv_sparsity.csv", ADAPTIV_COLUMNS, cells)


def upsert_cmc_sparsity(root: Path, model: str, dataset: str, sparsity: CmcSparsity) -> None:
    """Write the row of ``cmc_sparsity.csv``; see `upsert_row`."""
    values = (sparsity.linear, sparsity.query, sparsity.attention_score)
    cells = dict(zip(CMC_COLUMNS, (model, dataset, *(repr(float(value)) for value in values)), strict=True))
    upsert_row(root / "cmc_sparsity.csv", CMC_COLUMNS, cells)


def upsert_row(path: Path, columns: tuple[str, ...], cells: Mapping[str, str], num_keys: int = 2) -> None:
    """Replace the row with the same key columns, or append it; keep all other rows and columns as they are.

    Args:
        path: CSV file; created with a heading if absent.
        columns: Columns the file must have.
        cells: Text by column name.
        num_keys: How many of ``columns`` make up the key.

    Raises:
        TraceError: The existing file is not such a table.
        RunError: The file cannot be written; the old one is untouched.
    """
    keys = columns[:num_keys]
    with locked(path):
        names, rows = read_rows(path, columns) if path.exists() else (list(columns), [])
        names += [name for name in cells if name not in names]
        is_new = True
        for row in rows:
            if all(row[key].strip() == cells[key] for key in keys):
                row.update(cells)
                is_new = False
        if is_new:
            rows.append(dict(cells))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        atomic_write_text(path, text.getvalue())


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock for ``path``; other processes wait.

    The lock belongs to an empty file ``.NAME.lock`` beside it, which stays: removing it would let two
    processes lock two different files. The operating system frees the lock when a process dies.

    Raises:
        RunError: The folder cannot be written.
        UnsupportedError: The system has no POSIX file locks.
    """
    try:
        import fcntl
    except ImportError as error:
        raise UnsupportedError("tables of a trace root need POSIX file locks (Linux, macOS)") from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = open_lock_file(path.with_name(f".{path.name}.lock"))
    except OSError as error:
        raise RunError(f"{path}: could not be locked for writing ({error.strerror})") from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
