"""Hands units of work to this process, or to a pool of processes that outlives the loss of a worker."""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol, TypeVar

from focal_common.errors import RunError
from focal_common.workers import end_with_parent

U = TypeVar("U")
Work = Callable[[Any, Any], Any]
"""Does one unit: takes a context that all units share, and the unit; a function that can be pickled."""

_MOST_LOSSES = 3
_TICK_S = 0.5
_DONE, _RAISED, _LOST = "done", "raised", "lost"


class Engine(Protocol):
    """Does units of work somewhere."""

    @property
    def workers(self) -> int:
        """Units that are done at a time."""

    def run(self, work: Work, context: Any, units: Sequence[U]) -> Iterator[tuple[U, Any]]:
        """Yield every unit once, with what it gave, when it is done, in any order."""


class SerialEngine:
    """Everything in this process."""

    workers = 1

    def run(self, work: Work, context: Any, units: Sequence[U]) -> Iterator[tuple[U, Any]]:
        """Yield units in order."""
        for unit in units:
            yield unit, work(context, unit)


class ProcessEngine:
    """A pool of processes on this machine. A lost worker is replaced and its unit done again; the others go on.

    Args:
        processes: Number of workers.
        environments: Environment variables of each worker, such as the device it sees; none by default.
        progress: Returns a number that changes when something is kept of a unit that is not done, so that a unit that
            gets on may lose more workers than one that does not.
    """

    def __init__(
        self,
        processes: int,
        environments: Sequence[Mapping[str, str]] = (),
        progress: Callable[[], int] = lambda: 0,
    ) -> None:
        self._environments = [*environments, *[{}] * (processes - len(environments))][:processes]
        self._progress = progress
        self._workers: list[_Worker | None] = [None] * processes

    @property
    def process_ids(self) -> list[int]:
        """Process ids of the workers that are alive."""
        return [one.process.pid for one in self._workers if one is not None and one.process.pid is not None]

    @property
    def workers(self) -> int:
        """Number of workers."""
        return len(self._workers)

    def run(self, work: Work, context: Any, units: Sequence[U]) -> Iterator[tuple[U, Any]]:
        """Yield units as they are done.

        Raises:
            RunError: Workers die again and again without getting on.
            Exception: What a unit raised; the other workers are ended.
        """
        waiting = deque(enumerate(units))
        losses: dict[int, tuple[int, int]] = {}
        try:
            while waiting or any(one is not None and one.unit is not None for one in self._workers):
                for place, worker in enumerate(self._workers):
                    if waiting and (worker is None or worker.unit is None):
                        worker = worker or _Worker(self._environments[place])
                        self._workers[place] = worker
                        worker.give(work, context, waiting.popleft())
                for unit, outcome, result in self._answers():
                    if outcome == _LOST:
                        count, before = losses.get(unit[0], (0, -1))
                        now = self._progress()
                        losses[unit[0]] = (count + 1 if now == before else 1), now
                        if losses[unit[0]][0] > _MOST_LOSSES:
                            raise RunError(
                                f"the same part of the work lost its worker {_MOST_LOSSES + 1} times while nothing was "
                                "finished (out of memory?); what was finished is kept"
                            )
                        waiting.appendleft(unit)
                    elif outcome == _RAISED:
                        raise result
                    else:
                        yield unit[1], result
        except BaseException:
            self.close()
            raise

    def _answers(self) -> Iterator[tuple[Any, str, Any]]:
        """Yield units whose worker has answered or was lost, with what happened and what they gave or raised."""
        busy = {
            one.answers: place
            for place, one in enumerate(self._workers)
            if one is not None and one.unit is not None
        }
        for answers in wait(list(busy), _TICK_S):
            worker = self._workers[busy[answers]]  # type: ignore[index]
            assert worker is not None  # noqa: S101  (it is busy)
            unit, worker.unit = worker.unit[0], None  # type: ignore[index]
            try:
                outcome, result = worker.answers.recv()
            except (EOFError, OSError):
                worker.end()
                self._workers[busy[answers]] = None  # type: ignore[index]
                outcome, result = _LOST, None
            yield unit, outcome, result

    def close(self) -> None:
        """End the workers at once; what they have finished is kept, so there is nothing to wait for."""
        for place, worker in enumerate(self._workers):
            if worker is not None:
                worker.end()
            self._workers[place] = None


class _Worker:
    """One process, and the unit it works on, as a tuple; None when it is idle."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.unit: tuple[Any] | None = None
        # Spawn, not fork: the parent may hold threads of numerical libraries.
        context = multiprocessing.get_context("spawn")
        self.answers, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        with _environment(environment):
            self.process.start()
        theirs.close()  # so that the pipe ends with the worker

    def give(self, work: Work, context: Any, unit: Any) -> None:
        self.unit = (unit,)
        with suppress(OSError):  # it died idle: its pipe says so, and the unit goes to another
            self.answers.send((work, context, unit))

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.answers.close()


def _serve(orders: Connection) -> None:
    # Ctrl-C reaches every process of a terminal; the command alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    while True:
        try:
            work, context, (_, unit) = orders.recv()
        except EOFError:
            return
        answer: tuple[str, Any]
        try:
            answer = _DONE, work(context, unit)
        except BaseException as error:
            error.add_note(traceback.format_exc())  # the traceback itself does not travel
            answer = _RAISED, error
        orders.send(answer)


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def closing_engine(engine: Any) -> Iterator[Any]:
    """Close an engine that holds workers, however the block ends."""
    try:
        yield engine
    finally:
        close = getattr(engine, "close", None)
        if close is not None:
            close()
