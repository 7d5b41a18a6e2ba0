"""The answers of one configuration to every question, and the tokens and FLOPs it took."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from focal_algorithm.hooks.attach import attach
from focal_algorithm.kernels.sparsezip.text_fusion import projected_text_score
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.methods.build import build_method
from focal_algorithm.zip_study.adaptive import AdaptiveK
from focal_algorithm.zip_study.bench import Bench
from focal_algorithm.zip_study.budgets import InsideSchedule, flops, inside_schedule, one_cut_schedule
from focal_algorithm.zip_study.configuration import Configuration
from focal_algorithm.zip_study.features import PictureFeatures, VisualRows, visual_rows
from focal_algorithm.zip_study.forward import logits_of_pictures, logits_of_rows
from focal_algorithm.zip_study.inside import InsideBatch, logits_pruned_inside
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
    runs = {"dense": _before, "before": _before, "inside": _inside, "hooks": _hooked}
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
    words = _own_rows(bench, rows) if configuration.reads_text else _shared(bench, rows, texts)
    counts = {key: (len(own.tokens),) * bench.shape.layers for key, own in rows.items()}
    return _Run(words, counts, tuple(kept), tuple(merged))


def _shared(
    bench: Bench, rows: dict[tuple[int, str], VisualRows], texts: Sequence[Sequence[str]]
) -> dict[tuple[int, str], str]:
    """Answer where all questions of a picture share its tokens; pictures of one shape go together."""
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, own in enumerate(texts):
        groups[len(rows[number, own[0]].tokens), len(own)].append(number)
    words: dict[tuple[int, str], str] = {}
    for (_, questions), numbers in groups.items():
        step = max(1, _ROWS // questions)
        for first in range(0, len(numbers), step):
            part = numbers[first : first + step]
            visual = [rows[number, texts[number][0]] for number in part]
            logits = logits_of_pictures(
                bench.eyes.model, bench.prompts, visual, [texts[number] for number in part]
            )
            said = _words(bench, logits.flatten(0, 1))
            keys = [(number, text) for number in part for text in texts[number]]
            words |= dict(zip(keys, said, strict=True))
    return words


def _own_rows(bench: Bench, rows: dict[tuple[int, str], VisualRows]) -> dict[tuple[int, str], str]:
    keys, words = list(rows), []
    for first in range(0, len(keys), _ROWS):
        part = keys[first : first + _ROWS]
        logits = logits_of_rows(
            bench.eyes.model, bench.prompts, [rows[key] for key in part], [text for _, text in part]
        )
        words += _words(bench, logits)
    return dict(zip(keys, words, strict=True))


def _inside(bench: Bench, configuration: Configuration) -> _Run:
    schedule = _inside_schedule(bench, configuration)
    keys = _keys(bench)
    words: list[str] = []
    for first in range(0, len(keys), _ROWS):
        part = keys[first : first + _ROWS]
        seen = [bench.features[number] for number, _ in part]
        scores = _inside_scores(bench, configuration.method, part)
        batch = InsideBatch(
            torch.stack([one.embeddings for one in seen]),
            [text for _, text in part],
            scores,
            configuration.keeps_positions,
        )
        logits = logits_pruned_inside(bench.eyes.model, bench.prompts, batch, schedule.kept_at)
        words += _words(bench, logits)
    return _Run(dict(zip(keys, words, strict=True)), dict.fromkeys(keys, schedule.counts))


def _inside_schedule(bench: Bench, configuration: Configuration) -> InsideSchedule:
    size = configuration.budget, bench.visual, bench.shape.layers
    if "cut_after" in configuration.parameters:
        return one_cut_schedule(*size, configuration.parameters["cut_after"])
    return inside_schedule(*size, recycles=False)


def _inside_scores(bench: Bench, scorer: str, keys: Sequence[tuple[int, str]]) -> Tensor | None:
    """Return what ranks the visual tokens of some questions, axes (questions, tokens); None lets the raters choose."""
    if scorer == "raters":
        return None
    if scorer == "tower":
        return torch.stack([bench.features[number].attention.sum(0) for number, _ in keys])
    if scorer != "projected_text":
        raise ConfigError(f"inside the decoder, got '{scorer}'; expected tower, raters or projected_text")
    rows = []
    for number, text in keys:
        one = bench.features[number]
        rows.append(projected_text_score(one.attention, one.embeddings, bench.text_embeddings(text)))
    return torch.stack(rows)


def _hooked(bench: Bench, configuration: Configuration) -> _Run:
    """Run a method of the decoder as published, through the hooks; SparseVLM is the one with a schedule."""
    method, schedule = hooked_method(bench, configuration)
    keys = _keys(bench)
    words: list[str] = []
    for first in range(0, len(keys), _ROWS):
        words += _words(bench, _hooked_logits(bench, method, keys[first : first + _ROWS]))
    return _Run(dict(zip(keys, words, strict=True)), dict.fromkeys(keys, schedule.counts))


def hooked_method(bench: Bench, configuration: Configuration) -> tuple[CompressionMethod, InsideSchedule]:
    """Return SparseVLM with the schedule of a budget; version 2.0 recycles nothing."""
    recycles = configuration.parameters.get("version", "1.5") != "2.0"
    schedule = inside_schedule(configuration.budget, bench.visual, bench.shape.layers, recycles=recycles)
    places = {"pruning_layers": tuple(schedule.kept_at), "kept_tokens": tuple(schedule.kept_at.values())}
    return build_method(configuration.method, places | dict(configuration.parameters)), schedule


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
    layouts = [bench.layout(f"picture {number}", text) for number, text in keys]
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
