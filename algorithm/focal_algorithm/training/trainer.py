"""The training loop: deterministic steps, checkpoints from which it resumes, and a log."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from focal_algorithm.tasks.sample import TaskSample
from focal_algorithm.training.architecture import word_tokenizer
from focal_algorithm.training.batches import IGNORED, pixels_of, question_batch
from focal_algorithm.training.checkpoint import (
    LOG_FIELDS,
    TrainingState,
    identity,
    resume,
    write_checkpoint,
)
from focal_algorithm.training.forward import packed_forward, see
from focal_algorithm.training.labels import object_labels, visual_labels
from focal_algorithm.training.probes import Probes
from focal_algorithm.training.recipe import Recipe, Stage
from focal_common.errors import ConfigError, RunError

_SAVE_EVERY_STEPS = 100
_LOG_EVERY_STEPS = 20
_WARMUP_STEPS = 100
_LEAST_RATE = 0.03
_CPU = torch.device("cpu")


def train(
    recipe: Recipe,
    folder: Path,
    *,
    seed: int,
    is_bf16: bool,
    device: torch.device = _CPU,
    track: Callable[[Iterable[int]], Iterable[int]] = lambda steps: steps,
    tell: Callable[[str], None] = lambda text: None,
) -> TrainingState:
    """Train from scratch, or from the checkpoint in ``folder``.

    Args:
        recipe: What to train.
        folder: For checkpoint and log.
        seed: Seed of weights and data.
        is_bf16: Whether products are rounded to bf16; the weights stay fp32.
        device: Where to compute. Weights start, and data are made and shuffled, on the CPU: they are the same on all.
        track: Wraps the steps to show progress.
        tell: Says in a sentence where a training goes on.

    Raises:
        ConfigError: The checkpoint cannot be read, or belongs to another recipe, seed or precision.
        RunError: The loss is no longer finite.
    """
    state = _start(recipe, seed, device)
    own = identity(recipe, seed, is_bf16)
    resume(state, folder, own)
    if state.step == recipe.steps:
        tell(f"{folder}: finished already, all {recipe.steps} steps; remove the folder to train again")
    elif state.step:
        tell(f"{folder}: goes on at step {state.step} of {recipe.steps}")
    tokenizer = word_tokenizer(recipe.words)
    before = torch.tensor(tokenizer.encode(recipe.template[0], add_special_tokens=False), device=device)
    state.model.train()
    for step in track(range(state.step, recipe.steps)):
        started = time.monotonic()
        number, stage = recipe.stage_at(step)
        samples = _samples(recipe, step, seed)
        # Products of a small tower are faster in fp32: measured 0.30 against 0.43 s a step (image, one thread).
        with torch.autocast(device.type, torch.bfloat16, enabled=is_bf16 and number > 0):
            if number == 0:
                parts, accuracy = _vision_losses(state, recipe, samples), math.nan
            else:
                parts, accuracy = _decoder_losses(state, recipe, stage, samples, step, tokenizer, before)
        loss = torch.stack(list(parts.values())).sum()
        if not bool(torch.isfinite(loss)):
            raise RunError(f"step {step}: the loss is {loss.item()}; the last checkpoint is in {folder}")
        loss.backward()
        _update(state.optimizers, recipe, step)
        state.step, state.seconds = step + 1, state.seconds + time.monotonic() - started
        if step % _LOG_EVERY_STEPS == 0 or state.step == recipe.steps:
            shown = " ".join(f"{name}={value.item():.3f}" for name, value in parts.items())
            row = (step, number, round(state.seconds, 1), round(loss.item(), 4), round(accuracy, 4), shown)
            state.rows.append(dict(zip(LOG_FIELDS, row, strict=True)))
        if state.step % _SAVE_EVERY_STEPS == 0 or state.step == recipe.steps:
            write_checkpoint(state, folder, own)
    return state


def _start(recipe: Recipe, seed: int, device: torch.device) -> TrainingState:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = recipe.build(len(recipe.words))
        width = model.config.text_config.hidden_size
        has_summary = recipe.name == "image"
        probes = Probes(width, model.config.vision_config.hidden_size if has_summary else width)
    model, probes = model.to(device), probes.to(device)
    inner = model.model
    eyes = [*inner.vision_tower.parameters(), *inner.multi_modal_projector.parameters()]
    seen = {id(parameter) for parameter in eyes}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in seen]

    def optimizer(parameters: list[nn.Parameter], rate: float) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.98), weight_decay=0.02)

    both = (
        optimizer([*eyes, *probes.vision_parameters()], recipe.vision_rate),
        optimizer([*rest, *probes.decoder_parameters()], recipe.rate),
    )
    return TrainingState(model, probes, both)


def _samples(recipe: Recipe, step: int, seed: int) -> list[TaskSample]:
    """Return the samples of a step."""
    number, stage = recipe.stage_at(step)
    # Stages differ in batch size; numbering by the largest keeps samples of different steps apart.
    first = step * max(one.samples for one in (recipe.vision, *recipe.stages))
    indices = range(first, first + stage.samples)
    if number == 0:
        return [recipe.crowd(seed, "train", index) for index in indices]
    return [recipe.sample(seed, "train", index, stage) for index in indices]


def _vision_losses(state: TrainingState, recipe: Recipe, samples: list[TaskSample]) -> dict[str, Tensor]:
    device = state.model.device
    seen = see(state.model, recipe.normalise(pixels_of(samples)).to(device))
    losses = state.probes.vision_loss(seen, moved(visual_labels(samples, recipe.side), device))
    return {name: recipe.weights[name] * value for name, value in losses.items() if name in recipe.weights}


def _decoder_losses(
    state: TrainingState,
    recipe: Recipe,
    stage: Stage,
    samples: list[TaskSample],
    step: int,
    tokenizer: Any,
    before: Tensor,
) -> tuple[dict[str, Tensor], float]:
    chosen = [_some(sample, recipe.questions, step) for sample in samples]
    device = before.device
    batch = question_batch(samples, chosen, tokenizer, recipe.template[1], recipe.side, recipe.slot)
    batch, labels = moved(batch, device), moved(visual_labels(samples, recipe.side), device)
    with torch.set_grad_enabled(stage.trains_tower):
        seen = see(state.model, recipe.normalise(pixels_of(samples)).to(device))
    packed = packed_forward(state.model, seen, before, batch, recipe.guidance.naming_layer)
    logits = packed.logits.float()
    each = functional.cross_entropy(
        logits.flatten(0, 2), batch.labels.flatten(), ignore_index=IGNORED, reduction="none"
    ).view_as(batch.labels)
    is_answer = torch.arange(recipe.slot, device=device) == batch.answer_rows[..., None]
    is_end = (batch.labels != IGNORED) & ~is_answer
    losses = recipe.guidance.losses(packed.packing.masses, batch)
    losses |= state.probes.text.losses(
        packed.named, packed.answering, batch, moved(object_labels(samples), device)
    )
    if samples[0].is_video:
        losses |= state.probes.decoder_loss(packed.probed, labels)
    if stage.trains_tower:
        losses |= state.probes.vision_loss(seen, labels)
    parts = {name: recipe.weights[name] * value for name, value in losses.items() if name in recipe.weights}
    first, total = recipe.cycle_at(step)
    done = (step - first) / total
    for name in ("named", "evidence"):
        parts[name] = parts[name] * max(0.0, 1 - done / recipe.evidence_until)
    is_right = logits.argmax(-1)[is_answer] == batch.labels[is_answer]
    parts = {"answer": each[is_answer].mean(), "end": 0.1 * each[is_end].mean()} | parts
    return parts, is_right.float().mean().item()


def _some(sample: TaskSample, count: int, step: int) -> list[Any]:
    """Return ``count`` questions, repeated where there are fewer, another choice in another step."""
    questions = sample.questions
    generator = torch.Generator().manual_seed(step)
    order = torch.randperm(len(questions), generator=generator).tolist()
    return [questions[order[index % len(order)]] for index in range(count)]


def _update(
    optimizers: tuple[torch.optim.Optimizer, torch.optim.Optimizer], recipe: Recipe, step: int
) -> None:
    """Step with linear warm-up and cosine decay, in each cycle of the schedule."""
    number, stage = recipe.stage_at(step)
    first, total = recipe.cycle_at(step)
    decay = _LEAST_RATE + (1 - _LEAST_RATE) * 0.5 * (1 + math.cos(math.pi * (step - first) / total))
    factor = decay * min(1.0, (step - first + 1) / _WARMUP_STEPS)
    peaks: tuple[float | None, float | None] = (recipe.vision_rate, None)
    if number:
        peaks = (recipe.tower_rate if stage.trains_tower else None, recipe.rate)
    for optimizer, peak in zip(optimizers, peaks, strict=True):
        if peak is not None:
            for group in optimizer.param_groups:
                group["lr"] = peak * factor
                nn.utils.clip_grad_norm_(group["params"], 1.0)
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)


DEVICES = ("cpu", "cuda")

T = TypeVar("T")


def training_device(name: str | None, is_bf16: bool) -> torch.device:
    """Return the device of a training.

    Args:
        name: ``cpu`` or ``cuda``; None takes CUDA where torch sees a device, else the CPU.
        is_bf16: Whether products are to be rounded to bf16.

    Raises:
        ConfigError: Another name, no CUDA device, or one without bf16.
    """
    if name not in (None, *DEVICES):
        raise ConfigError(f"device must be {' or '.join(DEVICES)}, got '{name}'", about=("device",))
    has_cuda = torch.cuda.is_available()
    if name == "cuda" and not has_cuda:
        raise ConfigError(
            f"device cuda: torch {torch.__version__} finds no CUDA device; choose cpu", about=("device",)
        )
    chosen = name or ("cuda" if has_cuda else "cpu")
    if chosen == "cuda" and is_bf16 and not torch.cuda.is_bf16_supported():
        raise ConfigError(
            f"{torch.cuda.get_device_name()} has no bf16; do without, or choose device cpu",
            about=("bf16", "device"),
        )
    return torch.device(chosen)


def moved(batch: T, device: torch.device) -> T:
    """Return a copy of a dataclass of tensors with all of them on a device; on that device already, the same ones."""
    found = {one.name: getattr(batch, one.name).to(device) for one in fields(batch)}  # type: ignore[arg-type]
    return replace(batch, **found)  # type: ignore[type-var]
