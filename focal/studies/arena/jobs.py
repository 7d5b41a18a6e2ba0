"""The work of an arena in pieces, each of which ends with one file: nothing finished is lost or done twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from focal.studies.arena.bench import Bench
from focal.studies.arena.entrants import entrant
from focal.studies.arena.matching import Setting, settings_of
from focal.studies.arena.plan import Bout
from focal.studies.arena.simulation import Simulated, simulate
from focal_algorithm.evaluation.offline.costs import costs_of
from focal_algorithm.evaluation.offline.evaluator import Evaluator, Reply
from focal_algorithm.methods.base import CompressionMethod
from focal_common import __version__
from focal_common.errors import FocalError
from focal_common.files import atomic_write_text
from focal_common.provenance import content_hash
from focal_simulator.accelerators import ACCELERATORS

__all__ = ["AnswerJob", "Job", "MatchJob", "answered", "finished"]

_FORMAT = "focal arena 1"
_RULE = 3
"""Of the search for settings; parts of an earlier rule are not taken over."""


@dataclass(frozen=True)
class MatchJob:
    """Solve the budgets of a bout; gives a list of `Setting` as JSON."""

    bout: Bout

    def identity(self, bench: Bench) -> dict[str, Any]:
        """Return what the result depends on, as JSON values."""
        plan = bench.plan
        evaluator = bench.evaluator(self.bout.model, self.bout.benchmark)
        return _shared(bench, self.bout, entrant(self.bout.method).build(evaluator)) | {
            "work": "match",
            "rule": _RULE,
            "budgets": plan.budgets,
            "quantity": plan.quantity,
            "traced": bench.traced(self.bout.benchmark),
        }

    def work(self, bench: Bench) -> Any:
        """Return the result as JSON values."""
        evaluator = bench.evaluator(self.bout.model, self.bout.benchmark)
        traced = bench.traced(self.bout.benchmark)
        plan = bench.plan
        found = settings_of(evaluator, self.bout.method, plan.budgets, plan.quantity, traced)
        return [one.as_json() for one in found]


@dataclass(frozen=True)
class AnswerJob:
    """Ask some questions at one setting; gives replies, costs and simulations as JSON.

    Attributes:
        bout: Model, benchmark, method.
        setting: Of the method.
        numbers: Of the questions.
    """

    bout: Bout
    setting: Setting
    numbers: tuple[int, ...]

    def identity(self, bench: Bench) -> dict[str, Any]:
        """Return what the result depends on, as JSON values."""
        return _shared(bench, self.bout, self._method(bench)) | {
            "work": "answer",
            "numbers": self.numbers,
            "traced": sorted(self._traced(bench)),
            "accelerators": tuple(ACCELERATORS) if bench.plan.simulates else (),
        }

    def work(self, bench: Bench) -> Any:
        """Return the result as JSON values; a refusal of the method is a result."""
        evaluator = bench.evaluator(self.bout.model, self.bout.benchmark)
        return answered(
            evaluator, self._method(bench), self.numbers, self._traced(bench), bench.plan.simulates
        )

    def _method(self, bench: Bench) -> CompressionMethod:
        evaluator = bench.evaluator(self.bout.model, self.bout.benchmark)
        return entrant(self.bout.method).build(evaluator, self.setting.parameters)

    def _traced(self, bench: Bench) -> frozenset[int]:
        return frozenset(bench.traced(self.bout.benchmark)) & frozenset(self.numbers)


Job = MatchJob | AnswerJob


def answered(
    evaluator: Evaluator,
    method: CompressionMethod,
    numbers: Sequence[int],
    traced: frozenset[int],
    simulates: bool,
) -> dict[str, Any]:
    """Ask questions under a method; return replies, costs and simulations as JSON values for `Cell.take`.

    Args:
        evaluator: Model and questions.
        method: At its setting.
        numbers: Of the questions.
        traced: Of those whose prefill is recorded.
        simulates: Whether recorded prefills are simulated.
    """
    try:
        replies = list(evaluator.replies(method, numbers, traced))
    except FocalError as error:
        return {"refused": str(error)}
    recorded = [one for one in replies if one.recorded is not None]
    costs = costs_of(evaluator, method, recorded) if recorded else []
    named = dict(zip((str(one.number) for one in recorded), costs, strict=True))
    return {
        "refused": "",
        "replies": [_plain(one) for one in replies],
        "costs": {number: cost.as_json() for number, cost in named.items()},
        "simulated": {
            str(one.number): asdict(_simulated(evaluator, method, one)) for one in recorded if simulates
        },
    }


def finished(job: Job, bench: Bench, folder: Path, is_fresh: bool) -> Any:
    """Return the result of a job, from its file where it was done before.

    Args:
        job: What to do.
        bench: Models and questions.
        folder: Of the files.
        is_fresh: Whether to do it again.
    """
    identity = job.identity(bench)
    path = folder / f"{content_hash(identity)[:24]}.json"
    if not is_fresh and path.is_file():
        try:
            return json.loads(path.read_text(encoding="utf-8"))["result"]
        except (ValueError, KeyError, TypeError):
            pass  # damaged: done again and replaced
    result = job.work(bench)
    atomic_write_text(path, json.dumps({"identity": identity, "result": result}, sort_keys=True) + "\n")
    return json.loads(json.dumps(result))  # as a later run will read it


def _shared(bench: Bench, bout: Bout, method: CompressionMethod) -> dict[str, Any]:
    parameters = {one.name: getattr(method, one.name) for one in fields(method)}
    return {
        "format": _FORMAT,
        "focal": __version__,
        "checkpoint": bench.digest(bout.model),
        "benchmark": bout.benchmark,
        "data_sha256": bench.questions(bout.benchmark).manifest["sha256"],
        "method": bout.method,
        "parameters": parameters,
    }


def _plain(reply: Reply) -> dict[str, Any]:
    return {one.name: getattr(reply, one.name) for one in fields(reply) if one.name != "recorded"}


def _simulated(evaluator: Evaluator, method: CompressionMethod, reply: Reply) -> Simulated:
    try:
        return simulate(evaluator, method, reply)
    except FocalError as error:
        return Simulated({}, dict.fromkeys(ACCELERATORS, str(error)))
