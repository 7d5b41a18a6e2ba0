"""A recorded trace as one object: it saves, shows and tabulates itself."""

from __future__ import annotations

import html
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from focal_common.errors import ConfigError, TraceError, UnsupportedError
from focal_traces.counts.file import COUNTS_SUFFIX, write_counts
from focal_traces.counts.trace import Trace as Counts
from focal_traces.files.store import check_readable, read_any
from focal_traces.frames.file import FRAMES_SUFFIX, read_frames, write_frames
from focal_traces.frames.frames import FramesTrace
from focal_traces.header.schema import TraceHeader
from focal_traces.masks.file import MASKS_SUFFIX, write_masks
from focal_traces.masks.masks import MaskTrace, trace_from_masks
from focal_traces.records.file import RECORDS_SUFFIX, read_records, write_records
from focal_traces.records.records import RecordTrace
from focal_traces.root.context import find_context
from focal_traces.root.root import TraceRoot
from focal_traces.root.tables import Workload
from focal_traces.root.upsert import upsert_workload
from focal_traces.work.ledger import ledger

if TYPE_CHECKING:
    import pandas as pd

    from focal.overlay import Overlay
    from focal_algorithm.checkpoints.loading import LoadedModel
    from focal_algorithm.hooks.recorder import RecordedSample
    from focal_algorithm.methods.base import CompressionMethod
    from focal_traces.frames.frames import SampleFrames

__all__ = ["Recording", "Trace", "trace"]

_SUFFIXES = (COUNTS_SUFFIX, MASKS_SUFFIX, RECORDS_SUFFIX, FRAMES_SUFFIX, ".pth")

_COLUMNS = {
    "equivalent_tokens": "equivalent_tokens",
    "present_tokens": "present_tokens",
    "prefill_linear_macs": "linear_macs",
    "prefill_attention_macs": "attention_macs",
}
"""Lines of the ledger by their column in `Trace.frame`."""


