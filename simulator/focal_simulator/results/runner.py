"""Runs workloads on accelerators and keeps rows, notes and what the summaries need."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from focal_common.errors import ConfigError, UnsupportedError
from focal_common.reading.yaml_files import read_yaml
from focal_common.registry import Registry
from focal_simulator.accelerators import ACCELERATORS
from focal_simulator.accelerators.base import Accelerator, check_accepted, run_remarks
from focal_simulator.accelerators.described import is_described, read_description
from focal_simulator.accelerators.presets import base_tree, build_accelerator, field_names, hardware_label
from focal_simulator.costs.buffer_costs import SramChoice, sram_label
from focal_simulator.engine.base import Fidelity, RunResult
from focal_simulator.engine.cycle.design_cache import DesignCache
from focal_simulator.results.ratios import BASIS, DENSE, over_dense
from focal_simulator.results.rows import Row, result_row
from focal_simulator.results.summary import area_mm2
from focal_simulator.workload.workload import Workload

FIDELITIES: Registry[Any] = Registry(
    "fidelity",
    {
        "cycle": "focal_simulator.engine.cycle.level:cycle",
        "parity": "focal_simulator.engine.parity.level:parity",
        "parity_layer": "focal_simulator.engine.parity.level:parity_layer",
    },
    group="focal.fidelities",
)
"""Levels of modelling: a function of `Settings` that returns a `focal_simulator.engine.base.Fidelity`."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What to run on.

    Attributes:
        accelerators: Registry names, ``all``, or paths of hardware files that describe an accelerator.
        fidelity: Name in `FIDELITIES`.
        corrections: Words for `focal_simulator.accelerators.corrections.parse_corrections`.
        sram: Buffer cost model.
        hardware: A user's hardware file; it replaces the preset of the accelerator it names.
        overrides: ``field=value`` for every accelerator of the run whose hardware has the field.
        precision: Of operands and multipliers, see `focal_simulator.accelerators.precision`.
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
        dense: Runs of the dense array under the settings of this run by (model, dataset), asked for or not.
        basis: What ratios of this run are over, in sentences.
        skipped: One sentence for each combination that an accelerator does not accept.
        remarks: What a reader of the results should know.
        accelerators: By registry name.
        cache: What later runs of the call need not work out again.
    """

    fidelity: Fidelity
    runs: list[Run] = field(default_factory=list)
    dense: dict[tuple[str, str], Run] = field(default_factory=dict)
    basis: str = ""
    skipped: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    accelerators: dict[str, Accelerator[Any]] = field(default_factory=dict)
    cache: DesignCache = field(default_factory=DesignCache)


def accelerator_names(asked: tuple[str, ...]) -> dict[str, str]:
    """Return what `build_accelerator` takes by the name that rows give it; ``all`` stands for every registry name.

    Raises:
        ConfigError: An unknown name, with near matches; or two files of one name.
    """
    names: dict[str, str] = {}
    for word in asked:
        for one in list(ACCELERATORS) if word == "all" else [word]:
            name = one
            if is_described(one):
                name = read_description(Path(one))[0]["accelerator"]
            else:
                ACCELERATORS.target(name)
            if names.setdefault(name, one) != one:
                raise ConfigError(
                    f"{one}: its name '{name}' is that of {names[name]} too; rename one of them"
                )
    if not names:
        raise ConfigError("accelerators: expected at least one name, or all")
    return names


class _Hardware:
    """Builds the accelerators of a run: preset or the user's file, precision, and the overrides that reach each."""

    def __init__(self, settings: Settings, words: Mapping[str, str]) -> None:
        self._settings = settings
        self._words, names = {DENSE: DENSE, **words}, list(words)
        self.target = ""
        if settings.hardware is not None:
            self.target = str(read_yaml(settings.hardware).get("accelerator", ""))
            if self.target not in names:
                raise ConfigError(
                    f"{settings.hardware}: field 'accelerator' is '{self.target}', "
                    f"expected one of this run: {', '.join(names)}"
                )
        self._fields = {name: self._fields_of(name) for name in dict.fromkeys((*names, DENSE))}
        for override in settings.overrides:
            if names and not any(self.takes(name, override) for name in names):
                # Refused by the hardware that has the nearest field, in a sentence that names it.
                nearest = max(names, key=lambda name: self._likeness(name, override))
                build_accelerator(self._words[nearest], self._file(nearest), [override])

    def _file(self, name: str) -> Path | None:
        return self._settings.hardware if name == self.target else None

    def _fields_of(self, name: str) -> frozenset[str]:
        return field_names(base_tree(self._words[name], self._file(name))[0])

    def _likeness(self, name: str, override: str) -> float:
        given = _field_of(override)
        return max(SequenceMatcher(None, given, one).ratio() for one in self._fields[name])

    def knows(self, name: str) -> bool:
        """Return whether the run built an accelerator itself."""
        return name in self._words

    def takes(self, name: str, override: str) -> bool:
        """Return whether the hardware of an accelerator has the field; what is no ``field=value`` is refused later."""
        return "=" not in override or _field_of(override) in self._fields[name]

    def build(self, name: str) -> Accelerator[Any]:
        """Return one accelerator.

        Raises:
            ConfigError: See `build_accelerator`.
        """
        given = [override for override in self._settings.overrides if self.takes(name, override)]
        return built_in_precision(self._words[name], self._settings.precision, given, self._file(name))

    @property
    def described(self) -> list[str]:
        """Names of accelerators that a file describes."""
        return [name for name, word in self._words.items() if is_described(word)]


