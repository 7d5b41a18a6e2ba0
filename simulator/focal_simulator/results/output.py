"""Writes a run into its output folder: tables, figure and manifest, safely from many processes at once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from focal_common import __version__
from focal_common.commit import MANIFEST, Commit, commit, finish_commit, sealed_files
from focal_common.errors import ConfigError
from focal_common.files import atomic_path, atomic_write_text, sha256_of_file
from focal_common.provenance import code_revision, content_hash, package_versions
from focal_common.reading.csv_files import read_csv
from focal_common.reading.json_files import parse_object, read_json
from focal_common.reading.parquet_files import read_sealed, sealed
from focal_simulator.costs.buffer_costs import SramChoice
from focal_simulator.results.published_layout import write_published_layout
from focal_simulator.results.request import Draw
from focal_simulator.results.rows import (
    RESULTS,
    RUN_KEY,
    Row,
    file_prefix,
    merge_table,
    old_table,
    read_results,
    run_stem,
    variant_prefix,
)
from focal_simulator.results.runner import Outcome
from focal_simulator.results.summary import (
    ACCELERATOR_TABLE,
    COMPONENT_TABLE,
    accelerator_rows,
    component_rows,
)

Order = Mapping[tuple[str, str], int]

_MANIFEST_KINDS = dict.fromkeys(
    ("hardware_sha256", "hardware", "ratios", "figures", "tables", "origins"), dict
)
"""What fields of the manifest hold that are read again."""


def write_outcome(
    folder: Path,
    outcome: Outcome,
    order: Order,
    sram: SramChoice,
    draw: Draw | None = None,
    published_layout: bool = False,
    phases: Sequence[Row] = (),
) -> list[Path]:
    """Write tables, the headline figure and the manifest of a run.

    Args:
        folder: Output folder; created if absent.
        outcome: What was run.
        order: Place of each (model, dataset) in the trace root.
        sram: Buffer cost model.
        draw: Makes the headline figure; None leaves it out.
        published_layout: Also write the published tables; a folder that has them keeps them up to date unasked.
        phases: Rows of whole inferences.

    Returns:
        Paths of everything this run stands behind.

    Raises:
        ConfigError: An existing file has other columns, or is of version 0.1.
        TraceError: An existing file is damaged.
        RunError: The folder cannot be written; earlier files are untouched.
    """
    fidelity, rows = outcome.fidelity, [run.row for run in outcome.runs]
    components = [
        row
        for run in outcome.runs
        if run.accelerator.study.has_breakdown
        for row in component_rows(run.row, run.accelerator, sram, fidelity, run.result)
    ]
    accelerators = accelerator_rows(outcome.accelerators, sram, fidelity)
    if old := old_table(folder):
        raise ConfigError(
            f"{old}: a table of version 0.1, which would stand beside newer results; "
            "move it away or choose another folder"
        )
    written: list[Path] = []
    with commit(folder) as writing:
        stage = writing.stage
        for name, table, key in (
            (RESULTS, rows, RUN_KEY),
            (ACCELERATOR_TABLE, accelerators, ("fidelity",)),
            (COMPONENT_TABLE, components, RUN_KEY),
            ("phases.csv", phases, RUN_KEY),
        ):
            if table:
                merge_table(stage / name, table, key, order)
                written.append(stage / name)
        stems = {run.name: run_stem(run.row) for run in outcome.runs}
        for name, stem in stems.items():
            written += _write_layers(stage / f"{stem}_layers.parquet", outcome, name)
        # Without the dense array there is no ratio to draw.
        if draw is not None and outcome.dense:
            prefix = f"{file_prefix(fidelity.name)}{variant_prefix(str(rows[0]['variant']))}"
            written.append(_drawn(draw, stage / f"{prefix}_headline.png", order, rows[0]))
        written += _published(stage, published_layout)
        hardware = {name: accelerator.hardware.record() for name, accelerator in outcome.accelerators.items()}
        ratios = dict.fromkeys(stems.values(), outcome.basis)
        written.append(_write_manifest(writing, written, hardware, ratios, published_layout))
    return [folder / path.relative_to(stage) for path in written]


def write_rows(folder: Path, name: str, rows: Sequence[Row], key: Sequence[str], order: Order) -> Path:
    """Merge rows into another table of the folder; see `merge_table` for errors."""
    with commit(folder) as writing:
        merge_table(writing.stage / name, rows, key, order)
        _write_manifest(writing, [writing.stage / name], {}, {}, False)
    return folder / name


def export_published(folder: Path) -> list[Path]:
    """Write the published tables of a result folder; see `write_published_layout` for errors."""
    with commit(folder) as writing:
        paths = _published(writing.stage, True)
        paths.append(_write_manifest(writing, paths, {}, {}, True))
    return [folder / path.relative_to(writing.stage) for path in paths]


def _published(folder: Path, is_asked: bool) -> list[Path]:
    """Write the published tables if they are asked for, or were before: old ones beside new results would mislead."""
    return write_published_layout(folder) if is_asked or _known(folder).get("published_layout") else []


def _write_layers(path: Path, outcome: Outcome, name: str) -> list[Path]:
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

    table = pa.Table.from_pylist(rows)
    if path.exists():
        old = read_sealed(path, ConfigError, "move it away").replace_schema_metadata(None)
        if old.schema.equals(table.schema):
            pairs = {(row["model"], row["dataset"]) for row in rows}
            keys = zip(old["model"].to_pylist(), old["dataset"].to_pylist(), strict=True)
            table = pa.concat_tables([old.filter([key not in pairs for key in keys]), table])
    order = [(column, "ascending") for column in ("model", "dataset", "place")]
    with atomic_path(path) as temporary:
        parquet.write_table(sealed(table.sort_by(order)), temporary, compression="zstd")
    return [path]


def _drawn(draw: Draw, path: Path, order: Order, like: Row) -> Path:
    """Draw all rows of the folder with the fidelity and variant of ``like``; skip it if none changed."""
    alike = [
        row
        for row in read_results(path.parent)
        if all(row[name] == like[name] for name in ("fidelity", "variant"))
    ]
    inputs = content_hash([alike, __version__])
    manifest = _known(path.parent)
    stamp = manifest.get("figures", {}).get(path.name, {})
    if path.exists() and stamp.get("inputs_sha256") == inputs:
        return path
    draw(alike, list(order), path)
    manifest.setdefault("figures", {})[path.name] = {"inputs_sha256": inputs}
    _save(path.parent, manifest)
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
        TraceError: Its bytes are not those that it vouches for.
    """
    finish_commit(folder)
    known = _known(folder)
    sealed_files(folder / MANIFEST)
    return known


