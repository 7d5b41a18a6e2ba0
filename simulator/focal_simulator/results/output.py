"""Writes a run into its output folder: tables, figure and manifest, safely from many processes at once."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from focal_common import __version__
from focal_common.errors import ConfigError
from focal_common.files import atomic_path, atomic_write_text, file_lock, sha256_of_file
from focal_common.provenance import code_revision, content_hash, package_versions
from focal_simulator.costs.buffer_costs import SramChoice
from focal_simulator.results.request import Draw
from focal_simulator.results.rows import KEY_COLUMNS, Row, merge_table, table_text
from focal_simulator.results.runner import Outcome
from focal_simulator.results.summary import area_power_summary, breakdown_rows

__all__ = [
    "basis_of",
    "file_prefix",
    "locked_folder",
    "read_manifest",
    "saved_basis",
    "write_outcome",
    "write_rows",
]

_BREAKDOWN_PAIR = ("llava_vid", "videomme")

Order = Mapping[tuple[str, str], int]


def file_prefix(variant: str) -> str:
    """Return the start of result file names: ``main`` for ``focus_main``, ``int8`` for ``focus_int8``."""
    return variant.removeprefix("focus_") or variant


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Hold the output folder for one process at a time.

    Raises:
        RunError: The folder cannot be made or written.
    """
    with file_lock(folder / ".focal.lock"):
        yield


def write_outcome(
    folder: Path, outcome: Outcome, order: Order, variant: str, sram: SramChoice, draw: Draw | None
) -> list[Path]:
    """Write tables, summaries, the headline figure and the manifest of a run.

    Args:
        folder: Output folder; created if absent.
        outcome: What was run.
        order: Place of each (model, dataset) in the trace root.
        variant: Trace folder the counts come from.
        sram: Buffer cost model.
        draw: Makes the headline figure; None leaves it out.

    Returns:
        Paths of everything this run stands behind.

    Raises:
        ConfigError: An existing file is not such a table.
        RunError: The folder cannot be written; earlier files are untouched.
    """
    prefix = outcome.fidelity.file_prefix + file_prefix(variant)
    grouped: dict[str, list[Row]] = {}
    for run in outcome.runs:
        grouped.setdefault(run.name, []).append(run.row)
    written: list[Path] = []
    with locked_folder(folder):
        for name, rows in grouped.items():
            path = folder / f"{prefix}_{name}.csv"
            merge_table(path, rows, KEY_COLUMNS, order)
            written.append(path)
            written += _write_layers(folder, f"{prefix}_{name}", outcome, name)
        written += _write_summaries(folder, outcome, sram)
        # Without the dense array there is no ratio to draw.
        if draw is not None and outcome.dense:
            written.append(_drawn(draw, folder, prefix, order))
        settings = {
            name: accelerator.hardware.model_dump(mode="json")
            for name, accelerator in outcome.accelerators.items()
        }
        ratios = {f"{prefix}_{name}.csv": outcome.basis for name in grouped}
        written.append(_write_manifest(folder, settings, ratios))
    return written


def write_rows(folder: Path, name: str, rows: list[Row], key: tuple[str, ...], order: Order) -> Path:
    """Merge the rows of a sweep into one table of the folder; see `merge_table` for errors."""
    with locked_folder(folder):
        merge_table(folder / name, rows, key, order)
        _write_manifest(folder, {}, {})
    return folder / name


def _write_layers(folder: Path, stem: str, outcome: Outcome, name: str) -> list[Path]:
    """Write every timed GEMM of an accelerator as Parquet; rows of other workloads in the file stay."""
    rows = [
        {"model": run.workload.model, "dataset": run.workload.dataset, **row}
        for run in outcome.runs
        if run.name == name
        for row in outcome.fidelity.layer_rows(run.result)
    ]
    if not rows:
        return []
    import pyarrow as pa
    from pyarrow import parquet

    path = folder / f"{stem}_layers.parquet"
    table = pa.Table.from_pylist(rows)
    if path.exists():
        try:
            old = parquet.read_table(path)
        except (OSError, pa.ArrowException) as error:
            raise ConfigError(f"{path}: not a readable Parquet table ({error}); move it away") from error
        if old.schema.equals(table.schema):
            pairs = {(row["model"], row["dataset"]) for row in rows}
            keys = zip(old["model"].to_pylist(), old["dataset"].to_pylist(), strict=True)
            table = pa.concat_tables([old.filter([key not in pairs for key in keys]), table])
    order = [(column, "ascending") for column in ("model", "dataset", "place")]
    with atomic_path(path) as temporary:
        parquet.write_table(table.sort_by(order), temporary, compression="zstd")
    return [path]


