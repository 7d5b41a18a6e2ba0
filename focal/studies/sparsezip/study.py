"""The whole study: what runs, in which order, and the tables it leaves."""

from __future__ import annotations

from pathlib import Path

from focal.studies.sparsezip.adaptive import AdaptiveK, calibrated
from focal.studies.sparsezip.cells import Cell, run_cells, write_answers
from focal.studies.sparsezip.configuration import Configuration
from focal.studies.sparsezip.design import (
    FIXED_TOTAL,
    SWEEP_TOTAL,
    StudySettings,
    adaptive_part,
    curve,
    sweep,
    two_by_two,
)
from focal.studies.sparsezip.model import LoadedVisionModel, open_study
from focal.studies.sparsezip.questions import load_questions
from focal.studies.sparsezip.study_tables import Track, write_parts
from focal_common.errors import ConfigError

_CALIBRATION_PICTURES = 120


def run_study(
    vision_model: LoadedVisionModel, settings: StudySettings, output: Path, work: Path, track: Track
) -> list[Cell]:
    """Run the study and write its tables.

    Args:
        vision_model: The model.
        settings: What to run on.
        output: Folder of the tables.
        work: Folder of finished results, for a later run.
        track: Shows progress.

    Returns:
        Every configuration with its status.

    Raises:
        ConfigError: Settings that do not fit, such as a budget above the visual tokens.
    """
    questions = load_questions(settings.pope_pictures, settings.mme_pictures, seed=settings.seed)
    study = open_study(vision_model, questions, lambda items: track(items, "looking at pictures", None))
    for budget in (*settings.budgets, *settings.square_budgets):
        if budget >= study.visual:
            raise ConfigError(
                f"budget {budget}: the model has {study.visual} visual tokens; expected budgets below that"
            )
    rules = _rules(vision_model, settings.seed) if "adaptive" in settings.parts else {}
    chosen = _configurations(settings, rules)
    cells = run_cells(study, chosen, work, lambda items: track(items, "configurations", len(chosen)))
    write_answers(study, cells, output, settings.seed)
    write_parts(study, cells, settings, output, track)
    return cells


def _rules(vision_model: LoadedVisionModel, seed: int) -> dict[str, AdaptiveK]:
    """Calibrate on pictures of another split, so that the mean on the test pictures is a result, not a premise."""
    features = vision_model.features(load_questions(0, _CALIBRATION_PICTURES, seed=seed, split="val"))
    attentions = [picture.attention[0] for picture in features]
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
        wanted += [*_references(FIXED_TOTAL), *adaptive_part(rules, FIXED_TOTAL)]
    if "sweep" in settings.parts:
        wanted += [*_references(SWEEP_TOTAL), *(one for *_, one in sweep(SWEEP_TOTAL))]
    return list({one.name: one for one in wanted}.values())


def _references(budget: int) -> list[Configuration]:
    """Return what adaptive K and sweeps are compared with, and dense as the ceiling."""
    names = ("dense", f"sparsezip_placed-{budget}")
    return [one for one in curve([budget]) if one.name in names]
