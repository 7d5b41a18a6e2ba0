"""The files of a traced run: header, tiers, records, tables of the trace root, and the manifest."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from focal_algorithm.loading import LoadedModel
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.recorder import Recorder
from focal_algorithm.run_settings import RunSettings
from focal_common.files import atomic_write_text
from focal_common.places import check_inside
from focal_common.provenance import manifest, package_versions
from focal_traces.counts import Trace
from focal_traces.counts_file import COUNTS_SUFFIX, write_counts
from focal_traces.frames import FramesTrace, SampleFrames
from focal_traces.frames_file import FRAMES_SUFFIX, write_frames
from focal_traces.ledger import ledger
from focal_traces.masks import MaskTrace
from focal_traces.masks_file import MASKS_SUFFIX, write_masks
from focal_traces.recorded_shape import recorded_shape
from focal_traces.records import RecordTrace
from focal_traces.records_file import RECORDS_SUFFIX, write_records
from focal_traces.root import MAIN_FOLDER
from focal_traces.schema import GEMMS, TraceHeader
from focal_traces.statistics import median_index, sparsity_by_layer, tokens_by_layer
from focal_traces.tables import Workload, read_adaptiv_sparsity, read_cmc_sparsity, read_workloads
from focal_traces.upsert import upsert_workload

__all__ = ["build_trace", "check_output", "sample_facts", "trace_folder", "write_run"]

_TABLES: dict[str, Callable[[Path], Any]] = {
    "meta_data.csv": read_workloads,
    "adaptiv_sparsity.csv": read_adaptiv_sparsity,
    "cmc_sparsity.csv": read_cmc_sparsity,
}
_PACKAGES = ("torch", "transformers", "numpy", "pillow", "scikit-image", "av")


def build_trace(
    settings: RunSettings,
    loaded: LoadedModel,
    method: CompressionMethod,
    recorder: Recorder,
    quantization: str,
) -> Trace:
    """Return tier 1 of all recorded samples under its header.

    Args:
        settings: Of the run.
        loaded: The model.
        method: What was attached.
        recorder: After the last sample.
        quantization: See `TraceHeader`.
    """
    weighted = [sample.header.weighted_sparsity for sample in recorder.samples]
    known = [value for value in weighted if value is not None]
    parameters = {parameter.name: getattr(method, parameter.name) for parameter in fields(method)}
    header = TraceHeader(
        model=loaded.name,
        checkpoint=loaded.checkpoint,
        dataset=settings.dataset_name,
        geometry=loaded.adapter.geometry(loaded.model),
        method=method.name,
        parameters={k: list(v) if isinstance(v, tuple) else v for k, v in parameters.items()},
        mode=method.study.mode(method),
        vector_size=method.vector_size,
        m_tile=method.m_tile,
        samples=tuple(sample.header for sample in recorder.samples),
        median_index=median_index(known) if len(known) == len(weighted) else None,
        seed=settings.seed,
        versions=package_versions("focal-vlm", *_PACKAGES),
        quantization=quantization,
        model_shape=recorded_shape(
            loaded.model.config.to_dict(), loaded.adapter.family, recorder.samples[0].header
        ),
    )
    chosen = settings.chosen_sample
    if chosen is None:
        chosen = _main_sample(settings, _folder(settings, method), header)
    if chosen is not None:
        header = header.model_copy(update={"median_index": chosen})
    return Trace(header, tuple(sample.counts for sample in recorder.samples))


def _folder(settings: RunSettings, method: CompressionMethod) -> str:
    return settings.folder or trace_folder(method, settings.precision)


def trace_folder(method: CompressionMethod | type[CompressionMethod], precision: str) -> str:
    """Return a method's own trace folder; the published one of INT8 runs of Focus is ``focus_int8``."""
    own = method.study.folder(method)
    return own if precision == "float" else f"{own.removesuffix('_main')}_{precision}"


def check_output(root: Path, folder: str) -> None:
    """Refuse, before anything runs, a trace root that a run could not write its results into.

    Args:
        root: Trace root; absent or with earlier results.
        folder: Folder in it that the run will write.

    Raises:
        ConfigError: The folder is a link that leads out of the root.
        TraceError: A table of the root is damaged, so no row can be put into it.
    """
    check_inside(root, root / folder)
    for name, read in _TABLES.items():
        if (root / name).exists():
            read(root / name)


def _has_trace(folder: Path, stem: str) -> bool:
    """Return whether an earlier run left a trace here."""
    return (folder / f"{stem}{COUNTS_SUFFIX}").is_file()