def _write_summaries(folder: Path, outcome: Outcome, sram: SramChoice) -> list[Path]:
    summary = area_power_summary(outcome.accelerators, sram, outcome.fidelity)
    prefix = outcome.fidelity.file_prefix
    paths = [folder / f"{prefix}accelerator_area_power_buffer.csv"]
    atomic_write_text(paths[0], table_text(list(summary[0]), summary))
    for run in outcome.runs:
        # The published breakdown is of this pair; other trace roots get that of their first workload.
        is_chosen = (run.workload.model, run.workload.dataset) == _BREAKDOWN_PAIR or not any(
            (other.workload.model, other.workload.dataset) == _BREAKDOWN_PAIR for other in outcome.runs
        )
        if run.accelerator.study.has_breakdown and is_chosen:
            rows = breakdown_rows(run.accelerator, sram, outcome.fidelity, run.result)
            paths.append(folder / f"{prefix}detailed_power_area_breakdown.csv")
            atomic_write_text(paths[-1], table_text(list(rows[0]), rows))
            break
    return paths


def _drawn(draw: Draw, folder: Path, prefix: str, order: Order) -> Path:
    """Draw all tables of the folder; skip it if none changed."""
    path = folder / f"{prefix}_headline.png"
    tables = sorted(folder.glob(f"{prefix}_*.csv"))
    inputs = content_hash([(table.name, sha256_of_file(table)) for table in tables] + [__version__])
    stamp = read_manifest(folder).get("figures", {}).get(path.name, {})
    if path.exists() and stamp.get("inputs_sha256") == inputs:
        return path
    draw(tables, list(order), path)
    known = read_manifest(folder)
    known.setdefault("figures", {})[path.name] = {"inputs_sha256": inputs}
    _save(folder, known)
    return path


def basis_of(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the ratios of the tables of a result folder are over, each sentence once."""
    ratios = manifest.get("ratios")
    texts = ratios.values() if isinstance(ratios, dict) else ()
    return tuple(dict.fromkeys(text for text in texts if isinstance(text, str)))


def saved_basis(folder: Path) -> tuple[str, ...]:
    """Return `basis_of` the manifest of a result folder.

    Raises:
        ConfigError: The manifest is damaged.
    """
    return basis_of(read_manifest(folder))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a result folder; empty where there is none.

    Raises:
        ConfigError: It is no JSON object.
    """
    path = folder / "manifest.json"
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not a readable JSON file ({error}); move it away") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected a JSON object; move it away")
    return content


def _write_manifest(folder: Path, hardware: Mapping[str, Any], ratios: Mapping[str, str]) -> Path:
    """Record what made the folder: no clock and no host, so equal runs leave equal bytes.

    Args:
        folder: Result folder.
        hardware: Hardware values by accelerator.
        ratios: What the ratios of a table are over, by file name; other tables keep theirs.
    """
    known = read_manifest(folder)
    known["focal_version"] = __version__
    known["code"] = code_revision()
    known["versions"] = package_versions("focal-vlm", "numpy", "pydantic")
    known.setdefault("hardware_sha256", {}).update(
        {name: content_hash(value) for name, value in hardware.items()}
    )
    known.setdefault("ratios", {}).update(ratios)
    tables = sorted(folder.glob("*.csv"))
    known["tables"] = {path.name: sha256_of_file(path) for path in tables}
    known["origins"] = {path.name: origins for path in tables if (origins := _origins(path))}
    return _save(folder, known)


def _origins(path: Path) -> list[str]:
    """Return how the numbers of a result table came to be; empty for a table that does not say."""
    with path.open(encoding="utf-8", newline="") as source:
        return sorted({row["origin"] for row in csv.DictReader(source) if row.get("origin")})


def _save(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / "manifest.json"
    atomic_write_text(path, json.dumps(content, indent=1, sort_keys=True) + "\n")
    return path
