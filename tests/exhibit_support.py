"""Result folders made by hand for tests of exhibits and reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from focal_common.reading.parquet_files import sealed
from focal_simulator.results.rows import RESULT_COLUMNS, RESULTS

CAUSES = ("stream", "fill_drain", "weight", "scatter", "dram_read")


DENSE_CYCLES = 4000
"""Of the dense array in the run that made a row, unless a test says otherwise."""


def result_row(model: str, dataset: str, method: str, cycles: int = 1000, **changes: Any) -> dict[str, Any]:
    """Return one row as focal sim writes it, with round numbers; a dense row is its own reference."""
    dense = cycles if method == "dense" else DENSE_CYCLES
    row = dict.fromkeys(RESULT_COLUMNS, "") | {
        "model": model,
        "dataset": dataset,
        "accelerator": method,
        "cycles": cycles,
        "compute_cycles": cycles,
        "stall_cycles": 0,
        "seconds": cycles / 1e6,
        "energy_mj": 10.0 * cycles,
        "core_energy_mj": 1.0 * cycles,
        "sram_energy_mj": 3.0 * cycles,
        "dram_energy_mj": 6.0 * cycles,
        "dram_bytes": 64 * cycles,
        "activation_bytes": 8 * cycles,
        "macs": cycles,
        "dense_macs": 4000,
        "speedup_over_dense": dense / cycles if cycles else "",
        "energy_over_dense": cycles / dense if dense else "",
        "variant": "focus_main",
        "fidelity": "parity",
        "origin": "measured",
        "sram_model": "compiler",
        "hardware": "preset",
        "focal_version": "0.1.0",
    }
    return row | changes


def write_table(folder: Path, method: str, rows: list[dict[str, Any]]) -> Path:
    """Write rows of one accelerator into the result table, in place of those that it has in their fidelity."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / RESULTS
    new = pd.DataFrame(rows, dtype=object)
    if path.exists():
        old = pd.read_csv(path, dtype=str, keep_default_na=False)
        level = rows[0]["fidelity"]
        new = pd.concat([old[(old["accelerator"] != method) | (old["fidelity"] != level)], new])
    new.to_csv(path, index=False, lineterminator="\n")
    return path


def layer_row(model: str, dataset: str, block: int, layer: str, part: str, cycles: int) -> dict[str, Any]:
    """Return one timed GEMM: four fifths of its cycles stream, the last fifth is scatter."""
    return {
        "block": block,
        "layer": layer,
        "part": part,
        "cycles": cycles,
        "stream_cycles": 3 * cycles // 5,
        "fill_drain_cycles": cycles // 5,
        "weight_cycles": 0,
        "scatter_cycles": cycles // 5,
        "dram_read_cycles": 0,
        "folds": 2 + block,
        "macs": 100 * cycles,
        "dense_macs": 400 * cycles,
        "dram_read_bytes": 30 * cycles,
        "dram_write_bytes": 10 * cycles,
        "machine_slice_elements": 32,
        "machine_array_columns": 32,
        "machine_row_lanes": 1,
        "machine_cycles_per_pass": 1,
        "machine_read_cycles_numerator": 1,
        "machine_cycles_denominator": 128,
        "model": model,
        "dataset": dataset,
    }


def cycle_folder(folder: Path, model: str = "m", datasets: tuple[str, ...] = ("x", "y")) -> Path:
    """Write results of dense and Focus in fidelity cycle with their timed GEMMs."""
    for method, cycles in (("dense", 4000), ("focus", 1000)):
        causes = {
            "stream_cycles": 3 * cycles // 5,
            "fill_drain_cycles": cycles // 5,
            "weight_cycles": 0,
            "scatter_cycles": cycles // 5,
            "dram_read_cycles": 0,
        }
        rows = [
            result_row(model, name, method, cycles, fidelity="cycle", corrections="all", **causes)
            for name in datasets
        ]
        path = write_table(folder, method, rows)
        layers = [
            layer_row(model, name, block, layer, part, cycles)
            for name in datasets
            for block in range(3)
            for layer, part in (("q_proj", "gemm"), ("attn", "scores"), ("down_proj", "gemm"))
        ]
        table = sealed(pa.Table.from_pandas(pd.DataFrame(layers), preserve_index=False))
        pq.write_table(table, path.with_name(f"cycle_main_{method}_layers.parquet"))
    return folder
