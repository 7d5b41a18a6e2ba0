"""Rows of a matrix one after another; a row that fails leaves its reason, and the rest goes on."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from focal_algorithm.checkpoints.loading import LoadedModel
from focal_algorithm.matrix.accuracy import accuracy_results, evaluate_row, is_written
from focal_algorithm.matrix.progress import RowProgress, RowState
from focal_algorithm.matrix.rows import MatrixRow, matrix_rows, row_settings
from focal_algorithm.matrix.schema import Matrix
from focal_algorithm.methods import METHODS
from focal_algorithm.tracing.accuracy import judged, unfit_notes
from focal_algorithm.tracing.output import check_output, sample_facts, trace_folder
from focal_algorithm.tracing.prompting import TracedSample
from focal_algorithm.tracing.runner import (
    finish,
    method_of,
    prepare,
    sample_sources,
    trace_of,
    trace_sample,
)
from focal_algorithm.tracing.settings import RunSettings
from focal_common import __version__
from focal_common.errors import FocalError
from focal_common.files import atomic_write_text
from focal_common.provenance import content_hash

RESULTS_NAME = "matrix_results.csv"
_MODEL_FIELDS = (
    "model",
    "size",
    "seed",
    "dtype",
    "attention",
    "device",
    "precision",
    "revision",
    "is_offline",
    "trust_remote_code",
)
_FIRST_COLUMNS = ("row", "method", "precision", "sample", "sample_id", "status", "reason", "is_chosen")


class MatrixRun:
    """One call of ``focal matrix``.

    Args:
        matrix: What to run.
        output: Trace root.
        data: See `row_settings`.
        is_resumed: Whether finished samples and answers of an earlier call are kept.
        note: Takes sentences for the user.

    Attributes:
        accuracies: What rows that measure accuracy have found, see `accuracy_results`, with the name of the row.
    """

    def __init__(
        self,
        matrix: Matrix,
        output: Path,
        data: Path | None = None,
        is_resumed: bool = False,
        note: Callable[[str], Any] = lambda sentence: None,
    ) -> None:
        self._matrix, self._output, self._data = matrix, output, data
        self._is_resumed, self._note = is_resumed, note
        self._said: set[str] = set()
        self._begun: set[Path] = set()
        self.accuracies: list[dict[str, Any]] = []
        self._key: Any = None
        self._loaded: LoadedModel | None = None

    def run(
        self, rows: Iterable[MatrixRow], step: Callable[[str], Any] = lambda name: None
    ) -> list[MatrixRow]:
        """Run rows, keep ``matrix_results.csv`` up to date, and return the rows that failed.

        Args:
            rows: In the order of the matrix.
            step: Called before each sample with the name of the row, for progress.

        Raises:
            FocalError: A folder is not Focal's to write or to remove, or its tables are damaged; nothing has run.
        """
        rows, failed = list(rows), []
        for row in rows:
            self._progress(row).check(self._output)
            check_output(self._output, _folder(row))
        try:
            for row in rows:
                if self._run_row(row, step).status == "failed":
                    failed.append(row)
                self._write_results()
        finally:
            # One place, also after an interruption.
            self._write_results()
        return failed

    def _progress(self, row: MatrixRow) -> RowProgress:
        return RowProgress(self._output / "matrix" / row.name, self._identity(row))

    def _run_row(self, row: MatrixRow, step: Callable[[str], Any]) -> RowState:
        progress, state = self._progress(row), None
        try:
            if self._is_resumed:
                state = progress.read()
                if state is None and (progress.folder / "row.json").is_file():
                    self._note(f"{row.name}: its settings changed, so it starts again")
            if state is not None and state.status == "done" and self._is_kept(row, state):
                self._keep_accuracy(row, state)
                return state
            if state is None:
                progress.clear()
            if row.suite.measure == "accuracy":
                step(row.name)
                state = self._evaluate_row(row)
            else:
                state = self._trace_row(row, progress, state, step)
        except Exception as error:
            # Whatever stops a row must not take the others with it.
            reason = str(error) if isinstance(error, FocalError) else f"{type(error).__name__}: {error}"
            reason = " ".join(reason.split())
            self._note(f"{row.name} failed: {reason}")
            done = progress.read() if self._has_state(progress) else None
            state = RowState("failed", reason, () if done is None else done.results)
        progress.write(state)
        return state

    def _evaluate_row(self, row: MatrixRow) -> RowState:
        runs = evaluate_row(row, self._matrix, self._output, None if self._is_resumed else self._forget)
        self._tell(row, (note for run in runs for note in run.notes))
        found = accuracy_results(runs, self._output)
        state = RowState("done", "", tuple(_head(row) | {"status": "done"} | one for one in found))
        self._keep_accuracy(row, state)
        return state

    def _forget(self, answers: Path) -> None:
        """Remove the answers of an earlier call; rows of this one may share them."""
        if answers not in self._begun:
            answers.unlink(missing_ok=True)
            self._begun.add(answers)

    def _is_kept(self, row: MatrixRow, state: RowState) -> bool:
        if row.suite.measure == "trace" or is_written(state.results, self._output):
            return True
        self._note(f"{row.name}: its tables or samples are gone, so they are written again")
        return False

    def _keep_accuracy(self, row: MatrixRow, state: RowState) -> None:
        if row.suite.measure == "accuracy":
            self.accuracies += state.results

    def _trace_row(
        self, row: MatrixRow, progress: RowProgress, state: RowState | None, step: Callable[[str], Any]
    ) -> RowState:
        started = time.monotonic()
        settings = row_settings(row, self._matrix, self._output, self._data)
        loaded = self._prepare(settings)
        method, notes = method_of(settings, loaded)
        self._tell(row, notes)
        results = list(state.results) if state else []
        sources = sample_sources(settings)
        alone = replace(settings, chosen_sample=None, samples=1)
        for index in range(len(results), len(sources)):
            step(row.name)
            traced = trace_sample(settings, loaded, method, sources[index])
            trace = trace_of(alone, loaded, method, [traced])
            progress.save(index, traced, trace)
            results.append(_result(row, index, sample_facts(trace, 0)) | _judgement(traced))
            progress.write(RowState("running", "", tuple(results)))
        # From disk also without an interruption, so that both ways give the same bytes.
        everything = [progress.load(index) for index in range(len(sources))]
        media_notes = (note for one in everything for note in one.notes)
        self._tell(row, (*unfit_notes(loaded, everything, settings.task), *media_notes))
        done = finish(settings, loaded, method, everything, time.monotonic() - started)
        chosen = done.trace.chosen_sample()
        results = [result | {"is_chosen": index == chosen} for index, result in enumerate(results)]
        state = RowState("done", "", tuple(results))
        progress.write(state)
        progress.drop_samples()
        return state

    def _tell(self, row: MatrixRow, notes: Iterable[str]) -> None:
        for note in notes:
            if note not in self._said:  # the same of every row is said once
                self._said.add(note)
                self._note(f"{row.name}: {note}")

    def _prepare(self, settings: RunSettings) -> LoadedModel:
        """Return the model of a run; the last one is kept, and only that one."""
        key = tuple(getattr(settings, name) for name in _MODEL_FIELDS)
        if self._loaded is None or key != self._key:
            self._loaded = None
            self._loaded, self._key = prepare(settings), key
        return self._loaded

    def _identity(self, row: MatrixRow) -> str:
        parts = (row.suite, row.model, row.dataset, *([row.variant] if row.variant else []))
        settings = [part.model_dump(mode="json") for part in parts]
        common = [self._matrix.hub, self._matrix.device, self._matrix.new_tokens, str(self._data or "")]
        return content_hash([__version__, row.name, settings, common])

    def _has_state(self, progress: RowProgress) -> bool:
        return (progress.folder / "row.json").is_file()

    def _write_results(self) -> None:
        """Write one line per sample of every row that any call has begun, in the order of the matrix."""
        lines: list[dict[str, Any]] = []
        for row in matrix_rows(self._matrix):
            state = self._progress(row).read(of_any_settings=True)
            if state is not None:
                lines += state.results
                if state.status == "failed":
                    lines.append(_head(row) | {"status": "failed", "reason": state.reason})
        columns = list(dict.fromkeys([*_FIRST_COLUMNS, *(name for line in lines for name in line)]))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        atomic_write_text(self._output / RESULTS_NAME, text.getvalue())


def _folder(row: MatrixRow) -> str:
    if row.suite.measure == "accuracy":
        return "accuracy"
    given = row.variant.folder if row.variant else row.suite.folder
    return given or trace_folder(METHODS.load(row.suite.method), row.suite.precision)


def _head(row: MatrixRow) -> dict[str, Any]:
    return {"row": row.name, "method": row.suite.method, "precision": row.suite.precision}


def _judgement(traced: TracedSample) -> dict[str, Any]:
    if traced.asked is None:
        return {}
    return {"kind": traced.asked.kind} | judged(traced.asked, traced.answer)


def _result(row: MatrixRow, index: int, facts: dict[str, Any]) -> dict[str, Any]:
    result = _head(row) | {
        "sample": index,
        "sample_id": facts["sample_id"],
        "status": "done",
        "reason": "",
        "is_chosen": "",
        "sequence_tokens": facts["sequence_tokens"],
        "visual_tokens": facts["visual_tokens"],
        "weighted_sparsity": facts["weighted_sparsity"],
    }
    result |= {f"sparsity_{gemm}": value for gemm, value in facts["sparsity"].items()}
    return result | {name: line["value"] for name, line in facts["ledger"].items()}
