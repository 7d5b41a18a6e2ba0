"""Result tables: rows with the published columns first, merged into CSV files without duplicates."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from focal_common import __version__
from focal_common.errors import ConfigError
from focal_common.files import atomic_write_text
from focal_common.places import check_names
from focal_simulator.accelerators.base import Accelerator
from focal_simulator.engine.base import RunResult
from focal_simulator.workload.workload import Workload

__all__ = ["KEY_COLUMNS", "merge_table", "natural_key", "result_row", "table_text"]

KEY_COLUMNS = ("model", "dataset", "accelerator", "variant", "fidelity")
"""One row per combination; running again replaces it."""

Cell = str | int | float
Row = dict[str, Cell]


def result_row(
    accelerator: Accelerator[Any],
    name: str,
    workload: Workload,
    result: RunResult,
    fidelity: str,
    sram_model: str,
    hardware: str,
    **extra: Cell,
) -> Row:
    """Return one row: published columns, then ``extra`` columns of a sweep, then our own labels.

    Units: seconds, cycles, bytes, multiply-accumulates, mJ, bytes per compute cycle.

    Args:
        accelerator: For what its published file states.
        name: Registry name of the accelerator.
        workload: What was run.
        result: Its totals.
        fidelity: Name of the model level, such as ``parity``.
        sram_model: Buffer cost model used.
        hardware: ``preset`` or the hash of a changed hardware file.
        **extra: Further columns.
    """
    # Only the published layout leaves the counts of the dense array 0.
    states_operations = accelerator.study.states_operations or fidelity != "parity"
    row: Row = {
        "model": workload.model,
        "dataset": workload.dataset,
        "accelerator": name,
        "execution_time": result.seconds,
        "total_cycles": result.total_cycles,
        "total_compute_cycles": result.compute_cycles,
        "total_stall_cycles": result.stall_cycles,
        "total_energy": result.total_mj,
        "total_dram_access": result.dram_bytes,
        "dram_bandwidth": result.dram_bytes / result.compute_cycles if result.compute_cycles else 0.0,
        "dense_ops": result.dense_macs if states_operations else 0,
        "num_ops": result.macs if states_operations else 0,
        # The published file holds this word in place of a table; kept for readers of that layout.
        "mem_counter_total": "mem_counter",
        "total_activation": int(result.activation_bytes),
    }
    if result.compression_ratio is not None:
        row["total_compression_ratio"] = result.compression_ratio
    row |= {"dram_energy": result.dram_mj, "sram_energy": result.sram_mj, "core_energy": result.core_mj}
    row |= extra
    row |= {
        "variant": workload.variant,
        "fidelity": fidelity,
        "origin": workload.origin_for(accelerator.study.uses_counts),
        "sram_model": sram_model,
        "hardware": hardware,
        "focal_version": __version__,
    }
    return row


def merge_table(
    path: Path,
    rows: list[Row],
    key: tuple[str, ...],
    order: Mapping[tuple[str, str], int],
) -> list[dict[str, str]]:
    """Put rows into a CSV file; the caller holds the folder's lock.

    A row with the same key is replaced. The order of rows depends on their content only, never on which
    process came first.

    Args:
        path: CSV file; created if absent.
        rows: New rows, all with the same columns.
        key: Columns that identify a row.
        order: Place of each (model, dataset) in the trace root; others follow by name.

    Returns:
        All rows of the file as text.

    Raises:
        ConfigError: The existing file has other columns.
        RunError: The file cannot be written; the old one is untouched.
    """
    columns = list(rows[0])
    kept: dict[tuple[str, ...], dict[str, str]] = {}
    for old in _existing(path, columns):
        kept[tuple(old[name] for name in key)] = old
    for row in rows:
        cells = {name: _cell(value) for name, value in row.items()}
        kept[tuple(cells[name] for name in key)] = cells
    last = len(order)

    def place(row: dict[str, str]) -> tuple[Any, ...]:
        pair = (row.get("model", ""), row.get("dataset", ""))
        return (order.get(pair, last), pair, tuple(natural_key(row[name]) for name in key))

    merged = sorted(kept.values(), key=place)
    text = table_text(columns, merged)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        atomic_write_text(path, text)
    return merged


def table_text(columns: list[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return CSV text with Unix line ends."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return text.getvalue()


def _existing(path: Path, columns: list[str]) -> list[dict[str, str]]:
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as source:
            reader = csv.DictReader(source, strict=True)
            found = list(reader.fieldnames or [])
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: not a readable CSV table ({error}); move it away") from error
    if found != columns:
        odd = next((name for name in [*found, *columns] if (name in found) != (name in columns)), "order")
        raise ConfigError(
            f"{path}: has other columns than this version writes (first difference: '{odd}'); "
            "move it away or choose another folder"
        )
    for number, row in enumerate(rows, start=1):
        check_names(row, f"{path}, row {number}", ConfigError)
    return rows


def _cell(value: Any) -> str:
    return repr(float(value)) if isinstance(value, float) else str(value)


def natural_key(text: str) -> tuple[int, float, str]:
    """Return a sort key that puts numbers in order of value, before words."""
    try:
        return (0, float(text), text)
    except ValueError:
        return (1, 0.0, text)
