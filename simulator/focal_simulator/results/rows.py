"""Result tables: their columns, with the unit in each name, and rows merged into CSV files without duplicates."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from focal_common import __version__
from focal_common.commit import finish_commit, verify_file
from focal_common.errors import ConfigError, TraceError
from focal_common.files import atomic_write_text
from focal_common.places import check_names
from focal_common.reading.csv_files import read_csv
from focal_common.reading.values import real_number
from focal_simulator.engine.base import RunResult
from focal_simulator.jobs.jobs import CAUSES
from focal_simulator.workload.workload import Workload

RESULTS: Final = "results.csv"
"""The result table of a folder: one row per `RUN_KEY`."""

RUN_KEY = ("model", "dataset", "accelerator", "variant", "fidelity")
"""One row per combination; running again replaces it."""

NUMBER_COLUMNS = (
    "cycles",
    "compute_cycles",
    "stall_cycles",
    "seconds",
    "energy_mj",
    "core_energy_mj",
    "sram_energy_mj",
    "dram_energy_mj",
    "dram_bytes",
    "activation_bytes",
    "macs",
    "dense_macs",
)
"""Numbers that every row has."""

LABEL_COLUMNS = (
    "fidelity",
    "corrections",
    "variant",
    "origin",
    "sram_model",
    "hardware",
    "focal_version",
)

REQUIRED_COLUMNS = (
    "model",
    "dataset",
    "accelerator",
    *NUMBER_COLUMNS,
    "speedup_over_dense",
    "energy_over_dense",
    "fidelity",
    "variant",
    "origin",
    "focal_version",
)
"""Columns without which a table is none of ours."""

RESULT_COLUMNS = (
    "model",
    "dataset",
    "accelerator",
    *NUMBER_COLUMNS,
    "speedup_over_dense",
    "energy_over_dense",
    "area_mm2",
    "average_on_chip_power_mw",
    "compression_ratio",
    *(f"{cause}_cycles" for cause in CAUSES),
    "dram_read_energy_mj",
    "dram_write_energy_mj",
    "dram_standby_energy_mj",
    *LABEL_COLUMNS,
)
"""Columns of `RESULTS`; docs/simulation_results.md says what each means. A cell without a meaning in a row is empty."""

Cell = str | int | float
Row = dict[str, Cell]


def result_row(name: str, workload: Workload, result: RunResult, **cells: Cell) -> Row:
    """Return one row with columns `RESULT_COLUMNS`.

    Args:
        name: Of the accelerator.
        workload: What was run.
        result: Its totals.
        **cells: Further columns: ratios, area, labels, and those of the fidelity.
    """
    row: Row = dict.fromkeys(RESULT_COLUMNS, "")
    return row | {
        "model": workload.model,
        "dataset": workload.dataset,
        "accelerator": name,
        "cycles": result.total_cycles,
        "compute_cycles": result.compute_cycles,
        "stall_cycles": result.stall_cycles,
        "seconds": result.seconds,
        "energy_mj": result.total_mj,
        "core_energy_mj": result.core_mj,
        "sram_energy_mj": result.sram_mj,
        "dram_energy_mj": result.dram_mj,
        "average_on_chip_power_mw": result.average_on_chip_power_mw,
        "dram_bytes": result.dram_bytes,
        "activation_bytes": int(result.activation_bytes),
        "macs": result.macs,
        "dense_macs": result.dense_macs,
        "compression_ratio": "" if result.compression_ratio is None else result.compression_ratio,
        "variant": workload.variant,
        "focal_version": __version__,
        **cells,
    }


def file_prefix(fidelity: str) -> str:
    """Return the start of the file names of a fidelity, such as ``cycle_``; empty for parity."""
    return "" if fidelity == "parity" else f"{fidelity.removeprefix('parity_')}_"


def variant_prefix(variant: str) -> str:
    """Return what file names call a trace folder: ``main`` for ``focus_main``, ``int8`` for ``focus_int8``."""
    return variant.removeprefix("focus_") or variant


def run_stem(row: Mapping[str, Any]) -> str:
    """Return what the files of one fidelity, variant and accelerator are called, such as ``cycle_main_focus``."""
    return f"{file_prefix(row['fidelity'])}{variant_prefix(row['variant'])}_{row['accelerator']}"


def merge_table(
    path: Path, rows: Sequence[Mapping[str, Any]], key: Sequence[str], order: Mapping[tuple[str, str], int]
) -> None:
    """Put rows into a CSV file; the caller holds the folder's lock.

    Rows of the file whose key is among the new ones go. The order of keys depends on their content only, never on
    which process came first; rows of one key stay as they are given.

    Args:
        path: CSV file; created if absent.
        rows: New rows, all with the same columns.
        key: Columns by which rows are replaced.
        order: Place of each (model, dataset) in the trace root; others follow by name.

    Raises:
        ConfigError: The existing file has other columns.
        TraceError: It is no CSV table.
        RunError: The file cannot be written; the old one is untouched.
    """
    columns = list(rows[0])
    new = [{name: _cell(value) for name, value in row.items()} for row in rows]
    replaced = {tuple(row[name] for name in key) for row in new}
    old = read_rows(path, ()) if path.exists() else []
    if old and list(old[0]) != columns:
        odd = next((name for name in [*old[0], *columns] if (name in old[0]) != (name in columns)), "order")
        raise ConfigError(
            f"{path}: has other columns than this version writes (first difference: '{odd}'); "
            "move it away or choose another folder"
        )
    kept = [row for row in old if tuple(row[name] for name in key) not in replaced]
    last = len(order)

    def place(row: Mapping[str, str]) -> tuple[Any, ...]:
        pair = (row.get("model", ""), row.get("dataset", ""))
        return (order.get(pair, last), pair, tuple(natural_key(row[name]) for name in key))

    text = table_text(columns, sorted((*kept, *new), key=place))
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        atomic_write_text(path, text)


def table_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return CSV text with Unix line ends."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return text.getvalue()


def read_rows(
    path: Path,
    columns: Collection[str],
    expected: str = "a table of this version of focal sim; simulate again",
) -> list[dict[str, str]]:
    """Return the rows of a table, cells as text.

    Args:
        path: CSV file.
        columns: That it must have; it may have more.
        expected: What a refusal says of a table without one of them.

    Raises:
        TraceError: The file is no CSV table, lacks a column, or holds a name that is no plain name.
    """
    verify_file(path)
    _, rows = read_csv(path, columns, expected=expected)
    for number, row in enumerate(rows, start=1):
        check_names(row, f"{path}, row {number}")
    return rows


def read_results(folder: Path) -> list[dict[str, str]]:
    """Return the rows of `RESULTS` in a folder, cells as text.

    Raises:
        TraceError: No such folder or table; or only one in the layout of version 0.1.
    """
    if not folder.is_dir():
        raise TraceError(f"{folder}: no such result folder")
    finish_commit(folder)
    path = folder / RESULTS
    if not path.is_file():
        old = old_table(folder)
        holds = f"holds {old.name}, a table in the layout of version 0.1, and no" if old else "holds no"
        raise TraceError(
            f"{folder}: {holds} {RESULTS}, expected a result folder of focal sim; simulate again"
        )
    return read_rows(path, REQUIRED_COLUMNS)


def old_table(folder: Path) -> Path | None:
    """Return a main table in the layout of version 0.1, which had no `RESULTS`; None for any other folder."""
    found = sorted(path for pattern in ("main_*.csv", "cycle_main_*.csv") for path in folder.glob(pattern))
    return None if (folder / RESULTS).exists() or not found else found[0]


def _cell(value: Any) -> str:
    return repr(float(value)) if isinstance(value, float) else str(value)


def natural_key(text: str) -> tuple[int, float, str]:
    """Return a sort key that puts numbers in order of value, before words."""
    try:
        return (0, real_number(text), text)
    except ValueError:
        return (1, 0.0, text)
