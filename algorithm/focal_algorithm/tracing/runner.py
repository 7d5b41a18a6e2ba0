"""One traced run: load, attach, loop over samples, choose the median, write."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from focal_algorithm.checkpoints.loading import LoadedModel, load_model
from focal_algorithm.hooks.placement import input_device
from focal_algorithm.hooks.recorder import Recorder
from focal_algorithm.methods import METHODS
from focal_algorithm.methods.base import CompressionMethod, hook_points
from focal_algorithm.methods.build import build_method, method_in_force
from focal_algorithm.prompts.media import MediaSample
from focal_algorithm.prompts.media.media import photograph_clip
from focal_algorithm.prompts.media.reading import read_image, read_video
from focal_algorithm.tasks.asking import Asked
from focal_algorithm.tracing.accuracy import (
    foreign_notes_of,
    idle_notes,
    judged,
    run_accuracy,
    unfit_notes,
    unknown_words_notes,
)
from focal_algorithm.tracing.identity import run_identity, settings_in_force
from focal_algorithm.tracing.journal import FinishedSample, SampleJournal, joined_trace
from focal_algorithm.tracing.output import (
    build_trace,
    check_output,
    recorded_trace,
    sample_facts,
    trace_folder,
    with_chosen_sample,
    write_run,
)
from focal_algorithm.tracing.prompting import TracedSample, answer_of, build_prompt
from focal_algorithm.tracing.settings import RunSettings
from focal_common.console import track as progress
from focal_common.errors import ConfigError
from focal_common.provenance import content_hash
from focal_common.spreading.claims import JOURNAL, claimed, drop_journal, finishing, open_journal
from focal_common.spreading.shards import Shard
from focal_traces.counts.trace import Trace
from focal_traces.header.schema import TraceHeader

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


@dataclass(frozen=True)
class Unfinished:
    """A run that waits for samples of other shards.

    Attributes:
        journal: Where its samples lie.
        done: Samples that are finished.
        total: Samples of the run.
    """

    journal: Path
    done: int
    total: int


Track = Callable[[Iterable[Any], int], Iterable[Any]]


def run(
    settings: RunSettings,
    track: Track = lambda items, total: items,
    loaded: LoadedModel | None = None,
    note: Callable[[str], Any] = lambda sentence: None,
) -> RunResult:
    """Trace every sample that is not finished yet, and write the results in one step; see `run_shard`."""
    result = run_shard(settings, None, track, loaded, note)
    assert isinstance(result, RunResult)  # noqa: S101  (no shard: every sample is its own)
    return result


def run_shard(
    settings: RunSettings,
    shard: Shard | None,
    track: Track = lambda items, total: items,
    loaded: LoadedModel | None = None,
    note: Callable[[str], Any] = lambda sentence: None,
    is_finished_here: bool = True,
) -> RunResult | Unfinished:
    """Trace the samples of a shard, each kept as soon as it is finished; the last shard writes the results.

    Samples of an interrupted run are not traced again, and the bytes are those of an undisturbed one.

    Args:
        settings: The run.
        shard: Part of it; None for all.
        track: Wraps the loop over samples to show progress, given the number of samples.
        loaded: The model, where it is loaded already; it is loaded when a sample needs it.
        note: Told what the user should know at once.
        is_finished_here: Whether the last shard writes the results; else that is left to a run without a shard.

    Raises:
        FocalError: A setting, a file or the run is at fault; finished samples are kept.
    """
    check_run(settings)
    folder = journal_folder(settings)
    with claimed(folder, shard):
        sources = sample_sources(settings)
        journal = SampleJournal(folder)
        open_journal(folder, run_identity(settings), shard is not None, note, units=len(sources))
        own = [index for index in range(len(sources)) if shard is None or shard.holds(index)]
        finished = journal.finished()
        missing = [index for index in own if index not in finished]
        if missing:
            trace_missing(
                settings, journal, sources, track(missing, len(missing)), loaded or partial(prepare, settings)
            )
        with finishing(folder):
            finished = journal.finished()
            if not folder.exists():  # another shard has just written the results
                return Unfinished(folder, len(sources), len(sources))
            if len(finished) < len(sources) or not is_finished_here:
                return Unfinished(folder, len(finished), len(sources))
            result = finish_journaled(settings, journal, len(sources))
            drop_journal(folder)
    return result


def begin_run(settings: RunSettings, note: Callable[[str], Any]) -> None:
    """Refuse what would stop a run before workers start; forget samples of other weights or another version."""
    check_run(settings)
    folder = journal_folder(settings)
    with claimed(folder):
        if folder.is_dir():
            open_journal(folder, run_identity(settings), False, note)


def work_shard(settings: RunSettings, shard: Shard) -> None:
    """Do what a worker does of a run: trace the samples of a shard and keep them."""
    run_shard(settings, shard, is_finished_here=False)


def journal_folder(settings: RunSettings) -> Path:
    """Return where finished samples of a run are kept until it is done; other settings, another folder."""
    return settings.output / JOURNAL / f"trace-{content_hash(settings_in_force(settings))[:16]}"


def check_run(settings: RunSettings) -> None:
    """Refuse, before a model is loaded, an output that the run could not be written to; see `check_output`."""
    folder = settings.folder or trace_folder(METHODS.load(settings.method), settings.precision)
    check_output(settings.output, folder)


def trace_missing(
    settings: RunSettings,
    journal: SampleJournal,
    sources: Sequence[SampleSource],
    indices: Iterable[int],
    load: LoadedModel | Callable[[], LoadedModel],
    facts: Callable[[int, Trace, TracedSample], dict[str, Any]] = lambda index, alone, traced: {},
) -> None:
    """Trace some samples of a run and keep each.

    Args:
        settings: The run.
        journal: Where they are kept.
        sources: Of all samples.
        indices: Which are traced.
        load: The model, or what loads it.
        facts: Further JSON-like facts of a sample, given its number and what it gave.
    """
    loaded = load() if callable(load) else load
    method, notes = method_of(settings, loaded)
    notes += method.study.run_notes(method, input_device(loaded.model))
    single = replace(settings, chosen_sample=None, samples=1, task=None)
    for index in indices:
        started = time.monotonic()
        traced = trace_sample(settings, loaded, method, sources[index])
        alone = recorded_trace(loaded, method, [traced.recorded], settings.dataset_name, single.seed)
        said = (*notes, *traced.notes, *foreign_notes_of(loaded, settings.task))
        words = tuple(loaded.tokenizer.unknown_words(traced.question))
        kept = FinishedSample(alone, traced, time.monotonic() - started, said, words)
        journal.save(index, kept, facts(index, alone, traced))


def finish_journaled(settings: RunSettings, journal: SampleJournal, samples: int) -> RunResult:
    """Put a whole run together from its journal and write it; needs no model.

    Args:
        settings: The run.
        journal: With all of its samples.
        samples: How many.
    """
    everything = [journal.load(index) for index in range(samples)]
    joined = joined_trace([one.alone for one in everything])
    method = build_method(joined.header.method, joined.header.parameters)
    trace = with_chosen_sample(settings, method, joined)
    traced = [one.traced for one in everything]
    result = finish(settings, method, trace, traced, math.fsum(one.seconds for one in everything))
    words = dict.fromkeys(word for one in everything for word in one.unknown_words)
    notes = dict.fromkeys(note for one in everything for note in one.notes)
    return replace(
        result, notes=(*notes, *unknown_words_notes(trace.header.model, words), *idle_notes(method, trace))
    )


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
            *self.method.study.run_notes(self.method, input_device(self.loaded.model)),
            *idle_notes(self.method, trace),
        )


def gather(
    settings: RunSettings, track: Track = lambda items, total: items, loaded: LoadedModel | None = None
) -> Gathered:
    """Trace every sample in memory; nothing is written, or kept if one fails. See `run_shard` for arguments."""
    started = time.monotonic()
    loaded = prepare(settings) if loaded is None else loaded
    method, notes = method_of(settings, loaded)
    sources = sample_sources(settings)
    traced = tuple(trace_sample(settings, loaded, method, source) for source in track(sources, len(sources)))
    return Gathered(settings, loaded, method, traced, time.monotonic() - started, tuple(notes))


def prepare(settings: RunSettings) -> LoadedModel:
    """Check where results will go, then load and, if asked, quantise the model of a run."""
    check_run(settings)
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


def finish_gathered(done: Gathered, output: Path | None = None) -> RunResult:
    """Choose the sample and write every file of a run that is in memory, into another trace root if one is named."""
    settings = done.settings if output is None else replace(done.settings, output=output)
    trace = trace_of(settings, done.loaded, done.method, done.traced)
    return finish(settings, done.method, trace, done.traced, done.wall_time_s)


def finish(
    settings: RunSettings,
    method: CompressionMethod,
    trace: Trace,
    traced: Sequence[TracedSample],
    wall_time_s: float,
    beside: Mapping[str, str] | None = None,
) -> RunResult:
    """Write every file of a run, given its trace with the sample chosen.

    Args:
        settings: Settings of the run.
        method: What was attached.
        trace: Of all samples.
        traced: The samples.
        wall_time_s: Of all prefills, for the manifest.
        beside: Texts of further files at the top of the trace root, by name.
    """
    records = facts_of(trace, traced)
    accuracy = accuracy_of(settings, trace.header, method, traced, records)
    files = write_run(settings, method, trace, traced, records, wall_time_s, accuracy, beside)
    return RunResult(trace, records, files, (), accuracy)


def facts_of(trace: Trace, traced: Sequence[TracedSample]) -> tuple[dict[str, Any], ...]:
    """Return what ``NAME.samples.json`` says of each sample: sparsity, kept tokens, answer."""
    return tuple(sample_facts(trace, index) | _facts(one) for index, one in enumerate(traced))


def accuracy_of(
    settings: RunSettings,
    header: TraceHeader,
    method: CompressionMethod,
    traced: Sequence[TracedSample],
    records: tuple[dict[str, Any], ...],
) -> dict[str, Any] | None:
    """Return the accuracy of the questions of a benchmark, see `run_accuracy`; None for other inputs.

    Args:
        settings: Settings of the run.
        header: Of the trace: which weights ran, and in which arithmetic.
        method: What was attached.
        traced: In the order of the questions.
        records: See `facts_of`.
    """
    if settings.task is None:
        return None
    questions = [one.asked for one in traced if one.asked is not None]
    pixels = [one.media().pixels_sha256 for one in settings.task.load()]  # in the order of the samples
    return run_accuracy(settings, settings.task, method, header, questions, records, pixels)


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
