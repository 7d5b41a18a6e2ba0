"""The whole study: what runs, in which order, and the tables it leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from focal.studies.sparsezip.adaptive import AdaptiveK, calibrated
from focal.studies.sparsezip.analysis import Scores, accuracy_rows
from focal.studies.sparsezip.bench import Eyes, open_bench
from focal.studies.sparsezip.cells import Cell, run_cells
from focal.studies.sparsezip.configuration import Configuration
from focal.studies.sparsezip.design import adaptive_part, curve, sweep, two_by_two
from focal.studies.sparsezip.provenance import write_answers
from focal.studies.sparsezip.questions import load_questions
from focal.studies.sparsezip.settings import FIXED_TOTAL, PARTS, SWEEP_TOTAL, StudySettings
from focal.studies.sparsezip.study_tables import (
    Track,
    write_adaptive,
    write_audit,
    write_curve,
    write_effects,
    write_latency,
    write_policy,
    write_sweep,
)
from focal.studies.sparsezip.tables import write_table
from focal_common.errors import ConfigError

__all__ = ["PARTS", "StudySettings", "run_study"]

_CALIBRATION_PICTURES = 120


def run_study(eyes: Eyes, settings: StudySettings, output: Path, work: Path, track: Track) -> list[Cell]:
    """Run the study and write its tables.

    Args:
        eyes: The model.
        settings: What to run on.
        output: Folder of the tables.
        work: Folder of finished results and features, for a later run.
        track: From items, a description and a number of them to the same items under a progress bar.

    Returns:
        Every configuration with its status.

    Raises:
        ConfigError: Settings that do not fit, such as a budget above the visual tokens.
    """
    questions = load_questions(settings.pope_pictures, settings.mme_pictures, seed=settings.seed)
    bench = open_bench(eyes, questions, work, lambda items: track(items, "looking at pictures", None))
    beyond = [one for one in (*settings.budgets, *settings.square_budgets) if one >= bench.visual]
    if beyond:
        raise ConfigError(
            f"budget {beyond[0]}: the model has {bench.visual} visual tokens; expected budgets below that"
        )
    rules = _rules(eyes, settings, work) if "adaptive" in settings.parts else {}
    configurations = _configurations(settings, rules)
    cells = run_cells(
        bench, configurations, work, lambda items: track(items, "configurations", len(configurations))
    )
    write_answers(bench, cells, output, settings.seed)
    scores = Scores(questions, cells)
    write_table(output / "accuracy.csv", accuracy_rows(scores), ("configuration", "group", "accuracy"))
    steps: dict[str, Callable[[], None]] = {
        "curve": lambda: write_curve(scores, settings, output),
        "two_by_two": lambda: write_effects(scores, settings, output),
        "audit": lambda: write_audit(bench, output),
        "adaptive": lambda: write_adaptive(scores, cells, output),
        "sweep": lambda: write_sweep(bench, scores, cells, output),
        "policy": lambda: write_policy(scores, questions, settings, output),
        "latency": lambda: write_latency(bench, settings, output, track),
    }
    for part in track(settings.parts, "tables", len(settings.parts)):
        steps[part]()
    return cells


def _rules(eyes: Eyes, settings: StudySettings, work: Path) -> dict[str, AdaptiveK]:
    """Calibrate on pictures of another split, so that the mean on the test pictures is a result, not a premise."""
    other = load_questions(0, _CALIBRATION_PICTURES, seed=settings.seed, split="val")
    attentions = [one.attention for one in eyes.look(other, work)]
    mean = next(one for one in curve([FIXED_TOTAL]) if one.method == "sparsezip").parameters["dominant"]
    bounds = {"k_min": 8, "k_max": 2 * mean - 8}
    return {
        "mass": calibrated("mass", mean, attentions, **bounds),
        "entropy": calibrated("entropy", mean, attentions, **bounds),
    }


def _configurations(settings: StudySettings, rules: dict[str, AdaptiveK]) -> list[Configuration]:
    wanted: list[Configuration] = []
    if {"curve", "policy"} & set(settings.parts):
        wanted += curve(settings.budgets)
    if "two_by_two" in settings.parts:
        wanted += two_by_two(settings.square_budgets)
    if "adaptive" in settings.parts:
        wanted += _placed_sparsezip(FIXED_TOTAL)
    wanted += adaptive_part(rules, FIXED_TOTAL)
    if "sweep" in settings.parts:
        wanted += [*_placed_sparsezip(SWEEP_TOTAL), *(one for *_, one in sweep(SWEEP_TOTAL))]
    return list({one.name: one for one in wanted}.values())


def _placed_sparsezip(budget: int) -> list[Configuration]:
    """Return what adaptive K and sweeps are compared with, and dense as the ceiling."""
    names = ("dense", f"sparsezip_placed-{budget}")
    return [one for one in curve([budget]) if one.name in names]
