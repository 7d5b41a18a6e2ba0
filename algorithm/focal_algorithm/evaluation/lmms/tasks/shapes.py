"""What the task files beside this one name; lmms-eval reads it by its path."""

from focal_algorithm.evaluation.lmms.shapes_task import (
    ShapesTask,
    mme_score,
    mme_score_plus,
    parsed,
    parsed_mme,
    parsed_pope,
    pope_f1,
    question,
    show,
)

__all__ = [
    "ShapesTask",
    "mme_score",
    "mme_score_plus",
    "parsed",
    "parsed_mme",
    "parsed_pope",
    "pope_f1",
    "question",
    "show",
]