class Trace:
    """Which tokens and vectors of some prefills remained under a method, layer by layer.

    Attributes:
        header: What was run: model, method with its parameters, layout of each sample, versions.
        counts: Vectors of every tile of every GEMM input.
        masks: Which vectors they are; None where they were not kept.
        records: Token counts and merge maps of every layer; None where a trace was read without them.
        frames: Pictures as the model saw them; None where none were kept.
        accuracy: Of the questions of a benchmark, as ``NAME.accuracy.json`` holds it; None for other inputs.
        answers: What is known of each sample beside its counts, such as the answer; JSON-like.
        notes: Sentences that a reader should know.
        variant: Name of the trace folder, such as ``focus_main``.
    """

    def __init__(
        self,
        counts: Counts,
        variant: str,
        masks: MaskTrace | None = None,
        records: RecordTrace | None = None,
        frames: FramesTrace | None = None,
        *,
        accuracy: Mapping[str, Any] | None = None,
        answers: Sequence[Mapping[str, Any]] = (),
        notes: Sequence[str] = (),
        write: Callable[[Path], Any] | None = None,
        write_tables: Callable[[Path], Any] | None = None,
    ) -> None:
        self.counts, self.variant = counts, variant
        self.masks, self.records, self.frames = masks, records, frames
        self.accuracy, self.answers = accuracy, tuple(answers)
        self.notes = tuple(dict.fromkeys(notes))
        self._write, self._write_tables = write, write_tables

    @property
    def header(self) -> TraceHeader:
        """What was run."""
        return self.counts.header

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.counts.samples)

    @classmethod
    def open(cls, path: str | Path) -> Trace:
        """Read a trace by any of its files, with masks, records and frames that lie beside it.

        Args:
            path: ``NAME.counts.parquet``, ``NAME.masks.pth``, a published ``.pth``, or another file of the trace.

        Raises:
            TraceError: Missing, damaged, from a newer Focal, or inconsistent.
        """
        given = Path(path)
        check_readable(given)
        suffix = next((one for one in _SUFFIXES if given.name.endswith(one)), given.suffix)
        beside = {one: given.with_name(given.name.removesuffix(suffix) + one) for one in _SUFFIXES}
        if suffix in (RECORDS_SUFFIX, FRAMES_SUFFIX):
            given = next(
                (beside[one] for one in (COUNTS_SUFFIX, MASKS_SUFFIX) if beside[one].is_file()), given
            )
        _, found = read_any(given, find_context(given))
        counts = found if isinstance(found, Counts) else trace_from_masks(found)
        masks = found if isinstance(found, MaskTrace) else None
        notes = []
        if masks is None and beside[MASKS_SUFFIX].is_file():
            try:
                other = read_any(beside[MASKS_SUFFIX])[1]
                masks = other if isinstance(other, MaskTrace) and other.header == counts.header else None
            except UnsupportedError as refusal:  # masks need torch
                notes.append(f"masks were not read: {refusal}")
        records = read_records(beside[RECORDS_SUFFIX]) if beside[RECORDS_SUFFIX].is_file() else None
        frames = read_frames(beside[FRAMES_SUFFIX]) if beside[FRAMES_SUFFIX].is_file() else None
        return cls(counts, given.resolve().parent.name, masks, records, frames, notes=notes)

    def with_notes(self, notes: Sequence[str]) -> Trace:
        """Return the same trace with further notes."""
        return Trace(
            self.counts,
            self.variant,
            self.masks,
            self.records,
            self.frames,
            accuracy=self.accuracy,
            answers=self.answers,
            notes=(*self.notes, *notes),
            write=self._write,
            write_tables=self._write_tables,
        )

    def save(self, folder: str | Path) -> Path:
        """Write the trace into a trace root, which ``focal sim``, ``focal show`` and `focal.simulate` take.

        Files are those of ``focal trace``: counts, masks, records, frames, the rows of the root's tables, and a
        manifest that says how the run was made.

        Args:
            folder: Trace root; made if absent. Other workloads in it stay.

        Returns:
            The root.

        Raises:
            RunError: It cannot be written; earlier files are untouched.
            TraceError: A table in it is damaged.
        """
        root = Path(folder)
        if self._write is not None:
            self._write(root)
        else:
            self._copy(root)
        return root

    def _copy(self, root: Path) -> None:
        header = self.header
        stem = root / self.variant / f"{header.model}_{header.dataset}"
        write_counts(self.counts, stem.with_name(stem.name + COUNTS_SUFFIX))
        if self.masks is not None:
            write_masks(self.masks, stem.with_name(stem.name + MASKS_SUFFIX))
        if self.records is not None:
            write_records(self.records, stem.with_name(stem.name + RECORDS_SUFFIX))
        if self.frames is not None:
            write_frames(self.frames, stem.with_name(stem.name + FRAMES_SUFFIX))
        sample = header.samples[self.counts.chosen_sample()]
        frames = sample.grid.frames if sample.grid is not None else 1
        tokens = sample.visual_tokens
        if tokens:
            row = Workload(
                header.model, header.dataset, tokens, frames, tokens // frames, header.median_index
            )
            upsert_workload(root, row)

    @contextmanager
    def root(self) -> Iterator[TraceRoot]:
        """Yield the trace as a root in memory, with the tables that its method adds."""
        if self._write_tables is None:
            yield TraceRoot.of(self.counts)
            return
        with tempfile.TemporaryDirectory(prefix="focal_") as folder:
            self._write_tables(Path(folder))
            yield TraceRoot.of(self.counts, Path(folder))

    def show(
        self,
        sample: int | str | None = None,
        layer: int | None = None,
        *,
        against: Trace | None = None,
        shade: bool = True,
    ) -> Overlay:
        """Draw what the method kept, merged and dropped on the pictures the model saw.

        Args:
            sample: Number or id; the one of median sparsity if None.
            layer: Decoder layer shown first; the last if None.
            against: Another trace of the same inputs: draw which tokens only one of the two keeps.
            shade: Whether to shade tokens by the share of their vectors that were merged.

        Returns:
            A drawing that a notebook displays, and that saves itself as PNG, GIF, MP4 or HTML.

        Raises:
            TraceError: The trace keeps no pictures, or says nothing about single tokens.
            ConfigError: No such sample or layer, or the two traces have unequal inputs.
        """
        from focal.overlay import Overlay
        from focal_evaluation.overlays.loading import without_shares
        from focal_evaluation.overlays.scene import difference_scene, fate_scene

        first = self._shown("" if sample is None else str(sample))
        first = first if shade else without_shares(first)
        second = None if against is None else against._shown(first.sample_id)
        scene = fate_scene(first) if second is None else difference_scene(first, second)
        return Overlay(scene, scene.check_layer(layer), layer is not None)

    def _shown(self, sample: str) -> Any:
        from focal_evaluation.overlays.loading import sample_in_memory, sample_index

        if self.frames is None:
            why = next(
                (note for note in self.notes if note.startswith("no pictures kept")),
                "it was read without them",
            )
            raise TraceError(f"this trace has no pictures to draw on ({why})")
        if self.records is None:
            raise TraceError(
                "this trace holds no records, which say what became of each token; record it again"
            )
        index = sample_index(self.header, sample)
        return sample_in_memory(self.header, index, self.records.samples[index], self.masks, self.frames)

    def frame(self) -> pd.DataFrame:
        """Return one row per sample.

        Returns:
            ``sample_id``, ``sequence_tokens``, ``visual_tokens``, ``equivalent_tokens`` (layer mean of the work at
            linear layers, in whole tokens), ``present_tokens`` (layer mean), ``vector_sparsity`` (share of vectors
            left out, weighted by work), ``linear_macs`` and ``attention_macs`` of the decoder's prefill, and
            ``is_chosen`` for the sample that simulations take.
        """
        import pandas as pd

        rows = []
        for index, sample in enumerate(self.header.samples):
            lines = {entry.name: entry.value for entry in ledger(self.counts, index).entries}
            row: dict[str, Any] = {
                "sample_id": sample.sample_id,
                "sequence_tokens": sample.sequence_tokens,
                "visual_tokens": sample.visual_tokens,
                "vector_sparsity": sample.weighted_sparsity,
            }
            row |= {column: lines.get(name) for name, column in _COLUMNS.items()}
            rows.append(row | {"is_chosen": index == self.counts.chosen_sample()})
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        header = self.header
        count = "1 sample" if len(self) == 1 else f"{len(self)} samples"
        return f"<trace: {header.method} on {header.model}/{header.dataset}, {count}, {header.origin}>"

    def _repr_html_(self) -> str:
        parameters = ", ".join(f"{name}={value}" for name, value in self.header.parameters.items())
        facts = html.escape(f"{repr(self)[1:-1]}; checkpoint {self.header.checkpoint}; {parameters}")
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return f"<p>{facts}</p>{self.frame().to_html(index=False)}" + (f"<ul>{notes}</ul>" if notes else "")


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
        from focal_algorithm.tracing.output import recorded_trace, trace_folder, write_method_tables

        counts = recorded_trace(self.loaded, self.method, self.samples, self.dataset, self.seed)
        header = counts.header
        folder = trace_folder(self.method, self.loaded.quantization.partition(":")[0] or "float")
        method, samples, pictures, keep_masks = self.method, self.samples, self.pictures, self.keep_masks
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
    from focal_algorithm.tracing.output import (
        beside_main_run,
        sample_facts,
        trace_folder,
        write_manifest,
        write_recorded,
    )

    counts = beside_main_run(counts, folder.parent, folder.name)
    header = counts.header
    stem = folder / f"{header.model}_{header.dataset}"
    facts = [sample_facts(counts, index) | {"method": one.summary} for index, one in enumerate(samples)]
    owner = method if folder.name == trace_folder(method, "float") else None
    write_recorded(stem, counts, samples, owner, facts, pictures, keep_masks)
    settings = {
        "made_with": "focal.compress",
        "model": header.model,
        "checkpoint": header.checkpoint,
        "method": header.method,
        "parameters": header.parameters,
        "dataset": header.dataset,
        "samples": [one.sample_id for one in header.samples],
    }
    write_manifest(stem, counts, settings, seed=header.seed)


