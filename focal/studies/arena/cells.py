"""One row of the table before it is summed up: a bout at one setting, with all that was found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from focal.studies.arena.bench import Bench
from focal.studies.arena.jobs import AnswerJob, MatchJob
from focal.studies.arena.matching import REFUSED, Setting
from focal.studies.arena.plan import Bout
from focal.studies.arena.pool import Workers, workers
from focal_algorithm.evaluation.offline.costs import Cost
from focal_algorithm.evaluation.offline.evaluator import Reply
from focal_common.errors import UnsupportedError

__all__ = ["Cell", "bouts_of", "fight"]


@dataclass
class Cell:
    """A bout at one setting.

    Attributes:
        bout: Model, benchmark, method.
        setting: Of the method.
        replies: In the order of the questions.
        costs: By number of the traced question.
        simulated: By number of the traced question: figures and refusals by accelerator.
    """

    bout: Bout
    setting: Setting
    replies: list[Reply] = field(default_factory=list)
    costs: dict[int, Cost] = field(default_factory=dict)
    simulated: dict[int, dict[str, Any]] = field(default_factory=dict)

    def take(self, result: dict[str, Any]) -> None:
        """Add the result of an `AnswerJob`; one refusal makes the whole cell a refused one."""
        if result["refused"]:
            self.setting = replace(self.setting, status=REFUSED, reason=result["refused"])
            return
        self.replies += [Reply(**one) for one in result["replies"]]
        self.costs |= {int(number): Cost.from_json(cost) for number, cost in result["costs"].items()}
        self.simulated |= {int(number): one for number, one in result["simulated"].items()}

    def finish(self) -> None:
        """Order what workers handed in as they were done; a refused cell has no answers."""
        if self.setting.status == REFUSED:
            self.replies, self.costs, self.simulated = [], {}, {}
        self.replies.sort(key=lambda one: one.number)
        self.costs = dict(sorted(self.costs.items()))
        self.simulated = dict(sorted(self.simulated.items()))


def bouts_of(bench: Bench) -> list[Bout]:
    """Return every model on every benchmark that suits it, under every method.

    Raises:
        UnsupportedError: A model suits none of the benchmarks.
    """
    plan, bouts = bench.plan, []
    for model in plan.models:
        suited = [one for one in plan.benchmarks if bench.suits(model, one)]
        if not suited:
            kind = "video" if "video" in bench.loaded(model).adapter.modalities else "image"
            raise UnsupportedError(
                f"--model {model.name}: none of the tasks {', '.join(plan.benchmarks)} is for {kind} models"
            )
        bouts += [Bout(model, benchmark, method) for benchmark in suited for method in plan.methods]
    return bouts


class Fight:
    """All bouts of a plan, cell by cell.

    Args:
        bench: Models and questions.
        bouts: See `bouts_of`.
    """

    def __init__(self, bench: Bench, bouts: list[Bout]) -> None:
        self._bench, self._bouts = bench, bouts
        self._cells: dict[Bout, list[Cell]] = {}

    @property
    def steps(self) -> int:
        """Steps that `run` yields."""
        budgets = len(self._bench.plan.budgets)
        return sum(
            1 + (1 if bout.method == "dense" else budgets) * len(self._bench.chunks(bout.benchmark))
            for bout in self._bouts
        )

    def run(self, crew: Workers) -> Iterator[None]:
        """Do all jobs, one step after the other."""
        for bout in self._bouts:
            crew.add(MatchJob(bout))
        for job, result in crew.done():
            yield
            if isinstance(job, MatchJob):
                yield from self._open(job.bout, [Setting(**one) for one in result], crew)
            else:
                self._cell(job).take(result)

    def cells(self) -> list[Cell]:
        """Return all cells in the order of the plan."""
        found = [cell for bout in self._bouts for cell in self._cells[bout]]
        for cell in found:
            cell.finish()
        return found

    def _open(self, bout: Bout, settings: list[Setting], crew: Workers) -> Iterator[None]:
        chunks = self._bench.chunks(bout.benchmark)
        self._cells[bout] = [Cell(bout, setting) for setting in settings]
        for setting in settings:
            for chunk in chunks:
                if setting.status == REFUSED:
                    yield
                else:
                    crew.add(AnswerJob(bout, setting, chunk))

    def _cell(self, job: AnswerJob) -> Cell:
        return next(one for one in self._cells[job.bout] if one.setting.budget == job.setting.budget)


def fight(
    bench: Bench, folder: Path, count: int, is_fresh: bool, track: Any = lambda steps, total: steps
) -> list[Cell]:
    """Do everything that a plan asks for.

    Args:
        bench: Models and questions.
        folder: Of finished jobs.
        count: Worker processes.
        is_fresh: Whether to do finished jobs again.
        track: Wraps the steps to show progress, given their number.

    Raises:
        FocalError: See `bouts_of` and `Bench.questions`; before any process starts.
    """
    whole = Fight(bench, bouts_of(bench))
    total = whole.steps
    with workers(bench, folder, count, is_fresh) as crew:
        steps: Iterable[None] = track(whole.run(crew), total)
        for _ in steps:
            pass
    return whole.cells()
