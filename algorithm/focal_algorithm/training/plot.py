"""The log of a training as a picture."""

from __future__ import annotations

import csv
from pathlib import Path

from focal_common.errors import UnsupportedError
from focal_common.files import atomic_path

__all__ = ["plot_log"]


def plot_log(log: Path, target: Path) -> None:
    """Draw loss and training accuracy against steps, as SVG.

    Raises:
        UnsupportedError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UnsupportedError("the plot of a training needs matplotlib; install 'matplotlib'") from error
    with log.open(encoding="utf-8", newline="") as source:
        rows = list(csv.DictReader(source))
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
