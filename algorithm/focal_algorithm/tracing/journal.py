"""Finished samples of a run on disk, one by one, and a whole run put together from them without a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from focal_algorithm.hooks.recorder import RecordedSample
from focal_algorithm.prompts.media.media import Question
from focal_algorithm.tracing.prompting import TracedSample
from focal_common.commit import MANIFEST_SUFFIX, sealed_text, verify_set
from focal_common.errors import FocalError, RunError
from focal_common.files import atomic_write_text, sha256_of_file
from focal_common.places import make_folder
from focal_common.reading.json_files import read_json
from focal_traces.counts.file import COUNTS_SUFFIX, write_counts
from focal_traces.counts.sparsity import median_index
from focal_traces.counts.trace import Trace
from focal_traces.files.store import open_masks, open_trace
from focal_traces.frames.file import FRAMES_SUFFIX, read_frames, write_frames
from focal_traces.frames.frames import FramesTrace
from focal_traces.masks.file import MASKS_SUFFIX, write_masks
from focal_traces.masks.masks import MaskTrace
from focal_traces.records.file import RECORDS_SUFFIX, read_records, write_records
from focal_traces.records.records import RecordTrace


@dataclass(frozen=True)
class FinishedSample:
    """A sample as the journal keeps it.

    Attributes:
        alone: Its counts under a header of one sample.
        traced: The sample.
        seconds: Wall time it took.
        notes: What the user should know of the run, as the process that traced it said.
        unknown_words: Words of its question that the model's tokenizer does not know.
    """

    alone: Trace
    traced: TracedSample
    seconds: float
    notes: tuple[str, ...]
    unknown_words: tuple[str, ...]


@dataclass(frozen=True)
class SampleJournal:
    """Folder of finished samples: files named after their number, of which the manifest comes last.

    Attributes:
        folder: Made when the first sample is kept.
    """

    folder: Path

    def finished(self) -> frozenset[int]:
        """Return the numbers of the samples that are kept."""
        names = (path.name.removesuffix(MANIFEST_SUFFIX) for path in self.folder.glob(f"*{MANIFEST_SUFFIX}"))
        return frozenset(int(name) for name in names if name.isdigit())

    def facts(self, index: int) -> dict[str, Any]:
        """Return what `save` was given as ``facts``; raises `RunError` where the manifest is damaged."""
        tree = self._tree(index)
        return dict(tree["facts"])

    def save(self, index: int, sample: FinishedSample, facts: dict[str, Any]) -> None:
        """Keep a finished sample, durably.

        Args:
            index: Its number.
            sample: The sample.
            facts: Further JSON-like facts.

        Raises:
            RunError: The disk is full or the folder cannot be written.
        """
        make_folder(self.folder)
        traced, header = sample.traced, sample.alone.header
        recorded = traced.recorded
        written = [self._named(index, COUNTS_SUFFIX), self._named(index, RECORDS_SUFFIX)]
        write_counts(sample.alone, written[0])
        write_records(RecordTrace(header, (recorded.records,)), written[1])
        if recorded.masks is not None:
            written.append(self._named(index, MASKS_SUFFIX))
            write_masks(MaskTrace(header, (recorded.masks,)), written[-1])
        if traced.frames is not None:
            written.append(self._named(index, FRAMES_SUFFIX))
            write_frames(FramesTrace(header, (traced.frames,)), written[-1])
        tree: dict[str, Any] = {
            "answer": traced.answer,
            "origin": traced.origin,
            "summary": recorded.summary,
            "question": traced.question,
            "dense_answer": traced.dense_answer,
            "media_notes": list(traced.notes),
            "asked": None if traced.asked is None else traced.asked.to_json(),
            "seconds": sample.seconds,
            "notes": list(sample.notes),
            "unknown_words": list(sample.unknown_words),
            "facts": facts,
        }
        hashes = {path.name: sha256_of_file(path) for path in written}
        atomic_write_text(self._named(index, MANIFEST_SUFFIX), sealed_text(tree, hashes))

    def save_facts(self, index: int, facts: dict[str, Any]) -> None:
        """Keep a finished unit of which nothing was traced, or whose samples are kept elsewhere; see `save`."""
        make_folder(self.folder)
        atomic_write_text(self._named(index, MANIFEST_SUFFIX), sealed_text({"facts": facts}, {}))

    def load(self, index: int) -> FinishedSample:
        """Read a finished sample; raises `TraceError` or `RunError` where its files are damaged."""
        tree = self._tree(index)
        trace = open_trace(self._named(index, COUNTS_SUFFIX))
        masks = frames = None
        if (path := self._named(index, MASKS_SUFFIX)).is_file():
            masks = open_masks(path).samples[0]
        if (path := self._named(index, FRAMES_SUFFIX)).is_file():
            frames = read_frames(path).samples[0]
        records = read_records(self._named(index, RECORDS_SUFFIX)).samples[0]
        recorded = RecordedSample(trace.header.samples[0], trace.samples[0], masks, records, tree["summary"])
        where = str(self._named(index, MANIFEST_SUFFIX))
        asked = None if tree["asked"] is None else Question.from_json(tree["asked"], where)
        traced = TracedSample(
            recorded,
            tree["answer"],
            tree["origin"],
            tree["question"],
            asked,
            tree["dense_answer"],
            frames,
            tuple(tree["media_notes"]),
        )
        return FinishedSample(
            trace, traced, float(tree["seconds"]), tuple(tree["notes"]), tuple(tree["unknown_words"])
        )

    def _tree(self, index: int) -> dict[str, Any]:
        path = self._named(index, MANIFEST_SUFFIX)
        try:
            verify_set(path)
            return read_json(path)
        except FocalError as error:
            raise RunError(
                f"{path}: finished sample is damaged ({error}); remove this file to trace the sample again",
                about=("resume",),
            ) from error

    def _named(self, index: int, suffix: str) -> Path:
        return self.folder / f"{index:06d}{suffix}"


def joined_trace(alone: Sequence[Trace]) -> Trace:
    """Return one trace of samples that were traced apart, with the sample of median sparsity chosen.

    Args:
        alone: Traces of one sample each, of the same model and method, in order.

    Raises:
        RunError: They are of unequal runs.
    """
    headers = [one.header for one in alone]
    samples = tuple(header.samples[0] for header in headers)
    weighted = [one.weighted_sparsity for one in samples]
    known = [value for value in weighted if value is not None]
    own = {"samples", "median_index", "schema_version", "model_shape"}
    first = headers[0].model_dump(exclude=own)
    for place, header in enumerate(headers):
        if header.model_dump(exclude=own) != first:
            raise RunError(
                f"sample {place} was traced under other settings than sample 0; start the run again"
            )
    header = headers[0].model_copy(
        update={
            "schema_version": max(one.schema_version for one in headers),
            "samples": samples,
            "median_index": median_index(known) if len(known) == len(weighted) else None,
        }
    )
    return Trace(header, tuple(one.samples[0] for one in alone))
