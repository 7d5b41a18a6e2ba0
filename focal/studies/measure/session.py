"""A loaded model with its questions: measures one set of method parameters after the other."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from focal.studies.measure.settings import ANSWERS, MEASURED, MeasureSettings
from focal.studies.tables import write_table
from focal_algorithm.evaluation.offline.evaluator import Evaluator, Reply
from focal_algorithm.evaluation.offline.questions import load_questions
from focal_algorithm.models import MODELS
from focal_algorithm.tracing.prompting import TracedSample
from focal_algorithm.tracing.runner import RunResult, RunSettings, finish, prepare
from focal_common.files import atomic_write_text
from focal_common.statistics import accuracy

Track = Callable[[Iterable[Any], int], Iterable[Any]]

_PERCENT = 100.0


class Session:
    """Loads the model and the questions once.

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
        )
        questions = load_questions(
            settings.task, settings.questions, seed=settings.data_seed, split=settings.split
        )
        self._loaded = prepare(self._run)
        self._evaluator = Evaluator(self._loaded, questions)

    def measure(
        self,
        parameters: Mapping[str, Any],
        output: Path,
        track: Track = lambda items, total: items,
    ) -> dict[str, float]:
        """Ask every question, trace some of them in the same prefills, and write trace root, metrics and answers.

        Args:
            parameters: Of the method, by field name.
            output: Trace root to write.
            track: Wraps the replies to show progress, given their number.

        Returns:
            The metrics; see `MEASURED`.

        Raises:
            FocalError: A parameter does not fit the model, or the run failed.
        """
        started = time.monotonic()
        settings = self.settings
        method = self._evaluator.method(settings.method, dict(parameters))
        recorded = traced_numbers(settings.questions, settings.samples)
        asked = self._evaluator.replies(method, recorded=recorded)
        replies = list(track(asked, settings.questions))
        traced = [
            TracedSample(reply.recorded, reply.answer, "procedural")
            for reply in replies
            if reply.recorded is not None
        ]
        run = replace(self._run, output=output, parameters=dict(parameters))
        result = finish(run, self._loaded, method, traced, time.monotonic() - started)
        metrics = _metrics(replies, result)
        rows = [
            {
                "picture": reply.picture, "kind": reply.kind, "expected": reply.target, "said": reply.answer,
                "right": int(reply.is_right),
            }
            for reply in replies
        ]  # fmt: skip
        write_table(output / ANSWERS, rows)
        content = {
            "origin": "measured",
            "metrics": metrics,
            "task": settings.task,
            "split": settings.split,
            "data_seed": settings.data_seed,
            "traced_samples": settings.samples,
            "identity": settings.identity(),
        }
        # Written last: a folder with metrics is whole.
        atomic_write_text(output / MEASURED, json.dumps(content, indent=1, sort_keys=True) + "\n")
        return metrics


def traced_numbers(questions: int, samples: int) -> list[int]:
    """Return the numbers of the traced questions, evenly spaced from the first."""
    return [index * questions // samples for index in range(samples)]


def _metrics(replies: Sequence[Reply], result: RunResult) -> dict[str, float]:
    found = accuracy([float(reply.is_right) for reply in replies], [reply.picture for reply in replies])
    kept = [fmean(sample["visual_tokens_by_layer"]) / sample["visual_tokens"] for sample in result.samples]
    return {
        "accuracy": _PERCENT * found.mean,
        "accuracy_low": _PERCENT * found.low,
        "accuracy_high": _PERCENT * found.high,
        "questions": float(found.questions),
        "kept_tokens": _PERCENT * fmean(kept),
        "vector_sparsity": _PERCENT * fmean(sample["weighted_sparsity"] for sample in result.samples),
    }
