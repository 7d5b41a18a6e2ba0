"""One row of the table before it is summed up: a case at one setting, with all that was found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from focal.studies.arena.inputs import ArenaInputs
from focal.studies.arena.jobs import AnswerJob, MatchJob
from focal.studies.arena.matching import REFUSED, Setting
from focal.studies.arena.plan import DENSE, Case
from focal.studies.arena.pool import Workers, started_workers
from focal_algorithm.evaluation.offline.costs import Cost
from focal_algorithm.evaluation.offline.evaluator import Reply
from focal_common.errors import UnsupportedError


@dataclass
class Cell:
    """A case at one setting.

    Attributes:
        case: Model, benchmark, method.
        setting: Of the method.
        replies: In the order of the questions.
        costs: By number of the traced question.
        simulated: By number of the traced question: figures and refusals by accelerator.
    """

    case: Case
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


def cases_of(inputs: ArenaInputs) -> list[Case]:
    """Return every model on every benchmark that suits it, under every method.

    Raises:
        UnsupportedError: A model suits none of the benchmarks.
    """
    plan, cases = inputs.plan, []
    for model in plan.models:
        suited = [one for one in plan.benchmarks if inputs.suits(model, one)]
        if not suited:
            kind = "video" if "video" in inputs.loaded(model).adapter.modalities else "image"
            raise UnsupportedError(
                f"--model {model.name}: none of the tasks {', '.join(plan.benchmarks)} is for {kind} models"
            )
        cases += [Case(model, benchmark, method) for benchmark in suited for method in plan.methods]
    return cases


class ComparisonRun:
    """All cases of a plan, cell by cell.

    Args:
        inputs: Models and questions.
        cases: See `cases_of`.
    """

    def __init__(self, inputs: ArenaInputs, cases: list[Case]) -> None:
        self._inputs, self._cases = inputs, cases
        self._cells: dict[Case, dict[float, Cell]] = {}

    @property
    def steps(self) -> int:
        """Steps that `run` yields."""
        budgets = len(self._inputs.plan.budgets)
        return sum(
            1 + (1 if case.method == DENSE else budgets) * len(self._inputs.chunks(case.benchmark))
            for case in self._cases
        )

    def run(self, workers: Workers) -> Iterator[None]:
        """Do all jobs, one step after the other."""
        for case in self._cases:
            workers.add(MatchJob(case))
        for job, result in workers.done():
            yield
            if isinstance(job, AnswerJob):
                self._cells[job.case][job.setting.budget].take(result)
                continue
            settings = [Setting(**values) for values in result]
            self._cells[job.case] = {setting.budget: Cell(job.case, setting) for setting in settings}
            for setting in settings:
                for chunk in self._inputs.chunks(job.case.benchmark):
                    if setting.status == REFUSED:
                        yield
                    else:
                        workers.add(AnswerJob(job.case, setting, chunk))

    def cells(self) -> list[Cell]:
        """Return all cells in the order of the plan."""
        cells = [cell for case in self._cases for cell in self._cells[case].values()]
        for cell in cells:
            cell.finish()
        return cells


def run_cases(
    inputs: ArenaInputs, folder: Path, count: int, is_fresh: bool, track: Any = lambda steps, total: steps
) -> list[Cell]:
    """Do everything that a plan asks for.

    Args:
        inputs: Models and questions.
        folder: Of finished jobs.
        count: Worker processes.
        is_fresh: Whether to do finished jobs again.
        track: Wraps the steps to show progress, given their number.

    Raises:
        FocalError: See `cases_of` and `ArenaInputs.questions`; before any process starts.
    """
    whole = ComparisonRun(inputs, cases_of(inputs))
    total = whole.steps
    with started_workers(inputs, folder, count, is_fresh) as workers:
        for _ in track(whole.run(workers), total):
            pass
    return whole.cells()
