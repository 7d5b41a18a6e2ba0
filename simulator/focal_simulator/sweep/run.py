"""Runs a study from start, or from where it was left, to its results."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from focal_common.commit import verify_file
from focal_common.errors import ConfigError, RunError, near_matches
from focal_common.files import file_lock
from focal_common.spreading.engines import Engine, SerialEngine, closing_engine
from focal_simulator.sweep.answers import answers_table
from focal_simulator.sweep.axes import Point
from focal_simulator.sweep.pareto import Front
from focal_simulator.sweep.plan import Plan, make_plan, read_plan
from focal_simulator.sweep.providers import TRACE_PROVIDERS
from focal_simulator.sweep.rows import FAILED, INFEASIBLE, OK, Row, read_rows, rows_of, table_of
from focal_simulator.sweep.sampling import SAMPLERS, Choices, check_size, chosen_points
from focal_simulator.sweep.search import check_storage, search
from focal_simulator.sweep.store import Chunk, StudyFolder
from focal_simulator.sweep.study import Study
from focal_simulator.sweep.workers import WorkerContext, evaluate_chunk, traces_first

T = TypeVar("T")
Progress = Callable[[Iterable[T], int], Iterable[T]]

_SEARCH = "search"
_CHUNKS = 128
_LARGEST_CHUNK = 1024


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """What to run and where.

    Attributes:
        study: As read.
        base: Folder its relative paths start from.
        trace: Trace root in place of the study's.
        output: Study folder.
        fork: Start anew beside a folder that belongs to another study, and keep the rows that still hold.
        allow_command: Whether programs that the study names may run.
    """

    study: Study
    base: Path
    trace: Path | None
    output: Path
    fork: bool = False
    allow_command: bool = False


@dataclass(frozen=True)
class SweepResult:
    """A finished study.

    Attributes:
        plan: The resolved study.
        folder: Where it lies.
        rows: Every point, by index.
        evaluated: Points evaluated in this call; the others were finished before, or taken over.
        taken_over: Points whose numbers this call took from the study it was forked from.
        seconds: Time this call took.
    """

    plan: Plan
    folder: StudyFolder
    rows: list[Row]
    evaluated: int
    taken_over: int
    seconds: float
    counts: Counter[str] = field(default_factory=Counter)

    @cached_property
    def feasible(self) -> list[Row]:
        """Rows within all limits, by index."""
        return [row for row in self.rows if row["status"] == OK]

    @cached_property
    def origins(self) -> list[str]:
        """Where the counts of the feasible points come from, such as ``synthetic, calibrated``."""
        return sorted({str(row["origin"]) for row in self.feasible})

    @cached_property
    def given_metrics(self) -> list[str]:
        """Metrics of the rows that come with the traces and are not simulated, such as ``accuracy``."""
        names = self.plan.provider_class.measure_units
        return [name for name in names if any(row.get(name) is not None for row in self.feasible)]

    @cached_property
    def front(self) -> Front:
        """The Pareto front."""
        return Front(self.feasible, self.plan.study.objectives)


def prepare(request: SweepRequest) -> tuple[Plan, StudyFolder]:
    """Check a study and open its folder, forked if asked.

    Raises:
        FocalError: See `make_plan` and `StudyFolder.begin`.
    """
    study = request.study
    if study.kind != _SEARCH and study.kind not in SAMPLERS:
        raise ConfigError(
            f"study '{study.name}': unknown kind '{study.kind}'; {near_matches(study.kind, [*SAMPLERS, _SEARCH])}"
        )
    if study.kind == _SEARCH:
        check_storage(study.sampling.storage)
    if TRACE_PROVIDERS.load(study.traces.provider).runs_commands and not request.allow_command:
        named = study.traces.options.get("command") or study.traces.options.get("arguments")
        words = str(named)[:80]
        raise ConfigError(
            f"study '{study.name}': field 'traces.provider' is '{study.traces.provider}', which runs a program that "
            f"the study names ({words}); read the study, then allow it",
            about=("allow_command",),
        )
    cache = request.output.parent / "trace_cache"
    plan = make_plan(study, request.base, request.trace, cache)
    check_size(study.kind, plan.space, study.sampling)
    folder = StudyFolder(request.output)
    if request.fork:
        fork = StudyFolder(request.output.with_name(f"{request.output.name}-{plan.sha256[:8]}"))
        if not (fork.path / "study.json").is_file() and (folder.path / "study.json").is_file():
            before = read_plan(folder.path, None, cache, plan.provider_class).study
            fork.inherit(folder.everything(before), before.axes)
        folder = fork
    return plan, folder


def run_sweep(
    request: SweepRequest,
    engine: Engine | None = None,
    progress: Progress[Chunk] | None = None,
) -> SweepResult:
    """Run a study to its end; points that were finished before are not evaluated again.

    Args:
        request: What to run.
        engine: Where to evaluate; this process if None. It is closed at the end.
        progress: Wraps the chunks of a known number; none by default.

    Raises:
        ConfigError: The study, or the folder belongs to another one.
        RunError: No point is feasible, or the machine failed; finished points are kept.
    """
    start = time.perf_counter()
    with closing_engine(engine or SerialEngine()) as chosen:
        plan, folder = prepare(request)
        busy = f"{folder.path}: another sweep is working on this study; wait for it or stop it"
        with file_lock(folder.path / ".focal.lock", busy, is_temporary=True):
            known = folder.begin(plan)
            if known and folder.results.is_file():
                verify_file(folder.results)
                rows = read_rows([folder.results])
                before, taken_over = len(rows), 0
            else:
                places = folder.path.resolve(), _resolved(plan.root), plan.cache.resolve()
                context = WorkerContext(*places, plan.sha256, plan.provider_class)
                driver = _Driver(plan, folder, chosen, context, progress)
                table, before, taken_over = driver.table(), driver.before, driver.taken_over
                rows = rows_of(table)
                folder.finish(table, plan, answers_table(plan, rows))
    evaluated = len(rows) - before - taken_over
    result = SweepResult(plan, folder, rows, evaluated, taken_over, time.perf_counter() - start)
    result.counts.update(str(row["status"]) for row in rows)
    _refuse_empty(result)
    return result


class _Driver:
    """Hands chunks to the engine and collects their rows."""

    def __init__(
        self,
        plan: Plan,
        folder: StudyFolder,
        engine: Engine,
        context: WorkerContext,
        progress: Progress[Chunk] | None,
    ) -> None:
        self._plan, self._folder, self._engine, self._context = plan, folder, engine, context
        self._progress = progress or (lambda chunks, total: chunks)
        self._makes_traces = plan.provider_class.makes_traces
        self.before, self.taken_over = 0, 0

    def table(self) -> pa.Table:
        """Return every row, by index, as a table."""
        study = self._plan.study
        if study.kind == _SEARCH:
            return table_of(self._searched(), study.axes)
        choices = SAMPLERS[study.kind](self._plan.space, study.sampling)
        points = chosen_points(self._plan.space, choices, study.include_base)
        chunks = list(_chunks("", points))
        for _ in self._progress(self._run(chunks), len(chunks)):
            pass
        return self._folder.table(chunks)

    def _searched(self) -> list[Row]:
        rows: dict[str, Row] = {}
        space = self._plan.space
        batches = -(-self._plan.study.sampling.points // self._plan.study.sampling.batch)
        if self._plan.study.include_base:
            self._add("base-", chosen_points(space, [], True), rows)

        def evaluate(number: int, proposed: list[Choices]) -> list[Row]:
            hashes = [self._plan.configuration_sha256(space.settings(choices)) for choices in proposed]
            new = {
                sha256: choices
                for sha256, choices in zip(hashes, proposed, strict=True)
                if sha256 not in rows
            }
            points = [Point(len(rows) + place, choices) for place, choices in enumerate(new.values())]
            self._add(f"{number:05d}-", points, rows)
            return [rows[sha256] for sha256 in hashes]

        steps: Iterator[Chunk] = iter(
            self._progress((Chunk(str(one), ()) for one in range(batches)), batches)
        )

        def stepped(number: int, proposed: list[Choices]) -> list[Row]:
            next(steps, None)
            return evaluate(number, proposed)

        search(self._plan, self._folder.path, stepped)
        # Lets the progress bar end.
        next(steps, None)
        return sorted(rows.values(), key=lambda row: int(row["index"]))

    def _add(self, prefix: str, points: Sequence[Point], rows: dict[str, Row]) -> None:
        chunks = list(_chunks(prefix, points))
        for _ in self._run(chunks):
            pass
        # Under the hashes of this version: a row may have been written by an earlier one.
        hashes = [self._sha256(point) for point in points]
        rows.update(zip(hashes, self._folder.rows(chunks), strict=True))

    def _sha256(self, point: Point) -> str:
        return self._plan.configuration_sha256(self._plan.space.settings(point.choices))

    def _run(self, chunks: Sequence[Chunk]) -> Iterator[Chunk]:
        left = self._folder.unfinished_points(chunks)
        self.before += sum(len(chunk.points) for chunk in chunks) - len(left)
        if earlier := self._folder.inherited_rows:
            self.taken_over += sum(self._sha256(point) in earlier for point in left)
        ordered = traces_first(self._plan.space, chunks) if self._makes_traces else chunks
        yield from (chunk for chunk, _ in self._engine.run(evaluate_chunk, self._context, ordered))


def _chunks(prefix: str, points: Sequence[Point]) -> Iterator[Chunk]:
    """Cut points into chunks; the cut follows from their number alone, so that a resumed study finds its parts.

    Names say what is in a chunk, so that parts of a Focal that cut otherwise are not taken for these.
    """
    size = min(max(-(-len(points) // _CHUNKS), 1), _LARGEST_CHUNK)
    for start in range(0, len(points), size):
        yield Chunk(f"{prefix}{start:08d}-{size}", tuple(points[start : start + size]))


def _resolved(root: Path | None) -> Path | None:
    return None if root is None else root.resolve()


def _refuse_empty(result: SweepResult) -> None:
    """Say so if nothing is feasible."""
    if result.counts[OK]:
        return
    first = {row["status"]: row["reason"] for row in reversed(result.rows)}
    if not result.counts[INFEASIBLE]:
        raise RunError(
            f"study '{result.plan.study.name}': all {len(result.rows)} points failed; the first: {first[FAILED]}; "
            f"all rows are in {result.folder.results}"
        )
    raise RunError(
        f"study '{result.plan.study.name}': no point is feasible ({result.counts[INFEASIBLE]} outside the limits, "
        f"{result.counts[FAILED]} failed); the first: {first[INFEASIBLE]}; all rows are in {result.folder.results}"
    )
