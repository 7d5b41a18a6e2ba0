"""What an arena compares: models, methods, budgets, and how many questions it asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from focal_algorithm.evaluation.offline.evaluator import Evaluator
from focal_algorithm.evaluation.offline.questions import BENCHMARKS
from focal_algorithm.methods import METHODS
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.methods.build import method_of_file
from focal_common.errors import ConfigError, near_matches
from focal_common.places import plain_name

DENSE = "dense"
QUANTITIES = {
    "tokens": "equivalent visual tokens, layer mean",
    "macs": "MACs of the decoder's prefill",
}


@dataclass(frozen=True)
class ModelFolder:
    """A checkpoint under the name that the tables give it."""

    name: str
    folder: str

    @classmethod
    def read(cls, text: str) -> ModelFolder:
        """Read ``NAME=FOLDER``.

        Raises:
            ConfigError: Not of this form, or no such folder.
        """
        name, equals, folder = text.partition("=")
        if not equals or not name.strip() or not folder.strip():
            raise ConfigError(f"--model '{text}': expected NAME=FOLDER, such as mine=path/to/checkpoint")
        if not (Path(folder.strip()) / "config.json").is_file():
            raise ConfigError(
                f"--model {name.strip()}: no config.json in '{folder.strip()}'; expected a checkpoint folder"
            )
        return cls(plain_name(name.strip(), "--model"), folder.strip())


@dataclass(frozen=True)
class Candidate:
    """A method under a name.

    Attributes:
        name: In tables.
        method: Name in `METHODS`, or that of ``own``.
        parameters: Over published or fitted ones.
        own: A method that takes part as it is, registered or not; None for one by name.
    """

    name: str
    method: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    own: CompressionMethod | None = None

    def build(self, evaluator: Evaluator, parameters: Mapping[str, Any] | None = None) -> CompressionMethod:
        """Return the method for a model and its questions, with further parameters over its own."""
        given = {**self.parameters, **(parameters or {})}
        if self.own is not None:
            return replace(self.own, **given)
        return evaluator.method(self.method, given)


_VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    # As published these two number positions anew. Small models take that badly, so that a row of its own tells
    # what the choice of tokens costs and what the numbering does; the SparseZip study uses the same names.
    "visionzip_placed": ("visionzip", {"keeps_positions": True}),
    "sparsezip_placed": ("sparsezip", {"keeps_positions": True}),
    # What TensorRT Edge-LLM ships under the name of DART, before the decoder.
    "dart_edge": ("dart", {"layer": 0}),
}
_NOT_BY_DEFAULT = ("zip_parts",)
"""Not a method of its own, but parts of others; the SparseZip study takes it apart."""

DEFAULT_CANDIDATES = (*(name for name in METHODS if name not in _NOT_BY_DEFAULT), *_VARIANTS)


def candidate(name: str) -> Candidate:
    """Return who takes part under a name: a method of `METHODS`, a variant, or the method of a file ``FILE.py``.

    Raises:
        ConfigError: There is none.
    """
    if name in _VARIANTS:
        return Candidate(name, *_VARIANTS[name])
    if name.endswith(".py"):
        own = method_of_file(Path(name))
        return Candidate(own.name, own.name, own=own)
    if name not in METHODS:
        raise ConfigError(f"unknown method '{name}'; {near_matches(name, [*METHODS, *_VARIANTS])}")
    return Candidate(name, name)


def method_behind(name: str) -> str:
    """Return the method of a candidate: what a variant varies, else the name itself."""
    return _VARIANTS[name][0] if name in _VARIANTS else shown_name(name)


def shown_name(name: str) -> str:
    """Return the name of a candidate in tables: that of its class where it was given as a file."""
    return candidate(name).name if name.endswith(".py") else name


@dataclass(frozen=True)
class Case:
    """One model on one benchmark under one method: the budgets of a case are solved together.

    Attributes:
        model: The model.
        benchmark: Name in `BENCHMARKS`.
        method: Name of an `candidate`.
    """

    model: ModelFolder
    benchmark: str
    method: str


@dataclass(frozen=True)
class ArenaPlan:
    """What an arena asks.

    Attributes:
        models: Checkpoints.
        benchmarks: Names in `BENCHMARKS`; each model answers those of its kind of pictures.
        methods: Names of candidates; dense is always among them, as the reference.
        budgets: Shares of the dense quantity, in (0, 1), descending.
        quantity: One of `QUANTITIES`.
        questions: First so many of each benchmark; 0 for all.
        traced: Questions, about different pictures, on which budgets are solved, counts recorded and hardware
            simulated.
        seed: Chooses them.
        simulates: Whether to simulate.
    """

    models: tuple[ModelFolder, ...]
    benchmarks: tuple[str, ...] = ("shapes-video", "shapes-pope", "shapes-mme")
    methods: tuple[str, ...] = DEFAULT_CANDIDATES
    budgets: tuple[float, ...] = (0.5, 0.25, 0.125)
    quantity: str = "tokens"
    questions: int = 1000
    traced: int = 8
    seed: int = 0
    simulates: bool = True

    def __post_init__(self) -> None:
        if self.quantity not in QUANTITIES:
            raise ConfigError(
                f"quantity '{self.quantity}': {near_matches(self.quantity, QUANTITIES)}", about=("match",)
            )
        for name, least in (("questions", 0), ("traced", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"--{name} must be at least {least}, got {getattr(self, name)}")
        for budget in self.budgets:
            if not 0 < budget < 1:
                raise ConfigError(f"--budgets: expected shares between 0 and 1, got {budget:g}")
        for method in self.methods:
            candidate(method)
        for benchmark in self.benchmarks:
            if benchmark not in BENCHMARKS:
                raise ConfigError(f"--tasks '{benchmark}': {near_matches(benchmark, BENCHMARKS)}")
        for name in ("models", "benchmarks", "budgets"):
            _check_distinct(name, [getattr(one, "name", one) for one in getattr(self, name)])
        _check_distinct("methods", [shown_name(method) for method in self.methods])
        if DENSE not in self.methods:
            object.__setattr__(self, "methods", (DENSE, *self.methods))
        ordered = (DENSE, *sorted(method for method in self.methods if method != DENSE))
        object.__setattr__(self, "methods", ordered)
        object.__setattr__(self, "budgets", tuple(sorted(self.budgets, reverse=True)))

    def as_json(self) -> dict[str, Any]:
        """Return the settings without folders."""
        methods = [shown_name(method) for method in self.methods]
        return asdict(self) | {"models": [one.name for one in self.models], "methods": methods}


def _check_distinct(field: str, values: Sequence[Any]) -> None:
    if not values:
        raise ConfigError(f"--{field}: expected at least one")
    twice = sorted({str(one) for one in values if list(values).count(one) > 1})
    if twice:
        raise ConfigError(f"--{field}: {', '.join(twice)} was given twice")