def _main_sample(settings: RunSettings, folder: str, header: TraceHeader) -> int | None:
    """Return the sample that the main run of this root chose, so that all methods are compared on the same one.

    The published INT8 and design-space traces take the median sample of the main run too.
    """
    table = settings.output / "meta_data.csv"
    if folder == MAIN_FOLDER or not table.is_file():
        return None
    row = read_workloads(table).get((header.model, header.dataset))
    if row is None or row.median_index is None or row.median_index >= len(header.samples):
        return None
    same = header.samples[row.median_index].visual_tokens == row.visual_tokens
    return row.median_index if same else None


def sample_facts(trace: Trace, sample: int) -> dict[str, Any]:
    """Return what the command line and ``NAME.samples.json`` say of a sample, JSON-like."""
    header = trace.header.samples[sample]
    sparsity = sparsity_by_layer(trace, sample)
    return {
        "sample_id": header.sample_id,
        "sequence_tokens": header.sequence_tokens,
        "visual_tokens": header.visual_tokens,
        "weighted_sparsity": header.weighted_sparsity,
        "sparsity": dict(zip(GEMMS, sparsity.mean(axis=0).tolist(), strict=True)),
        "visual_tokens_by_layer": tokens_by_layer(trace, sample)[:, GEMMS.index("down_proj")].tolist(),
        "ledger": ledger(trace, sample).as_json(),
    }


def write_run(
    settings: RunSettings,
    method: CompressionMethod,
    trace: Trace,
    recorder: Recorder,
    records: tuple[dict[str, Any], ...],
    wall_time_s: float,
    shown: tuple[SampleFrames | None, ...] = (),
    accuracy: dict[str, Any] | None = None,
) -> dict[str, Path]:
    """Write every file of a run, the manifest last, and return them by role.

    Args:
        settings: Of the run.
        method: What was attached.
        trace: Tier 1.
        recorder: Masks and records.
        records: What ``NAME.samples.json`` says.
        wall_time_s: For the manifest.
        shown: Pictures of each sample; empty to keep none.
        accuracy: Of the answers to a benchmark's questions, for ``NAME.accuracy.json``.
    """
    header = trace.header
    root, workload_stem = settings.output, f"{header.model}_{header.dataset}"
    stem = f"{workload_stem}_{settings.variant}" if settings.variant else workload_stem
    folder = root / _folder(settings, method)
    files = {"counts": folder / f"{stem}{COUNTS_SUFFIX}"}
    write_counts(trace, files["counts"])
    if settings.keep_masks:
        files["masks"] = folder / f"{stem}{MASKS_SUFFIX}"
        masks = tuple(sample.masks for sample in recorder.samples if sample.masks is not None)
        write_masks(MaskTrace(header, masks), files["masks"])
    files["records"] = folder / f"{stem}{RECORDS_SUFFIX}"
    decisions = RecordTrace(header, tuple(sample.records for sample in recorder.samples))
    write_records(decisions, files["records"])
    pictures = folder / f"{stem}{FRAMES_SUFFIX}"
    if any(one is not None for one in shown):
        files["frames"] = pictures
        write_frames(FramesTrace(header, shown), pictures)
    else:
        pictures.unlink(missing_ok=True)  # those of an earlier run are not of this one
    summaries = [sample.summary for sample in recorder.samples if sample.summary]
    # The tables do not tell precisions apart: a run in floating point owns its rows.
    if settings.precision == "float" or not _has_trace(root / method.study.folder(method), stem):
        files |= method.study.write_tables(root, header.model, header.dataset, summaries)
    files["samples"] = folder / f"{stem}.samples.json"
    atomic_write_text(files["samples"], json.dumps(records, indent=1) + "\n")
    if accuracy is not None:
        files["accuracy"] = folder / f"{stem}.accuracy.json"
        atomic_write_text(files["accuracy"], json.dumps(accuracy, indent=1) + "\n")
    chosen = header.samples[trace.chosen_sample()]
    # Of two runs on different samples the main one owns the row.
    is_owner = folder.name == MAIN_FOLDER or not _has_trace(root / MAIN_FOLDER, workload_stem)
    if chosen.grid is not None and is_owner:
        frames = chosen.grid.frames
        patches = chosen.visual_tokens // frames
        workload = Workload(
            header.model, header.dataset, chosen.visual_tokens, frames, patches, header.median_index
        )
        upsert_workload(root, workload)
        files["meta_data"] = root / "meta_data.csv"
    files["manifest"] = folder / f"{stem}.manifest.json"
    # Results must be the same bytes on a second run, so the clock goes only here.
    content = manifest(
        settings.to_json(),
        *_PACKAGES,
        seed=settings.seed,
        wall_time_s=round(wall_time_s, 3),
        ledger=ledger(trace).as_json(),
    )
    atomic_write_text(files["manifest"], json.dumps(content, indent=1) + "\n")
    return files
