"""One traced run: load, attach, loop over samples, choose the median, write."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from focal_algorithm.checkpoints.loading import LoadedModel, load_model
from focal_algorithm.hooks.recorder import Recorder
from focal_algorithm.methods import METHODS
from focal_algorithm.methods.base import CompressionMethod, hook_points
from focal_algorithm.methods.build import build_method, method_in_force
from focal_algorithm.prompts.media import MediaSample
from focal_algorithm.prompts.media.media import photograph_clip
from focal_algorithm.prompts.media.reading import read_image, read_video
from focal_algorithm.tasks.asking import Asked
from focal_algorithm.tracing.accuracy import idle_notes, judged, run_accuracy, unfit_notes
from focal_algorithm.tracing.output import build_trace, check_output, sample_facts, trace_folder, write_run
from focal_algorithm.tracing.prompting import TracedSample, answer_of, build_prompt
from focal_algorithm.tracing.settings import RunSettings
from focal_common.console import track as progress
from focal_common.errors import ConfigError
from focal_traces.counts.trace import Trace

__all__ = [
    "Gathered",
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
        accuracy: Accuracy of the questions of a benchmark, see `run_accuracy`; None for other inputs.
    """

    trace: Trace
    samples: tuple[dict[str, Any], ...]
    files: dict[str, Path]
    notes: tuple[str, ...]
    accuracy: dict[str, Any] | None = None


def run(
    settings: RunSettings,
    track: Callable[[Iterable[Any], int], Iterable[Any]] = lambda items, total: items,
    loaded: LoadedModel | None = None,
) -> RunResult:
    """Trace every sample and write the results; nothing is written if a sample fails.

    Args:
        settings: The run.
        track: Wraps the loop over samples to show progress, given the number of samples.
        loaded: The model, where it is loaded already.

    Raises:
        FocalError: A setting, a file or the run is at fault.
    """
    done = gather(settings, track, loaded)
    result = finish(settings, done.loaded, done.method, done.traced, done.wall_time_s)
    return replace(result, notes=done.notes(result.trace))


@dataclass(frozen=True)
class Gathered:
    """The prefills of a run before anything is written.

    Attributes:
        settings: Settings of the run.
        loaded: The model.
        method: With the parameters in force.
        traced: One per sample.
        wall_time_s: Wall time of all of them, loading included where the model was loaded here.
        parameter_notes: What the user should know of the parameters.
    """

    settings: RunSettings
    loaded: LoadedModel
    method: CompressionMethod
    traced: tuple[TracedSample, ...]
    wall_time_s: float
    parameter_notes: tuple[str, ...]

    def notes(self, trace: Trace) -> tuple[str, ...]:
        """Return the sentences that the user should read beside the trace of these prefills."""
        return (
            *self.parameter_notes,
            *(note for one in self.traced for note in one.notes),
            *unfit_notes(self.loaded, self.traced, self.settings.task),
            *self.method.study.run_notes(self.method, torch.device(self.settings.device)),
            *idle_notes(self.method, trace),
        )


def gather(
    settings: RunSettings,
    track: Callable[[Iterable[Any], int], Iterable[Any]] = lambda items, total: items,
    loaded: LoadedModel | None = None,
) -> Gathered:
    """Trace every sample; see `run` for arguments and errors."""
    started = time.monotonic()
    loaded = prepare(settings) if loaded is None else loaded
    method, notes = method_of(settings, loaded)
    sources = sample_sources(settings)
    traced = tuple(trace_sample(settings, loaded, method, source) for source in track(sources, len(sources)))
    return Gathered(settings, loaded, method, traced, time.monotonic() - started, tuple(notes))


def prepare(settings: RunSettings) -> LoadedModel:
    """Check where results will go, then load and, if asked, quantise the model of a run."""
    folder = settings.folder or trace_folder(METHODS.load(settings.method), settings.precision)
    check_output(settings.output, folder)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    return load_model(
        settings.model,
        size=settings.size,
        seed=settings.seed,
        dtype=settings.dtype,
        attention=settings.attention,
        device=settings.device,
        is_offline=settings.is_offline,
        trust_remote_code=settings.trust_remote_code,
        revision=settings.revision,
        precision=settings.precision,
    )


