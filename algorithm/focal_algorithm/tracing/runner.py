"""One traced run: load, attach, loop over samples, choose the median, write."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from focal_algorithm.checkpoints.hub import pinned
from focal_algorithm.checkpoints.loading import LoadedModel, load_model
from focal_algorithm.checkpoints.quantization import quantize
from focal_algorithm.hooks import attach
from focal_algorithm.hooks.recorder import Recorder
from focal_algorithm.methods import METHODS
from focal_algorithm.methods.base import CompressionMethod, hook_points
from focal_algorithm.methods.build import build_method, fitted_parameters
from focal_algorithm.prompts.media import MediaSample
from focal_algorithm.prompts.media.media import photograph_clip, read_image, read_video
from focal_algorithm.tasks.asking import Asked
from focal_algorithm.tracing.accuracy import idle_notes, judged, run_accuracy, unfit_notes
from focal_algorithm.tracing.output import build_trace, check_output, sample_facts, trace_folder, write_run
from focal_algorithm.tracing.prompting import Prompt, TracedSample, build_prompt
from focal_algorithm.tracing.settings import RunSettings
from focal_common.console import track as progress
from focal_common.errors import ConfigError, RunError
from focal_traces.counts.trace import Trace

__all__ = [
    "Gathered",
    "Prepared",
    "RunResult",
    "RunSettings",
    "SampleSource",
    "accuracy_of",
    "facts_of",
    "finish",
    "gather",
    "method_of",
    "prepare",
    "run",
    "sample_sources",
    "trace_of",
    "trace_sample",
]

SampleSource = Callable[[LoadedModel], MediaSample]


@dataclass(frozen=True)
class RunResult:
    """What a run produced.

    Attributes:
        trace: Tier 1 of all samples.
        samples: One JSON-like record per sample: sparsity, kept tokens, answer.
        files: Everything written, by role.
        notes: Sentences the user should read.
        accuracy: Of the questions of a benchmark, see `run_accuracy`; None for other inputs.
    """

    trace: Trace
    samples: tuple[dict[str, Any], ...]
    files: dict[str, Path]
    notes: tuple[str, ...]
    accuracy: dict[str, Any] | None = None


@dataclass(frozen=True)
class Prepared:
    """A model that is ready for any number of runs of the same settings of the model.

    Attributes:
        loaded: Model, adapter and tokenizer.
        quantization: Arithmetic of its linear layers; empty for its own.
    """

    loaded: LoadedModel
    quantization: str


def run(
    settings: RunSettings,
    track: Callable[[Iterable[Any], int], Iterable[Any]] = lambda items, total: items,
    prepared: Prepared | None = None,
) -> RunResult:
    """Trace every sample and write the results; nothing is written if a sample fails.

    Args:
        settings: The run.
        track: Wraps the loop over samples to show progress, given the number of samples.
        prepared: The model, where it is loaded already.

    Raises:
        FocalError: A setting, a file or the run is at fault.
    """
    done = gather(settings, track, prepared)
    result = finish(settings, done.prepared, done.method, done.traced, done.wall_time_s)
    return replace(result, notes=done.notes(result.trace))


@dataclass(frozen=True)
class Gathered:
    """The prefills of a run before anything is written.

    Attributes:
        settings: Of the run.
        prepared: The model.
        method: With the parameters in force.
        traced: One per sample.
        wall_time_s: Of all of them, loading included where the model was loaded here.
        parameter_notes: What the user should know of the parameters.
    """

    settings: RunSettings
    prepared: Prepared
    method: CompressionMethod
    traced: tuple[TracedSample, ...]
    wall_time_s: float
    parameter_notes: tuple[str, ...]

    def notes(self, trace: Trace) -> tuple[str, ...]:
        """Return the sentences that the user should read beside the trace of these prefills."""
        return (
            *self.parameter_notes,
            *unfit_notes(self.prepared.loaded, self.traced, self.settings.task),
            *self.method.study.run_notes(self.method, torch.device(self.settings.device)),
            *idle_notes(self.method, trace),
        )


def gather(
    settings: RunSettings,
    track: Callable[[Iterable[Any], int], Iterable[Any]] = lambda items, total: items,
    prepared: Prepared | None = None,
) -> Gathered:
    """Trace every sample; see `run` for arguments and errors."""
    started = time.monotonic()
    prepared = prepare(settings) if prepared is None else prepared
    method, notes = method_of(settings, prepared)
    sources = sample_sources(settings)
    traced = tuple(
        trace_sample(settings, prepared, method, source) for source in track(sources, len(sources))
    )
    return Gathered(settings, prepared, method, traced, time.monotonic() - started, tuple(notes))


def prepare(settings: RunSettings) -> Prepared:
    """Check where results will go, then load and, if asked, quantise the model of a run."""
    folder = settings.folder or trace_folder(METHODS.load(settings.method), settings.precision)
    check_output(settings.output, folder)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    place, checkpoint = pinned(settings.model, settings.revision, settings.is_offline)
    loaded = load_model(
        place,
        size=settings.size,
        seed=settings.seed,
        dtype=settings.dtype,
        attention=settings.attention,
        device=settings.device,
        is_offline=settings.is_offline,
        trust_remote_code=settings.trust_remote_code,
    )
    loaded = replace(loaded, checkpoint=checkpoint or loaded.checkpoint)
    return Prepared(loaded, quantize(loaded.model, settings.precision, settings.device))


def trace_sample(
    settings: RunSettings, prepared: Prepared, method: CompressionMethod, source: SampleSource
) -> TracedSample:
    """Run the prefill of one sample under a method and decode its answer."""
    loaded = prepared.loaded
    sample = source(loaded)
    question = sample.question or settings.question
    prompt = build_prompt(loaded, sample, question)
    recorder = Recorder(loaded.geometry, method, settings.keep_masks)
    answer = _forward(loaded, method, recorder, prompt, settings.new_tokens)
    dense_answer = None
    if settings.against_dense and hook_points(method):
        dense_answer = _forward(loaded, build_method("dense", {}), None, prompt, settings.new_tokens)
    frames = prompt.frames() if settings.keeps_frames and prompt.frames is not None else None
    return TracedSample(
        recorder.samples[-1], answer, sample.origin, question, sample.asked, dense_answer, frames
    )


def trace_of(
    settings: RunSettings, prepared: Prepared, method: CompressionMethod, traced: Sequence[TracedSample]
) -> Trace:
    """Return tier 1 of traced samples; nothing is written."""
    recorder = _recorder_of(settings, prepared, method, traced)
    return build_trace(settings, prepared.loaded, method, recorder, prepared.quantization)


def finish(
    settings: RunSettings,
    prepared: Prepared,
    method: CompressionMethod,
    traced: Sequence[TracedSample],
    wall_time_s: float,
) -> RunResult:
    """Choose the sample and write every file of a run."""
    recorder = _recorder_of(settings, prepared, method, traced)
    trace = build_trace(settings, prepared.loaded, method, recorder, prepared.quantization)
    records = facts_of(trace, traced)
    accuracy = accuracy_of(settings, prepared, method, traced, records)
    frames = tuple(one.frames for one in traced) if settings.keeps_frames else ()
    files = write_run(settings, method, trace, recorder, records, wall_time_s, frames, accuracy)
    return RunResult(trace, records, files, (), accuracy)


def facts_of(trace: Trace, traced: Sequence[TracedSample]) -> tuple[dict[str, Any], ...]:
    """Return what ``NAME.samples.json`` says of each sample: sparsity, kept tokens, answer."""
    return tuple(sample_facts(trace, index) | _facts(one) for index, one in enumerate(traced))


def accuracy_of(
    settings: RunSettings,
    prepared: Prepared,
    method: CompressionMethod,
    traced: Sequence[TracedSample],
    records: tuple[dict[str, Any], ...],
) -> dict[str, Any] | None:
    """Return the accuracy of the questions of a benchmark, see `run_accuracy`; None for other inputs.

    Args:
        settings: Of the run.
        prepared: The model.
        method: What was attached.
        traced: In the order of the questions.
        records: See `facts_of`.
    """
    if settings.task is None:
        return None
    questions = [one.asked for one in traced if one.asked is not None]
    pixels = [one.media().pixels_sha256 for one in settings.task.load()]  # in the order of the samples
    checkpoint, arithmetic = prepared.loaded.checkpoint, prepared.quantization
    return run_accuracy(settings, settings.task, method, checkpoint, arithmetic, questions, records, pixels)


def _facts(one: TracedSample) -> dict[str, Any]:
    facts = {"method": one.recorded.summary, "answer": one.answer, "origin": one.origin}
    facts |= {"question": one.question}
    if one.asked is not None:
        facts |= {"kind": one.asked.kind, "right_answer": one.asked.answer} | judged(one.asked, one.answer)
    return facts if one.dense_answer is None else facts | {"dense_answer": one.dense_answer}


def _recorder_of(
    settings: RunSettings, prepared: Prepared, method: CompressionMethod, traced: Sequence[TracedSample]
) -> Recorder:
    loaded = prepared.loaded
    recorder = Recorder(loaded.geometry, method, settings.keep_masks)
    recorder.samples.extend(one.recorded for one in traced)
    return recorder


def method_of(settings: RunSettings, prepared: Prepared) -> tuple[CompressionMethod, list[str]]:
    """Return the method with its parameters on this model, and what the user should know of them."""
    loaded = prepared.loaded
    notes: list[str] = []
    default = build_method(settings.method, {})
    published = default.study.published(loaded.adapter.family, settings.dataset_name)
    if not published and hook_points(default):
        geometry = loaded.geometry
        published = fitted_parameters(default, geometry, settings.parameters)
        left = {name: value for name, value in published.items() if name not in settings.parameters}
        moved = f", fitted to this model and its prompts: {left}" if left else ""
        if moved or not settings.parameters:
            notes.append(
                f"no published parameters of {settings.method} for ({loaded.name}, "
                f"{settings.dataset_name}); its defaults are used{moved}"
            )
    if loaded.checkpoint.startswith("random:"):
        notes.append(
            "weights are random: sparsity and speed-up describe the mechanism on real pixels, and say "
            "nothing about accuracy or about a trained model"
        )
    if prepared.quantization:
        notes.append(f"linear layers: {prepared.quantization}")
    return build_method(settings.method, published | dict(settings.parameters)), notes


def sample_sources(settings: RunSettings) -> list[SampleSource]:
    """Return one maker per sample, so that only one sample's pictures are in memory at a time."""
    if settings.task is not None:
        return [
            partial(_asked, one) for one in settings.task.load(lambda items: progress(items, "generating"))
        ]
    if not settings.videos and not settings.images:
        return [partial(_photograph, settings, index) for index in range(settings.samples)]
    videos = [partial(_video, path, settings.frames) for path in settings.videos]
    return [*videos, *(partial(_image, path) for path in settings.images)]


def _asked(one: Asked, _loaded: LoadedModel) -> MediaSample:
    return one.media()


def _photograph(settings: RunSettings, index: int, loaded: LoadedModel) -> MediaSample:
    size_pixels = loaded.adapter.sample_pixels(loaded.model)
    is_video = "video" in loaded.adapter.modalities
    clip = photograph_clip(index, settings.frames if is_video else 1, size_pixels, settings.seed)
    return clip if is_video else replace(clip, is_video=False)


def _video(path: Path, frames: int, _loaded: LoadedModel) -> MediaSample:
    return replace(read_video(path, frames), question=_question_beside(path))


def _image(path: Path, _loaded: LoadedModel) -> MediaSample:
    return replace(read_image(path), question=_question_beside(path))


def _question_beside(path: Path) -> str:
    """Return the text of ``NAME.question.txt`` beside ``NAME.mp4``; empty if there is none."""
    beside = path.with_suffix(".question.txt")
    if not beside.is_file():
        return ""
    try:
        return beside.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{beside}: cannot be read as UTF-8 text ({error})") from error


def _forward(
    loaded: LoadedModel, method: CompressionMethod, recorder: Recorder | None, prompt: Prompt, new_tokens: int
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
