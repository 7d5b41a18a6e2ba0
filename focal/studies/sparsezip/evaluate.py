"""The answers of one configuration to every question, and the tokens and FLOPs it took."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from focal.studies.sparsezip.adaptive import AdaptiveK
from focal.studies.sparsezip.bench import Bench
from focal.studies.sparsezip.budgets import InsideSchedule, flops, inside_schedule, one_cut_schedule
from focal.studies.sparsezip.configuration import Configuration
from focal.studies.sparsezip.features import PictureFeatures, VisualRows, visual_rows
from focal.studies.sparsezip.forward import logits_of_rows
from focal.studies.sparsezip.inside import CutInside
from focal_algorithm.hooks.attach import attach
from focal_algorithm.kernels.hybrid_scores import projected_text_score
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.methods.build import build_method
from focal_common.errors import ConfigError

__all__ = ["Outcome", "evaluated", "hooked_method", "selection"]

_ROWS = 64  # prompts per forward: more gains nothing on a CPU and costs memory


@dataclass(frozen=True)
class Outcome:
    """Result of one configuration.

    Attributes:
        answers: First word of each answer, one per question.
        question_tokens: Visual tokens of each question, averaged over layers.
        layer_tokens: Visual tokens that each layer works on, averaged over questions.
        entering: Visual tokens that enter the decoder, averaged over questions.
        flops: Of a prefill, averaged over questions (estimated).
        kept: K of each picture, CLS not counted; empty where tokens are cut inside the decoder.
        merged: C of each picture, likewise.
        seconds: Time it took on this machine, without the vision tower.
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
        return math.fsum(self.question_tokens) / len(self.question_tokens)


@dataclass(frozen=True)
class _Run:
    """Answers by picture and text, and visual tokens per layer of each question asked."""

    words: dict[tuple[int, str], str]
    counts: dict[tuple[int, str], tuple[int, ...]]
    kept: tuple[int, ...] = ()
    merged: tuple[int, ...] = ()


def evaluated(bench: Bench, configuration: Configuration) -> Outcome:
    """Run a configuration.

    Raises:
        ConfigError: Its settings do not fit the model or the pictures.
        FocalError: The method cannot run.
    """
    started = time.perf_counter()
    runs = {"dense": _before, "before": _before, "inside": _hooked, "hooks": _hooked}
    run = runs[configuration.place](bench, configuration)
    seconds = time.perf_counter() - started
    asked = [(one.picture, one.text) for one in bench.questions.questions]
    counts = [run.counts[key] for key in asked]
    work = [
        flops(bench.shape, [bench.text_tokens(text) + n for n in own])
        for (_, text), own in zip(asked, counts, strict=True)
    ]
    return Outcome(
        answers=tuple(run.words[key] for key in asked),
        question_tokens=tuple(math.fsum(own) / len(own) for own in counts),
        layer_tokens=tuple(math.fsum(layer) / len(layer) for layer in zip(*counts, strict=True)),
        entering=math.fsum(own[0] for own in counts) / len(counts),
        flops=math.fsum(work) / len(work),
        kept=run.kept,
        merged=run.merged,
        seconds=seconds,
    )


def selection(bench: Bench, configuration: Configuration, one: PictureFeatures, text: str = "") -> Any:
    """Return what a method before the decoder decides about a picture; None if it keeps all.

    Args:
        bench: Model and questions.
        configuration: With the place ``before``.
        one: The picture.
        text: The question, for a method that reads it.
    """
    if configuration.place == "dense":
        return None
    method = build_method(configuration.method, _parameters(configuration, one))
    words = text or next(iter(bench.prompts.texts))
    state = method.start(bench.geometry, bench.layout(f"picture {one.number}", words))
    embeddings = bench.text_embeddings(words) if configuration.reads_text else one.embeddings[:0]
    return method.compress_picture(one.picture(embeddings), state)


def _parameters(configuration: Configuration, one: PictureFeatures) -> dict[str, Any]:
    given = dict(configuration.parameters)
    if configuration.adaptive:
        given["dominant"] = AdaptiveK(**configuration.adaptive).k(one.attention)
        if configuration.method == "visionzip":
            given["dominant"] += 1  # counts CLS
    return given


