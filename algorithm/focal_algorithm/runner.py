"""One traced run: load, attach, loop over samples, choose the median, write."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
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
from focal_algorithm.quantization import quantize
from focal_algorithm.recorder import Recorder
from focal_algorithm.run_output import build_trace, sample_facts, write_run
from focal_algorithm.run_settings import RunSettings
from focal_common.errors import RunError
from focal_traces.counts import Trace

__all__ = ["RunResult", "RunSettings", "run"]


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
        trust_remote_code=settings.trust_remote_code,
    )
    method, notes = _method(settings, loaded)
    notes += method.run_notes(torch.device(settings.device))
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
    notes += _idle(method, recorder)
    trace = build_trace(settings, loaded, method, recorder, quantization)
    records = tuple(
        sample_facts(trace, index)
        | {"method": sample.summary, "answer": answers[index], "origin": origins[index]}
        for index, sample in enumerate(recorder.samples)
    )
    files = write_run(settings, method, trace, recorder, records, time.monotonic() - started)
    return RunResult(trace, records, files, tuple(notes))


def _method(settings: RunSettings, loaded: LoadedModel) -> tuple[CompressionMethod, list[str]]:
    notes: list[str] = []
    default = build_method(settings.method, {})
    published = default.published(loaded.adapter.published_name, settings.dataset_name)
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


def _idle(method: CompressionMethod, recorder: Recorder) -> list[str]:
    """Say where a method had nothing to do, so that a dense trace is not taken for a compressed one."""
    headers = [sample.header for sample in recorder.samples]
    notes = [
        f"{one.sample_id}: the prompt holds no visual token, so {method.name} passed it through"
        for one in headers
        if not one.visual_tokens
    ]
    if method.hook_points and all(one.weighted_sparsity == 0 for one in headers):
        notes.append(
            f"{method.name} left out nothing in any prompt: its budget or threshold is not reached by these few "
            "tokens; the trace is that of the dense model"
        )
    return notes


def _sources(settings: RunSettings) -> list[Callable[[LoadedModel], MediaSample]]:
    """Return one maker per sample, so that only one sample's pictures are in memory at a time."""
    if not settings.videos and not settings.images:
        return [partial(_photograph, settings, index) for index in range(settings.samples)]
    videos = [partial(_video, path, settings.frames) for path in settings.videos]
    return [*videos, *(partial(_image, path) for path in settings.images)]


def _photograph(settings: RunSettings, index: int, loaded: LoadedModel) -> MediaSample:
    size_pixels = loaded.adapter.sample_pixels(loaded.model)
    is_video = "video" in loaded.adapter.modalities
    clip = photograph_clip(index, settings.frames if is_video else 1, size_pixels, settings.seed)
    return clip if is_video else replace(clip, is_video=False)


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
