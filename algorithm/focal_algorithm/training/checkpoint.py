"""What a training keeps on disk, and whether it may go on from there."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from focal_algorithm.training.probes import Probes
from focal_algorithm.training.recipe import Recipe
from focal_common.errors import ConfigError, UnsupportedError
from focal_common.files import atomic_path
from focal_common.reading.csv_files import read_csv
from focal_common.reading.torch_files import load_torch

CHECKPOINT, LOG = "checkpoint.pt", "log.csv"
LOG_FIELDS = ("step", "stage", "seconds", "loss", "accuracy", "parts")
_CONTENT = {"step", "steps", "seconds", "rows", "model", "probes", "optimizers"}


@dataclass
class TrainingState:
    """Everything that changes while training.

    Attributes:
        model: Video or image model.
        probes: Thrown away at the end.
        optimizers: Optimizers of the vision stage and of the decoder's stages.
        step: Next step.
        seconds: Wall time of all steps so far.
        rows: The log.
    """

    model: Any
    probes: Probes
    optimizers: tuple[torch.optim.Optimizer, torch.optim.Optimizer]
    step: int = 0
    seconds: float = 0.0
    rows: list[dict[str, Any]] = field(default_factory=list)


def identity(recipe: Recipe, seed: int, is_bf16: bool) -> dict[str, Any]:
    """Return what two trainings must share for one to go on from the other; the device is none of it."""
    return {
        "recipe": recipe.name,
        "steps": recipe.steps,
        "seed": seed,
        "bf16": is_bf16,
        "recipe_sha256": recipe.digest,
    }


def write_checkpoint(state: TrainingState, folder: Path, wanted: dict[str, Any]) -> None:
    """Write checkpoint and log.

    Args:
        state: State of the training.
        folder: To write into.
        wanted: Its `identity`.
    """
    content = wanted | {
        "step": state.step,
        "seconds": state.seconds,
        "rows": state.rows,
        "model": state.model.state_dict(),
        "probes": state.probes.state_dict(),
        "optimizers": [one.state_dict() for one in state.optimizers],
    }
    with atomic_path(folder / CHECKPOINT) as path:
        torch.save(content, path)
    with atomic_path(folder / LOG) as path, path.open("w", newline="", encoding="utf-8") as target:
        writer = csv.DictWriter(target, LOG_FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(state.rows)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint, its tensors onto the CPU.

    Raises:
        ConfigError: The file is cut short, damaged, or something else.
    """
    content = load_torch(path, ConfigError, "remove it to train from the start")
    if not isinstance(content, dict) or not content.keys() >= _CONTENT:
        raise ConfigError(f"{path}: expected the checkpoint of a training; remove it to train from the start")
    return content


def resume(state: TrainingState, folder: Path, wanted: dict[str, Any]) -> None:
    """Go on from the checkpoint in a folder; without one the state stays as it is.

    Args:
        state: State of a fresh training, on any device.
        folder: With the checkpoint.
        wanted: Its `identity`.

    Raises:
        ConfigError: The checkpoint cannot be read, or is that of another training.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        return
    saved = read_checkpoint(path)
    for name, value in wanted.items():
        if saved.get(name) != value:
            found = saved.get(name, "not noted (an older version wrote it)")
            raise ConfigError(
                f"{path}: {name} is {found}, expected {value}; choose another output folder or remove the file",
                about=("output",),
            )
    try:
        state.model.load_state_dict(saved["model"])
        state.probes.load_state_dict(saved["probes"])
    except RuntimeError as error:
        raise ConfigError(
            f"{path}: holds weights of other shapes than the model has; choose another output folder or "
            "remove the file",
            about=("output",),
        ) from error
    for optimizer, values in zip(state.optimizers, saved["optimizers"], strict=True):
        optimizer.load_state_dict(values)
    state.step, state.seconds, state.rows = saved["step"], saved["seconds"], saved["rows"]


def plot_log(log: Path, target: Path) -> None:
    """Draw loss and training accuracy against steps, as SVG.

    Raises:
        UnsupportedError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UnsupportedError("the plot of a training needs matplotlib; install 'matplotlib'") from error
    _, rows = read_csv(log, LOG_FIELDS, ConfigError)
    figure = Figure(figsize=(7, 4), layout="constrained")
    loss, accuracy = figure.subplots(2, 1, sharex=True)
    for stage in sorted({row["stage"] for row in rows}):
        own = [row for row in rows if row["stage"] == stage]
        steps = [int(row["step"]) for row in own]
        label = "vision" if stage == "0" else f"stage {stage}"
        loss.plot(steps, [float(row["loss"]) for row in own], label=label, linewidth=1)
        accuracy.plot(steps, [float(row["accuracy"]) for row in own], linewidth=1)
    loss.set(ylabel="loss, all parts")
    loss.legend(frameon=False)
    accuracy.set(xlabel="step", ylabel="accuracy of a batch", ylim=(0, 1))
    with atomic_path(target) as path:
        figure.savefig(path, format="svg", metadata={"Date": None})
