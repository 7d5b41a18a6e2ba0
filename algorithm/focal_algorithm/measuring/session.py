"""A loaded model with its questions: measures one set of method parameters after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from focal_algorithm.hooks import attach
from focal_algorithm.inputs.source import MediaSample
from focal_algorithm.lmms.parsing import parse_choice
from focal_algorithm.lmms.statistics import accuracy
from focal_algorithm.loading import LoadedModel
from focal_algorithm.measuring.files import Answer, write_measured
from focal_algorithm.measuring.questions import Asked, asked_questions, traced_places
from focal_algorithm.measuring.settings import MeasureSettings
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.models import MODELS
from focal_algorithm.prompts import build_prompt
from focal_algorithm.run_output import sample_facts
from focal_algorithm.runner import RunResult, RunSettings, finish, method_of, prepare, trace_sample

__all__ = ["Session"]

Track = Callable[[Iterable[Any], int], Iterable[Any]]

_PERCENT = 100.0


class Session:
    """Loads the model once.

    Args:
        settings: Model, method and questions.
    """

    def __init__(self, settings: MeasureSettings) -> None:
        self.settings = settings
        self._run = RunSettings(
            output=Path("output"),
            model=settings.model if settings.model in MODELS else str(settings.place),
            size=settings.size,
            method=settings.method,
            dataset=settings.task,
            samples=settings.samples,
            frames=settings.frames,
            new_tokens=1,
            seed=settings.seed,
            threads=settings.threads,
        )
        self._prepared = prepare(self._run)
        self._questions = asked_questions(settings)

    def measure(
        self,
        parameters: Mapping[str, Any],
        output: Path,
        track: Track = lambda items, total: items,
    ) -> dict[str, float]:
        """Ask every question, trace some of them, and write trace root, metrics and answers.

        Args:
            parameters: Of the method, by field name.
            output: Trace root to write.
            track: Wraps the loop over questions to show progress.

        Returns:
            The metrics; see `focal_algorithm.measuring.files`.

        Raises:
            FocalError: A parameter does not fit the model, or the run failed.
        """
        from dataclasses import replace

        started = time.monotonic()
        run = replace(self._run, output=output, parameters=dict(parameters))
        method, _ = method_of(run, self._prepared)
        is_traced = set(traced_places(len(self._questions), self.settings.samples))
        traced, answers = [], []
        for place in track(range(len(self._questions)), len(self._questions)):
            asked = self._questions[place]
            if place in is_traced:
                traced.append(trace_sample(run, self._prepared, method, partial(_given, asked.media())))
                said = traced[-1].answer
            else:
                said = self._answer(method, asked)
            answers.append(_scored(asked, said))
        result = finish(run, self._prepared, method, traced, time.monotonic() - started)
        metrics = _metrics(answers, result)
        write_measured(output, self.settings, metrics, answers)
        return metrics

    def _answer(self, method: CompressionMethod, asked: Asked) -> str:
        """Return the most likely first word; every answer of the tasks is one."""
        loaded = self._prepared.loaded
        prompt = build_prompt(loaded, asked.media(), asked.question.text)
        with torch.inference_mode(), attach(loaded.model, loaded.adapter, method, None, [prompt.layout]):
            logits = loaded.model(**prompt.inputs, logits_to_keep=1).logits
        return loaded.tokenizer.decode([int(logits[0, -1].argmax())])


def _given(media: MediaSample, _loaded: LoadedModel) -> MediaSample:
    return media


def _scored(asked: Asked, said: str) -> Answer:
    question = asked.question
    named = parse_choice(said, question.choices)
    return Answer(asked.sample.sample_id, question.kind, question.answer, said, named == question.answer)


def _metrics(answers: list[Answer], result: RunResult) -> dict[str, float]:
    found = accuracy([float(one.is_right) for one in answers], [one.picture for one in answers])
    facts = [sample_facts(result.trace, index) for index in range(len(result.samples))]
    kept = [fmean(one["visual_tokens_by_layer"]) / one["visual_tokens"] for one in facts]
    return {
        "accuracy": _PERCENT * found.mean,
        "accuracy_low": _PERCENT * found.low,
        "accuracy_high": _PERCENT * found.high,
        "questions": float(found.questions),
        "kept_tokens": _PERCENT * fmean(kept),
        "vector_sparsity": _PERCENT * fmean(one["weighted_sparsity"] for one in facts),
    }
