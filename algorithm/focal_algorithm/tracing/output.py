"""The files of a traced run: header, tiers, records, tables of the trace root, and the manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from focal_algorithm.checkpoints.loading import LoadedModel
from focal_algorithm.hooks.recorder import RecordedSample
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.tracing.prompting import TracedSample
from focal_algorithm.tracing.settings import RunSettings
from focal_common.commit import MANIFEST_SUFFIX, check_writable, commit
from focal_common.files import atomic_write_text
from focal_common.places import check_inside
from focal_common.provenance import manifest, package_versions
from focal_traces.counts.file import COUNTS_SUFFIX, write_counts
from focal_traces.counts.sparsity import median_index, sparsity_by_layer, tokens_by_layer
from focal_traces.counts.trace import Trace
from focal_traces.frames.file import FRAMES_SUFFIX, write_frames
from focal_traces.frames.frames import FramesTrace, SampleFrames
from focal_traces.header.recorded_shape import recorded_shape
from focal_traces.header.schema import GEMMS, TraceHeader
from focal_traces.masks.file import MASKS_SUFFIX, write_masks
from focal_traces.masks.masks import MaskTrace
from focal_traces.methods import method_tables
from focal_traces.records.file import RECORDS_SUFFIX, write_records
from focal_traces.records.records import RecordTrace
from focal_traces.root.root import MAIN_FOLDER
from focal_traces.tables.table import WORKLOADS, Workload
from focal_traces.work.ledger import ledger

_PACKAGES = ("torch", "transformers", "numpy", "pillow", "scikit-image", "av")


def build_trace(
    settings: RunSettings,
    loaded: LoadedModel,
    method: CompressionMethod,
    samples: Sequence[RecordedSample],
) -> Trace:
    """Return tier 1 of all recorded samples of a run under its header; see `recorded_trace` for arguments."""
    trace = recorded_trace(loaded, method, samples, settings.dataset_name, settings.seed)
    return with_chosen_sample(settings, method, trace)


def with_chosen_sample(settings: RunSettings, method: CompressionMethod, trace: Trace) -> Trace:
    """Return a trace with the sample that simulations take: the one of the settings, else that of the main run."""
    if settings.chosen_sample is not None:
        return with_sample(trace, settings.chosen_sample)
    return beside_main_run(trace, settings.output, _folder(settings, method))


def recorded_trace(
    loaded: LoadedModel,
    method: CompressionMethod,
    samples: Sequence[RecordedSample],
    dataset: str,
    seed: int | None,
) -> Trace:
    """Return tier 1 of recorded prefills, with the sample of median sparsity chosen.

    Args:
        loaded: The model that ran.
        method: What was attached.
        samples: Samples of a `Recorder`; at least one.
        dataset: Name under which results are filed.
        seed: Seed of weights and inputs; None where nothing was seeded.
    """
    weighted = [sample.header.weighted_sparsity for sample in samples]
    known = [value for value in weighted if value is not None]
    parameters = {parameter.name: getattr(method, parameter.name) for parameter in fields(method)}
    header = TraceHeader(
        schema_version=2 if any(sample.header.pictures for sample in samples) else 1,
        model=loaded.name,
        checkpoint=loaded.checkpoint,
        dataset=dataset,
        geometry=loaded.geometry,
        method=method.name,
        parameters={k: list(v) if isinstance(v, tuple) else v for k, v in parameters.items()},
        mode=method.study.mode(method),
        vector_size=method.vector_size,
        m_tile=method.m_tile,
        samples=tuple(sample.header for sample in samples),
        median_index=median_index(known) if len(known) == len(weighted) else None,
        seed=seed,
        versions=package_versions("focal-vlm", *_PACKAGES),
        quantization=loaded.quantization,
        model_shape=recorded_shape(loaded.model.config.to_dict(), loaded.adapter.family, samples[0].header),
    )
    return Trace(header, tuple(sample.counts for sample in samples))


def with_sample(trace: Trace, sample: int) -> Trace:
    """Return the trace with the sample that simulations are to take."""
    return Trace(trace.header.model_copy(update={"median_index": sample}), trace.samples)


def beside_main_run(trace: Trace, root: Path, folder: str) -> Trace:
    """Return the trace with the sample that the main run of a root chose, so that all methods are compared on it.

    Args:
        trace: Before it is written.
        root: Trace root it is for; it may not exist yet.
        folder: Trace folder it is for. The main one chooses for itself.
    """
    chosen = _main_sample(root, folder, trace.header)
    return trace if chosen is None else with_sample(trace, chosen)


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
        RunError: It cannot be written, or the disk is full.
        ConfigError: The folder is a link that leads out of the root.
        TraceError: A table of the root is damaged, so no row can be put into it.
    """
    check_inside(root, root / folder)
    check_writable(root)
    for table in (WORKLOADS, *method_tables()):
        if (root / table.file).exists():
            table.read(root / table.file)