def _known(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.exists():
        return {}
    content = read_json(path, hint="move it away")
    for name, kind in _MANIFEST_KINDS.items():
        if name in content and not isinstance(content[name], kind):
            raise ConfigError(
                f"{path}: field '{name}' is {content[name]!r:.40}, expected a mapping; move it away"
            )
    return content


def _write_manifest(
    writing: Commit,
    written: Sequence[Path],
    hardware: Mapping[str, Any],
    ratios: Mapping[str, str],
    published_layout: bool,
) -> Path:
    """Record what made the folder: no clock and no host, so equal runs leave equal bytes.

    Args:
        writing: Commit to the result folder.
        written: Files that are written in it.
        hardware: Hardware values by accelerator.
        ratios: What the ratios of rows are over, by fidelity, variant and accelerator; others keep theirs.
        published_layout: Whether the published tables were asked for.
    """
    folder = writing.stage
    known = _known(folder)
    known["focal_version"] = __version__
    known["code"] = code_revision()
    known["versions"] = package_versions("focal-vlm", "numpy", "pydantic")
    known.setdefault("hardware_sha256", {}).update(
        {name: content_hash(value) for name, value in hardware.items()}
    )
    # What a file described, or its memory, stands here whole, and is a hardware file again when it is written out.
    if described := {name: value for name, value in hardware.items() if {"base", "dram"} & set(value)}:
        known.setdefault("hardware", {}).update(described)
    known.setdefault("ratios", {}).update(ratios)
    if published_layout:
        known["published_layout"] = True
    tables = sorted(folder.glob("*.csv"))
    known["tables"] = {path.name: sha256_of_file(path) for path in tables}
    known["origins"] = {path.name: origins for path in tables if (origins := _origins(path))}
    sealed = {*known.pop("files", {}), *(path.relative_to(folder).as_posix() for path in written)}
    known.pop("manifest_sha256", None)
    target = writing.root / MANIFEST
    content = parse_object(json.dumps(known, sort_keys=True), str(target))  # equal runs leave equal bytes
    writing.seal(target, content, [writing.root / name for name in sealed if name != MANIFEST])
    return folder / MANIFEST


def _origins(path: Path) -> list[str]:
    """Return how the numbers of a result table came to be; empty for a table that does not say."""
    _, rows = read_csv(path)
    return sorted({row["origin"] for row in rows if row.get("origin")})


def _save(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / "manifest.json"
    atomic_write_text(path, json.dumps(content, indent=1, sort_keys=True) + "\n")
    return path
