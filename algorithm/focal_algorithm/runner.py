"""One traced run: load, attach, loop over samples, choose the median, write."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

import torch

from focal_algorithm.hooks import attach
from focal_algorithm.inputs import MediaSample
from focal_algorithm.inputs.media import read_image, read_video
from focal_algorithm.inputs.photographs import photograph_clip
from focal_algorithm.loading import LoadedModel, load_model
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.methods.build import build_method
from focal_algorithm.prompts import Prompt, build_prompt
from focal_algorithm.quantization import PRECISIONS, quantize
from focal_algorithm.recorder import Recorder
from focal_common.errors import ConfigError, RunError
from focal_common.files import atomic_write_text
from focal_common.provenance import manifest, package_versions
from focal_traces.counts import Trace
from focal_traces.counts_file import COUNTS_SUFFIX, write_counts
from focal_traces.masks import MaskTrace
from focal_traces.masks_file import MASKS_SUFFIX, write_masks
from focal_traces.records import RecordTrace
from focal_traces.records_file import RECORDS_SUFFIX, write_records
from focal_traces.root import MAIN_FOLDER
from focal_traces.schema import GEMMS, TraceHeader
from focal_traces.statistics import median_index, sparsity_by_layer, tokens_by_layer
from focal_traces.tables import Workload, read_workloads
from focal_traces.upsert import upsert_workload

__all__ = ["RunResult", "RunSettings", "run"]

_PACKAGES = ("torch", "transformers", "numpy", "pillow", "scikit-image", "av")


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Everything that decides the result of a run; see ``focal trace --help``."""

    output: Path
    model: str = "llava_onevision"
    size: str = "small"
    method: str = "focus"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    dataset: str | None = None
    videos: tuple[Path, ...] = ()
    images: tuple[Path, ...] = ()
    samples: int = 3
    frames: int = 16
    question: str = "What happens in this video?"
    new_tokens: int = 2
    seed: int = 0
    dtype: str = "fp32"
    precision: str = "float"
    device: str = "cpu"
    attention: str = "sdpa"
    threads: int = 0
    keep_masks: bool = False
    is_offline: bool = True

    def __post_init__(self) -> None:
        for name, least in (("samples", 1), ("frames", 1), ("new_tokens", 0), ("threads", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.attention not in ("sdpa", "eager"):
            raise ConfigError(f"attention must be sdpa or eager, got '{self.attention}'")
        if self.precision not in PRECISIONS:
            raise ConfigError(f"precision must be {' or '.join(PRECISIONS)}, got '{self.precision}'")
        if "/" in self.dataset_name or not self.dataset_name:
            raise ConfigError(f"dataset must be a plain name, got '{self.dataset_name}'")

    @property
    def dataset_name(self) -> str:
        """Name under which results are filed."""
        if self.dataset is not None:
            return self.dataset
        return "files" if self.videos or self.images else "photographs"

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        values["output"] = str(self.output)
        values["videos"], values["images"] = [str(p) for p in self.videos], [str(p) for p in self.images]
        return values | {"parameters": dict(self.parameters)}


@dataclass(frozen=True)
class RunResult:
    """What a run produced.

    Attributes:
        trace: Tier 1 of all samples.
        samples: One JSON-like record per sample: sparsity, kept tokens, answer.
        files: Everything written, by role.
        notes: Sentences the user should read.
    """

    trace: Trace
    samples: tuple[dict[str, Any], ...]
    files: dict[str, Path]
    notes: tuple[str, ...]


def run(
    settings: RunSettings, track: Callable[[Iterable[Any], int], Iterable[Any]] = lambda items, total: items
) -> RunResult:
    """Trace every sample and write the results; nothing is written if a sample fails.

    Args:
        settings: The run.
        track: Wraps the loop over samples to show progress, given the number of samples.

    Raises:
        FocalError: A setting, a file or the run is at fault.
    """
    started = time.monotonic()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    loaded = load_model(
        settings.model,
        size=settings.size,
        seed=settings.seed,
        dtype=settings.dtype,
        attention=settings.attention,
        device=settings.device,
        is_offline=settings.is_offline,
    )
    method, notes = _method(settings, loaded)
    quantization = quantize(loaded.model, settings.precision, settings.device)
    if quantization:
        notes.append(f"linear layers: {quantization}")
    recorder = Recorder(loaded.adapter.geometry(loaded.model), method, settings.keep_masks)
    answers: list[str] = []
    origins: list[str] = []
    sources = _sources(settings)
    for make_sample in track(sources, len(sources)):
        sample = make_sample(loaded)
        prompt = build_prompt(loaded, sample, settings.question)
        answers.append(_forward(loaded, method, recorder, prompt, settings.new_tokens))
        origins.append(sample.origin)
    trace = _trace(settings, loaded, method, recorder, quantization)
    records = tuple(
        _record(trace, index) | {"method": sample.summary, "answer": answers[index], "origin": origins[index]}
        for index, sample in enumerate(recorder.samples)
    )
    files = _write(settings, method, trace, recorder, records, time.monotonic() - started)
    return RunResult(trace, records, files, tuple(notes))


def _method(settings: RunSettings, loaded: LoadedModel) -> tuple[CompressionMethod, list[str]]:
    notes: list[str] = []
    default = build_method(settings.method, {})
    published = default.published(loaded.adapter.family, settings.dataset_name)
    if not published and default.hook_points:
        geometry = loaded.adapter.geometry(loaded.model)
        published = default.fitted(geometry)
        left = {name: value for name, value in published.items() if name not in settings.parameters}
        moved = f", moved to {geometry.layers} layers: {left}" if left else ""
        if moved or not settings.parameters:
            notes.append(
                f"no published parameters of {settings.method} for ({loaded.adapter.family}, "
                f"{settings.dataset_name}); its defaults are used{moved}"
            )
    if loaded.checkpoint.startswith("random:"):
        notes.append(
            "weights are random: sparsity and speed-up describe the mechanism on real pixels, and say "
            "nothing about accuracy or about a trained model"
        )
    return build_method(settings.method, published | dict(settings.parameters)), notes


def _sources(settings: RunSettings) -> list[Callable[[LoadedModel], MediaSample]]:
    """Return one maker per sample, so that only one sample's pictures are in memory at a time."""
    if not settings.videos and not settings.images:
        return [partial(_photograph, settings, index) for index in range(settings.samples)]
    videos = [partial(_video, path, settings.frames) for path in settings.videos]
    return [*videos, *(partial(_image, path) for path in settings.images)]


def _photograph(settings: RunSettings, index: int, loaded: LoadedModel) -> MediaSample:
    size_pixels = loaded.model.config.vision_config.image_size
    return photograph_clip(index, settings.frames, size_pixels, settings.seed)


def _video(path: Path, frames: int, _loaded: LoadedModel) -> MediaSample:
    return read_video(path, frames)


def _image(path: Path, _loaded: LoadedModel) -> MediaSample:
    return read_image(path)


def _forward(
    loaded: LoadedModel, method: CompressionMethod, recorder: Recorder, prompt: Prompt, new_tokens: int
) -> str:
    with torch.inference_mode(), attach(loaded.model, loaded.adapter, method, recorder, [prompt.layout]):
        if not new_tokens:
            loaded.model(**prompt.inputs, logits_to_keep=1)
            return ""
        try:
            output = loaded.model.generate(**prompt.inputs, max_new_tokens=new_tokens, do_sample=False)
        except torch.OutOfMemoryError as error:
            raise RunError(f"{prompt.layout.sample_id}: out of memory; try fewer frames or bf16") from error
    return loaded.tokenizer.decode(output[0, prompt.layout.sequence_tokens :].tolist())


def _trace(
    settings: RunSettings,
    loaded: LoadedModel,
    method: CompressionMethod,
    recorder: Recorder,
    quantization: str,
) -> Trace:
    weighted = [sample.header.weighted_sparsity for sample in recorder.samples]
    known = [value for value in weighted if value is not None]
    parameters = {parameter.name: getattr(method, parameter.name) for parameter in fields(method)}
    header = TraceHeader(
        model=loaded.adapter.family,
        checkpoint=loaded.checkpoint,
        dataset=settings.dataset_name,
        geometry=loaded.adapter.geometry(loaded.model),
        method=method.name,
        parameters={k: list(v) if isinstance(v, tuple) else v for k, v in parameters.items()},
        mode=method.trace_mode,
        vector_size=method.vector_size,
        m_tile=method.m_tile,
        samples=tuple(sample.header for sample in recorder.samples),
        median_index=median_index(known) if len(known) == len(weighted) else None,
        seed=settings.seed,
        versions=package_versions("focal-vlm", *_PACKAGES),
        quantization=quantization,
    )
    chosen = _main_sample(settings, _folder(settings, method), header)
    if chosen is not None:
        header = header.model_copy(update={"median_index": chosen})
    return Trace(header, tuple(sample.counts for sample in recorder.samples))


def _folder(settings: RunSettings, method: CompressionMethod) -> str:
    """Return the trace folder; the published one of INT8 runs of Focus is ``focus_int8``."""
    if settings.precision == "float":
        return method.trace_folder
    return f"{method.trace_folder.removesuffix('_main')}_{settings.precision}"


def _has_float_run(folder: Path, stem: str) -> bool:
    """Return whether a run in floating point owns the rows of the tables, which do not tell precisions apart."""
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


def _record(trace: Trace, sample: int) -> dict[str, Any]:
    header = trace.header.samples[sample]
    sparsity = sparsity_by_layer(trace, sample)
    return {
        "sample_id": header.sample_id,
        "sequence_tokens": header.sequence_tokens,
        "visual_tokens": header.visual_tokens,
        "weighted_sparsity": header.weighted_sparsity,
        "sparsity": dict(zip(GEMMS, sparsity.mean(axis=0).tolist(), strict=True)),
        "visual_tokens_by_layer": tokens_by_layer(trace, sample)[:, GEMMS.index("down_proj")].tolist(),
    }


def _write(
    settings: RunSettings,
    method: CompressionMethod,
    trace: Trace,
    recorder: Recorder,
    records: tuple[dict[str, Any], ...],
    wall_time_s: float,
) -> dict[str, Path]:
    header = trace.header
    root, stem = settings.output, f"{header.model}_{header.dataset}"
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
    summaries = [sample.summary for sample in recorder.samples if sample.summary]
    if settings.precision == "float" or not _has_float_run(root / method.trace_folder, stem):
        files |= method.write_tables(root, header.model, header.dataset, summaries)
    files["samples"] = folder / f"{stem}.samples.json"
    atomic_write_text(files["samples"], json.dumps(records, indent=1) + "\n")
    chosen = header.samples[trace.chosen_sample()]
    if chosen.grid is not None:
        frames = chosen.grid.frames
        patches = chosen.visual_tokens // frames
        workload = Workload(
            header.model, header.dataset, chosen.visual_tokens, frames, patches, header.median_index
        )
        upsert_workload(root, workload)
        files["meta_data"] = root / "meta_data.csv"
    files["manifest"] = folder / f"{stem}.manifest.json"
    # Results must be the same bytes on a second run, so the clock goes only here.
    content = manifest(settings.to_json(), *_PACKAGES, seed=settings.seed, wall_time_s=round(wall_time_s, 3))
    atomic_write_text(files["manifest"], json.dumps(content, indent=1) + "\n")
    return files