def _has_trace(folder: Path, stem: str) -> bool:
    """Return whether an earlier run left a trace here."""
    return (folder / f"{stem}{COUNTS_SUFFIX}").is_file()


def _main_sample(root: Path, folder: str, header: TraceHeader) -> int | None:
    """Return the sample that the main run of this root chose; None if there is none of the same length.

    The published INT8 and design-space traces take the median sample of the main run too.
    """
    table = root / "meta_data.csv"
    if folder == MAIN_FOLDER or not table.is_file():
        return None
    row = WORKLOADS.read(table).get((header.model, header.dataset))
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
    traced: Sequence[TracedSample],
    records: tuple[dict[str, Any], ...],
    wall_time_s: float,
    accuracy: dict[str, Any] | None = None,
    beside: Mapping[str, str] | None = None,
) -> dict[str, Path]:
    """Write every file of a run in one step and return them by role.

    Args:
        settings: Settings of the run.
        method: What was attached.
        trace: Tier 1.
        traced: Masks, records and pictures.
        records: What ``NAME.samples.json`` says.
        wall_time_s: For the manifest.
        accuracy: Accuracy of the answers to a benchmark's questions, for ``NAME.accuracy.json``.
        beside: See `write_recorded`.
    """
    stem = f"{trace.header.model}_{trace.header.dataset}"
    stem = f"{stem}_{settings.variant}" if settings.variant else stem
    folder = _folder(settings, method)
    # The tables do not tell precisions apart: a run in floating point owns its rows.
    owns_tables = settings.precision == "float" or not (
        folder == trace_folder(method, "float")
        or _has_trace(settings.output / trace_folder(method, "float"), stem)
    )
    extra: dict[str, Any] = {"seed": settings.seed, "wall_time_s": round(wall_time_s, 3)}
    notes = [note for one in traced for note in one.notes]
    extra |= {"media_notes": notes} if notes else {}
    return write_recorded(
        settings.output / folder / stem,
        trace,
        [one.recorded for one in traced],
        method if owns_tables else None,
        records,
        settings.to_json(),
        shown=[one.frames for one in traced] if settings.keeps_frames else (),
        keep_masks=settings.keep_masks,
        accuracy=accuracy,
        beside=beside,
        **extra,
    )


