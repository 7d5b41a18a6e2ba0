"""The fields of a matrix file.

A matrix names models and datasets once, and suites that cross them with one method. The published matrix is that of
the scripts of Focus, HPCA 2026 (artifact).
"""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from focal_common.config import StrictModel, validated
from focal_common.errors import ConfigError, near_matches
from focal_common.places import PlainName, PlainNameOrEmpty
from focal_common.reading.yaml_files import read_yaml

PRESETS = ("offline", "paper")


class ModelSpec(StrictModel):
    """One model.

    Attributes:
        family: Name of the adapter.
        checkpoint: Shipped model, folder or Hub name; empty for random weights of ``size``.
        revision: Revision of a Hub name: commit, branch or tag.
        size: Size of random weights.
        dtype: As of ``focal trace``.
        frames: Most frames per video.
        trust_remote_code: Whether code that its checkpoint brings along may run; only the command line can say so.
        architecture: Sub-configurations of the checkpoint, to build it without weights; empty to skip that check.
    """

    family: PlainName
    checkpoint: str = ""
    revision: str = ""
    size: str = "tiny"
    dtype: str = "fp32"
    frames: PositiveInt = 16
    trust_remote_code: bool = False
    architecture: dict[str, Any] = Field(default_factory=dict)


class DatasetSpec(StrictModel):
    """One dataset.

    Attributes:
        modality: What its questions are about.
        hub: Hub name; empty for procedural benchmarks, named by ``task``, and for sample photographs.
        revision: Revision of the Hub name.
        split: Split of the dataset.
        task: Name in lmms-eval, for accuracy.
        question: Asked of every sample without a question of its own.
    """

    modality: Literal["video", "image"]
    hub: str = ""
    revision: str = "main"
    split: str = ""
    task: PlainNameOrEmpty = ""
    question: str = "What happens in this video?"


class Variant(StrictModel):
    """One point of a sweep.

    Attributes:
        name: End of the trace's name, such as ``1024`` or ``2x2x2``.
        folder: Trace folder.
        datasets: Datasets of the suite's datasets; all if empty.
        parameters: Over those of the suite.
    """

    name: PlainName
    folder: PlainName
    datasets: tuple[PlainName, ...] = ()
    parameters: dict[str, Any] = Field(default_factory=dict)


class Suite(StrictModel):
    """One method on some models and datasets.

    Attributes:
        models: Names in the matrix.
        datasets: Names in the matrix.
        method: Compression method.
        parameters: Parameters of the method, over published ones.
        precision: ``float``, ``int8`` or ``nf4``.
        measure: ``trace``, or ``accuracy`` through ``focal eval``.
        samples: Prefills of a trace row, one question each; questions of an accuracy row, 0 for all.
        choose: Sample that simulations take: ``median``, or its index.
        masks: Whether to write tier 2 as well.
        folder: Trace folder; empty for the method's own.
        variants: Sweep; empty for one run.
    """

    models: tuple[PlainName, ...] = Field(min_length=1)
    datasets: tuple[PlainName, ...] = Field(min_length=1)
    method: PlainName
    parameters: dict[str, Any] = Field(default_factory=dict)
    precision: str = "float"
    measure: Literal["trace", "accuracy"] = "trace"
    samples: NonNegativeInt = 10
    choose: Literal["median"] | NonNegativeInt = "median"
    masks: bool = False
    folder: PlainNameOrEmpty = ""
    variants: tuple[Variant, ...] = ()

    @model_validator(mode="after")
    def _has_samples(self) -> Suite:
        if self.measure == "trace" and not self.samples:
            raise ValueError("samples must be at least 1 where traces are measured")
        if isinstance(self.choose, int) and self.choose >= self.samples:
            raise ValueError(f"choose must be below samples ({self.samples})")
        names = [variant.name for variant in self.variants]
        if len({(variant.folder, variant.name) for variant in self.variants}) != len(names):
            raise ValueError("variants must have names of their own within a folder")
        return self


class Matrix(StrictModel):
    """A matrix file.

    Attributes:
        hub: Whether checkpoints may be downloaded.
        device: torch device, or how to spread checkpoints over several (``auto``).
        new_tokens: Tokens generated after each prefill.
        models: By name.
        datasets: By name, under which results are filed.
        suites: By name.
    """

    hub: bool = False
    device: str = "cpu"
    new_tokens: NonNegativeInt = 1
    models: dict[PlainName, ModelSpec] = Field(min_length=1)
    datasets: dict[PlainName, DatasetSpec] = Field(min_length=1)
    suites: dict[PlainName, Suite] = Field(min_length=1)


def read_matrix(profile: str) -> Matrix:
    """Read a preset or a file, and check every name in it.

    Args:
        profile: ``offline``, ``paper``, or a YAML file.

    Raises:
        ConfigError: No such preset or file, a duplicate or unknown key or name (with near matches), or a value out
            of range.
    """
    if profile in PRESETS:
        with as_file(files("focal_algorithm.matrix") / "presets" / f"{profile}.yaml") as path:
            return check_names(validated(Matrix, read_yaml(path), f"{profile}.yaml"), f"{profile}.yaml")
    if not Path(profile).suffix:
        raise ConfigError(
            f"profile '{profile}': no such file, and {near_matches(profile, PRESETS)}", about=("profile",)
        )
    found = validated(Matrix, read_yaml(Path(profile)), profile)
    for name, model in found.models.items():
        if model.trust_remote_code:
            raise ConfigError(
                f"{profile}: field 'models.{name}.trust_remote_code': no file may allow code of a checkpoint to run; "
                "leave it out, read that code, then allow it",
                about=("trust_remote_code",),
            )
    return check_names(found, profile)


def _check_checkpoint(place: str, model: ModelSpec) -> None:
    from focal_algorithm.models import is_hub_name
    from focal_algorithm.models.weights import SHIPPED

    checkpoint = model.checkpoint
    if SHIPPED.get(checkpoint, model.family) != model.family:
        raise ConfigError(f"{place}.family': '{checkpoint}' is a {SHIPPED[checkpoint]}, got '{model.family}'")
    is_known = not checkpoint or checkpoint in SHIPPED or is_hub_name(checkpoint)
    if not is_known and not Path(checkpoint).is_dir():
        raise ConfigError(
            f"{place}.checkpoint': '{checkpoint}' is neither a folder nor a Hub name nor a shipped model; "
            f"{near_matches(checkpoint, SHIPPED)}"
        )


def check_names(matrix: Matrix, where: str) -> Matrix:
    """Return a matrix in which every name is known.

    Args:
        matrix: To look at.
        where: Where it comes from, for messages.

    Raises:
        ConfigError: With near matches.
    """
    from focal_algorithm.methods import METHODS
    from focal_algorithm.models import MODELS

    def known(place: str, name: str, choices: Any) -> None:
        if name not in choices:
            raise ConfigError(
                f"{where}: field '{place}': unknown name '{name}'; {near_matches(name, choices)}"
            )

    for name, model in matrix.models.items():
        known(f"models.{name}.family", model.family, MODELS)
        _check_checkpoint(f"{where}: field 'models.{name}", model)
    for name, suite in matrix.suites.items():
        known(f"suites.{name}.method", suite.method, METHODS)
        for model_name in suite.models:
            known(f"suites.{name}.models", model_name, matrix.models)
        for dataset in (*suite.datasets, *(one for variant in suite.variants for one in variant.datasets)):
            known(f"suites.{name}.datasets", dataset, matrix.datasets)
    return matrix
