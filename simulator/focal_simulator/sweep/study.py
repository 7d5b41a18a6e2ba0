"""A study as checked values: what to vary, on what to measure, what to aim at and within which limits."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator, model_validator

from focal_common.config import StrictModel, packaged_names, packaged_yaml, validated
from focal_common.errors import near_matches
from focal_common.places import PlainName, PlainPath
from focal_common.reading.yaml_files import read_yaml
from focal_simulator.costs.buffer_costs import SramChoice
from focal_simulator.sweep.axes import Axis, fields_of

SQLITE, JOURNAL = STORAGES = ("sqlite", "journal")
"""Optuna storages that lie in the study folder."""


ONE_AT_A_TIME = "one_at_a_time"
"""The kind of study whose points leave the base design in one axis."""


class Objective(StrictModel):
    """What to improve.

    Attributes:
        metric: Name of a metric, such as ``seconds`` or ``accuracy``.
        goal: Which way is better.
    """

    metric: str
    goal: Literal["minimize", "maximize"] = "minimize"

    @property
    def sign(self) -> float:
        """Factor that makes smaller better."""
        return 1.0 if self.goal == "minimize" else -1.0


class Constraint(StrictModel):
    """Limits of one metric.

    Attributes:
        metric: Name of a metric, such as ``area_mm2``.
        at_most: Largest allowed value.
        at_least: Smallest allowed value.
    """

    metric: str
    at_most: float | None = None
    at_least: float | None = None

    @model_validator(mode="after")
    def _is_possible(self) -> Constraint:
        if self.at_most is None and self.at_least is None:
            raise ValueError(f"constraint on '{self.metric}' needs at_most or at_least")
        if self.at_most is not None and self.at_least is not None and self.at_most < self.at_least:
            raise ValueError(
                f"constraint on '{self.metric}' contradicts itself: at_most {self.at_most} lies below "
                f"at_least {self.at_least}"
            )
        return self


class TraceSource(StrictModel):
    """Where traces come from.

    Attributes:
        root: Trace root, relative to the study file; one given for a run replaces it.
        folder: Trace folder of points that set no method parameter.
        provider: Registry name of what finds or makes the trace of a set of method parameters.
        options: Settings of the provider.
    """

    root: str | None = None
    folder: PlainName = "focus_main"
    provider: str = "existing"
    options: dict[str, Any] = Field(default_factory=dict)


class Sampling(StrictModel):
    """How many points and which.

    Attributes:
        points: Number of points (quasi_random) or proposals (search).
        seed: Seed of the sampler.
        sequence: Low-discrepancy sequence of quasi_random.
        sampler: Optuna sampler of search.
        batch: Proposals made before any of them is reported back; the population of NSGA-II.
        storage: Optuna storage of search: ``sqlite`` or ``journal`` in the study folder, or a database URL. It decides
            no number.
    """

    points: PositiveInt = 100
    seed: NonNegativeInt = 0
    sequence: Literal["sobol", "halton"] = "sobol"
    sampler: Literal["tpe", "nsga2", "random"] = "tpe"
    batch: int = Field(default=20, ge=2)
    storage: str = SQLITE

    @field_validator("storage")
    @classmethod
    def _is_a_storage(cls, word: str) -> str:
        if word not in STORAGES and "://" not in word:
            raise ValueError(
                f"unknown storage '{word}'; {near_matches(word, STORAGES)}, or the URL of a database"
            )
        return word


class Study(StrictModel):
    """A design-space study.

    Attributes:
        name: Name of the output folder.
        description: One sentence for a reader.
        kind: Registry name of the way to choose points.
        accelerator: Registry name, or a hardware file that describes one, relative to the study file.
        fidelity: Registry name of the model level.
        corrections: Corrections of fidelity ``cycle``, as of ``focal sim``.
        sram: Buffer cost model.
        hardware: Hardware file relative to the study file; the preset if absent.
        overrides: Values by dotted field that hold for every point; they make the base design.
        traces: Where traces come from.
        workloads: ``model/dataset`` pairs; all of the trace root if empty.
        axes: What varies.
        constraints: Limits that make a point infeasible.
        objectives: What to improve; the Pareto front is taken over them.
        sampling: How many points and which.
        include_base: Whether the base design itself is the first point.
    """

    name: PlainName
    description: str = ""
    kind: str
    accelerator: PlainPath = "focus"
    fidelity: str = "parity"
    corrections: str = "all"
    sram: SramChoice = "auto"
    hardware: str | None = None
    overrides: dict[str, Any] = Field(default_factory=dict)
    traces: TraceSource = TraceSource()
    workloads: tuple[PlainPath, ...] = ()
    axes: tuple[Axis, ...]
    constraints: tuple[Constraint, ...] = ()
    objectives: tuple[Objective, ...] = (Objective(metric="seconds"), Objective(metric="total_mj"))
    sampling: Sampling = Sampling()
    include_base: bool = False

    @model_validator(mode="after")
    def _is_whole(self) -> Study:
        if not self.axes:
            raise ValueError("axes is empty; expected at least one axis")
        if not self.objectives:
            raise ValueError("objectives is empty; expected at least one")
        for name, entries in (("objectives", self.objectives), ("constraints", self.constraints)):
            metrics = [entry.metric for entry in entries]
            if len(set(metrics)) != len(metrics):
                raise ValueError(f"{name} names a metric twice")
        fields_of(self.axes)
        return self


def preset_names() -> tuple[str, ...]:
    """Return the names of the packaged studies."""
    return packaged_names(files("focal_simulator.sweep") / "presets")


def read_study(word: str) -> tuple[Study, Path]:
    """Read a study by file name or by the name of a packaged one.

    Args:
        word: Path of a YAML file, or a name in `preset_names`.

    Returns:
        The study, and the folder its relative paths start from.

    Raises:
        ConfigError: No such study, or a wrong field; one sentence with the nearest valid name.
    """
    path = Path(word)
    if path.exists() or path.suffix in (".yaml", ".yml"):
        return validated(Study, read_yaml(path), str(path)), path.parent
    tree = packaged_yaml(
        files("focal_simulator.sweep") / "presets", word, "no study file and no packaged study"
    )
    return validated(Study, tree, f"{word}.yaml"), Path.cwd()
