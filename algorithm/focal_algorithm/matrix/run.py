"""Rows of a matrix one after another; a row that fails leaves its reason, and the rest goes on."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from focal_algorithm.checkpoints.loading import LoadedModel
from focal_algorithm.matrix.accuracy import accuracy_results, evaluate_row, is_written
from focal_algorithm.matrix.progress import RowProgress, RowState
from focal_algorithm.matrix.rows import MatrixRow, matrix_rows, row_settings
from focal_algorithm.matrix.schema import Matrix
from focal_algorithm.methods import METHODS
from focal_algorithm.tracing.accuracy import judged
from focal_algorithm.tracing.identity import run_identity
from focal_algorithm.tracing.output import check_output, sample_facts, trace_folder
from focal_algorithm.tracing.prompting import TracedSample
from focal_algorithm.tracing.runner import (
    finish_journaled,
    prepare,
    sample_sources,
    trace_missing,
)
from focal_algorithm.tracing.settings import RunSettings
from focal_common import __version__
from focal_common.commit import sweep
from focal_common.errors import FocalError
from focal_common.files import atomic_write_text
from focal_common.provenance import content_hash
from focal_common.spreading.claims import JOURNAL, claimed, finishing, open_journal
from focal_common.spreading.shards import Shard

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
    """One call of ``focal matrix``, or what one shard of it does.

    Args:
        matrix: What to run.
        output: Trace root.
        data: See `row_settings`.
        is_resumed: Whether finished samples and answers of an earlier call are kept; those of other shards always are.
        note: Takes sentences for the user.
        shard: Part of all samples and questions of the rows that are run; None for all of them.
        batch: See `focal_algorithm.matrix.work.MatrixTask`.

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
        shard: Shard | None = None,
        batch: str = "1",
    ) -> None:
        self._batch = batch
        self._matrix, self._output, self._data = matrix, output, data
        self._is_resumed, self._note, self._shard = is_resumed or shard is not None, note, shard
        self._said: set[str] = set()
        self._begun: set[Path] = set()
        self.accuracies: list[dict[str, Any]] = []
        self._key: Any = None
        self._loaded: LoadedModel | None = None
        self._claim = output / JOURNAL / "matrix"

    def run(
        self, rows: Iterable[MatrixRow], step: Callable[[str], Any] = lambda name: None
    ) -> list[MatrixRow]:
        """Run rows, keep ``matrix_results.csv`` up to date, and return the rows that failed.

        Args:
            rows: In the order of the matrix.
            step: Called before each sample with the name of the row, for progress.

        Raises:
            FocalError: A folder is not Focal's to write or to remove, its tables are damaged, or another command works
                on it; nothing has run.
        """
        rows = list(rows)
        self.check(rows)
        states: dict[str, RowState] = {}
        firsts: dict[str, int] = {}  # units of the run, so that shards share rows of few samples evenly
        with claimed(self._claim, self._shard):
            if self._shard is None:  # nobody else is writing
                for folder in (self._output, *(self._progress(row).folder for row in rows)):
                    sweep(folder)
            try:
                for row in rows:
                    firsts[row.name] = sum(max(1, one.suite.samples) for one in rows[: len(firsts)])
                    states[row.name] = self._run_row(row, step, firsts[row.name])
                    self._write_results()
                for row in rows:  # whose last samples another shard has finished meanwhile
                    if states[row.name].status == "running":
                        states[row.name] = self._run_row(row, step, firsts[row.name])
            finally:
                # One place, also after an interruption.
                self._write_results()
        return [row for row in rows if states[row.name].status == "failed"]

    def check(self, rows: Iterable[MatrixRow]) -> None:
        """Refuse what would stop every row, before the first; see `run` for errors."""
        for row in rows:
            self._progress(row).check(self._output)
            check_output(self._output, _folder(row))

    def begin(self, rows: Iterable[MatrixRow]) -> None:
        """Forget what an earlier call has finished of rows that shards are about to run, unless it is resumed."""
        if self._is_resumed:
            return
        with claimed(self._claim):
            for row in rows:
                self._progress(row).clear()

    def gather(self, rows: Iterable[MatrixRow]) -> list[MatrixRow]:
        """Return the rows that failed where shards ran them, and take up what the others found."""
        failed = []
        for row in rows:
            state = self._progress(row).read()
            if state is None or state.status != "done":
                failed.append(row)
            else:
                self._keep_accuracy(row, state)
        self._write_results()
        return failed

    def unfinished(self, rows: Iterable[MatrixRow]) -> list[MatrixRow]:
        """Return the rows of which other shards have samples or questions left."""
        states = ((row, self._progress(row).read()) for row in rows)
        return [row for row, state in states if state is None or state.status == "running"]

    def finished_units(self, rows: Iterable[MatrixRow]) -> int:
        """Return how many samples of rows are finished, by whichever shard, those of finished rows included."""
        count = 0
        for row in rows:
            state = self._progress(row).read()
            is_done = state is not None and state.status == "done"
            count += max(1, row.suite.samples) if is_done else len(self._progress(row).journal.finished())
        return count

    def _progress(self, row: MatrixRow) -> RowProgress:
        return RowProgress(self._output / "matrix" / row.name, self._identity(row))

    def _run_row(self, row: MatrixRow, step: Callable[[str], Any], first: int) -> RowState:
        """Run what is missing of a row and is of this shard, whose first unit has a number in the run."""
        progress = self._progress(row)
        try:
            state = self._begin(row, progress)
            if state is not None:
                self._keep_accuracy(row, state)
                return state
            if row.suite.measure == "accuracy":
                step(row.name)
                state = self._evaluate_row(row, first)
            else:
                state = self._trace_row(row, progress, step, first)
        except Exception as error:
            # Whatever stops a row must not take the others with it.
            reason = str(error) if isinstance(error, FocalError) else f"{type(error).__name__}: {error}"
            reason = " ".join(reason.split())
            self._note(f"{row.name} failed: {reason}")
            state = RowState("failed", reason, ())
        if state.status != "running":
            progress.write(state)
        if state.status == "done":
            with finishing(self._claim):  # every shard that finds the row done does this
                progress.drop_samples()
        return state

    def _begin(self, row: MatrixRow, progress: RowProgress) -> RowState | None:
        """Return the state of a row that is done; else begin it, or go on with it."""
        with finishing(self._claim):
            state = progress.read() if self._is_resumed else None
            if state is None:
                if self._is_resumed and (progress.folder / "row.json").is_file():
                    self._note(f"{row.name}: its settings changed, so it starts again")
                progress.clear()
            elif state.status == "done" and self._is_kept(row, state):
                progress.drop_samples()  # an earlier call may have been killed before it could
                return state
            if state is None or self._shard is None:
                progress.write(RowState("running", "", ()))
        return None

    def _evaluate_row(self, row: MatrixRow, first: int) -> RowState:
        forget = None if self._is_resumed else self._forget
        runs = evaluate_row(row, self._matrix, self._output, forget, self._shard, first, self._batch)
        if not runs:  # other shards have questions left
            return RowState("running", "", ())
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
        self, row: MatrixRow, progress: RowProgress, step: Callable[[str], Any], first: int
    ) -> RowState:
        settings = row_settings(row, self._matrix, self._output, self._data)
        sources, journal = sample_sources(settings), progress.journal
        is_shared, units = self._shard is not None, len(sources)
        open_journal(journal.folder, run_identity(settings), is_shared, self._note, units=units)
        finished = journal.finished()
        own = (index for index in range(len(sources)) if self._is_own(first + index))
        if missing := [index for index in own if index not in finished]:
            trace_missing(
                settings,
                journal,
                sources,
                self._stepped(missing, row.name, step),
                lambda: self._prepare(settings),
                lambda index, alone, traced: {
                    "result": _result(row, index, sample_facts(alone, 0)) | _judgement(traced)
                },
            )
        with finishing(self._claim):
            state = progress.read()
            if state is not None and state.status == "done":
                return state  # another shard was last
            if len(journal.finished()) < len(sources):
                return RowState("running", "", ())
            done = finish_journaled(settings, journal, len(sources))
            self._tell(row, done.notes)
            chosen = done.trace.chosen_sample()
            results = [journal.facts(index)["result"] for index in range(len(sources))]
            results = [result | {"is_chosen": index == chosen} for index, result in enumerate(results)]
            state = RowState("done", "", tuple(results))
            progress.write(state)
        return state

    def _stepped(self, indices: Iterable[int], name: str, step: Callable[[str], Any]) -> Iterator[int]:
        for index in indices:
            step(name)
            yield index

    def _is_own(self, unit: int) -> bool:
        return self._shard is None or self._shard.holds(unit)

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

    def _write_results(self) -> None:
        """Write one line per sample of every row that any call has begun, in the order of the matrix."""
        with finishing(
            self._claim.with_name("results")
        ):  # so that the last to write has read the newest states
            self._write_lines()

    def _write_lines(self) -> None:
        lines: list[dict[str, Any]] = []
        for row in matrix_rows(self._matrix):
            progress = self._progress(row)
            state = progress.read(of_any_settings=True)
            if state is not None:
                lines += state.results
                if state.status != "done":
                    journal = progress.journal
                    lines += [journal.facts(index)["result"] for index in sorted(journal.finished())]
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
