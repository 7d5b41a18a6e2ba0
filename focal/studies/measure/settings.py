"""What decides a measurement beside the parameters of the method, its hash, and the files that it leaves."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from focal_algorithm.evaluation.offline.questions import BENCHMARKS
from focal_algorithm.methods import METHODS
from focal_algorithm.methods.budgeted import read_parameter
from focal_algorithm.models import MODELS
from focal_algorithm.models.weights import SHIPPED, shipped_model
from focal_algorithm.tasks.asking import read_batch
from focal_algorithm.tasks.sample import SPLITS
from focal_common.errors import ConfigError, near_matches
from focal_common.files import sha256_of_file
from focal_common.provenance import content_hash

MEASURED = "measured.json"
"""Key ``metrics``: ``accuracy`` with the ends of its 95 % interval (``accuracy_low``, ``accuracy_high``), in percent;
``questions``; ``kept_tokens``, visual tokens alive on the average over layers, and ``vector_sparsity``, zero or
similar vectors weighted by work, both in percent of the traced samples. The other keys say how they were measured."""

ANSWERS = "answers.csv"
"""One row per question: picture, kind, expected, said, right (0 or 1)."""


@dataclass(frozen=True, kw_only=True)
class MeasureSettings:
    """A model, a method without its parameters, and the questions.

    Attributes:
        model: Shipped model, family with random weights, or checkpoint folder.
        size: Of a random model.
        method: Registry name.
        task: Name in `BENCHMARKS`.
        split: Of the task.
        data_seed: Of the task; ``focal eval`` takes 0.
        questions: The first so many of the split.
        samples: How many of them, evenly spaced, are traced.
        seed: Of random weights.
        threads: CPU threads; 0 leaves torch's choice.
        device: torch device.
        batch: Most questions about a picture in one batch; ``auto`` for all of them.

    Raises:
        ConfigError: An unknown name, with the nearest, or a number out of range.
    """

    model: str = "shapes_video"
    size: str = "small"
    method: str = "focus"
    task: str = "shapes-video"
    split: str = "test"
    data_seed: int = 0
    questions: int = 400
    samples: int = 9
    seed: int = 0
    threads: int = 0
    device: str = "cpu"
    batch: str = "auto"

    def __post_init__(self) -> None:
        METHODS.target(self.method)
        read_batch(self.batch)
        if self.task not in BENCHMARKS:
            raise ConfigError(f"unknown task '{self.task}'; {near_matches(self.task, BENCHMARKS)}")
        if self.split not in SPLITS:
            raise ConfigError(f"unknown split '{self.split}'; {near_matches(self.split, SPLITS)}")
        least = {"questions": 1, "samples": 1, "data_seed": 0, "seed": 0, "threads": 0}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ConfigError(f"{name} must be at least {value}, got {getattr(self, name)}")
        if self.samples > self.questions:
            raise ConfigError(
                f"samples must be at most the number of questions, {self.questions}, got {self.samples}"
            )
        if self.model not in MODELS and not self.location.is_dir():
            names = [*SHIPPED, *MODELS]
            raise ConfigError(
                f"unknown model '{self.model}', neither a shipped model nor a family nor a folder; "
                f"{near_matches(self.model, names)}"
            )

    @cached_property
    def location(self) -> Path:
        """Folder of a checkpoint; the name of a family as it is."""
        return shipped_model(self.model) if self.model in SHIPPED else Path(self.model)

    def parameters(self) -> list[str]:
        """Return the names of the parameters the method takes, sorted."""
        return sorted(field.name for field in fields(METHODS.load(self.method)))

    def identity(self) -> str:
        """Return a hash of the settings and of every file of the model; what decides no answer does not enter it."""
        facts = asdict(self)
        del facts["threads"], facts["batch"]
        if self.device == "cpu":  # as hashes were before there was a choice
            del facts["device"]
        if self.model not in MODELS:
            folder = self.location
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            facts["model"] = {str(path.relative_to(folder)): sha256_of_file(path) for path in files}
        return content_hash(facts)


def settings_of_words(words: Sequence[str]) -> tuple[MeasureSettings, dict[str, Any]]:
    """Return settings and method parameters from options of ``focal measure``.

    Raises:
        ConfigError: An unknown option, with the nearest, or a value that a setting does not take.
    """
    where = "traces.options.arguments"
    # No abbreviations: an option that is added later must not change what an old study means.
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False, exit_on_error=False)
    for setting in fields(MeasureSettings):
        kind = int if setting.type == "int" else str
        parser.add_argument(f"--{setting.name.replace('_', '-')}", type=kind, default=setting.default)
    parser.add_argument("--set", action="append", default=[])
    try:
        found, unknown = parser.parse_known_args(list(words))
    except argparse.ArgumentError as error:
        raise ConfigError(f"{where}: {error}") from error
    if unknown:
        options = [option for action in parser._actions for option in action.option_strings]
        raise ConfigError(f"{where}: unknown word '{unknown[0]}'; {near_matches(unknown[0], options)}")
    given = vars(found)
    parameters = dict(map(read_parameter, given.pop("set")))
    return MeasureSettings(**given), parameters
