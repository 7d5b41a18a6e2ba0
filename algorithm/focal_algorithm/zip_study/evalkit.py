"""Methods as a user names them, on one benchmark."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from focal_algorithm.methods import METHODS
from focal_algorithm.methods.base import CompressionMethod, HookPoint
from focal_algorithm.methods.build import build_method
from focal_algorithm.zip_study.analysis import Scores, accuracy_rows
from focal_algorithm.zip_study.bench import Bench, Eyes, open_bench
from focal_algorithm.zip_study.cells import Cell, run_cells
from focal_algorithm.zip_study.configuration import Configuration
from focal_algorithm.zip_study.provenance import write_answers
from focal_algorithm.zip_study.questions import BENCHMARKS, load_questions
from focal_algorithm.zip_study.study_tables import Track
from focal_algorithm.zip_study.tables import write_table
from focal_common.config import parse_yaml
from focal_common.errors import ConfigError, near_matches

__all__ = ["configuration_of", "run_methods"]

_COMMA = re.compile(r",(?![^\[]*\])")  # not inside a list such as alphas=[1,0.4,-0.6]
_BUDGET = "total"  # for methods inside the decoder, whose schedule follows from a budget


def configuration_of(words: str) -> Configuration:
    """Read ``METHOD`` or ``METHOD:field=value,...``.

    ``total=N`` sets the layer-mean budget of a method that acts inside the decoder.

    Raises:
        ConfigError: Unknown method or field, or a value that is not one.
    """
    method, _, rest = words.partition(":")
    if method not in METHODS:
        raise ConfigError(f"unknown method '{method}'; {near_matches(method, METHODS)}")
    given: dict[str, Any] = {}
    for part in (part for part in _COMMA.split(rest) if part.strip()):
        field, equals, value = part.partition("=")
        if not equals:
            raise ConfigError(f"--method '{words}': '{part}' is not field=value, such as dominant=54")
        given[field.strip()] = parse_yaml(f"value: {value}", f"--method {words}")["value"]
    budget = int(given.pop(_BUDGET, 0))
    if method == "dense":
        return Configuration(words, "evalkit", "dense", "dense")
    built = build_method(method, given)
    if HookPoint.VISION_OUTPUT in built.hook_points:
        return Configuration(
            words, "evalkit", "before", method, given, budget, reads_text=_reads_text(built, given)
        )
    if method != "sparsevlm":
        raise ConfigError(
            f"--method {method}: the study times token selection in pictures; expected dense, visionzip, sparsezip, "
            "zip_parts or sparsevlm; 'focal eval' takes every method"
        )
    return Configuration(words, "evalkit", "hooks", method, given, budget or 64, reads_text=True)


def run_methods(
    eyes: Eyes,
    benchmark: str,
    methods: Sequence[str],
    only: Sequence[str],
    pictures: int,
    seed: int,
    output: Path,
    work: Path,
    track: Track,
) -> list[Cell]:
    """Answer a benchmark with some methods and write the tables of `focal_algorithm.zip_study.study`.

    Args:
        eyes: The model.
        benchmark: Of `BENCHMARKS`.
        methods: See `configuration_of`.
        only: Variants or sub-tasks; all if empty.
        pictures: Of the benchmark.
        seed: Of the data.
        output: Folder of the tables.
        work: Folder of finished results.
        track: Shows progress.
    """
    if benchmark not in BENCHMARKS:
        raise ConfigError(f"unknown benchmark '{benchmark}'; {near_matches(benchmark, BENCHMARKS)}")
    configurations = [configuration_of(words) for words in dict.fromkeys(methods)]
    counts = (pictures, 0) if benchmark == "shapes-pope" else (0, pictures)
    questions = load_questions(*counts, seed=seed).only(benchmark, only)
    bench: Bench = open_bench(eyes, questions, work)
    cells = run_cells(bench, configurations, work, lambda items: track(items, benchmark, len(configurations)))
    write_answers(bench, cells, output, seed)
    write_table(
        output / "accuracy.csv",
        accuracy_rows(Scores(questions, cells)),
        ("configuration", "group", "accuracy", "low", "high", "questions"),
    )
    return cells


def _reads_text(method: CompressionMethod, given: dict[str, Any]) -> bool:
    return (
        getattr(method, "scorer", "") == "projected_text"
        or getattr(method, "text", "") == "projected"
        or bool(getattr(method, "cross_beta", 0.0))
        or ("text_share" in given and method.name == "visionzip" and given["text_share"] < 1)
    )
