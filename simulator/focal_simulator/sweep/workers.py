"""Spreads chunks over this process, over processes, or over a Dask cluster; the rows are the same."""

from __future__ import annotations

import json
import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from focal_common.errors import RunError
from focal_common.workers import end_with_parent
from focal_simulator.sweep.axes import METHOD, Space
from focal_simulator.sweep.evaluate import Evaluator
from focal_simulator.sweep.plan import Plan, read_plan
from focal_simulator.sweep.providers.base import TraceProvider
from focal_simulator.sweep.store import Chunk, StudyFolder

_MOST_LOSSES = 3


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What a worker needs to find the study.

    Attributes:
        folder: Study folder.
        root: Trace root.
        cache: Folder of traces made on demand.
        sha256: Hash of the study, against a folder that is not the one meant.
        provider_class: See `Plan`.
    """

    folder: Path
    root: Path | None
    cache: Path
    sha256: str
    provider_class: type[TraceProvider]


class Engine(Protocol):
    """Evaluates chunks."""

    def run(self, context: WorkerContext, chunks: Sequence[Chunk]) -> Iterator[Chunk]:
        """Yield every chunk once, when its part is written, in any order."""


def evaluate_chunk(context: WorkerContext, chunk: Chunk) -> int:
    """Evaluate one chunk in this process and return how many points were evaluated now.

    Raises:
        RunError: The worker does not see the study folder, or cannot write it.
    """
    folder, plan, evaluator = _workplace(context)
    return folder.run_chunk(chunk, evaluator.row, plan)


@lru_cache(maxsize=2)
def _workplace(context: WorkerContext) -> tuple[StudyFolder, Plan, Evaluator]:
    folder = StudyFolder(context.folder)
    if not (context.folder / "study.json").is_file():
        raise RunError(
            f"{context.folder}: a worker does not see this folder; workers must share the output folder"
        )
    plan = read_plan(context.folder, context.root, context.cache, context.provider_class)
    if plan.sha256 != context.sha256:
        raise RunError(
            f"{context.folder}: a worker sees another study here; workers must share the output folder"
        )
    return folder, plan, Evaluator(plan, folder.inherited_rows)


class SerialEngine:
    """Everything in this process."""

    def run(self, context: WorkerContext, chunks: Sequence[Chunk]) -> Iterator[Chunk]:
        """Yield chunks in order."""
        for chunk in chunks:
            evaluate_chunk(context, chunk)
            yield chunk


class ProcessEngine:
    """A pool of processes on this machine; a lost worker is replaced and its chunk goes on where it stopped.

    Args:
        processes: Number of workers.
    """

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None

    def run(self, context: WorkerContext, chunks: Sequence[Chunk]) -> Iterator[Chunk]:
        """Yield chunks as they finish.

        Raises:
            RunError: Workers die again and again without finishing a chunk.
        """
        left = {chunk.name: chunk for chunk in chunks}
        losses = 0
        while left:
            try:
                for chunk in self._finished(context, list(left.values())):
                    losses = 0
                    yield left.pop(chunk.name)
            except BrokenProcessPool as error:
                self.close()
                losses += 1
                if losses > _MOST_LOSSES:
                    raise RunError(
                        f"workers were lost {losses} times without finishing a chunk (out of memory?); "
                        "finished points are kept"
                    ) from error

    def close(self) -> None:
        """End the workers at once; what they have finished is kept, so there is nothing to wait for."""
        if self._pool is None:
            return
        workers = list((self._pool._processes or {}).values())
        self._pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()
        self._pool = None

    def _finished(self, context: WorkerContext, chunks: Sequence[Chunk]) -> Iterator[Chunk]:
        if self._pool is None:
            # Spawn, not fork: the parent may hold threads of numerical libraries.
            self._pool = ProcessPoolExecutor(
                self._processes, multiprocessing.get_context("spawn"), initializer=_start
            )
        futures: dict[Future[int], Chunk] = {
            self._pool.submit(evaluate_chunk, context, chunk): chunk for chunk in chunks
        }
        waiting = set(futures)
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                    yield futures[future]
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def closing_engine(engine: Any) -> Iterator[Any]:
    """Close an engine that holds workers, however the block ends."""
    try:
        yield engine
    finally:
        close = getattr(engine, "close", None)
        if close is not None:
            close()


def _start() -> None:
    # Ctrl-C reaches every process of a terminal; the command alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


def traces_first(space: Space, chunks: Sequence[Chunk]) -> list[Chunk]:
    """Return the chunks with those that need a new trace first, each group in its order.

    Workers that take chunks in turn then make different traces, instead of waiting for the same one.
    """
    seen: set[str] = set()
    first: list[Chunk] = []
    rest: list[Chunk] = []
    for chunk in chunks:
        keys = set()
        for point in chunk.points:
            settings = space.settings(point.choices)
            own = {field: value for field, value in settings.items() if field.startswith(METHOD)}
            keys.add(json.dumps(own, sort_keys=True))
        (rest if keys <= seen else first).append(chunk)
        seen |= keys
    return first + rest