def _before(bench: Bench, configuration: Configuration) -> _Run:
    rows: dict[tuple[int, str], VisualRows] = {}
    kept, merged = [], []
    texts = bench.questions.texts()
    for one, own in zip(bench.features, texts, strict=True):
        tokens = None
        for text in own if configuration.reads_text else own[:1]:
            answer = selection(bench, configuration, one, text)
            tokens = visual_rows(
                bench.eyes.points,
                one,
                answer,
                with_prefix=configuration.with_prefix,
                keeps_positions=configuration.keeps_positions,
                keeps_text_place=configuration.keeps_text_place,
            )
            rows[one.number, text] = tokens
        kept.append(len(one.embeddings) if answer is None else len(answer.kept))
        merged.append(0 if answer is None else len(answer.merged))
        if not configuration.reads_text and tokens is not None:
            rows |= {(one.number, text): tokens for text in own}
    keys = _keys(bench)
    words: list[str] = []
    for first in range(0, len(keys), _ROWS):
        part = keys[first : first + _ROWS]
        visual = [rows[key] for key in part]
        logits = logits_of_rows(bench.eyes.model, bench.prompts, visual, [text for _, text in part])
        words += _words(bench, logits)
    counts = {key: (len(own.tokens),) * bench.shape.layers for key, own in rows.items()}
    return _Run(dict(zip(keys, words, strict=True)), counts, tuple(kept), tuple(merged))


def _hooked(bench: Bench, configuration: Configuration) -> _Run:
    """Run a method of the decoder through the hooks; SparseVLM is the one with a schedule."""
    method, schedule = hooked_method(bench, configuration)
    keys = _keys(bench)
    words: list[str] = []
    for first in range(0, len(keys), _ROWS):
        words += _words(bench, _hooked_logits(bench, method, keys[first : first + _ROWS]))
    return _Run(dict(zip(keys, words, strict=True)), dict.fromkeys(keys, schedule.counts))


def hooked_method(bench: Bench, configuration: Configuration) -> tuple[CompressionMethod, InsideSchedule]:
    """Return a method of the decoder with the schedule of a budget: SparseVLM, or a cut of the 2 x 2 design.

    Raises:
        ConfigError: Inside the decoder, no such scores.
    """
    size = configuration.budget, bench.visual, bench.shape.layers
    given = dict(configuration.parameters)
    if configuration.place == "inside":
        once = given.get("cut_after")
        schedule = inside_schedule(*size, recycles=False) if once is None else one_cut_schedule(*size, once)
        return CutInside(ranks=_ranks(bench, configuration.method), **_places(schedule)), schedule
    # Version 2.0 recycles nothing.
    schedule = inside_schedule(*size, recycles=given.get("version", "1.5") != "2.0")
    return build_method(configuration.method, _places(schedule) | given), schedule


def _places(schedule: InsideSchedule) -> dict[str, Any]:
    return {"pruning_layers": tuple(schedule.kept_at), "kept_tokens": tuple(schedule.kept_at.values())}


def _ranks(bench: Bench, scorer: str) -> dict[str, Tensor]:
    """Return what ranks the visual tokens of each question, axes (tokens); empty to let the raters choose."""
    if scorer == "raters":
        return {}
    if scorer not in ("tower", "projected_text"):
        raise ConfigError(f"inside the decoder, got '{scorer}'; expected tower, raters or projected_text")
    found = {}
    for number, text in _keys(bench):
        one = bench.features[number]
        found[_name(number, text)] = (
            one.attention.sum(0)
            if scorer == "tower"
            else projected_text_score(one.attention, one.embeddings, bench.text_embeddings(text))
        )
    return found


def _name(number: int, text: str) -> str:
    return f"picture {number}, {text}"


@torch.no_grad()
def _hooked_logits(bench: Bench, method: CompressionMethod, keys: Sequence[tuple[int, str]]) -> Tensor:
    model = bench.eyes.model
    decoder = model.get_decoder()
    opening = decoder.embed_tokens(bench.prompts.opening)
    rows = [
        torch.cat((opening, bench.features[number].embeddings, bench.text_embeddings(text)))
        for number, text in keys
    ]
    longest = max(len(row) for row in rows)
    # Padding stands at the start, so that the last token of every row is the last after any cut.
    hidden = torch.stack([torch.nn.functional.pad(row, (0, 0, longest - len(row), 0)) for row in rows])
    mask = torch.stack([torch.arange(longest) >= longest - len(row) for row in rows])
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    layouts = [bench.layout(_name(number, text), text) for number, text in keys]
    with attach(model, bench.eyes.adapter, method, layouts=layouts):
        output = decoder(
            inputs_embeds=hidden, attention_mask=mask.long(), position_ids=positions, use_cache=False
        ).last_hidden_state
    logits: Tensor = model.lm_head(output[:, -1])
    return logits


def _keys(bench: Bench) -> list[tuple[int, str]]:
    found = [(number, text) for number, own in enumerate(bench.questions.texts()) for text in own]
    # Prompts of one length need no padding among each other.
    return sorted(found, key=lambda key: len(bench.prompts.texts[key[1]]))


def _words(bench: Bench, logits: Tensor) -> list[str]:
    found: list[str] = bench.eyes.tokenizer.convert_ids_to_tokens(logits.argmax(-1).tolist())
    return found
