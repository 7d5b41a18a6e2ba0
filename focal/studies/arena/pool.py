"""Jobs on worker processes, one thread each; with one worker, in this process."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from focal.studies.arena.inputs import ArenaInputs
from focal.studies.arena.jobs import Job, finished
from focal.studies.arena.plan import ArenaPlan
from focal_common.errors import RunError
from focal_common.workers import end_with_parent


class Workers:
    """Takes jobs and hands results back in the order in which they are done.

    Args:
        executor: Worker processes; None to work here.
        inputs: Of this process.
        folder: Of finished jobs.
        is_fresh: Whether to do finished jobs again.
    """

    def __init__(self, executor: Executor | None, inputs: ArenaInputs, folder: Path, is_fresh: bool) -> None:
        self._executor, self._inputs, self._folder, self._is_fresh = executor, inputs, folder, is_fresh
        self._waiting: list[Job] = []
        self._futures: dict[Future[Any], Job] = {}

    def add(self, job: Job) -> None:
        """Take a job."""
        if self._executor is None:
            self._waiting.append(job)
        else:
            self._futures[self._executor.submit(_work, job)] = job

    def done(self) -> Iterator[tuple[Job, Any]]:
        """Yield finished jobs with their results until none are left; jobs may be added meanwhile.

        Raises:
            RunError: A worker process died.
        """
        while self._waiting:
            job = self._waiting.pop(0)
            yield job, finished(job, self._inputs, self._folder, self._is_fresh)
        while self._futures:
            for future in wait(self._futures, return_when=FIRST_COMPLETED).done:
                job = self._futures.pop(future)
                try:
                    result = future.result()
                except BrokenProcessPool as error:
                    raise RunError(
                        "a worker process ended, perhaps for lack of memory; finished jobs are kept, so the same "
                        "command goes on; try -j 1"
                    ) from error
                yield job, result


@contextmanager
def started_workers(inputs: ArenaInputs, folder: Path, count: int, is_fresh: bool) -> Iterator[Workers]:
    """Start worker processes, and end them at once when the block is left early."""
    for left in folder.glob(".*.json.*.part"):  # of workers that were killed
        left.unlink(missing_ok=True)
    if count == 1:
        with one_thread():
            yield Workers(None, inputs, folder, is_fresh)
        return
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    arguments = (inputs.plan, folder, is_fresh)
    executor = ProcessPoolExecutor(count, context, _start, arguments)
    try:
        yield Workers(executor, inputs, folder, is_fresh)
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    executor.shutdown()


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread inside a ``with`` block."""
    # The last bits of sums depend on the number of threads, and results must not depend on the number of workers.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


_OWN: list[tuple[ArenaInputs, Path, bool]] = []
"""Of a worker process: models and questions, folder of finished jobs, and whether to do those again."""


def _start(plan: ArenaPlan, folder: Path, is_fresh: bool) -> None:
    # Ctrl-C ends workers without a word; the main process speaks.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    end_with_parent()
    torch.set_num_threads(1)
    _OWN.append((ArenaInputs(plan), folder, is_fresh))


def _work(job: Job) -> Any:
    return finished(job, *_OWN[0])
