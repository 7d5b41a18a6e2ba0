"""The arithmetic behind one layer: how long each unit was busy, what hid under what, and what bounds it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from focal_common.errors import ConfigError, near_matches
from focal_common.places import plain_name
from focal_common.reading.parquet_files import read_sealed
from focal_simulator.accelerators import ACCELERATORS
from focal_simulator.hardware.specs import OUTSIDE_UNITS, SERIAL_UNITS, SIDE_UNITS, WHOLE_UNITS
from focal_simulator.jobs.jobs import CAUSES

_SPECIAL_FUNCTIONS = "elementary operations / lanes of the busiest kind + latency"


_PARTS = ("", "core_", "sram_", "dram_")


@dataclass(frozen=True, slots=True)
class Explanation:
    """One GEMM.

    Attributes:
        title: Workload, layer and shape.
        units: (unit, formula with numbers, busy cycles), the longest first.
        causes: (cause, cycles), those that occur.
        total_cycles: Their sum.
        bound: The busiest unit.
    """

    title: str
    units: tuple[tuple[str, str, int], ...]
    causes: tuple[tuple[str, int], ...]
    total_cycles: int
    bound: str


def read_layers(result: Path, accelerator: str, variant: str = "main") -> tuple[Path, list[dict[str, Any]]]:
    """Read the per-layer table of an accelerator from a result folder, or a table itself.

    Raises:
        ConfigError: No such folder or table; the message lists what there is.
    """
    path = result
    if result.is_dir():
        plain_name(accelerator, "accelerator")
        plain_name(variant, "variant")
        path = result / f"cycle_{variant}_{accelerator}_layers.parquet"
        if not path.is_file():
            suffix, prefix = "_layers.parquet", f"cycle_{variant}_"
            found = [
                place.name.removeprefix(prefix).removesuffix(suffix)
                for place in result.glob(f"{prefix}*{suffix}")
            ]
            raise ConfigError(
                f"{result}: has no cycle result of '{accelerator}'; {near_matches(accelerator, found)} "
                "(a simulation in fidelity cycle writes one)"
            )
    elif not path.is_file():
        raise ConfigError(f"{result}: expected a result folder or a *_layers.parquet file")
    table = read_sealed(path, ConfigError, "simulate again")
    missing = {"block", "layer", "part", "model", "dataset", "cycles", "utilisation"} - set(
        table.column_names
    )
    if missing:
        raise ConfigError(f"{path}: has no column '{sorted(missing)[0]}', expected a table of focal sim")
    return path, table.to_pylist()


def find_row(rows: list[dict[str, Any]], where: Path, model: str, dataset: str, layer: str) -> dict[str, Any]:
    """Return the row of a layer such as ``9.o_proj`` or ``9.attn.scores``.

    Raises:
        ConfigError: The workload is not named where there are several, or nothing matches.
    """
    chosen = workload_rows(rows, where, model, dataset)
    named = {_name(row): row for row in chosen}
    for candidate in (layer, f"{layer}.scores"):
        if candidate in named:
            return named[candidate]
    raise ConfigError(f"{where}: no layer '{layer}'; {near_matches(layer, named)}")


def workload_rows(rows: list[dict[str, Any]], where: Path, model: str, dataset: str) -> list[dict[str, Any]]:
    """Return the rows of one workload.

    Raises:
        ConfigError: It is not named where there are several, or there is none.
    """
    pairs = sorted({f"{row['model']}/{row['dataset']}" for row in rows})
    chosen = [
        row
        for row in rows
        if (not model or row["model"] == model) and (not dataset or row["dataset"] == dataset)
    ]
    labels = sorted({f"{row['model']}/{row['dataset']}" for row in chosen})
    if not labels:
        raise ConfigError(
            f"{where}: no workload '{model}/{dataset}'; {near_matches(f'{model}/{dataset}', pairs)}"
        )
    if len(labels) > 1:
        raise ConfigError(f"{where}: holds {', '.join(labels)}; choose one by model and dataset")
    return chosen


def _name(row: Mapping[str, Any]) -> str:
    return f"{row['block']}.{row['layer']}" + ("" if row["part"] == "gemm" else f".{row['part']}")


def explain(row: Mapping[str, Any], accelerator: str = "") -> Explanation:
    """Return the arithmetic of one row of a per-layer table; the accelerator says what its own units do."""
    formulas = ACCELERATORS.load(accelerator).study.unit_formulas if accelerator in ACCELERATORS else {}
    outside = {unit: OUTSIDE_UNITS.load(unit) for unit in OUTSIDE_UNITS}
    own = {"sfu": row.get("beside_sfu_work") or _SPECIAL_FUNCTIONS}
    found = _units(row, {**own, **outside, **formulas})
    units = sorted(_shared(found, int(row.get("arrays", 1))), key=lambda unit: -unit[2])
    copies = row["copies"] if row["copies_divisor"] == 1 else f"{row['copies']}/{row['copies_divisor']}"
    tiles = (
        f"{row['rows']} rows in {row['m_tiles']} m-tiles"
        if row["part"] == "gemm"
        else f"{row['m_tiles']} tiles of up to {row['rows']} rows"
    )
    title = (
        f"{row['model']}/{row['dataset']}, {_name(row)}: {tiles}, "
        f"{row['outputs']} outputs, copies: {copies}, {row['folds']:,} folds"
    )
    if cut := row.get("cut"):
        title += f"; cut by {cut} for {row['arrays']} arrays" if int(row["arrays"]) > 1 else f"; on {cut}"
    causes = tuple((cause, int(row[f"{cause}_cycles"])) for cause in CAUSES if row[f"{cause}_cycles"])
    return Explanation(title, tuple(units), causes, int(row["cycles"]), units[0][0])


def _shared(units: list[tuple[str, str, int]], arrays: int) -> list[tuple[str, str, int]]:
    """Return units with the work of one of several arrays; the memory and rankings serve all of them."""
    whole = [f"{name} ({place} the array)" for name in WHOLE_UNITS for place in ("beside", "before")]
    return [
        (name, formula, cycles)
        if arrays == 1 or name in whole or name.startswith("DRAM")
        else (name, f"({formula}) / {arrays} arrays", -(-cycles // arrays))
        for name, formula, cycles in units
    ]


def _scatter(restored: int, lanes: int, machine: Callable[[str], int]) -> tuple[str, str, int]:
    """Return the line of the scatter unit: its lanes, or the port of a buffer that gives or takes less."""
    adding, reads = machine("accumulate_cycles"), machine("concentrate_reads_per_cycle")
    formula, cycles = f"{restored:,} rows / {lanes} a cycle", -(-restored * adding // lanes)
    if adding > 1:
        formula += f" x {adding} accesses of the output buffer"
    if reads and -(-restored // reads) > cycles:
        formula, cycles = (
            f"{restored:,} rows / {reads} a cycle from the concentrate buffer",
            -(-restored // reads),
        )
    return "scatter", formula, cycles


def layer_sums(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return cycles, use of the multipliers, DRAM bytes and energy of each kind of layer, all blocks together.

    Args:
        rows: Of one workload in a per-layer table.
    """
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(_name(row).split(".", 1)[1], []).append(row)
    whole = sum(int(row["cycles"]) for group in found.values() for row in group)
    summed = []
    for name, group in found.items():
        cycles = sum(int(row["cycles"]) for row in group)
        used = math.fsum(float(row["utilisation"]) * int(row["cycles"]) for row in group)
        summed.append(
            {
                "layer": name,
                "cycles": cycles,
                "share": cycles / max(whole, 1),
                "utilisation": used / max(cycles, 1),
                "dram_bytes": sum(
                    int(row["dram_read_bytes"]) + int(row["dram_write_bytes"]) for row in group
                ),
                **{
                    f"{part}energy_mj": math.fsum(float(row[f"{part}energy_mj"]) for row in group)
                    for part in _PARTS
                },
            }
        )
    return summed