def trace_sample(
    settings: RunSettings, loaded: LoadedModel, method: CompressionMethod, source: SampleSource
) -> TracedSample:
    """Run the prefill of one sample under a method and decode its answer."""
    sample = source(loaded)
    question = sample.question or settings.question
    prompt = build_prompt(loaded, sample, question)
    recorder = Recorder(loaded.geometry, method, settings.keep_masks)
    answer = answer_of(loaded, method, recorder, prompt, settings.new_tokens)
    dense_answer = None
    if settings.against_dense and hook_points(method):
        dense_answer = answer_of(loaded, build_method("dense", {}), None, prompt, settings.new_tokens)
    frames = prompt.frames() if settings.keeps_frames and prompt.frames is not None else None
    if frames is not None and sample.notes:
        frames = replace(frames, note="; ".join(filter(None, (frames.note, *sample.notes))))
    return TracedSample(
        recorder.samples[-1],
        answer,
        sample.origin,
        question,
        sample.asked,
        dense_answer,
        frames,
        sample.notes,
    )


def trace_of(
    settings: RunSettings, loaded: LoadedModel, method: CompressionMethod, traced: Sequence[TracedSample]
) -> Trace:
    """Return tier 1 of traced samples; nothing is written."""
    return build_trace(settings, loaded, method, [one.recorded for one in traced])


def finish(
    settings: RunSettings,
    loaded: LoadedModel,
    method: CompressionMethod,
    traced: Sequence[TracedSample],
    wall_time_s: float,
) -> RunResult:
    """Choose the sample and write every file of a run."""
    trace = trace_of(settings, loaded, method, traced)
    records = facts_of(trace, traced)
    accuracy = accuracy_of(settings, loaded, method, traced, records)
    files = write_run(settings, method, trace, traced, records, wall_time_s, accuracy)
    return RunResult(trace, records, files, (), accuracy)


def facts_of(trace: Trace, traced: Sequence[TracedSample]) -> tuple[dict[str, Any], ...]:
    """Return what ``NAME.samples.json`` says of each sample: sparsity, kept tokens, answer."""
    return tuple(sample_facts(trace, index) | _facts(one) for index, one in enumerate(traced))


def accuracy_of(
    settings: RunSettings,
    loaded: LoadedModel,
    method: CompressionMethod,
    traced: Sequence[TracedSample],
    records: tuple[dict[str, Any], ...],
) -> dict[str, Any] | None:
    """Return the accuracy of the questions of a benchmark, see `run_accuracy`; None for other inputs.

    Args:
        settings: Settings of the run.
        loaded: The model.
        method: What was attached.
        traced: In the order of the questions.
        records: See `facts_of`.
    """
    if settings.task is None:
        return None
    questions = [one.asked for one in traced if one.asked is not None]
    pixels = [one.media().pixels_sha256 for one in settings.task.load()]  # in the order of the samples
    return run_accuracy(settings, settings.task, method, loaded, questions, records, pixels)


def _facts(one: TracedSample) -> dict[str, Any]:
    facts = {"method": one.recorded.summary, "answer": one.answer, "origin": one.origin}
    facts |= {"question": one.question} | ({"notes": list(one.notes)} if one.notes else {})
    if one.asked is not None:
        facts |= {"kind": one.asked.kind, "right_answer": one.asked.answer} | judged(one.asked, one.answer)
    return facts if one.dense_answer is None else facts | {"dense_answer": one.dense_answer}


def method_of(settings: RunSettings, loaded: LoadedModel) -> tuple[CompressionMethod, list[str]]:
    """Return the method with its parameters on this model, and what the user should know of them."""
    notes: list[str] = []
    own = settings.parameters
    method, fitted = method_in_force(
        settings.method, own, loaded.adapter.family, loaded.geometry, settings.dataset_name
    )
    if fitted is not None:
        left = {name: value for name, value in fitted.items() if name not in own}
        moved = f", fitted to this model and its prompts: {left}" if left else ""
        if moved or not own:
            notes.append(
                f"no published parameters of {settings.method} for ({loaded.name}, "
                f"{settings.dataset_name}); its defaults are used{moved}"
            )
    if loaded.checkpoint.startswith("random:"):
        notes.append(
            "weights are random: sparsity and speed-up describe the mechanism on real pixels, and say "
            "nothing about accuracy or about a trained model"
        )
    if loaded.quantization:
        notes.append(f"linear layers: {loaded.quantization}")
    return method, notes


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
