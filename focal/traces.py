"""A recorded trace as one object: it saves, shows and tabulates itself."""

from __future__ import annotations

import html
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from focal_common.commit import MANIFEST_SUFFIX, commit
from focal_common.errors import ConfigError, TraceError, UnsupportedError
from focal_common.provenance import manifest
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
from focal_traces.tables.table import WORKLOADS, Workload
from focal_traces.work.ledger import ledger

if TYPE_CHECKING:
    import pandas as pd

    from focal.overlay import Overlay

__all__ = ["Trace"]

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
        parts: dict[str, Callable[[Path], None]] = {
            COUNTS_SUFFIX: lambda path: write_counts(self.counts, path)
        }
        if (masks := self.masks) is not None:
            parts[MASKS_SUFFIX] = lambda path: write_masks(masks, path)
        if (records := self.records) is not None:
            parts[RECORDS_SUFFIX] = lambda path: write_records(records, path)
        if (frames := self.frames) is not None:
            parts[FRAMES_SUFFIX] = lambda path: write_frames(frames, path)
        sample = header.samples[self.counts.chosen_sample()]
        count = sample.grid.frames if sample.grid is not None else 1
        tokens = sample.visual_tokens
        with commit(root) as writing:
            targets = {suffix: stem.with_name(stem.name + suffix) for suffix in parts}
            for suffix, write in parts.items():
                write(writing.staged(targets[suffix]))
            for suffix in (MASKS_SUFFIX, RECORDS_SUFFIX, FRAMES_SUFFIX):
                if suffix not in parts:
                    writing.remove(stem.with_name(stem.name + suffix))
            if tokens:
                row = Workload(
                    header.model, header.dataset, tokens, count, tokens // count, header.median_index
                )
                WORKLOADS.upsert(writing.stage, row.model, row.dataset, row)
                writing.seal_shared([WORKLOADS.file], {"tables_of": "trace root"})
            content = manifest({"made_with": "focal.Trace.save", "header": header.model_dump(mode="json")})
            writing.seal(stem.with_name(stem.name + MANIFEST_SUFFIX), content, targets.values())

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
        from focal_evaluation.overlays.scene import difference_scene, status_scene

        if not isinstance(against, Trace | None):
            raise ConfigError(f"against: expected a trace, such as focal.Trace.open gives, got {against!r}")
        first = self._shown("" if sample is None else str(sample))
        first = first if shade else without_shares(first)
        second = None if against is None else against._shown(first.sample_id)
        scene = status_scene(first) if second is None else difference_scene(first, second)
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