def _units(row: Mapping[str, Any], formulas: Mapping[str, str]) -> list[tuple[str, str, int]]:
    def machine(name: str) -> int:
        return int(row[f"machine_{name}"])

    folds, streamed = int(row["folds"]), int(row["streamed_rows"])
    stream, skew, load = int(row["stream_cycles"]), machine("skew_cycles"), machine("weight_load_cycles")
    overhead = 0 if machine("is_weight_double_buffered") else folds * (skew + load)
    formula = (
        f"{streamed:,} rows" if stream == streamed else f"{streamed:,} rows, {stream:,} cycles to stream"
    )
    formula += (
        f" + {folds:,} folds x ({load} weight load + {skew} fill and drain)"
        if overhead
        else "; weight load and drain overlap the next fold"
    )
    units = [("array", formula, stream + overhead)]
    if scatter := machine("scatter_rows_per_cycle"):
        units.append(_scatter(int(row["scattered_rows"]), scatter, machine))
    if gather := machine("gather_cycles_per_row"):
        passed, columns = int(row["gathered_rows"]), -(-int(row["outputs"]) // machine("array_columns"))
        copies = int(row["copies"]) // int(row["copies_divisor"])
        rows = f"{passed // columns // copies:,} rows x {columns} array columns"
        rows += f" x {copies} copies" if copies > 1 else ""
        if passed % (columns * copies):
            rows = f"{passed:,} rows, each array column counted,"
        vectors, mean = int(row["gathered_vectors"]), machine("mean_cycles_per_vector")
        formula = f"{rows} x {gather} cycles" + (f" + {vectors:,} vectors x {mean}" if mean else "")
        units.append(("gather", formula, passed * gather + vectors * mean))
    for way in ("read", "write"):
        numerator, amount = machine(f"{way}_cycles_numerator"), int(row[f"dram_{way}_bytes"])
        rate = numerator / machine("cycles_denominator")
        units.append((f"DRAM {way}", f"{amount:,} bytes x {rate:.5f} cycles", round(amount * rate)))
    for place, names in (("beside", ("scatter", *SIDE_UNITS)), ("before", SERIAL_UNITS)):
        for name in names:
            if cycles := int(row[f"{place}_{name}"]):
                units.append(
                    (f"{name} ({place} the array)", formulas.get(name, "as its lowering counts"), cycles)
                )
    return units
