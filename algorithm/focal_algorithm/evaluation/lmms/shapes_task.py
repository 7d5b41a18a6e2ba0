"""The procedural benchmarks as tasks of lmms-eval; data is generated on first use and never downloaded."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import fmean
from typing import Any

import datasets
from lmms_eval.api.task import ConfigurableTask

from focal_algorithm.tasks.asking import parse_choice
from focal_algorithm.tasks.shapes_mme import mme_scores
from focal_algorithm.tasks.shapes_pope import pope_scores
from focal_algorithm.tasks.store import TaskSplit, load_split
from focal_common.console import track

_NO_VALUE = "N/A"
_SHORT_HASH = 16


class ShapesTask(ConfigurableTask):
    """A task whose ``dataset_name`` is one of `TASKS` and whose ``dataset_kwargs`` are those of `load_split`."""

    def __init__(self, config: dict[str, Any]) -> None:
        # lmms-eval hands the class on with the fields, and copies nothing: a task made twice must find them again.
        super().__init__(config={name: value for name, value in config.items() if name != "class"})

    def download(self, dataset_kwargs: dict[str, Any] | None = None) -> None:
        """Generate or read the split; one document per question."""
        options = dict(dataset_kwargs or {})
        loaded = _split(self.config.dataset_name, self.config.test_split, tuple(sorted(options.items())))
        split = self.config.test_split
        self.dataset = datasets.DatasetDict({split: datasets.Dataset.from_list(_documents(loaded, options))})
        self.dataset_no_image = self.dataset


@lru_cache(maxsize=4)
def _split(task: str, split: str, options: tuple[tuple[str, Any], ...]) -> TaskSplit:
    given = dict(options)
    return load_split(
        task,
        seed=given.pop("seed"),
        split=split,
        samples=given.pop("samples"),
        track=lambda items: track(items, f"generating {task}", dict(options)["samples"]),
        **given,
    )


def _documents(loaded: TaskSplit, options: dict[str, Any]) -> list[dict[str, Any]]:
    manifest = loaded.manifest
    return [
        {
            "sample_id": sample.sample_id,
            "sample_index": index,
            "question_id": f"{sample.sample_id}-{number}",
            "question": asked.text,
            "answer": asked.answer,
            "choices": list(asked.choices),
            "kind": asked.kind,
            "task": manifest["task"],
            "split": manifest["split"],
            "pixels_sha256": pixels,
            "data_sha256": manifest["sha256"][:_SHORT_HASH],
            "options": [f"{name}={value}" for name, value in sorted(options.items())],
        }
        for index, sample in enumerate(loaded.samples)
        for pixels in (sample.media().pixels_sha256,)
        for number, asked in enumerate(sample.questions)
    ]


def show(document: dict[str, Any]) -> list[Any]:
    """Return the picture or the video of a question."""
    options = tuple(
        (name, _typed(value)) for name, _, value in (o.partition("=") for o in document["options"])
    )
    loaded = _split(document["task"], document["split"], options)
    return [loaded.samples[document["sample_index"]].media()]


def question(document: dict[str, Any], lmms_eval_specific_kwargs: Any = None) -> str:
    """Return the question as the model reads it."""
    return str(document["question"])


def parsed(document: dict[str, Any], results: list[str]) -> dict[str, Any]:
    """Score one answer; one that names none of the choices counts as wrong and as unparsable."""
    outcome = _outcome(document, results)
    return {"accuracy": float(outcome["is_right"]), "unparsable": float(outcome["said"] is None)}


def parsed_pope(document: dict[str, Any], results: list[str]) -> dict[str, Any]:
    """Score one answer of shapes-pope; see `parsed`."""
    outcome = _outcome(document, results)
    return parsed(document, results) | {"pope_f1": outcome, "pope_yes": float(outcome["said"] == "yes")}


def parsed_mme(document: dict[str, Any], results: list[str]) -> dict[str, Any]:
    """Score one answer of shapes-mme; see `parsed`."""
    outcome = _outcome(document, results)
    return parsed(document, results) | {"mme_score": outcome, "mme_score_plus": outcome}


def pope_f1(outcomes: list[dict[str, Any]]) -> float:
    """Return F1 of "yes" as a fraction; what is not parsable is not a "yes"."""
    right, said = ([one[name] == "yes" for one in outcomes] for name in ("answer", "said"))
    return pope_scores(right, said)["f1"]


def mme_score(outcomes: list[dict[str, Any]]) -> float | str:
    """Return the sum over sub-tasks of accuracy and accuracy+ in percent, at most 200 each, as MME publishes it.

    Only whole pairs count; without any it is lmms-eval's word for no value.
    """
    scores = _mme(outcomes).values()
    return math.fsum(one["score"] for one in scores) if scores else _NO_VALUE


def mme_score_plus(outcomes: list[dict[str, Any]]) -> float | str:
    """Return accuracy+ as a fraction, images with both questions right, averaged over sub-tasks; see `mme_score`."""
    scores = _mme(outcomes).values()
    return fmean(one["acc+"] for one in scores) if scores else _NO_VALUE


def _outcome(document: dict[str, Any], results: list[str]) -> dict[str, Any]:
    said = parse_choice(results[0], document["choices"])
    named = {name: document[name] for name in ("kind", "sample_id", "answer")}
    # Not "score": from a field of that name lmms-eval takes a standard error, which would be that of accuracy.
    return named | {"said": said, "is_right": said == document["answer"]}


def _mme(outcomes: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    # A limit may cut an image in two; accuracy+ needs both of its questions.
    images: dict[str, list[dict[str, Any]]] = {}
    for one in outcomes:
        images.setdefault(one["sample_id"], []).append(one)
    whole = [one for pair in images.values() if len(pair) == 2 for one in pair]
    return mme_scores([one["kind"] for one in whole], [one["is_right"] for one in whole])


def _typed(value: str) -> Any:
    return int(value) if value.lstrip("-").isdigit() else value
