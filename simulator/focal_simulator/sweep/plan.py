"""A study with everything resolved: base hardware, trace hashes, the hash that every row carries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from focal_common.config import validated
from focal_common.errors import ConfigError
from focal_common.provenance import content_hash
from focal_common.reading.json_files import read_json
from focal_simulator.accelerators.described import is_described
from focal_simulator.accelerators.presets import base_tree, overridden
from focal_simulator.dram.specs import is_memory_file, read_memory
from focal_simulator.engine.base import Fidelity
from focal_simulator.results.runner import FIDELITIES
from focal_simulator.results.runner import Settings as RunSettings
from focal_simulator.sweep.axes import METHOD, SRAM_MODEL, Settings, Space, fields_of
from focal_simulator.sweep.checks import check_overrides, check_study
from focal_simulator.sweep.hardware_points import PointHardware, field_value, refuse_truth
from focal_simulator.sweep.metrics import CHIP_METRICS, RUN_METRICS
from focal_simulator.sweep.providers import TRACE_PROVIDERS
from focal_simulator.sweep.providers.base import ProviderContext, TraceProvider
from focal_simulator.sweep.study import SQLITE, Study


@dataclass(frozen=True)
class Plan:
    """A resolved study.

    Attributes:
        study: As read.
        hardware: Hardware mapping of the base design.
        where: Name of its file in messages.
        traces_sha256: Hash of what decides the traces.
        root: Trace root on this machine; no part of the hash.
        cache: Folder of traces made on demand; no part of the hash.
        provider_class: What finds or makes the traces. Workers are given the class: its name may be unknown to them.
        memories: What the files hold that axes name as ``dram_system``, by their path in the study.
    """

    study: Study
    hardware: dict[str, Any]
    where: str
    traces_sha256: str
    root: Path | None
    cache: Path
    provider_class: type[TraceProvider]
    memories: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def space(self) -> Space:
        """The axes over the base design."""
        base: Settings = {}
        for name in fields_of(self.study.axes):
            base[name] = self._base_value(name)
        return Space(self.study.axes, base)

    @cached_property
    def sha256(self) -> str:
        """Hash of the whole resolved study."""
        return content_hash(self.record())

    @cached_property
    def _common_sha256(self) -> str:
        study = self.study
        return content_hash(
            {
                "accelerator": study.accelerator,
                "fidelity": study.fidelity,
                "corrections": study.corrections,
                "hardware": self.hardware,
                "sram": study.sram,
                "traces": self.traces_sha256,
                "workloads": list(study.workloads),
                "provider": study.traces.model_dump(mode="json", exclude={"root"}),
                **({"memories": dict(self.memories)} if self.memories else {}),
            }
        )

    @property
    def accelerator(self) -> str:
        """Name of the accelerator in rows."""
        return str(self.hardware["accelerator"]) if "base" in self.hardware else self.study.accelerator

    def record(self) -> dict[str, Any]:
        """Return the JSON-like content of ``study.json``; it holds no machine path and no password."""
        study = self.study.model_dump(mode="json")
        # Where Optuna keeps its trials decides no number, and the URL of a database may hold a password.
        study["sampling"]["storage"] = SQLITE
        return {
            "study": study,
            "hardware": self.hardware,
            "hardware_file": Path(self.where).name,
            "traces_sha256": self.traces_sha256,
            **({"memories": dict(self.memories)} if self.memories else {}),
        }

    def configuration_sha256(self, settings: Settings) -> str:
        """Return the hash of everything that decides the numbers of a point.

        Fields at the value of the base design do not enter it, so that it is the same whether an axis varies them or
        not.
        """
        base = self.space.base
        own = {field: value for field, value in settings.items() if value != base[field]}
        return content_hash({"common": self._common_sha256, "settings": own})

    def provider(self) -> TraceProvider:
        """Return a new trace provider of the study."""
        return _provider(self.provider_class, self.study, self.root, self.cache)

    def unit(self, metric: str) -> str:
        """Return the unit of a metric; empty if it is not known."""
        if metric in RUN_METRICS:
            return RUN_METRICS[metric].unit
        return CHIP_METRICS.get(metric) or self.provider_class.measure_units.get(metric, "")

    def source(self, metric: str) -> str:
        """Return where a metric comes from that the trace provider gives; empty for what is simulated here."""
        is_simulated = metric in RUN_METRICS or metric in CHIP_METRICS
        return "" if is_simulated else self.provider_class.measures_are

    def _base_value(self, field: str) -> Any:
        if field.startswith(METHOD):
            return None
        return self.study.sram if field == SRAM_MODEL else field_value(self.hardware, field)


def study_fidelity(study: Study) -> Fidelity:
    """Return the level of modelling of a study, with its settings."""
    settings = RunSettings(
        accelerators=(study.accelerator,),
        fidelity=study.fidelity,
        corrections=study.corrections,
        sram=study.sram,
    )
    found: Fidelity = FIDELITIES.load(study.fidelity)(settings)
    return found


def _provider(
    provider_class: type[TraceProvider], study: Study, root: Path | None, cache: Path
) -> TraceProvider:
    traces = study.traces
    return provider_class(ProviderContext(root, traces.folder, study.workloads, traces.options, cache))


def make_plan(study: Study, base: Path, trace: Path | None, cache: Path) -> Plan:
    """Resolve and check a study: every name, field and value is looked at before anything runs.

    Args:
        study: As read.
        base: Folder its relative paths start from.
        trace: Trace root in place of the study's.
        cache: Folder for traces made on demand.

    Raises:
        FocalError: An unknown name or field with the nearest valid one, a value a field does not take, a missing
            trace root, or a metric that nothing measures.
    """
    fidelity = study_fidelity(study)
    fidelity.check_fields([*fields_of(study.axes), *study.overrides], "study:")
    check_overrides(study)
    if is_described(study.accelerator) and study.hardware:
        raise ConfigError(
            f"study '{study.name}': field 'hardware' is '{study.hardware}', but accelerator '{study.accelerator}' "
            "is a hardware file itself; expected one of the two"
        )
    word = str(base / study.accelerator) if is_described(study.accelerator) else study.accelerator
    tree, where = base_tree(word, base / study.hardware if study.hardware else None)
    for name, value in study.overrides.items():
        refuse_truth(tree, name, value, where)
    changes = {
        name: str(base / value) if name == "dram_system" and is_memory_file(value) else value
        for name, value in study.overrides.items()
    }
    tree = overridden(tree, [f"{name}={json.dumps(value)}" for name, value in changes.items()], where)
    root = trace or (base / study.traces.root if study.traces.root else None)
    provider_class: type[TraceProvider] = TRACE_PROVIDERS.load(study.traces.provider)
    provider = _provider(provider_class, study, root, cache)
    memories = {
        system: read_memory(base / system).model_dump(mode="json")
        for axis in study.axes
        for settings in axis.settings
        if is_memory_file(system := settings.get("dram_system", ""))
    }
    check_study(study, PointHardware(study.accelerator, tree, where, memories), provider, fidelity)
    return Plan(study, tree, where, provider.fingerprint(), root, cache, provider_class, memories)


def read_plan(folder: Path, root: Path | None, cache: Path, provider_class: type[TraceProvider]) -> Plan:
    """Read a plan back from the ``study.json`` of a study folder; the rest is as in `Plan`.

    Raises:
        RunError: The file is missing or not such a file.
    """
    path = folder / "study.json"
    content = read_json(path, hint="move the folder away")
    if missing := [
        name for name in ("study", "hardware", "hardware_file", "traces_sha256") if name not in content
    ]:
        raise ConfigError(
            f"{path}: has no field '{missing[0]}', expected the record of a study; move the folder away"
        )
    study = validated(Study, content["study"], str(path))
    hardware, where, traces_sha256 = (
        content[name] for name in ("hardware", "hardware_file", "traces_sha256")
    )
    memories = content.get("memories", {})
    return Plan(study, hardware, where, traces_sha256, root, cache, provider_class, memories)


def hardware_settings(settings: Settings, base: Settings) -> Settings:
    """Return the settings that change the hardware file."""
    return {
        field: value
        for field, value in settings.items()
        if not field.startswith(METHOD) and field != SRAM_MODEL and value != base[field]
    }
