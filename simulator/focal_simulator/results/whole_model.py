"""Whole inferences of the workloads of a run: a table of phases, and a CSV of them."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum
from pathlib import Path

from rich.table import Table

from focal_common.errors import ConfigError, UnsupportedError
from focal_common.reading.yaml_files import read_yaml
from focal_simulator.accelerators.corrections import parse_corrections
from focal_simulator.engine.cycle.inference import simulate_inference
from focal_simulator.results.ratios import DENSE, over_dense, ratio_cells
from focal_simulator.results.rows import Row
from focal_simulator.results.runner import Outcome, Run, Settings
from focal_simulator.whole_model.presets import shape_names, shape_preset
from focal_simulator.workload.workload import Workload
from focal_traces.model_shape.families import FAMILIES, model_shape
from focal_traces.model_shape.model_shape import ModelShape, PromptLengths

_TABLE_NAMES = {"llava_vid": "llava_video"}
"""Names of the published tables that are not those of families."""


def shape_of(workload: Workload, name: str) -> ModelShape:
    """Return the shape of the model behind a workload, with the workload's prompt.

    Args:
        workload: For its tokens, and the shape that its trace may hold.
        name: A preset, or a ``config.json``; empty takes the shape of the trace.

    Raises:
        ConfigError: No shape is known, the name is unknown, or the decoder is another.
    """
    if not name:
        if workload.shape is None:
            raise ConfigError(
                f"{workload.label}: its trace does not hold the shape of the whole model; "
                f"name one ({', '.join(shape_names())}, or a config.json)",
                about=("model_shape",),
            )
        shape = workload.shape
    elif name.endswith(".json"):
        lengths = PromptLengths(
            frames=workload.frames,
            visual_tokens=workload.visual_tokens,
            text_tokens_before=0,
            text_tokens_after=0,
        )
        shape = model_shape(read_yaml(Path(name)), lengths)
    else:
        preset = shape_preset(name)
        shape = preset.with_prompt(
            frames=workload.frames,
            visual_tokens=workload.visual_tokens,
            text_tokens_before=preset.text_tokens_before,
            text_tokens_after=preset.text_tokens_after,
        )
    family = _TABLE_NAMES.get(workload.model, workload.model)
    if family in FAMILIES and shape.family != family:
        raise ConfigError(
            f"{workload.label}: model shape '{name or 'of the trace'}' is of family {shape.family}, expected {family}"
        )
    if shape.decoder != workload.geometry:
        raise ConfigError(
            f"{workload.label}: the decoder of model shape '{name or 'of the trace'}' is {shape.decoder}, "
            f"the trace has {workload.geometry}"
        )
    return shape


def inference_rows(
    outcome: Outcome, runs: Sequence[Run], settings: Settings, shape_name: str, generated_tokens: int
) -> list[Row]:
    """Return one row per run and phase; accelerators without an array model are noted.

    Args:
        outcome: Takes the notes.
        runs: Prefills whose whole inference is simulated.
        settings: Of the runs.
        shape_name: See `shape_of`.
        generated_tokens: Decode steps.

    Raises:
        ConfigError: See `shape_of`; or the fidelity is not ``cycle``.
    """
    if settings.fidelity != "cycle":
        raise ConfigError(
            f"whole models need fidelity cycle, got {settings.fidelity}", about=("whole_model", "fidelity")
        )
    corrections = parse_corrections(settings.corrections)
    rows: list[Row] = []
    for run in runs:
        shape = shape_of(run.workload, shape_name)
        try:
            phases = simulate_inference(
                run.accelerator, run.workload, shape, generated_tokens, settings.sram, corrections
            )
        except UnsupportedError as refusal:
            outcome.skipped.append(str(refusal))
            continue
        for phase, result in phases.items():
            rows.append(
                {
                    "model": run.workload.model,
                    "dataset": run.workload.dataset,
                    "accelerator": run.name,
                    "phase": phase,
                    "cycles": result.total_cycles,
                    "seconds": result.seconds,
                    **{f"{name}_cycles": value for name, value in result.causes.items()},
                    "macs": result.macs,
                    "dram_bytes": result.dram_bytes,
                    "energy_mj": result.total_mj,
                    "core_energy_mj": result.core_mj,
                    "sram_energy_mj": result.sram_mj,
                    "dram_energy_mj": result.dram_mj,
                    "generated_tokens": generated_tokens,
                    "variant": run.workload.variant,
                    "fidelity": settings.fidelity,
                    "origin": str(run.row["origin"]),
                }
            )
    return rows


def inference_table(rows: list[Row], dense: list[Row], basis: str) -> Table:
    """Return seconds by phase, the whole, and the speed-up over the dense array, end to end.

    Args:
        rows: Phases to show.
        dense: Phases of the dense array in the same run.
        basis: What the speed-up is over.
    """
    phases = list(dict.fromkeys(str(row["phase"]) for row in rows))
    table = Table(title="Whole inference, seconds by phase", caption=basis, caption_justify="left")
    for name in ("workload", "accelerator"):
        table.add_column(name, no_wrap=True)
    for name in (*phases, "whole", "speed-up", "energy (mJ)", "energy\nvs. dense"):
        table.add_column(name, justify="right", no_wrap=True)
    references = _by_run(dense)
    for (label, accelerator), found in _by_run(rows).items():
        seconds = [float(found[phase]["seconds"]) if phase in found else 0.0 for phase in phases]
        whole = _whole(found)
        reference = references.get((label, DENSE))
        speedup, energy_ratio = ratio_cells(over_dense(*whole, _whole(reference) if reference else None))
        table.add_row(
            label,
            accelerator,
            *(f"{value:.4g}" for value in seconds),
            f"{whole[0]:.4g}",
            speedup,
            f"{whole[1]:,.4g}",
            energy_ratio,
        )
    return table


def _by_run(rows: list[Row]) -> dict[tuple[str, str], dict[str, Row]]:
    """Return rows by (workload, accelerator), then phase."""
    found: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        key = (f"{row['model']}/{row['dataset']}", str(row["accelerator"]))
        found.setdefault(key, {})[str(row["phase"])] = row
    return found


def _whole(phases: dict[str, Row]) -> tuple[float, float]:
    """Return seconds and mJ of all phases."""
    return (
        fsum(float(row["seconds"]) for row in phases.values()),
        fsum(float(row["energy_mj"]) for row in phases.values()),
    )
