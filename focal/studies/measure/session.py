"""A model with its questions: measures one set of method parameters after the other."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from itertools import groupby
from math import fsum
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from focal.studies.measure.settings import ANSWERS, MEASURED, MeasureSettings
from focal.studies.tables import table_text
from focal_algorithm.checkpoints.loading import LoadedModel
from focal_algorithm.evaluation.offline.evaluator import Evaluator, Reply
from focal_algorithm.evaluation.offline.questions import load_questions
from focal_algorithm.methods.build import build_method
from focal_algorithm.models import MODELS
from focal_algorithm.tasks.asking import read_batch
from focal_algorithm.tracing.identity import code_identity
from focal_algorithm.tracing.journal import FinishedSample, SampleJournal, joined_trace
from focal_algorithm.tracing.output import recorded_trace, with_chosen_sample
from focal_algorithm.tracing.prompting import TracedSample
from focal_algorithm.tracing.runner import check_run, facts_of, finish, prepare
from focal_algorithm.tracing.settings import RunSettings
from focal_common.provenance import content_hash
from focal_common.spreading.claims import JOURNAL, claimed, drop_journal, finishing, open_journal
from focal_common.spreading.shards import Shard
from focal_common.statistics import accuracy

Track = Callable[[Iterable[Any], int], Iterable[Any]]

_PERCENT = 100.0


class Session:
    """Loads the questions once, and the model once it is needed.

    Args:
        settings: Model, method and questions.

    Raises:
        ConfigError: The task has fewer questions.
    """

    def __init__(self, settings: MeasureSettings) -> None:
        self.settings = settings
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self._run = RunSettings(
            output=Path(),
            model=settings.model if settings.model in MODELS else str(settings.location),
            size=settings.size,
            method=settings.method,
            dataset=settings.task,
            new_tokens=1,
            seed=settings.seed,
            device=settings.device,
        )
        self._questions = load_questions(
            settings.task, settings.questions, seed=settings.data_seed, split=settings.split
        )
        # Questions about one picture are asked together, so that they share what does not depend on them.
        groups = groupby(self._questions.asked, key=lambda one: one.picture)
        self._groups = [[one.number for one in group] for _, group in groups]

    @property
    def num_units(self) -> int:
        """Pictures that questions are asked about, which shards share."""
        return len(self._groups)

    @cached_property
    def _evaluator(self) -> Evaluator:
        return Evaluator(prepare(self._run), self._questions, batch=read_batch(self.settings.batch))

    def journal(self, parameters: Mapping[str, Any], output: Path) -> SampleJournal:
        """Return where finished pictures of a measurement are kept until it is done."""
        key = content_hash([self.settings.identity(), dict(parameters)])
        return SampleJournal(output / JOURNAL / f"measure-{key[:16]}")

    def measure(
        self,
        parameters: Mapping[str, Any],
        output: Path,
        track: Track = lambda items, total: items,
        shard: Shard | None = None,
        is_finished_here: bool = True,
    ) -> dict[str, float] | None:
        """Ask every question, trace some of them in the same prefills, and write trace root, metrics and answers.

        What an interrupted measurement has finished is not asked again.

        Args:
            parameters: Of the method, by field name.
            output: Trace root to write.
            track: Wraps the pictures to show progress, given their number.
            shard: Whose pictures are asked about; None for all. The last shard writes the results.
            is_finished_here: Whether it does; else that is left to a call without a shard.

        Returns:
            The metrics, see `MEASURED`; None where other shards have pictures left.

        Raises:
            FocalError: A parameter does not fit the model, or the run failed; finished pictures are kept.
        """
        run = replace(self._run, output=output, parameters=dict(parameters))
        check_run(run)
        journal = self.journal(parameters, output)
        with claimed(journal.folder, shard):
            identity: dict[str, Any] = {"parameters": dict(parameters), "weights": self.settings.identity()}
            identity |= code_identity()
            open_journal(journal.folder, identity, shard is not None, units=self.num_units)
            own = [one for one in range(self.num_units) if shard is None or shard.holds(one)]
            finished = journal.finished()
            missing = [one for one in own if one not in finished]
            if missing:
                self._ask(run, journal, track(missing, len(missing)))
            with finishing(journal.folder):
                finished = journal.finished()
                if len(finished) < self.num_units or not is_finished_here:
                    return None
                metrics = self._finish(run, journal)
                drop_journal(journal.folder)
        return metrics

    def _ask(self, run: RunSettings, journal: SampleJournal, units: Iterable[int]) -> None:
        evaluator, settings = self._evaluator, self.settings
        method = evaluator.method(settings.method, dict(run.parameters))
        recorded = set(traced_numbers(settings.questions, settings.samples))
        for unit in units:
            started, replies = time.monotonic(), []
            for reply in evaluator.replies(method, self._groups[unit], recorded):
                replies.append(asdict(replace(reply, recorded=None)))
                if reply.recorded is not None:
                    self._keep_sample(run, evaluator.loaded, method, journal, reply)
            journal.save_facts(unit, {"replies": replies, "seconds": time.monotonic() - started})

    def _keep_sample(
        self, run: RunSettings, loaded: LoadedModel, method: Any, journal: SampleJournal, reply: Reply
    ) -> None:
        assert reply.recorded is not None  # noqa: S101  (callers have looked)
        traced = TracedSample(reply.recorded, reply.answer, "procedural")
        alone = recorded_trace(loaded, method, [reply.recorded], run.dataset_name, run.seed)
        _traced(journal).save(reply.number, FinishedSample(alone, traced, 0.0, (), ()), {})

    def _finish(self, run: RunSettings, journal: SampleJournal) -> dict[str, float]:
        settings, units = self.settings, [journal.facts(one) for one in range(self.num_units)]
        replies = [Reply(**one) for unit in units for one in unit["replies"]]
        numbers = traced_numbers(settings.questions, settings.samples)
        everything = [_traced(journal).load(number) for number in numbers]
        joined = joined_trace([one.alone for one in everything])
        method = build_method(joined.header.method, joined.header.parameters)
        trace, traced = with_chosen_sample(run, method, joined), [one.traced for one in everything]
        metrics = _metrics(replies, facts_of(trace, traced))
        rows = [
            {
                "picture": reply.picture, "kind": reply.kind, "expected": reply.target, "said": reply.answer,
                "right": int(reply.is_right),
            }
            for reply in replies
        ]  # fmt: skip
        content = {
            "origin": "measured",
            "metrics": metrics,
            "task": settings.task,
            "split": settings.split,
            "data_seed": settings.data_seed,
            "traced_samples": settings.samples,
            "identity": settings.identity(),
        }
        text = json.dumps(content, indent=1, sort_keys=True) + "\n"
        seconds = fsum(unit["seconds"] for unit in units)
        finish(run, method, trace, traced, seconds, {ANSWERS: table_text(rows), MEASURED: text})
        return metrics


def work_measurement(context: tuple[MeasureSettings, Mapping[str, Any], Path], shard: Shard) -> None:
    """Do what a worker does of a measurement: ask about the pictures of a shard.

    Args:
        context: Settings, parameters of the method, and output.
        shard: Whose pictures.
    """
    settings, parameters, output = context
    Session(settings).measure(parameters, output, shard=shard, is_finished_here=False)


def _traced(journal: SampleJournal) -> SampleJournal:
    """Return where the traced questions of a measurement are kept, by number."""
    return SampleJournal(journal.folder / "traced")


def traced_numbers(questions: int, samples: int) -> list[int]:
    """Return the numbers of the traced questions, evenly spaced from the first."""
    return [index * questions // samples for index in range(samples)]


def _metrics(replies: Sequence[Reply], samples: Sequence[dict[str, Any]]) -> dict[str, float]:
    found = accuracy([float(reply.is_right) for reply in replies], [reply.picture for reply in replies])
    kept = [fmean(sample["visual_tokens_by_layer"]) / sample["visual_tokens"] for sample in samples]
    return {
        "accuracy": _PERCENT * found.mean,
        "accuracy_low": _PERCENT * found.low,
        "accuracy_high": _PERCENT * found.high,
        "questions": float(found.questions),
        "kept_tokens": _PERCENT * fmean(kept),
        "vector_sparsity": _PERCENT * fmean(sample["weighted_sparsity"] for sample in samples),
    }
