"""The published layout: the result tables of the Focus artifact (HPCA 2026), with their names and columns.

Everything here is made from the tables of a result folder, and nothing reads it back: scripts written for the artifact
do. Columns keep what was published: no units, the word ``mem_counter`` in place of a table, and operations of the dense
array as 0. Tables of fidelity ``cycle``, which was never published, start with ``cycle_``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from focal_common.files import atomic_write_text
from focal_simulator.accelerators import ACCELERATORS
from focal_simulator.jobs.jobs import CAUSES
from focal_simulator.results.rows import (
    file_prefix,
    read_results,
    read_rows,
    run_stem,
    table_text,
    variant_prefix,
)
from focal_simulator.results.summary import (
    ACCELERATOR_COLUMNS,
    ACCELERATOR_TABLE,
    COMPONENT_COLUMNS,
    COMPONENT_TABLE,
)

DESIGN_TABLE = "published_designs.csv"
"""The design spaces of Figure 10, in our layout."""

DESIGN_COLUMNS = ("study", "value", "layer", "scatter_operations", "buffer_bytes", "output_buffers_mm2")
"""Columns of `DESIGN_TABLE` before those of a result row."""

STUDIES = {
    "dse_a_m_tile": ("dse_a_m_tile_size.csv", "m_tile_size"),
    "dse_b_vector_size": ("dse_b_vector_size.csv", "vector_size"),
    "dse_c_block_size": ("dse_c_block_size.csv", "block_size"),
    "dse_d_scatter": ("dse_d_num_scatter_accumulator.csv", "num_scatter"),
}
"""Published file and column of the swept value, by study."""

_BREAKDOWN_PAIR = ("llava_vid", "videomme")

_COLUMNS = {
    "execution_time": "seconds",
    "total_cycles": "cycles",
    "total_compute_cycles": "compute_cycles",
    "total_stall_cycles": "stall_cycles",
    "total_energy": "energy_mj",
    "total_dram_access": "dram_bytes",
}
_ENERGIES = {
    "dram_energy": "dram_energy_mj",
    "sram_energy": "sram_energy_mj",
    "core_energy": "core_energy_mj",
}
_RATIOS = ("speedup_over_dense", "energy_over_dense")
_LABELS = ("variant", "fidelity", "origin", "sram_model", "hardware", "focal_version")
_DRAM_ENERGIES = tuple(f"dram_{action}_energy" for action in ("read", "write", "standby"))

Cells = dict[str, str]


def write_published_layout(folder: Path) -> list[Path]:
    """Write the published tables that a result folder has the rows for; return their paths.

    Raises:
        TraceError: A table of the folder is damaged.
        RunError: A file cannot be written.
    """
    paths = []
    for name, rows in published_tables(folder).items():
        columns = max((list(row) for row in rows), key=len)
        text = table_text(columns, rows)
        if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != text:
            atomic_write_text(folder / name, text)
        paths.append(folder / name)
    return paths


def published_tables(folder: Path) -> dict[str, list[Cells]]:
    """Return the published tables that a result folder has the rows for, by file name, cells as text.

    Raises:
        TraceError: A table of the folder is damaged.
    """
    found: dict[str, list[Cells]] = {}
    for row in read_results(folder):
        name = f"{run_stem(row)}.csv"
        found.setdefault(name, []).append(published_row(row))
    for row in _rows(folder / DESIGN_TABLE, DESIGN_COLUMNS):
        found.setdefault(STUDIES[row["study"]][0], []).append(published_design_row(row))
    for row in _rows(folder / ACCELERATOR_TABLE, ACCELERATOR_COLUMNS):
        name = f"{file_prefix(row['fidelity'])}accelerator_area_power_buffer.csv"
        found.setdefault(name, []).append(
            {
                "Accelerator": row["label"],
                "Area": row["area_mm2"],
                "On-chip Power": row["peak_on_chip_power_mw"],
                "Buffer Size": row["buffer_kib"],
            }
        )
    for fidelity, rows in _breakdowns(_rows(folder / COMPONENT_TABLE, COMPONENT_COLUMNS)).items():
        found[f"{file_prefix(fidelity)}detailed_power_area_breakdown.csv"] = [
            {
                "component": row["component"],
                "area": row["area_mm2"],
                "power": row["power_mw"],
                "energy": row["energy_mj"],
            }
            for row in rows
        ]
    return found


def _rows(path: Path, columns: Sequence[str]) -> list[Cells]:
    return read_rows(path, columns) if path.exists() else []


def published_row(row: Mapping[str, str], swept: Mapping[str, str] | None = None) -> Cells:
    """Return a result row as the published table has it, our own columns last.

    Args:
        row: Cells as text.
        swept: Columns of a design space, in place of the ratios over dense.
    """
    name, is_parity = row["accelerator"], row["fidelity"] == "parity"
    # Only the published layout leaves the counts of the dense array 0.
    hides = is_parity and name in ACCELERATORS and not ACCELERATORS.load(name).study.states_operations
    cells = {name: row[name] for name in ("model", "dataset", "accelerator")}
    cells |= {published: row[ours] for published, ours in _COLUMNS.items()}
    cells |= {
        "dram_bandwidth": _quotient(row["dram_bytes"], row["compute_cycles"]),
        "dense_ops": "0" if hides else row["dense_macs"],
        "num_ops": "0" if hides else row["macs"],
        "mem_counter_total": "mem_counter",
        "total_activation": row["activation_bytes"],
    }
    if row.get("compression_ratio"):
        cells["total_compression_ratio"] = row["compression_ratio"]
    cells |= {published: row[ours] for published, ours in _ENERGIES.items()}
    cells |= {name: row[name] for name in _RATIOS} if swept is None else swept
    if row.get("corrections"):
        cells |= {f"{cause}_cycles": row.get(f"{cause}_cycles", "") for cause in CAUSES}
        cells |= {name: row.get(f"{name}_mj", "") for name in _DRAM_ENERGIES}
        cells["corrections"] = row["corrections"]
    return cells | {name: row.get(name, "") for name in _LABELS}


def _quotient(above: str, below: str) -> str:
    """Return a quotient as text; nothing where a row that failed holds no numbers."""
    try:
        return repr(float(above) / float(below) if float(below) else 0.0)
    except ValueError:
        return ""


def published_design_row(row: Mapping[str, str]) -> Cells:
    """Return a row of a published design-space table."""
    swept = {STUDIES[row["study"]][1]: row["value"]}
    if row["layer"]:
        block, _, layer = row["layer"].partition(".")
        labels = {name: row[name] for name in ("model", "dataset", *_LABELS)}
        return {
            "block_idx": block,
            "layer_name": layer,
            "layer_cycles": row["cycles"],
            "stall_cycles": row["stall_cycles"],
            "compute_cycles": row["compute_cycles"],
            "layer_execution_time": row["seconds"],
            "mem_counter_layer": "mem_counter",
            # Counts each MAC twice, as published.
            "layer_array_ops": str(2 * int(row["macs"])),
            "layer_scatter_ops": row["scatter_operations"],
            "layer_dense_ops": row["dense_macs"],
            "dram_access": row["dram_bytes"],
            **{published: row[ours] for published, ours in _ENERGIES.items()},
            "total_energy": row["energy_mj"],
            **swept,
            **labels,
        }
    if row["output_buffers_mm2"]:
        swept = {"buffer_area": row["output_buffers_mm2"], **swept}
    if row["buffer_bytes"]:
        swept["total_buffer_capacity"] = row["buffer_bytes"]
    return published_row(row, swept)


def _breakdowns(rows: Sequence[Cells]) -> dict[str, list[Cells]]:
    """Return the rows of one workload by fidelity: the published one, or the first; those of the main traces first."""
    runs: dict[str, dict[tuple[str, ...], list[Cells]]] = {}
    for row in rows:
        run = row["variant"], row["model"], row["dataset"], row["accelerator"]
        runs.setdefault(row["fidelity"], {}).setdefault(run, []).append(row)
    return {
        fidelity: min(
            of_run.items(),
            key=lambda item: (variant_prefix(item[0][0]) != "main", item[0][1:3] != _BREAKDOWN_PAIR),
        )[1]
        for fidelity, of_run in runs.items()
    }
