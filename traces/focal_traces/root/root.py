"""The catalogue of a trace folder: which workloads it lists and where their traces are.

Knows names and tables, not what a simulator does with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from focal_common.errors import TraceError, near_matches
from focal_common.places import plain_name, published_root
from focal_traces.counts.file import COUNTS_SUFFIX
from focal_traces.counts.trace import Trace
from focal_traces.files.store import check_readable, open_trace
from focal_traces.header.published import MAIN_FOLDER
from focal_traces.header.schema import QWEN2_7B, DecoderGeometry
from focal_traces.masks.file import MASKS_SUFFIX
from focal_traces.root.context import find_context, workload_header
from focal_traces.synthetic.calibrated import RECIPE_SUFFIX
from focal_traces.tables.table import WORKLOADS, Key, PairTable, Workload

__all__ = ["MAIN_FOLDER", "SUFFIXES", "TraceRoot"]

SUFFIXES = (COUNTS_SUFFIX, MASKS_SUFFIX, ".pth", RECIPE_SUFFIX)
"""In order of preference: the smallest file that answers the question; a stand-in only where nothing was
measured."""

T = TypeVar("T")


@dataclass(frozen=True)
class TraceRoot:
    """A folder with tables and traces, or one trace file that stands for its own workload.

    Attributes:
        path: Folder or file.
        workloads: Rows of ``meta_data.csv`` in file order, by model and dataset.
    """

    path: Path
    workloads: dict[Key, Workload]
    _lone: Trace | None = None

    @classmethod
    def open(cls, path: Path) -> TraceRoot:
        """Open a folder or a lone trace file; ``example_output/published`` is found wherever Focal is installed, too.

        Raises:
            TraceError: No such path, a wrong ``meta_data.csv``, or a trace that cannot be read.
        """
        if path == Path("example_output/published"):
            path = published_root()
        if path.is_dir():
            return cls(path, WORKLOADS.read(path / "meta_data.csv"))
        check_readable(path)
        trace = open_trace(path, find_context(path))
        workload = _workload_of(trace)
        return cls(path, {(workload.model, workload.dataset): workload}, trace)

    @classmethod
    def of(cls, trace: Trace, tables: Path | None = None) -> TraceRoot:
        """Return a root in memory that holds one trace and nothing else.

        Args:
            trace: Which stands for its own workload.
            tables: Folder of further tables, such as ``cmc_sparsity.csv``; None for none.
        """
        workload = _workload_of(trace)
        name = f"{workload.model}_{workload.dataset} in memory"
        path = (tables if tables is not None else Path("no folder")) / name
        return cls(path, {(workload.model, workload.dataset): workload}, trace)

    def workload(self, model: str, dataset: str) -> Workload:
        """Return the row of a (model, dataset) pair; raises `TraceError` if there is none."""
        if (model, dataset) not in self.workloads:
            pairs = [f"{key[0]}/{key[1]}" for key in self.workloads]
            raise TraceError(
                f"{self._folder() / WORKLOADS.file}: no row of model '{model}', dataset '{dataset}'; "
                f"{near_matches(f'{model}/{dataset}', pairs)}"
            )
        return self.workloads[model, dataset]

    def row(self, table: PairTable[T], model: str, dataset: str) -> T | None:
        """Return what a table beside ``meta_data.csv`` says of a (model, dataset) pair, or of every pair.

        Returns:
            None where there is no such file, or it has no row for the pair.

        Raises:
            TraceError: The file is no such table.
        """
        if table.file not in self._tables:
            path = self._folder() / table.file
            self._tables[table.file] = table.read(path) if path.is_file() else {}
        rows: dict[Key, T] = self._tables[table.file]
        return rows.get((model, dataset), rows.get(table.fallback) if table.fallback else None)

    @cached_property
    def _tables(self) -> dict[str, dict[Key, Any]]:
        return {}

    def find_trace(
        self, model: str, dataset: str, folder: str = MAIN_FOLDER, variant: str | None = None
    ) -> Path | None:
        """Return the trace of a workload, counts before masks before the published layout; None if absent.

        Args:
            model: Model name.
            dataset: Task name.
            folder: ``focus_main``, ``focus_int8``, ``m_tile_size_dse``, ``block_size_dse``,
                ``vector_size_dse``...
            variant: Last part of the name, such as ``1024`` or ``2x2x2``.

        Raises:
            TraceError: One of them is no plain name, so it could lead out of the root. A link of the file system is
                followed: it was put there by whoever set up the root.
        """
        for name in (model, dataset, folder, *([variant] if variant else [])):
            plain_name(name, str(self.path), TraceError)
        if self._lone is not None:
            return self.path if (model, dataset) in self.workloads and variant is None else None
        stem = "_".join(part for part in (model, dataset, variant) if part)
        places = (self.path / folder / f"{stem}{suffix}" for suffix in SUFFIXES)
        return next((place for place in places if place.is_file()), None)

    def folder_with_trace(self, model: str, dataset: str) -> str | None:
        """Return the first folder by name with a trace of a workload; None if no method left one."""
        folders = sorted(place.name for place in self._folder().iterdir() if place.is_dir())
        return next((name for name in folders if self.find_trace(model, dataset, name)), None)

    def trace_path(
        self, model: str, dataset: str, folder: str = MAIN_FOLDER, variant: str | None = None
    ) -> Path:
        """Return the trace of a workload; see `find_trace`; raises `TraceError` if absent."""
        found = self.find_trace(model, dataset, folder, variant)
        if found is None:
            stem = "_".join(part for part in (model, dataset, variant) if part)
            raise TraceError(
                f"{self.path / folder}: no trace of model '{model}', dataset '{dataset}'; expected "
                f"{' or '.join(stem + suffix for suffix in SUFFIXES)}"
            )
        return found

    def variants(self, folder: str, model: str, dataset: str) -> list[str]:
        """Return the variants of a workload in a folder, such as the m-tiles of a sweep, sorted by name.

        Raises:
            TraceError: The folder is no plain name.
        """
        plain_name(folder, str(self.path), TraceError)
        prefix = f"{model}_{dataset}_"
        found = {
            place.name[len(prefix) : -len(suffix)]
            for place in (self._folder() / folder).glob("*")
            for suffix in [next((s for s in SUFFIXES if place.name.endswith(s)), "")]
            if suffix and place.name.startswith(prefix)
        }
        return sorted(found)

    def open_trace(
        self,
        model: str,
        dataset: str,
        folder: str = MAIN_FOLDER,
        variant: str | None = None,
        geometry: DecoderGeometry = QWEN2_7B,
    ) -> Trace:
        """Read the trace of a workload as counts.

        Args:
            model: Model name.
            dataset: Task name.
            folder: See `find_trace`.
            variant: See `find_trace`.
            geometry: Decoder of a published file; other tiers carry their own.

        Raises:
            TraceError: The trace is absent or unreadable, or its S is not that of ``meta_data.csv``.
        """
        if self._lone is not None and variant is None and (model, dataset) in self.workloads:
            return self._lone
        workload = self.workload(model, dataset)
        path = self.trace_path(model, dataset, folder, variant)
        trace = open_trace(path, workload_header(workload, geometry, folder, variant))
        found = trace.header.samples[trace.chosen_sample()].visual_tokens
        if found != workload.visual_tokens:
            raise TraceError(
                f"{path}: has {found} visual tokens, expected {workload.visual_tokens} ('Sequence length' of "
                f"model '{model}', dataset '{dataset}' in {self.path / 'meta_data.csv'})"
            )
        return trace

    def _folder(self) -> Path:
        return self.path if self._lone is None else self.path.parent


def _workload_of(trace: Trace) -> Workload:
    header = trace.header
    sample = header.samples[trace.chosen_sample()]
    frames = sample.grid.frames if sample.grid else 1
    return Workload(
        model=header.model,
        dataset=header.dataset,
        visual_tokens=sample.visual_tokens,
        frames=frames,
        patches=sample.visual_tokens // frames,
        median_index=header.median_index,
    )
