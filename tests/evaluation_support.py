"""A small model folder whose answers are words of the benchmarks, for tests of the evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from focal_algorithm.checkpoints.loading import load_model
from focal_algorithm.evaluation.lmms.scoring import ScoredAnswer
from focal_algorithm.tasks.store import load_split
from focal_algorithm.tracing.prompting import build_prompt
from focal_algorithm.training.architecture import word_tokenizer
from focal_algorithm.training.recipe import Recipe, recipe


def random_model_folder(name: str, folder: Path) -> Path:
    """Write the random ``image`` or ``video`` model of the recipes."""
    _write_random(name, folder)
    return folder


def _write_random(name: str, folder: Path) -> tuple[Recipe, Any]:
    chosen = recipe(name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = chosen.build(len(chosen.words))
    model.save_pretrained(folder)
    word_tokenizer(chosen.words).save_pretrained(folder)
    return chosen, model


def model_folder(name: str, folder: Path, words: Sequence[str]) -> Path:
    """Write such a model, taught to answer with ``words``.

    A random decoder hardly tells prompts apart, so the head is set along the directions in which it does.
    """
    chosen, model = _write_random(name, folder)
    mean, directions = _directions(folder, "shapes-video" if name == "video" else "shapes-pope")
    head = torch.zeros_like(model.lm_head.weight)
    for index, word in enumerate(words):
        direction = directions[index // 2] * (-1) ** index
        head[chosen.words.index(word)] = direction - (direction @ mean) / (mean @ mean) * mean
    with torch.no_grad():
        model.lm_head.weight.copy_(head)
    model.save_pretrained(folder)
    return folder


def _directions(folder: Path, task: str) -> tuple[Tensor, Tensor]:
    loaded = load_model(
        str(folder), size="", seed=0, dtype="fp32", attention="sdpa", device="cpu", is_offline=True
    )
    states = []
    for sample in load_split(task, seed=1, split="train", samples=4).samples:
        for one in sample.questions[:4]:
            inputs = build_prompt(loaded, sample.media(), one.text).inputs
            with torch.inference_mode():
                states.append(loaded.model.model(**inputs).last_hidden_state[0, -1])
    stacked = torch.stack(states)
    mean = stacked.mean(0)
    return mean.clone(), torch.linalg.svd(stacked - mean).Vh.clone()


def answered(
    task: str,
    number: int,
    score: float,
    *,
    picture: str = "",
    digest: str = "d",
    pixels: str = "",
    text: str = "",
) -> ScoredAnswer:
    """Return an answer with the given score."""
    return ScoredAnswer(
        task=task,
        question=number,
        picture=picture or str(number),
        pixels_sha256=pixels,
        kind="k",
        text=text or str(number),
        digest=digest,
        answer="yes",
        target="yes" if score else "no",
        score=score,
        is_parsable=True,
    )
