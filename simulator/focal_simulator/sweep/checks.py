"""Looks at every name, field and value of a study before anything runs."""

from __future__ import annotations

import json
from typing import Any

from focal_common.errors import ConfigError, UnsupportedError, near_matches
from focal_simulator.accelerators.base import Accelerator
from focal_simulator.costs.sram import SramTable
from focal_simulator.engine.base import Fidelity
from focal_simulator.sweep.axes import METHOD, SRAM_MODEL, changes_trace, fields_of
from focal_simulator.sweep.hardware_points import PointHardware
from focal_simulator.sweep.metrics import CHIP_METRICS, RUN_METRICS, check_metric
from focal_simulator.sweep.providers.base import TraceProvider
from focal_simulator.sweep.rows import check_names
from focal_simulator.sweep.study import ONE_AT_A_TIME, Study

_SRAM_MODELS = ("auto", "compiler", "cacti")
_LOOKED_UP = ("dram_system", "sram_node")
"""Fields whose values name entries of a table."""

_CUTS = ("tiles", "core")
"""Parts of the hardware file that decide how a trace is cut."""


def check_overrides(study: Study) -> None:
    """Refuse overrides that belong elsewhere or change nothing."""
    varied = fields_of(study.axes)
    # One at a time, the other axes stay at the base design, which is also a point where it is asked for.
    has_base = study.kind == ONE_AT_A_TIME or study.include_base
    for field in study.overrides:
        if field.startswith(METHOD):
            raise ConfigError(
                f"overrides: '{field}' is a parameter of the method, not of the hardware; set it on an axis, or for "
                "all points in traces.options.arguments"
            )
        if field == SRAM_MODEL:
            raise ConfigError(f"overrides: '{field}' is the field 'sram' of the study")
        if field in varied and not has_base:
            raise ConfigError(
                f"overrides: '{field}' has no effect, because an axis sets it at every point of kind {study.kind}"
            )


def check_study(study: Study, hardware: PointHardware, provider: TraceProvider, fidelity: Fidelity) -> None:
    """Refuse a study with a name, field or value that can not work.

    Args:
        study: With overrides that `check_overrides` has passed.
        hardware: Its base design.
        provider: Its trace provider.
        fidelity: Its level of modelling.

    Raises:
        ConfigError: One sentence with the nearest valid name, or the value that was expected.
        TraceError: A workload that the trace root does not list.
    """
    check_names(study.axes, [*RUN_METRICS, *CHIP_METRICS, *provider.measures(), *fidelity.column_names()])
    _check_looked_up(hardware.base, fidelity, f"the base design ({' and '.join(_LOOKED_UP)})")
    _check_axes(study, hardware, provider, fidelity)
    _check_traces(study, hardware, provider, fidelity)
    for name in ("objectives", "constraints"):
        for entry in getattr(study, name):
            check_metric(entry.metric, provider.measures(), f"study '{study.name}', {name}")


def _check_axes(study: Study, hardware: PointHardware, provider: TraceProvider, fidelity: Fidelity) -> None:
    for axis in study.axes:
        for settings in axis.settings:
            for field, value in settings.items():
                _check_value(field, value, hardware, provider, fidelity)


def _check_value(
    field: str, value: Any, hardware: PointHardware, provider: TraceProvider, fidelity: Fidelity
) -> None:
    if field.startswith(METHOD):
        provider.check(field.removeprefix(METHOD), value)
    elif field == SRAM_MODEL:
        if value not in _SRAM_MODELS:
            raise ConfigError(f"sram.model '{value}': {near_matches(str(value), _SRAM_MODELS)}")
    elif field.startswith("sram."):
        raise ConfigError(f"unknown field '{field}'; {near_matches(field, [SRAM_MODEL])}")
    else:
        hardware.checked_value(field, value)
        if field in _LOOKED_UP:
            _check_looked_up(hardware.accelerator({field: value}), fidelity, f"{field}={value}")


def _check_looked_up(accelerator: Accelerator[Any], fidelity: Fidelity, where: str) -> None:
    """Refuse names and nodes that are in no table, with the fields they stand in."""
    try:
        fidelity.check_hardware(accelerator.hardware)
        SramTable.embedded().check_node(accelerator.hardware.sram_node.value)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _check_traces(study: Study, hardware: PointHardware, provider: TraceProvider, fidelity: Fidelity) -> None:
    """Refuse values that no point could run, where one set of traces, recorded before, serves all points."""
    if provider.makes_traces or any(changes_trace(axis) for axis in study.axes):
        return
    workloads = provider.traced({}).workloads
    for axis in study.axes:
        for settings in axis.settings:
            own = {field: value for field, value in settings.items() if field.partition(".")[0] in _CUTS}
            try:
                for workload in workloads if own else ():
                    fidelity.check_trace(hardware.accelerator(own), workload)
            except UnsupportedError as error:
                raise ConfigError(f"axis '{axis.label}', {json.dumps(own)}: {error}") from error
