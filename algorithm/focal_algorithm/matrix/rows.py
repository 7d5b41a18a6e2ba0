"""From a matrix to its rows, one run each, and what can be known of them without weights or data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from focal_algorithm.checkpoints.loading import empty_model, load_model, random_model
from focal_algorithm.matrix.schema import DatasetSpec, Matrix, ModelSpec, Suite, Variant
from focal_algorithm.methods.budgeted import with_budget
from focal_algorithm.methods.build import build_method, fitted_parameters
from focal_algorithm.models import MODELS
from focal_algorithm.models.arithmetic import PRECISIONS
from focal_algorithm.models.weights import SHIPPED
from focal_algorithm.tasks.asking import BENCHMARKS, AskedTask
from focal_algorithm.tracing.settings import RunSettings
from focal_common.errors import ConfigError, FocalError, UnsupportedError, near_matches
from focal_traces.header.schema import DecoderGeometry

_MEDIA = {
    "video": (".mp4", ".mkv", ".webm", ".avi", ".mov"),
    "image": (".png", ".jpg", ".jpeg", ".webp", ".bmp"),
}


@dataclass(frozen=True)
class MatrixRow:
    """One run.

    Attributes:
        suite_name: Name in the matrix.
        model_name: Name in the matrix.
        dataset_name: Name in the matrix.
        suite: Method and settings.
        model: The model.
        dataset: The dataset.
        variant: Point of a sweep; None without one.
    """

    suite_name: str
    model_name: str
    dataset_name: str
    suite: Suite
    model: ModelSpec
    dataset: DatasetSpec
    variant: Variant | None = None

    @property
    def name(self) -> str:
        """Suite, model, dataset and variant, such as ``focus/llava_onevision/mlvu``."""
        parts = [self.suite_name, self.model_name, self.dataset_name]
        if self.variant is not None:
            parts += [self.variant.folder, self.variant.name]
        return "/".join(parts)


def matrix_rows(matrix: Matrix) -> Iterator[MatrixRow]:
    """Yield every row; those of one model stand together within a suite, so it is loaded once."""
    for suite_name, suite in matrix.suites.items():
        for model in suite.models:
            for dataset in suite.datasets:
                specs = (suite, matrix.models[model], matrix.datasets[dataset])
                for variant in suite.variants or (None,):
                    if variant is None or not variant.datasets or dataset in variant.datasets:
                        yield MatrixRow(suite_name, model, dataset, *specs, variant)


def chosen_rows(matrix: Matrix, only: str) -> list[MatrixRow]:
    """Return the rows that are asked for.

    Args:
        matrix: The matrix.
        only: Suites or patterns over row names, separated by commas, such as ``cmc,focus/*/mlvu``; empty for all
            rows that measure traces.

    Raises:
        ConfigError: A word fits no row.
    """
    rows = list(matrix_rows(matrix))
    words = [word.strip() for word in only.split(",") if word.strip()]
    if not words:
        return [row for row in rows if row.suite.measure == "trace"]
    for word in words:
        if not any(_fits(row, word) for row in rows):
            raise ConfigError(
                f"'{word}' fits no row; suites: {near_matches(word, matrix.suites)}", about=("only",)
            )
    return [row for row in rows if any(_fits(row, word) for word in words)]


def row_settings(row: MatrixRow, matrix: Matrix, output: Path, data: Path | None) -> RunSettings:
    """Return the run behind a row that measures a trace.

    Args:
        row: The row.
        matrix: Its matrix.
        output: Trace root.
        data: Folder with one folder of files per dataset; photographs and procedural datasets need none.

    Raises:
        ConfigError: The files of the dataset are not there.
    """
    suite, model, variant = row.suite, row.model, row.variant
    videos, images = _files(row, data)
    asked = _asked(row)
    return RunSettings(
        output=output,
        model=model.checkpoint or model.family,
        size=model.size,
        method=suite.method,
        parameters=suite.parameters | (variant.parameters if variant else {}),
        dataset=row.dataset_name,
        videos=videos,
        images=images,
        samples=suite.samples,
        task=asked,
        frames=model.frames,
        question=row.dataset.question,
        new_tokens=matrix.new_tokens if asked is None else max(matrix.new_tokens, asked.answer_tokens),
        dtype=model.dtype,
        precision=suite.precision,
        device=matrix.device,
        keep_masks=suite.masks,
        is_offline=not matrix.hub,
        trust_remote_code=model.trust_remote_code,
        revision=model.revision,
        folder=variant.folder if variant else suite.folder,
        variant=variant.name if variant else "",
        chosen_sample=None if suite.choose == "median" else suite.choose,
    )


def _asked(row: MatrixRow) -> AskedTask | None:
    """Return the questions of a procedural benchmark; None where pictures come from elsewhere."""
    dataset = row.dataset
    if dataset.hub or dataset.task not in BENCHMARKS:
        return None
    return AskedTask(dataset.task, questions=row.suite.samples, frames=row.model.frames)


def _fits(row: MatrixRow, word: str) -> bool:
    return word == row.suite_name or fnmatchcase(row.name, word)


def _files(row: MatrixRow, data: Path | None) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    dataset, wanted = row.dataset, row.suite.samples
    if not dataset.hub:
        return (), ()
    if data is None:
        raise ConfigError(
            f"{row.name}: the files of {dataset.hub} are needed; give a data folder that holds a folder "
            f"'{row.dataset_name}' of {dataset.modality} files, and NAME.question.txt beside each",
            about=("data",),
        )
    folder = data / row.dataset_name
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in _MEDIA[dataset.modality])
    if len(found) < wanted:
        raise ConfigError(
            f"{folder}: holds {len(found)} {dataset.modality} files, expected at least {wanted}"
        )
    chosen = tuple(found[:wanted])
    return (chosen, ()) if dataset.modality == "video" else ((), chosen)


@dataclass(frozen=True)
class CheckedRow:
    """One row.

    Attributes:
        name: Name of the row.
        problem: What would stop it; empty for nothing.
        parameters: Parameters of the method, published ones included.
        billions: Parameters of the model, in 1e9; 0 where it was not built.
    """

    name: str
    problem: str
    parameters: dict[str, Any]
    billions: float


def check_rows(rows: list[MatrixRow]) -> list[CheckedRow]:
    """Build every model without weights and every method with its parameters, and resolve every task.

    Args:
        rows: See `focal_algorithm.matrix.rows.chosen_rows`.
    """
    built: dict[str, tuple[DecoderGeometry, float] | FocalError] = {}
    found = []
    for row in rows:
        if row.model_name not in built:
            try:
                built[row.model_name] = _build(row.model)
            except FocalError as error:
                built[row.model_name] = error
        found.append(_check(row, built[row.model_name]))
    return found


def _build(model: ModelSpec) -> tuple[DecoderGeometry, float]:
    import torch

    adapter = MODELS.load(model.family)
    if model.checkpoint in SHIPPED:  # small: it is loaded as it is
        empty = _shipped(model)
    elif not model.architecture:
        with torch.device("meta"):
            empty = random_model(adapter, model.size, "sdpa")
    else:
        try:
            empty = empty_model(adapter, model.architecture)
        except (TypeError, ValueError, AttributeError, KeyError, RuntimeError) as error:
            text = " ".join(str(error).split())[:200]
            raise ConfigError(f"architecture: {model.family} cannot be built from it ({text})") from error
    return adapter().points(empty).geometry, sum(one.numel() for one in empty.parameters()) / 1e9


def _shipped(model: ModelSpec) -> Any:
    common = {"size": "", "seed": 0, "dtype": "fp32", "attention": "sdpa", "device": "cpu"}
    return load_model(model.checkpoint, **common, is_offline=True).model  # type: ignore[arg-type]


def _check(row: MatrixRow, built: tuple[DecoderGeometry, float] | FocalError) -> CheckedRow:
    parameters: dict[str, Any] = {}
    try:
        if isinstance(built, FocalError):
            raise built
        geometry, billions = built
        if row.dataset.modality not in MODELS.load(row.model.family).modalities:
            raise UnsupportedError(f"{row.model.family} takes no {row.dataset.modality}s")
        if row.suite.precision not in PRECISIONS:
            raise ConfigError(f"precision: {near_matches(row.suite.precision, PRECISIONS)}")
        if (row.dataset.hub or row.suite.measure == "accuracy") and not row.dataset.task:
            raise ConfigError(f"dataset '{row.dataset_name}' has no 'task'; expected a name in lmms-eval")
        own = row.suite.parameters | (row.variant.parameters if row.variant else {})
        default, own = build_method(row.suite.method, {}), with_budget(row.suite.method, own)
        parameters = default.study.published(row.model.family, row.dataset_name)
        parameters = (parameters or fitted_parameters(default, geometry, own)) | own
        method = build_method(row.suite.method, parameters)
        layers = [*getattr(method, "selected_layers", ()), *getattr(method, "pruning_layers", ())]
        if layers and max(layers) >= geometry.layers:
            raise ConfigError(f"layer {max(layers)} does not exist; expected layers below {geometry.layers}")
    except FocalError as error:
        return CheckedRow(row.name, str(error), parameters, 0.0)
    return CheckedRow(row.name, "", parameters, billions)
