"""The work of an arena in pieces, each of which ends with one file: nothing finished is lost or done twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from focal.simulation import prefill_figures
from focal.studies.arena.inputs import ArenaInputs
from focal.studies.arena.matching import Setting, settings_of
from focal.studies.arena.plan import Case, candidate, shown_name
from focal_algorithm.evaluation.offline.costs import costs_of
from focal_algorithm.evaluation.offline.evaluator import Evaluator, Reply
from focal_algorithm.methods.base import CompressionMethod
from focal_common import __version__
from focal_common.errors import ConfigError, FocalError
from focal_common.files import atomic_write_text, sha256_of_file
from focal_common.provenance import content_hash
from focal_common.reading.json_files import as_json, read_json, sealed, unsealed
from focal_simulator.accelerators import ACCELERATORS

_FORMAT = "focal arena 2"
_RULE = 3
"""Of the search for settings; parts of an earlier rule are not taken over."""


@dataclass(frozen=True)
class MatchJob:
    """Solve the budgets of a case; gives a list of `Setting` as JSON."""

    case: Case

    def identity(self, inputs: ArenaInputs) -> dict[str, Any]:
        """Return what the result depends on, as JSON values."""
        method = candidate(self.case.method).build(inputs.evaluator(self.case.model, self.case.benchmark))
        return _shared(inputs, self.case, method) | {
            "work": "match",
            "rule": _RULE,
            "budgets": inputs.plan.budgets,
            "quantity": inputs.plan.quantity,
            "traced": inputs.traced(self.case.benchmark),
        }

    def work(self, inputs: ArenaInputs) -> Any:
        """Return the result as JSON values; tuples become lists, which `build_method` takes back."""
        case, plan = self.case, inputs.plan
        evaluator, traced = inputs.evaluator(case.model, case.benchmark), inputs.traced(case.benchmark)
        settings = settings_of(evaluator, candidate(case.method), plan.budgets, plan.quantity, traced)
        return [asdict(setting) for setting in settings]


@dataclass(frozen=True)
class AnswerJob:
    """Ask some questions at one setting; gives replies, costs and simulations as JSON.

    Attributes:
        case: Model, benchmark, method.
        setting: Of the method.
        numbers: Of the questions.
    """

    case: Case
    setting: Setting
    numbers: tuple[int, ...]

    def identity(self, inputs: ArenaInputs) -> dict[str, Any]:
        """Return what the result depends on, as JSON values."""
        return _shared(inputs, self.case, self._method(inputs)) | {
            "work": "answer",
            "numbers": self.numbers,
            "traced": sorted(self._traced(inputs)),
            "accelerators": tuple(ACCELERATORS) if inputs.plan.simulates else (),
        }

    def work(self, inputs: ArenaInputs) -> Any:
        """Return the result as JSON values; a refusal of the method is a result."""
        evaluator = inputs.evaluator(self.case.model, self.case.benchmark)
        method, traced = self._method(inputs), self._traced(inputs)
        return answered(evaluator, method, self.numbers, traced, inputs.plan.simulates)

    def _method(self, inputs: ArenaInputs) -> CompressionMethod:
        evaluator = inputs.evaluator(self.case.model, self.case.benchmark)
        return candidate(self.case.method).build(evaluator, self.setting.parameters)

    def _traced(self, inputs: ArenaInputs) -> frozenset[int]:
        return frozenset(inputs.traced(self.case.benchmark)) & frozenset(self.numbers)


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
        simulates: Whether recorded prefills are simulated, in fidelity ``cycle``.
    """
    try:
        replies = list(evaluator.replies(method, numbers, traced))
    except FocalError as error:
        return {"refused": str(error)}
    recorded = [reply for reply in replies if reply.recorded is not None]
    costs = costs_of(evaluator, method, recorded) if recorded else []
    return {
        "refused": "",
        "replies": [
            {one.name: getattr(reply, one.name) for one in fields(reply) if one.name != "recorded"}
            for reply in replies
        ],
        "costs": {str(reply.number): cost.as_json() for reply, cost in zip(recorded, costs, strict=True)},
        "simulated": {
            str(reply.number): _simulated(evaluator, method, reply) for reply in recorded if simulates
        },
    }


def _simulated(evaluator: Evaluator, method: CompressionMethod, reply: Reply) -> dict[str, Any]:
    """Return figures and refusals by accelerator; a trace that cannot be made is refused by all."""
    assert reply.recorded is not None  # noqa: S101 - the caller chose recorded replies
    try:
        figures, refused = prefill_figures(
            evaluator.loaded, method, reply.recorded, evaluator.questions.benchmark
        )
    except FocalError as error:
        figures, refused = {}, dict.fromkeys(ACCELERATORS, str(error))
    return {"figures": figures, "refused": refused}


def finished(job: Job, inputs: ArenaInputs, folder: Path, is_fresh: bool) -> Any:
    """Return the result of a job, from its file where it was done before.

    Args:
        job: What to do.
        inputs: Models and questions.
        folder: Of the files.
        is_fresh: Whether to do it again.
    """
    identity = job.identity(inputs)
    path = folder / f"{content_hash(identity)[:24]}.json"
    if not is_fresh and path.is_file():
        with suppress(ConfigError):  # damaged or changed: done again and replaced
            return unsealed(read_json(path), str(path))["result"]
    result = job.work(inputs)
    atomic_write_text(
        path, json.dumps(sealed({"identity": identity, "result": result}), sort_keys=True) + "\n"
    )
    return as_json(result)  # as a later run will read it


def _shared(inputs: ArenaInputs, case: Case, method: CompressionMethod) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "focal": __version__,
        "checkpoint": inputs.digest(case.model),
        "benchmark": case.benchmark,
        "data_sha256": inputs.questions(case.benchmark).manifest["sha256"],
        "method": shown_name(case.method),
        "parameters": {one.name: getattr(method, one.name) for one in fields(method)},
    } | ({"source": sha256_of_file(Path(case.method))} if case.method.endswith(".py") else {})
