"""The answers of one configuration to every question, and the tokens and FLOPs it took."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from statistics import fmean
from typing import Any

from focal.studies.sparsezip.adaptive import AdaptiveK
from focal.studies.sparsezip.budgets import InsideSchedule, flops, inside_schedule, one_cut_schedule
from focal.studies.sparsezip.configuration import Configuration
from focal.studies.sparsezip.methods import AdaptiveSparseZip, CutInside, TextInPlace, WithoutPrefix
from focal.studies.sparsezip.model import ModelUnderStudy
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.methods.build import build_method
from focal_algorithm.prompts.pictures import CompressedPicture, TowerPicture


@dataclass(frozen=True)
class Outcome:
    """Result of one configuration.

    Attributes:
        answers: First word of each answer, one per question; empty where the model said nothing.
        question_tokens: Visual tokens of each question, averaged over layers.
        layer_tokens: Visual tokens that each layer works on, averaged over questions.
        entering: Visual tokens that enter the decoder, averaged over questions.
        flops: Of a prefill, averaged over questions (estimated).
        kept: K of each picture, CLS not counted; empty where tokens are cut inside the decoder.
        merged: C of each picture, likewise.
        seconds: Time it took on this machine.
    """

    answers: tuple[str, ...]
    question_tokens: tuple[float, ...]
    layer_tokens: tuple[float, ...]
    entering: float
    flops: float
    kept: tuple[int, ...]
    merged: tuple[int, ...]
    seconds: float

    @property
    def visual_tokens(self) -> float:
        """Visual tokens averaged over layers and questions."""
        return fmean(self.question_tokens)


def evaluated(study: ModelUnderStudy, configuration: Configuration) -> Outcome:
    """Run a configuration.

    Raises:
        ConfigError: Its settings do not fit the model or the pictures.
        FocalError: The method cannot run.
    """
    started = time.perf_counter()
    keys = study.questions.prompts()
    kept: tuple[int, ...] = ()
    merged: tuple[int, ...] = ()
    if configuration.place in ("inside", "hooks"):
        method, schedule = hooked_method(study, configuration)
        counts = dict.fromkeys(keys, schedule.counts)
    else:
        method = method_before(study, configuration)
        counts, kept, merged = _counts_before(study, configuration)
    words = {keys[one.number]: one.answer for one in study.evaluator.replies(method)}
    seconds = time.perf_counter() - started
    asked = [(one.picture, one.text) for one in study.questions.questions]
    text_tokens = {text: sum(map(len, study.token_ids(text))) for _, text in keys}
    layers = [counts[key] for key in asked]
    work = [
        flops(study.geometry, [text_tokens[text] + tokens for tokens in own])
        for (_, text), own in zip(asked, layers, strict=True)
    ]
    return Outcome(
        answers=tuple(words[key] for key in asked),
        question_tokens=tuple(map(fmean, layers)),
        layer_tokens=tuple(map(fmean, zip(*layers, strict=True))),
        entering=fmean(own[0] for own in layers),
        flops=fmean(work),
        kept=kept,
        merged=merged,
        seconds=seconds,
    )


def method_before(study: ModelUnderStudy, configuration: Configuration) -> CompressionMethod:
    """Return the method that runs for a configuration that acts before the decoder, or for the dense one."""
    method = build_method(configuration.method, configuration.parameters)
    if configuration.place == "dense":
        return method
    own = {one.name: getattr(method, one.name) for one in fields(method)}
    if "keeps_positions" in own:
        own["keeps_positions"] = configuration.keeps_positions
    if configuration.adaptive:
        return AdaptiveSparseZip(**own, rule=AdaptiveK(**configuration.adaptive))
    if configuration.keeps_text_place:
        return TextInPlace(**own, projector=study.vision_model.points.projector)
    if not configuration.with_prefix:
        return WithoutPrefix(**own)
    return type(method)(**own)


def selection(
    study: ModelUnderStudy, configuration: Configuration, picture: TowerPicture, text: str = ""
) -> CompressedPicture | None:
    """Return what a method before the decoder decides about a picture; None if it keeps all.

    Args:
        study: Model and questions.
        configuration: With the place ``before`` or ``dense``.
        picture: One of the features.
        text: The question, for a method that reads it.
    """
    method = build_method(configuration.method, configuration.parameters)
    if configuration.adaptive:
        method = replace(method, dominant=AdaptiveK(**configuration.adaptive).k(picture.attention[0]))  # type: ignore[call-arg]
    text = text or study.questions.prompts()[0][1]
    if configuration.reads_text:
        picture = replace(picture, text=study.embeddings(study.token_ids(text)[1]))
    state = method.start(study.geometry, study.layout(picture.index, text))
    return method.compress_picture(picture, state)


def _counts_before(
    study: ModelUnderStudy, configuration: Configuration
) -> tuple[dict[tuple[int, str], tuple[int, ...]], tuple[int, ...], tuple[int, ...]]:
    """Return the visual tokens of each layer by picture and text, and K and C of each picture."""
    counts: dict[tuple[int, str], tuple[int, ...]] = {}
    kept, merged = {}, {}
    for number, text in study.questions.prompts():
        if configuration.reads_text or number not in kept:
            answer = selection(study, configuration, study.features[number], text)
            kept[number] = study.visual if answer is None else len(answer.kept)
            merged[number] = 0 if answer is None else len(answer.merged)
            prefix = int(answer is not None and configuration.with_prefix)
        counts[number, text] = (kept[number] + merged[number] + prefix,) * study.geometry.layers
    return counts, tuple(kept.values()), tuple(merged.values())


def hooked_method(
    study: ModelUnderStudy, configuration: Configuration
) -> tuple[CompressionMethod, InsideSchedule]:
    """Return a method of the decoder with the schedule of a budget: SparseVLM, or a cut of the 2 x 2 design.

    Raises:
        ConfigError: Inside the decoder, no such scores; or no schedule meets the budget.
    """
    size = configuration.budget, study.visual, study.geometry.layers
    given: Mapping[str, Any] = configuration.parameters
    if configuration.place == "inside":
        once = given.get("cut_after")
        schedule = inside_schedule(*size, recycles=False) if once is None else one_cut_schedule(*size, once)
        return CutInside(scorer=configuration.method, **_cuts(schedule)), schedule
    # Version 2.0 recycles nothing.
    schedule = inside_schedule(*size, recycles=given.get("version", "1.5") != "2.0")
    return build_method(configuration.method, _cuts(schedule) | dict(given)), schedule


def _cuts(schedule: InsideSchedule) -> dict[str, Any]:
    return {"pruning_layers": tuple(schedule.kept_at), "kept_tokens": tuple(schedule.kept_at.values())}
