"""From what lmms-eval logs about a document to one scored answer; every task gives the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from focal_algorithm.evaluation.lmms.hub_tasks import answer_form
from focal_algorithm.tasks.asking import is_parsable
from focal_common.errors import RunError
from focal_common.provenance import content_hash

_PICTURE_FIELDS = ("sample_id", "videoID", "video", "video_name", "image_id", "image_source", "question_id")
"""Fields that name the picture of a question in the tasks we know, best first."""

_KIND_FIELDS = ("kind", "category", "task_type", "question_type", "sub_task")


@dataclass(frozen=True)
class ScoredAnswer:
    """One question with its answer.

    Attributes:
        task: Name in lmms-eval.
        question: Number of the document.
        picture: What it is about; questions about one picture are not independent.
        pixels_sha256: Of that picture, the same in every task that shows it; empty where the task does not say.
        kind: Sub-task.
        text: As the model read it.
        digest: Digest of the question and its right answer, to tell whether two runs asked the same.
        answer: As the model gave it.
        target: Right answer.
        score: 1 right, 0 wrong; fractions in tasks that have them.
        is_parsable: Whether the answer had the form that was asked for.
    """

    task: str
    question: int
    picture: str
    pixels_sha256: str
    kind: str
    text: str
    digest: str
    answer: str
    target: str
    score: float
    is_parsable: bool


def scored(task: str, sample: Mapping[str, Any]) -> ScoredAnswer:
    """Read a logged sample of lmms-eval.

    Raises:
        RunError: It holds no score, or one that is no share of right; our accuracy would mean something else.
    """
    document = sample["doc"]
    answer = str(_first(sample["filtered_resps"]))
    own = sample.get("unparsable")  # local tasks know the choices of each question
    score = _score(task, sample, answer)
    if not 0 <= score <= 1:
        raise RunError(f"task '{task}': lmms-eval logs a score of {score} per question, expected 0 to 1")
    parsable = is_parsable(answer, answer_form(task)) if own is None else not own
    asked = {name: value for name, value in document.items() if isinstance(value, (str, int, float))}
    return ScoredAnswer(
        task=task,
        question=int(sample["doc_id"]),
        picture=_field(document, _PICTURE_FIELDS, str(sample["doc_id"])),
        pixels_sha256=str(document.get("pixels_sha256", "")),
        kind=_field(document, _KIND_FIELDS, task),
        text=str(_first(sample["arguments"])),
        digest=content_hash([asked, str(sample["target"])])[:16],
        answer=answer,
        target=str(sample["target"]),
        score=score,
        is_parsable=parsable,
    )


def _score(task: str, sample: Mapping[str, Any], answer: str) -> float:
    if "accuracy" in sample:
        return float(sample["accuracy"])
    for name, value in sample.items():
        if isinstance(value, Mapping) and "score" in value:
            return float(value["score"])
        if isinstance(value, Mapping) and {"pred_answer", "answer"} <= value.keys():
            return float(str(value["pred_answer"]).lower() == str(value["answer"]).lower())
        if name in ("exact_match", "acc"):
            return float(value)
    if isinstance(sample.get("gpt_eval_score"), Mapping):
        # lmms-eval lets a language model read the answer; a letter can be compared without one.
        return float(answer.strip().lstrip("(")[:1] == str(sample["target"]))
    raise RunError(f"task '{task}': lmms-eval logs no score per question that Focal can read")


def _field(document: Mapping[str, Any], names: Sequence[str], otherwise: str) -> str:
    return next((str(document[name]) for name in names if document.get(name) is not None), otherwise)


def _first(values: Any) -> Any:
    while isinstance(values, (list, tuple)) and values:
        values = values[0]
    return values