def built_in_precision(
    name: str, precision: str, overrides: Sequence[str] = (), file: Path | None = None
) -> Accelerator[Any]:
    """Return an accelerator with its multipliers in a precision; ``field=value`` overrides have the last word.

    Args:
        name: See `build_accelerator`.
        precision: A name in `PRECISIONS`.
        overrides: See `build_accelerator`.
        file: Hardware file in place of the preset.

    Raises:
        ConfigError: See `build_accelerator`.
    """
    by_name = [] if precision == "fp16" else [f"precision={precision}"]
    return build_accelerator(name, file, [*by_name, *overrides])


def _field_of(override: str) -> str:
    return override.partition("=")[0].strip()


def run_all(
    settings: Settings,
    workloads: list[Workload],
    own: Mapping[str, Accelerator[Any]] | None = None,
    changed: Collection[str] = (),
) -> Outcome:
    """Run every workload on every accelerator that accepts it, and on the dense array for ratios.

    Args:
        settings: What to run on.
        workloads: What to run.
        own: Accelerators beside those that the settings name, by the name that result rows give them.
        changed: Names of ``own`` whose hardware differs by more than the settings, so that dense has none of it.

    Raises:
        UnsupportedError: An accelerator asked for by name accepts none of the workloads.
        ConfigError: Unknown names or wrong hardware.
    """
    if settings.precision != "fp16" and settings.fidelity == "parity":
        raise ConfigError("precision int8 needs fidelity cycle: the published INT8 run keeps FP16 hardware")
    fidelity: Fidelity = FIDELITIES.load(settings.fidelity)(settings)
    fidelity.check_fields((_field_of(one) for one in settings.overrides), "hardware field")
    names = accelerator_names(settings.accelerators) if settings.accelerators or not own else {}
    hardware = _Hardware(settings, names)
    outcome = Outcome(fidelity, accelerators={name: hardware.build(name) for name in names} | dict(own or {}))
    refused = _run_dense(settings, hardware, workloads, outcome)
    outcome.basis = _basis(settings, hardware, outcome, [*changed, *hardware.described], refused)
    for name, accelerator in outcome.accelerators.items():
        refusals = []
        for workload in workloads:
            pair = (workload.model, workload.dataset)
            try:
                run = outcome.dense.get(pair) if name == DENSE else None
                run = run or _run(settings, outcome, name, accelerator, workload)
            except UnsupportedError as refusal:
                refusals.append(str(refusal))
                continue
            outcome.runs.append(run)
            said = run_remarks(accelerator, workload, fidelity.costs(accelerator, settings.sram))
            outcome.remarks += [one for one in said if one not in outcome.remarks]
        if len(refusals) == len(workloads) and "all" not in settings.accelerators:
            raise UnsupportedError(refusals[0])
        outcome.skipped += refusals
    if not outcome.runs:
        raise UnsupportedError(outcome.skipped[0])
    return outcome


def _run(
    settings: Settings, outcome: Outcome, name: str, accelerator: Accelerator[Any], workload: Workload
) -> Run:
    """Run one workload on one accelerator; raises `UnsupportedError` if it is not accepted."""
    fidelity = outcome.fidelity
    check_accepted(accelerator, workload)
    result = fidelity.simulate(accelerator, workload, settings.sram, outcome.cache)
    dense = outcome.dense.get((workload.model, workload.dataset))
    reference = result if dense is None else dense.result
    is_known = dense is not None or name == DENSE
    costs = fidelity.costs(accelerator, settings.sram)
    row = result_row(
        name,
        workload,
        result,
        fidelity=settings.fidelity,
        origin=workload.origin_for(accelerator.study.uses_counts),
        sram_model=sram_label(costs),
        hardware=hardware_label(accelerator, costs),
        area_mm2=area_mm2(accelerator, fidelity, costs),
        **over_dense(
            result.seconds,
            result.total_mj,
            (reference.seconds, reference.total_mj) if is_known else None,
        ),
        **fidelity.columns(result),
    )
    return Run(name, accelerator, workload, result, row)


def _run_dense(settings: Settings, hardware: _Hardware, workloads: list[Workload], outcome: Outcome) -> str:
    """Run the dense array under the settings of the run; return why it cannot be, or nothing.

    Raises:
        ConfigError: Its hardware is wrong, and it was asked for.
    """
    reasons = []
    try:
        dense = outcome.accelerators.get(DENSE) or hardware.build(DENSE)
        for workload in workloads:
            try:
                run = _run(settings, outcome, DENSE, dense, workload)
            except UnsupportedError as refusal:
                reasons.append(str(refusal))
                continue
            outcome.dense[workload.model, workload.dataset] = run
    except ConfigError as error:
        if DENSE in outcome.accelerators:
            raise
        reasons.append(str(error))
    return reasons[0] if reasons else ""


def _basis(
    settings: Settings, hardware: _Hardware, outcome: Outcome, changed: Collection[str], refused: str
) -> str:
    """Return what the ratios of a run are over, and which settings do not reach which array."""
    sentences = [f"Speed-up and energy {BASIS}."]
    if outcome.dense and DENSE not in outcome.accelerators:
        sentences.append("Dense was run for them and is not shown.")
    if hardware.target not in ("", DENSE):
        sentences.append(f"{settings.hardware} is for {hardware.target}; dense has its own preset.")
    if own := [name for name in changed if name != DENSE]:
        sentences.append(f"{', '.join(own)}: hardware of its own, of which dense has nothing.")
    if DENSE in changed:
        sentences.append("dense has hardware of its own.")
    for override in settings.overrides:
        names = dict.fromkeys((*(name for name in outcome.accelerators if hardware.knows(name)), DENSE))
        if lacking := [name for name in names if not hardware.takes(name, override)]:
            sentences.append(f"{override.strip()} does not reach {', '.join(lacking)}: no such field.")
    if refused:
        sentences.append(f"No ratios where dense cannot be run: {refused}.")
    return " ".join(sentences)
