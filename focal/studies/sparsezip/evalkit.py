"""Methods as a user names them, on one benchmark."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from focal.studies.sparsezip.cells import Cell, run_cells, write_answers
from focal.studies.sparsezip.configuration import Configuration
from focal.studies.sparsezip.model import LoadedVisionModel, open_study
from focal.studies.sparsezip.questions import BENCHMARKS, load_questions
from focal.studies.sparsezip.study_tables import Track
from focal_algorithm.methods import METHODS
from focal_algorithm.methods.base import HookPoint, hook_points
from focal_algorithm.methods.build import build_method
from focal_algorithm.tasks.image_questions import IMAGE_KINDS
from focal_algorithm.tasks.shapes_pope import VARIANTS
from focal_common.errors import ConfigError, near_matches
from focal_common.reading.yaml_files import parse_yaml

_COMMA = re.compile(r",(?![^\[]*\])")  # not inside a list such as alphas=[1,0.4,-0.6]
_BUDGET, _DEFAULT_BUDGET = "total", 64  # for SparseVLM, whose schedule follows from a budget
_SCHEDULE = ("pruning_layers", "kept_tokens", "retained_tokens")

SPLITS = {"shapes-pope": VARIANTS, "shapes-mme": tuple(IMAGE_KINDS)}
"""Variants and sub-tasks by benchmark."""


@dataclass(frozen=True)
class Request:
    """What a user asks of one benchmark, checked before a model is read.

    Attributes:
        benchmark: Of `BENCHMARKS`.
        configurations: Methods with their settings.
        only: Variants or sub-tasks; all if empty.
        pictures: Of the benchmark.
        seed: Of the data.
    """

    benchmark: str
    configurations: tuple[Configuration, ...]
    only: tuple[str, ...]
    pictures: int
    seed: int


def request_of(
    benchmark: str, methods: Sequence[str], only: Sequence[str], pictures: int, seed: int
) -> Request:
    """Check what a user asked for.

    Args:
        benchmark: Of `BENCHMARKS`.
        methods: See `configuration_of`; one that is given twice runs once.
        only: Variants or sub-tasks.
        pictures: Of the benchmark.
        seed: Of the data.

    Raises:
        ConfigError: Anything in it is unknown or out of range.
    """
    if benchmark not in BENCHMARKS:
        raise ConfigError(f"--benchmark '{benchmark}'; {near_matches(benchmark, BENCHMARKS)}")
    for name in only:
        if name not in SPLITS[benchmark]:
            raise ConfigError(f"--only '{name}' of {benchmark}; {near_matches(name, SPLITS[benchmark])}")
    if pictures < 1:
        raise ConfigError(f"--pictures {pictures}: expected at least 1")
    configurations = tuple(configuration_of(words) for words in dict.fromkeys(methods))
    return Request(benchmark, configurations, tuple(dict.fromkeys(only)), pictures, seed)


def configuration_of(words: str) -> Configuration:
    """Read ``METHOD`` or ``METHOD:field=value,...``.

    ``total=N`` sets the layer-mean budget of SparseVLM, whose schedule follows from it; 64 if left out.

    Raises:
        ConfigError: Unknown method or field, or a value that is not one.
    """
    method, _, rest = words.partition(":")
    if method not in METHODS:
        raise ConfigError(f"--method '{words}': unknown method '{method}'; {near_matches(method, METHODS)}")
    given: dict[str, Any] = {}
    for part in (part for part in _COMMA.split(rest) if part.strip()):
        field, equals, value = part.partition("=")
        if not equals:
            raise ConfigError(f"--method '{words}': '{part}' is not field=value, such as dominant=54")
        if field.strip() in given:
            raise ConfigError(f"--method '{words}': '{field.strip()}' is given twice; expected it once")
        given[field.strip()] = parse_yaml(f"value: {value}", f"--method {words}")["value"]
    if method == "sparsevlm":
        return _inside_decoder(words, given)
    if _BUDGET in given:
        raise ConfigError(
            f"--method '{words}': {_BUDGET} is the budget of sparsevlm alone; expected fields of {method}, whose "
            "tokens are dominant + contextual"
        )
    built = build_method(method, given)
    if method == "dense":
        return Configuration(words, "evalkit", "dense", "dense", given)
    if HookPoint.VISION_OUTPUT not in hook_points(built):
        raise ConfigError(
            f"--method {method}: the study times token selection in pictures; expected dense, visionzip, sparsezip, "
            "zip_parts or sparsevlm; 'focal eval' takes every method"
        )
    return Configuration(
        words, "evalkit", "before", method, given, reads_text=built.study.reads_question(built),
        keeps_positions=bool(getattr(built, "keeps_positions", False)),
    )  # fmt: skip


def _inside_decoder(words: str, given: dict[str, Any]) -> Configuration:
    budget = given.pop(_BUDGET, _DEFAULT_BUDGET)
    if type(budget) is not int or budget < 1:
        raise ConfigError(
            f"--method '{words}': {_BUDGET} must be a whole number of visual tokens of at least 1, such as "
            f"{_DEFAULT_BUDGET}, got {budget!r}"
        )
    for field in _SCHEDULE:
        if field in given:
            raise ConfigError(
                f"--method '{words}': {field} follows from {_BUDGET} here; expected {_BUDGET}=N alone"
            )
    build_method("sparsevlm", given)
    return Configuration(words, "evalkit", "hooks", "sparsevlm", given, budget, reads_text=True)


def run_methods(
    vision_model: LoadedVisionModel, request: Request, output: Path, work: Path, track: Track
) -> list[Cell]:
    """Answer a benchmark with some methods and write the tables of `focal.studies.sparsezip.study`.

    Args:
        vision_model: The model.
        request: See `request_of`.
        output: Folder of the tables.
        work: Folder of finished results.
        track: Shows progress.
    """
    benchmark, pictures = request.benchmark, request.pictures
    counts = (pictures, 0) if benchmark == "shapes-pope" else (0, pictures)
    questions = load_questions(*counts, seed=request.seed).only(benchmark, request.only)
    study = open_study(vision_model, questions)
    chosen = request.configurations
    cells = run_cells(study, chosen, work, lambda items: track(items, benchmark, len(chosen)))
    write_answers(study, cells, output, request.seed)
    return cells
