"""What an arena compares: models, methods, budgets, and how many questions it asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from focal.studies.arena.entrants import DEFAULT_ENTRANTS, entrant
from focal_algorithm.evaluation.offline.questions import BENCHMARKS
from focal_common.errors import ConfigError, near_matches
from focal_common.places import plain_name

__all__ = ["DENSE", "QUANTITIES", "ArenaPlan", "Bout", "ModelFolder"]

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
class Bout:
    """One model on one benchmark under one method: the budgets of a bout are solved together.

    Attributes:
        model: The model.
        benchmark: Name in `BENCHMARKS`.
        method: Name of an `entrant`.
    """

    model: ModelFolder
    benchmark: str
    method: str


@dataclass(frozen=True)
class ArenaPlan:
    """An arena.

    Attributes:
        models: Checkpoints.
        benchmarks: Names in `BENCHMARKS`; each model answers those of its kind of pictures.
        methods: Names of entrants; dense is always among them, as the reference.
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
    methods: tuple[str, ...] = DEFAULT_ENTRANTS
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
        for field, least in (("questions", 0), ("traced", 1), ("seed", 0)):
            if getattr(self, field) < least:
                raise ConfigError(f"--{field} must be at least {least}, got {getattr(self, field)}")
        for budget in self.budgets:
            if not 0 < budget < 1:
                raise ConfigError(f"--budgets: expected shares between 0 and 1, got {budget:g}")
        for method in self.methods:
            entrant(method)
        for benchmark in self.benchmarks:
            if benchmark not in BENCHMARKS:
                raise ConfigError(f"--tasks '{benchmark}': {near_matches(benchmark, BENCHMARKS)}")
        for field in ("models", "benchmarks", "methods", "budgets"):
            _check_distinct(field, [getattr(one, "name", one) for one in getattr(self, field)])
        if DENSE not in self.methods:
            object.__setattr__(self, "methods", (DENSE, *self.methods))
        ordered = (DENSE, *sorted(name for name in self.methods if name != DENSE))
        object.__setattr__(self, "methods", ordered)
        object.__setattr__(self, "budgets", tuple(sorted(self.budgets, reverse=True)))

    def as_json(self) -> dict[str, Any]:
        """Return the settings without folders."""
        return asdict(self) | {"models": [one.name for one in self.models]}


def _check_distinct(field: str, values: Sequence[Any]) -> None:
    if not values:
        raise ConfigError(f"--{field}: expected at least one")
    twice = sorted({str(one) for one in values if list(values).count(one) > 1})
    if twice:
        raise ConfigError(f"--{field}: {', '.join(twice)} was given twice")
