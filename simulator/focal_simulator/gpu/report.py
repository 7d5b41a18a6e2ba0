"""Rows, table and CSV of GPU rooflines."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from focal_common.errors import ConfigError, UnsupportedError
from focal_common.files import atomic_write_text
from focal_simulator.gpu.files import gpu_names, read_gpu
from focal_simulator.gpu.roofline import roofline
from focal_simulator.whole_model import Operator, operators
from focal_simulator.whole_model.presets import shape_names, shape_preset
from focal_traces.files.store import open_trace

COLUMNS = (
    "model",
    "method",
    "gpu",
    "phase",
    "seconds",
    "energy_j",
    "flops",
    "traffic_bytes",
    "memory_bound",
    "compute_efficiency",
    "memory_efficiency",
    "origin",
)


@dataclass(frozen=True, kw_only=True)
class GpuRequest:
    """What ``focal gpu`` was asked for; see its help."""

    gpus: tuple[str, ...] = ("all",)
    models: tuple[str, ...] = ()
    trace: Path | None = None
    generated_tokens: int = 0
    batch: int = 1
    overrides: tuple[str, ...] = ()


def gpu_rows(request: GpuRequest) -> tuple[list[dict[str, Any]], list[str]]:
    """Return one row per model, GPU and phase, and sentences a reader should know.

    Raises:
        FocalError: An unknown name, a bad override, a trace without a model shape, or nothing to estimate.
    """
    gpus = gpu_names() if "all" in request.gpus else request.gpus
    if not gpus:
        raise ConfigError(f"expected at least one GPU of {', '.join(gpu_names())}, or all", about=("gpus",))
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    for model, method, listed in _inferences(request):
        for name in gpus:
            gpu = read_gpu(name, list(request.overrides))
            estimate = roofline(listed, gpu)
            if not estimate.fits_memory:
                notes.append(
                    f"{model}: {estimate.weight_bytes / 1e9:.1f} GB of FP16 parameters do not fit into "
                    f"{gpu.memory.value / 1e9:.0f} GB of {gpu.label}; times are as if they did"
                )
            for phase in estimate.phases:
                rows.append(
                    {
                        "model": model,
                        "method": method,
                        "gpu": name,
                        **asdict(phase),
                        "compute_efficiency": gpu.compute_efficiency.value,
                        "memory_efficiency": gpu.memory_efficiency.value,
                        "origin": estimate.origin,
                    }
                )
    return rows, notes


def _inferences(request: GpuRequest) -> list[tuple[str, str, tuple[Operator, ...]]]:
    """Return (model, method, operators) of all presets asked for, and of the trace."""
    steps, batch = request.generated_tokens, request.batch
    found: list[tuple[str, str, tuple[Operator, ...]]] = []
    names = shape_names() if "all" in request.models else request.models
    if not names and request.trace is None:
        raise ConfigError(
            f"expected a trace, or at least one model of {', '.join(shape_names())}, or all",
            about=("trace", "model"),
        )
    for name in names:
        listed = operators(shape_preset(name), generated_tokens=steps, batch=batch)
        found.append((name, "dense", listed))
    if request.trace is not None:
        trace = open_trace(request.trace)
        shape = trace.header.model_shape
        if shape is None:
            raise UnsupportedError(
                f"{request.trace}: the header has no field 'model_shape', so only its decoder is known; "
                "record the trace again, or name a model",
                about=("model",),
            )
        chosen = trace.chosen_sample()
        sample = trace.header.samples[chosen]
        if sample.visual_tokens != shape.visual_tokens:
            raise UnsupportedError(
                f"{request.trace}: field 'model_shape' is of a prompt with {shape.visual_tokens} visual tokens, "
                f"the chosen sample '{sample.sample_id}' has {sample.visual_tokens}"
            )
        text = sample.sequence_tokens - sample.visual_tokens
        listed = operators(shape, trace.totals(chosen).tokens, text, steps, batch)
        found.append((trace.header.model, f"{trace.header.method} (whole tokens)", listed))
    return found


def gpu_table(rows: list[dict[str, Any]]) -> Table:
    """Return what the command prints."""
    table = Table(title="Roofline of whole inferences from published peaks (estimated)")
    for name in ("model", "method", "GPU", "phase"):
        table.add_column(name, no_wrap=True)
    for name in ("time (s)", "energy (J)", "TFLOP", "GB", "memory-bound", "origin"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row["model"],
            row["method"],
            row["gpu"],
            row["phase"],
            f"{row['seconds']:.4g}",
            f"{row['energy_j']:.4g}",
            f"{row['flops'] / 1e12:.4g}",
            f"{row['traffic_bytes'] / 1e9:.4g}",
            f"{100 * row['memory_bound']:.0f} %",
            row["origin"],
            end_section=row["phase"] == "total",
        )
    return table


def write_gpu_csv(rows: list[dict[str, Any]], path: Path) -> None:
    """Write the rows in one step; raises `RunError` if the file cannot be written."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    atomic_write_text(path, text.getvalue())