def trace(
    model: str = "llava_onevision",
    method: str = "focus",
    *,
    videos: Sequence[str | Path] = (),
    images: Sequence[str | Path] = (),
    task: str = "",
    questions: int = 0,
    split: str = "test",
    task_seed: int = 0,
    samples: int | None = None,
    frames: int = 16,
    question: str = "What happens in this video?",
    new_tokens: int | None = None,
    against_dense: bool = False,
    dataset: str | None = None,
    size: str = "small",
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
        questions: Of the task; 24 without ``samples``, else all.
        split: Of the task: ``train``, ``val`` or ``test``.
        task_seed: Of the data of the task.
        samples: Photograph clips (3), or samples of the task (half as many as questions).
        frames: Most frames per video.
        question: Text after files and photographs.
        new_tokens: Tokens to generate after the prefill; 2, or 4 with a task.
        against_dense: Whether the untouched model answers the questions of the task too.
        dataset: Name under which results are filed.
        size: Of a random model: ``small`` or ``tiny``.
        seed: Of random weights and camera paths.
        dtype: ``fp32``, ``bf16`` or ``fp16``.
        precision: ``float`` or ``int8``.
        device: torch device.
        attention: ``sdpa`` or ``eager``.
        keep_masks: Whether to keep which vectors were left out, beside their counts.
        keep_frames: Whether to keep pictures; None for up to 8 samples.
        is_offline: Whether only local files may be used.
        trust_remote_code: Whether Python code that a checkpoint brings may run.
        **parameters: Hyper-parameters of the method.

    Raises:
        FocalError: A setting, a file or the run is at fault; one sentence.
    """
    from focal.commands.environment import require_runnable
    from focal.loading import NOWHERE
    from focal_algorithm.models import check_model_name
    from focal_algorithm.tasks.asking import AskedTask
    from focal_algorithm.tracing.runner import gather
    from focal_algorithm.tracing.settings import RunSettings

    check_model_name(model)
    require_runnable()
    asked = None
    if task:
        asked = AskedTask(task, questions, samples or 0, split, task_seed, frames)
        if new_tokens == 0:
            raise ConfigError("new_tokens must be at least 1 where questions are to be answered, got 0")
    settings = RunSettings(
        output=NOWHERE,
        model=model,
        size=size,
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


def _of_run(done: Any) -> Trace:
    """Return the trace of a finished run; it holds the model until it is let go."""
    from focal_algorithm.tracing.runner import accuracy_of, facts_of, finish

    settings, method = done.settings, done.method
    recording = Recording(
        loaded=replace(done.prepared.loaded, quantization=done.prepared.quantization),
        method=method,
        samples=tuple(one.recorded for one in done.traced),
        pictures=tuple(one.frames for one in done.traced) if settings.keeps_frames else (),
        dataset=settings.dataset_name,
        seed=settings.seed,
        keep_masks=settings.keep_masks,
    )
    made = recording.trace()
    facts = facts_of(made.counts, done.traced)
    accuracy = accuracy_of(settings, done.prepared, method, done.traced, facts)

    def write(root: Path) -> None:
        finish(replace(settings, output=root), done.prepared, method, done.traced, done.wall_time_s)

    return Trace(
        made.counts,
        made.variant,
        made.masks,
        made.records,
        made.frames,
        accuracy=accuracy,
        answers=facts,
        notes=done.notes(made.counts),
        write=write,
        write_tables=made._write_tables,
    )