def write_recorded(
    stem: Path,
    trace: Trace,
    samples: Sequence[RecordedSample],
    method: CompressionMethod | None,
    facts: Sequence[Mapping[str, Any]],
    configuration: Mapping[str, Any],
    *,
    shown: Sequence[SampleFrames | None] = (),
    keep_masks: bool = True,
    accuracy: Mapping[str, Any] | None = None,
    beside: Mapping[str, str] | None = None,
    **extra: Any,
) -> dict[str, Path]:
    """Write recorded prefills and their rows in the tables of the trace root in one step; return files by role.

    Args:
        stem: ``ROOT/FOLDER/NAME``, to which the suffixes are added.
        trace: Tier 1.
        samples: Masks, records and summaries, in the order of the trace.
        method: Whose own tables are written; None to leave them as they are.
        facts: Facts of each sample, for ``NAME.samples.json``; see `sample_facts`.
        configuration: JSON-like settings of the run, for the manifest.
        shown: Pictures of each sample; empty to keep none.
        keep_masks: Whether to write tier 2, which every sample then holds.
        accuracy: For ``NAME.accuracy.json``; None where no benchmark was asked.
        beside: Texts of further files at the top of the trace root, by name.
        **extra: Further fields of the manifest. Results must be the same bytes on a second run, so a clock goes only
            here.

    Raises:
        RunError: The folder cannot be written; earlier files are untouched.
        TraceError: A table of the root is damaged, or not what its manifest says.
    """
    header, root = trace.header, stem.parent.parent
    files: dict[str, Path] = {}
    with commit(root) as writing:

        def place(role: str, suffix: str) -> Path:
            files[role] = _named(stem, suffix)
            return writing.staged(files[role])

        write_counts(trace, place("counts", COUNTS_SUFFIX))
        if keep_masks:
            masks = tuple(sample.masks for sample in samples if sample.masks is not None)
            write_masks(MaskTrace(header, masks), place("masks", MASKS_SUFFIX))
        records = RecordTrace(header, tuple(sample.records for sample in samples))
        write_records(records, place("records", RECORDS_SUFFIX))
        if any(one is not None for one in shown):
            write_frames(FramesTrace(header, tuple(shown)), place("frames", FRAMES_SUFFIX))
        atomic_write_text(place("samples", ".samples.json"), json.dumps(list(facts), indent=1) + "\n")
        if accuracy is not None:
            atomic_write_text(place("accuracy", ".accuracy.json"), json.dumps(accuracy, indent=1) + "\n")
        for suffix in (MASKS_SUFFIX, FRAMES_SUFFIX, ".accuracy.json"):
            if _named(stem, suffix) not in files.values():
                writing.remove(_named(stem, suffix))  # that of an earlier run is not of this one
        tables = {} if method is None else write_method_tables(writing.stage, header, method, samples)
        tables |= _write_workload(writing.stage, stem, trace)
        for name, text in (beside or {}).items():
            tables[name] = writing.stage / name
            atomic_write_text(tables[name], text)
        tables = {role: root / path.relative_to(writing.stage) for role, path in tables.items()}
        content = manifest(dict(configuration), *_PACKAGES, **extra, ledger=ledger(trace).as_json())
        writing.seal(_named(stem, MANIFEST_SUFFIX), content, files.values())
        if tables:
            writing.seal_shared([path.name for path in tables.values()], {"tables_of": "trace root"})
    return files | tables | {"manifest": _named(stem, MANIFEST_SUFFIX)}


def _write_workload(stage: Path, stem: Path, trace: Trace) -> dict[str, Path]:
    """Write the row of the chosen sample in ``meta_data.csv``, where this trace owns it."""
    header = trace.header
    chosen = header.samples[trace.chosen_sample()]
    # Of two runs on different samples the main one owns the row.
    is_owner = stem.parent.name == MAIN_FOLDER or not _has_trace(
        stem.parent.parent / MAIN_FOLDER, f"{header.model}_{header.dataset}"
    )
    if chosen.grid is None or not is_owner:
        return {}
    frames = chosen.grid.frames
    patches = chosen.visual_tokens // frames
    workload = Workload(
        header.model, header.dataset, chosen.visual_tokens, frames, patches, header.median_index
    )
    return {"meta_data": WORKLOADS.upsert(stage, workload.model, workload.dataset, workload)}


def write_method_tables(
    root: Path, header: TraceHeader, method: CompressionMethod, samples: Sequence[RecordedSample]
) -> dict[str, Path]:
    """Write what a method says of recorded prefills in tables of its own, and return them by role.

    Args:
        root: Trace root.
        header: Header of the trace.
        method: What was attached.
        samples: With the method's summaries.
    """
    summaries = [sample.summary for sample in samples if sample.summary]
    return method.study.write_tables(root, header.model, header.dataset, summaries)


def _named(stem: Path, suffix: str) -> Path:
    return stem.with_name(stem.name + suffix)
