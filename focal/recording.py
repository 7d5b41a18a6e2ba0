"""From recorded prefills to a trace: of a user's own loop, or of a whole run as ``focal trace`` does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from focal.environment import require_runnable
from focal.loading import NOWHERE
from focal.traces import Trace
from focal_algorithm.checkpoints.loading import LoadedModel
from focal_algorithm.hooks.recorder import RecordedSample
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.models import check_model_name, random_size
from focal_algorithm.tasks.asking import asked_task
from focal_algorithm.tracing.output import (
    beside_main_run,
    recorded_trace,
    sample_facts,
    trace_folder,
    write_method_tables,
    write_recorded,
)
from focal_algorithm.tracing.runner import Gathered, accuracy_of, facts_of, finish_gathered, gather
from focal_algorithm.tracing.settings import RunSettings
from focal_common.errors import ConfigError
from focal_traces.counts.trace import Trace as Counts
from focal_traces.frames.frames import FramesTrace, SampleFrames
from focal_traces.masks.masks import MaskTrace
from focal_traces.records.records import RecordTrace

__all__ = ["Recording", "trace"]


@dataclass(frozen=True)
class Recording:
    """Recorded prefills of a user's own loop, from which a trace is made.

    Attributes:
        loaded: The model.
        method: What was attached.
        samples: In order, with their names.
        pictures: Of each sample; empty where none were kept.
        dataset: Name under which results are filed.
        seed: Of the model's weights; None where unknown.
        keep_masks: Whether the samples hold masks.
    """

    loaded: LoadedModel
    method: CompressionMethod
    samples: tuple[RecordedSample, ...]
    pictures: tuple[SampleFrames | None, ...]
    dataset: str
    seed: int | None
    keep_masks: bool

    def trace(self) -> Trace:
        """Return the trace, which then holds the model no longer."""
        counts = recorded_trace(self.loaded, self.method, self.samples, self.dataset, self.seed)
        header = counts.header
        folder = trace_folder(self.method, self.loaded.quantization.partition(":")[0] or "float")
        method, samples, pictures = self.method, self.samples, self.pictures
        # Masks name representatives by places of one grid.
        keep_masks = self.keep_masks and not any(one.header.pictures for one in samples)
        masks = tuple(one.masks for one in samples if one.masks is not None)
        return Trace(
            counts,
            folder,
            MaskTrace(header, masks) if keep_masks else None,
            RecordTrace(header, tuple(one.records for one in samples)),
            FramesTrace(header, pictures) if pictures else None,
            answers=[{"method": one.summary} for one in samples],
            write=lambda root: _write_recording(root / folder, counts, method, samples, pictures, keep_masks),
            write_tables=lambda root: write_method_tables(root, header, method, samples),
        )


def _write_recording(
    folder: Path,
    counts: Counts,
    method: CompressionMethod,
    samples: tuple[RecordedSample, ...],
    pictures: tuple[SampleFrames | None, ...],
    keep_masks: bool,
) -> None:

    counts = beside_main_run(counts, folder.parent, folder.name)
    header = counts.header
    stem = folder / f"{header.model}_{header.dataset}"
    facts = [sample_facts(counts, index) | {"method": one.summary} for index, one in enumerate(samples)]
    owner = method if folder.name == trace_folder(method, "float") else None
    settings = {
        "made_with": "focal.compress",
        "model": header.model,
        "checkpoint": header.checkpoint,
        "method": header.method,
        "parameters": header.parameters,
        "dataset": header.dataset,
        "samples": [one.sample_id for one in header.samples],
    }
    write_recorded(
        stem,
        counts,
        samples,
        owner,
        facts,
        settings,
        shown=pictures,
        keep_masks=keep_masks,
        seed=header.seed,
    )


def trace(
    model: str = "llava_onevision",
    method: str = "focus",
    *,
    videos: Sequence[str | Path] = (),
    images: Sequence[str | Path] = (),
    task: str = "",
    questions: int | None = None,
    split: str = "test",
    task_seed: int = 0,
    samples: int | None = None,
    frames: int = 16,
    question: str = "What happens in this video?",
    new_tokens: int | None = None,
    against_dense: bool = False,
    dataset: str | None = None,
    size: str | None = None,
    seed: int = 0,
    dtype: str = "fp32",
    precision: str = "float",
    device: str = "cpu",
    attention: str = "sdpa",
    keep_masks: bool = True,
    keep_frames: bool | None = None,
    is_offline: bool = True,
    trust_remote_code: bool = False,
    **parameters: Any,
) -> Trace:
    """Run a model with a method on pictures and return the trace, as ``focal trace`` does; nothing is written.

    Args:
        model: See `focal.load_model`.
        method: One of `focal.methods`.
        videos: Video files.
        images: Image files.
        task: Benchmark whose questions are asked, such as ``shapes-video``; photographs without any of the three.
        questions: Of the task; if None, 24 without ``samples``, else all.
        split: Of the task: ``train``, ``val`` or ``test``.
        task_seed: Of the data of the task.
        samples: Photograph clips (3), or samples of the task (half as many as questions).
        frames: Most frames per video.
        question: Text after files and photographs.
        new_tokens: Tokens to generate after the prefill; 2, or 4 with a task.
        against_dense: Whether the untouched model answers the questions of the task too.
        dataset: Name under which results are filed.
        size: Of a random model: ``small``, if None, or ``tiny``.
        seed: Of random weights and camera paths.
        dtype: ``fp32``, ``bf16`` or ``fp16``.
        precision: ``float``, ``int8`` or ``nf4``.
        device: torch device, or ``auto`` to spread a checkpoint over several.
        attention: ``sdpa``, ``eager`` or ``flash_attention_2``.
        keep_masks: Whether to keep which vectors were left out, beside their counts.
        keep_frames: Whether to keep pictures; None for up to 8 samples.
        is_offline: Whether only local files may be used.
        trust_remote_code: Whether Python code that a checkpoint brings may run.
        **parameters: Hyper-parameters of the method.

    Raises:
        FocalError: A setting, a file or the run is at fault; one sentence.
    """
    check_model_name(model)
    require_runnable()
    asked = None
    if task:
        asked = asked_task(task, questions, samples, split, task_seed, frames)
        if new_tokens == 0:
            raise ConfigError("new_tokens must be at least 1 where questions are to be answered, got 0")
    settings = RunSettings(
        output=NOWHERE,
        model=model,
        size=random_size(model, size),
        method=method,
        parameters=parameters,
        dataset=dataset,
        videos=tuple(map(Path, videos)),
        images=tuple(map(Path, images)),
        samples=3 if samples is None or asked is not None else samples,
        frames=frames,
        question=question,
        new_tokens=new_tokens if new_tokens is not None else 2 if asked is None else asked.answer_tokens,
        seed=seed,
        dtype=dtype,
        precision=precision,
        device=device,
        attention=attention,
        keep_masks=keep_masks,
        keep_frames=keep_frames,
        is_offline=is_offline,
        trust_remote_code=trust_remote_code,
        task=asked,
        against_dense=against_dense,
    )
    return _of_run(gather(settings))


def _of_run(done: Gathered) -> Trace:
    """Return the trace of a finished run; it holds the model until it is let go."""
    settings, method = done.settings, done.method
    recording = Recording(
        loaded=done.loaded,
        method=method,
        samples=tuple(one.recorded for one in done.traced),
        pictures=tuple(one.frames for one in done.traced) if settings.keeps_frames else (),
        dataset=settings.dataset_name,
        seed=settings.seed,
        keep_masks=settings.keep_masks,
    )
    made = recording.trace()
    facts = facts_of(made.counts, done.traced)
    accuracy = accuracy_of(settings, made.header, method, done.traced, facts)

    return Trace(
        made.counts,
        made.variant,
        made.masks,
        made.records,
        made.frames,
        accuracy=accuracy,
        answers=facts,
        notes=done.notes(made.counts),
        write=lambda root: finish_gathered(done, root),
        write_tables=made._write_tables,
    )
