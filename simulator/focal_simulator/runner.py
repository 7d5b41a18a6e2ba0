"""Runs workloads on accelerators and keeps rows, notes and what the summaries need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from focal_common.config import read_yaml
from focal_common.errors import ConfigError, UnsupportedError
from focal_common.registry import Registry
from focal_simulator.accelerators import ACCELERATORS
from focal_simulator.accelerators.base import Accelerator
from focal_simulator.buffer_costs import SramChoice, sram_label
from focal_simulator.energy import RunResult
from focal_simulator.fidelity import Fidelity
from focal_simulator.hardware_files import build_accelerator, hardware_label
from focal_simulator.precision import precision_overrides
from focal_simulator.results import Row, result_row
from focal_simulator.workload import Workload

__all__ = [
    "FIDELITIES",
    "Outcome",
    "Run",
    "Settings",
    "accelerator_names",
    "build_all",
    "built_in_precision",
    "run_all",
]

FIDELITIES: Registry[Any] = Registry(
    "fidelity",
    {
        "cycle": "focal_simulator.cycle.fidelity:cycle",
        "parity": "focal_simulator.fidelity:parity",
        "parity_layer": "focal_simulator.fidelity:parity_layer",
    },
    group="focal.fidelities",
)
"""Levels of modelling: a function of `Settings` that returns a `focal_simulator.fidelity.Fidelity`."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What to run on.

    Attributes:
        accelerators: Registry names, or ``all``.
        fidelity: Name in `FIDELITIES`.
        corrections: Words for `focal_simulator.cycle.corrections.parse_corrections`.
        sram: Buffer cost model.
        hardware: A user's hardware file; it replaces the preset of the accelerator it names.
        overrides: ``field=value`` for every accelerator of the run.
        precision: Of operands and multipliers, see `focal_simulator.precision`.
    """

    accelerators: tuple[str, ...] = ("all",)
    fidelity: str = "cycle"
    corrections: str = "all"
    sram: SramChoice = "auto"
    hardware: Path | None = None
    overrides: tuple[str, ...] = ()
    precision: str = "fp16"


@dataclass(frozen=True, slots=True)
class Run:
    """One workload on one accelerator."""

    name: str
    accelerator: Accelerator[Any]
    workload: Workload
    result: RunResult
    row: Row


@dataclass
class Outcome:
    """Everything a call produced.

    Attributes:
        fidelity: Level of modelling, with the settings of the run.
        runs: In order of accelerators, then workloads.
        reference: Result of the dense preset by (model, dataset), for ratios.
        skipped: One sentence for each combination that an accelerator does not accept.
        remarks: What a reader of the results should know.
        accelerators: By registry name.
    """

    fidelity: Fidelity
    runs: list[Run] = field(default_factory=list)
    reference: dict[tuple[str, str], RunResult] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    accelerators: dict[str, Accelerator[Any]] = field(default_factory=dict)


def accelerator_names(asked: tuple[str, ...]) -> list[str]:
    """Return registry names without repeats; ``all`` stands for every accelerator.

    Raises:
        ConfigError: An unknown name; the message lists near matches.
    """
    names: list[str] = []
    for word in asked:
        found = list(ACCELERATORS) if word == "all" else [word]
        for name in found:
            ACCELERATORS.target(name)
            if name not in names:
                names.append(name)
    if not names:
        raise ConfigError("accelerators: expected at least one name, or all")
    return names


def build_all(settings: Settings) -> dict[str, Accelerator[Any]]:
    """Return the accelerators of a run by name, with the user's file and overrides.

    Raises:
        ConfigError: See `build_accelerator`; or the file is for none of the accelerators.
    """
    names = accelerator_names(settings.accelerators)
    target = None
    if settings.hardware is not None:
        target = str(read_yaml(settings.hardware).get("accelerator", ""))
        if target not in names:
            raise ConfigError(
                f"{settings.hardware}: field 'accelerator' is '{target}', "
                f"expected one of this run: {', '.join(names)}"
            )
    return {name: _built(settings, name, settings.hardware if name == target else None) for name in names}


def _built(settings: Settings, name: str, file: Path | None = None) -> Accelerator[Any]:
    """Return one accelerator in the precision of the run."""
    return built_in_precision(name, settings.precision, settings.overrides, file)


def built_in_precision(
    name: str, precision: str, overrides: Sequence[str] = (), file: Path | None = None
) -> Accelerator[Any]:
    """Return an accelerator with its multipliers in a precision; ``field=value`` overrides have the last word.

    Args:
        name: Registry name.
        precision: A name in `PRECISIONS`.
        overrides: See `build_accelerator`.
        file: Hardware file in place of the preset.
    """
    by_precision = precision_overrides(build_accelerator(name, file), precision)
    return build_accelerator(name, file, [*by_precision, *overrides])


def run_all(
    settings: Settings, workloads: list[Workload], accelerators: Mapping[str, Accelerator[Any]] | None = None
) -> Outcome:
    """Run every workload on every accelerator that accepts it.

    Args:
        settings: What to run on.
        workloads: What to run.
        accelerators: By the name that result rows give them, in place of those that the settings name.

    Raises:
        UnsupportedError: An accelerator asked for by name accepts none of the workloads.
        ConfigError: Unknown names or wrong hardware.
    """
    if settings.precision != "fp16" and settings.fidelity == "parity":
        raise ConfigError("precision int8 needs fidelity cycle: the published INT8 run keeps FP16 hardware")
    fidelity: Fidelity = FIDELITIES.load(settings.fidelity)(settings)
    fidelity.check_fields((one.partition("=")[0].strip() for one in settings.overrides), "hardware field")
    outcome = Outcome(fidelity, accelerators=dict(accelerators or build_all(settings)))
    # Ratios are over the dense preset in the same precision, whatever --set changed.
    dense = _built(replace(settings, overrides=()), "dense")
    for name, accelerator in outcome.accelerators.items():
        refusals = []
        costs = fidelity.costs(accelerator, settings.sram)
        for workload in workloads:
            try:
                accelerator.accepts(workload)
                result = fidelity.simulate(accelerator, workload, settings.sram)
            except UnsupportedError as refusal:
                refusals.append(str(refusal))
                continue
            row = result_row(
                accelerator,
                name,
                workload,
                result,
                settings.fidelity,
                sram_label(costs),
                hardware_label(accelerator),
                **fidelity.columns(result),
            )
            outcome.runs.append(Run(name, accelerator, workload, result, row))
            outcome.remarks += accelerator.remarks(workload)
            pair = (workload.model, workload.dataset)
            if pair not in outcome.reference:
                outcome.reference[pair] = fidelity.simulate(dense, workload, "auto")
        if len(refusals) == len(workloads) and "all" not in settings.accelerators:
            raise UnsupportedError(refusals[0])
        outcome.skipped += refusals
    if not outcome.runs:
        raise UnsupportedError(outcome.skipped[0])
    return outcome
