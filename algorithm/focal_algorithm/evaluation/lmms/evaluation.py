"""One evaluation: model, method, tasks; answers to samples, tables and a summary."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from focal_algorithm.checkpoints.loading import LoadedModel
from focal_algorithm.evaluation.lmms import LOCAL_DATA
from focal_algorithm.evaluation.lmms.answering import generation_limits, load
from focal_algorithm.evaluation.lmms.engine import TaskOutcome, Tasks
from focal_algorithm.evaluation.lmms.hub_tasks import HUB_TASKS
from focal_algorithm.evaluation.lmms.model import FocalModel, Part, Unanswered
from focal_algorithm.evaluation.lmms.options import ModelOptions, Sweep
from focal_algorithm.evaluation.lmms.run_files import (
    ACCURACY_COLUMNS,
    DSE_COLUMNS,
    SAMPLES,
    SUMMARY,
    upsert_rows,
    write_samples,
)
from focal_algorithm.evaluation.lmms.scoring import ScoredAnswer
from focal_algorithm.methods.build import build_method
from focal_algorithm.tracing.accuracy import foreign_notes
from focal_algorithm.tracing.identity import (
    AskedPart,
    checkpoint_label,
    code_identity,
    configuration_hash,
    questions_hash,
    resolved_parameters,
)
from focal_common.commit import MANIFEST, check_writable, commit
from focal_common.files import atomic_write_text
from focal_common.places import check_inside
from focal_common.provenance import content_hash, manifest, package_versions
from focal_common.spreading.claims import JOURNAL, claimed, drop_journal, finishing, open_journal
from focal_common.spreading.shards import Shard
from focal_common.statistics import Accuracy, accuracy

_SCORE_METRICS = ("mme_perception_score", "mme_cognition_score", "mme_score")
"""Aggregates that published tables give as a score instead of a percentage; a task's are added up."""


def accuracy_rows(shared: dict[str, Any], task: str, outcome: TaskOutcome) -> list[dict[str, Any]]:
    """Return the rows of one task: accuracy in percent and, for MME, its score.

    Args:
        shared: Fields of every row, ``checkpoint`` among them.
        task: As it was asked for.
        outcome: Outcome of that task.
    """
    versions = package_versions("focal-vlm", "lmms-eval")
    is_random = str(shared["checkpoint"]).startswith("random:")
    source = f"measured{' on random weights' if is_random else ''}, " + ", ".join(
        f"{name} {found}" for name, found in versions.items() if name != "python"
    )
    found = accuracy([one.score for one in outcome.answers], [one.picture for one in outcome.answers])
    unparsable = sum(not one.is_parsable for one in outcome.answers)
    shared = shared | {"source": source, "n": found.questions, "unparsable": unparsable}
    shares = {"accuracy": found.mean} | _interval(found)
    percent = {name: None if value is None else 100 * value for name, value in shares.items()}
    rows = [shared | {"unit": "percent"} | percent]
    scores = [
        value
        for own in outcome.metrics.values()
        for name, value in own.items()
        if name in _SCORE_METRICS and (task not in HUB_TASKS or HUB_TASKS[task].unit == "score")
    ]
    if scores:
        pairs = _pairs(outcome.answers) or outcome.answers
        counts = {"n": len(pairs), "unparsable": sum(not one.is_parsable for one in pairs)}
        score = {"unit": "score", "accuracy": float(math.fsum(scores)), "low": None, "high": None}
        rows.append(shared | counts | score)
    return rows


def _pairs(answers: tuple[ScoredAnswer, ...]) -> list[ScoredAnswer]:
    """Return the questions that MME's score counts: both of a picture; a limit may leave out the second."""
    asked = Counter((one.task, one.picture) for one in answers)
    return [one for one in answers if asked[one.task, one.picture] == 2]


def accuracy_by_kind(answers: tuple[ScoredAnswer, ...]) -> dict[str, dict[str, float | None]]:
    """Return accuracy with its interval, as fractions, by sub-task."""
    found: dict[str, dict[str, float | None]] = {}
    for kind in sorted({answer.kind for answer in answers}):
        own = [answer for answer in answers if answer.kind == kind]
        share = accuracy([one.score for one in own], [one.picture for one in own])
        found[kind] = {
            "accuracy": share.mean,
            **_interval(share),
            "n": share.questions,
            "unparsable": sum(not one.is_parsable for one in own),
        }
    return found


def _interval(found: Accuracy) -> dict[str, float | None]:
    """Return the interval; none where no picture differs from another, since resampling them then tells nothing."""
    is_known = found.low < found.high
    return {"low": found.low if is_known else None, "high": found.high if is_known else None}


Forget = Callable[[Path], Any]
"""Called with the file of finished answers before it is read; may remove it."""

_ANSWERS, _RUNS = "answers", "runs"
_PACKAGES = ("torch", "transformers", "numpy", "pillow", "lmms-eval", "datasets")


@dataclass(frozen=True)
class Run:
    """What one method gave.

    Attributes:
        folder: With samples and summary.
        rows: For the accuracy table.
        summary: As written.
        resumed: Answers taken from an interrupted run.
        table: That holds the rows.
        notes: Sentences for the user.
    """

    folder: Path
    rows: tuple[dict[str, Any], ...]
    summary: dict[str, Any]
    resumed: int
    table: Path
    notes: tuple[str, ...]


def evaluate(
    options: ModelOptions,
    tasks: Tasks,
    output: Path,
    *,
    limit: float | None = None,
    logs_samples: bool = False,
    sweep: Sweep | None = None,
    forget: Forget | None = None,
    shard: Shard | None = None,
    first: int = 0,
) -> list[Run]:
    """Evaluate a method, once or for every value of a parameter, and write samples, summary and tables.

    Args:
        options: Model and method.
        tasks: What to ask.
        output: Folder: ``accuracy.csv`` (in a sweep ``dse_AXIS_accuracy.csv``), and one folder per run in ``runs``.
        limit: First so many questions of each task, or a part below 1; None for all.
        logs_samples: Whether lmms-eval's own result and sample files are written too.
        sweep: Parameter to vary; None for one run.
        forget: Told the file of finished answers before it is read, so that it can start afresh; None keeps them.
        shard: Whose questions are asked; None for all. The last shard writes the results.
        first: Number of the first question in a longer run that shards share.

    Returns:
        One record per run whose questions are all answered.

    Raises:
        FocalError: A setting, a file or the run is at fault; finished answers are kept and taken up again.
    """
    for name in (_ANSWERS, _RUNS):
        check_inside(output, output / name)
    check_writable(output)
    loaded = load(options)
    runs = []
    for value, chosen in (("", {}),) if sweep is None else sweep.points:
        own = options.model_copy(update={"parameters": options.parameters | chosen})
        table, swept = output / "accuracy.csv", dict[str, str]()
        if sweep is not None:
            # In the published spelling, so that rows join those of the published design space.
            axis, value = _axis(own, chosen) or (sweep.name, value)
            table = output / f"dse_{axis.replace('+', '_')}_accuracy.csv"
            swept = {"swept": axis, "value": value}
        answers = _answers_file(own, loaded, output)
        if forget is not None:
            forget(answers)
        journal = output / JOURNAL / answers.stem
        with claimed(journal, shard):
            if shard is not None:  # which may come from different places
                open_journal(journal, own.identity(loaded.checkpoint) | code_identity(), True)
            model = FocalModel(own.model_copy(update={"answers": answers}), loaded, Part(shard, first))
            with closing(model.log):
                run = _run(model, tasks, table, limit, logs_samples, swept)
                if run is not None:
                    runs.append(run)
                    model.log.join()
                    with finishing(journal):  # other shards may have found every answer, too
                        drop_journal(journal)
    return runs


def _axis(options: ModelOptions, chosen: Mapping[str, Any]) -> tuple[str, str] | None:
    method = build_method(options.method, options.parameters)
    return method.study.published_axis(method, chosen.keys())


def _answers_file(options: ModelOptions, loaded: LoadedModel, output: Path) -> Path:
    # Answers are found by their question: another limit or another task of the same model finds them again.
    name = f"{loaded.name}_{options.method}_{content_hash(options.identity(loaded.checkpoint))[:12]}"
    return output / _ANSWERS / f"{name}.jsonl"


def _run(
    model: FocalModel,
    tasks: Tasks,
    table: Path,
    limit: float | None,
    logs_samples: bool,
    swept: Mapping[str, str],
) -> Run | None:
    """Ask what is to be asked here and write samples, summary and rows in one step; None where answers lack."""
    options, loaded, output = model.options, model.loaded, table.parent
    identity = options.identity(loaded.checkpoint)
    name = f"{loaded.name}_{options.method}"
    in_force = {task: resolved_parameters(model.method(task)) for task in tasks.names}
    asked = {"model": identity, "tasks": sorted(tasks.names), "limit": limit, "resolved_parameters": in_force}
    folder = output / _RUNS / f"{name}_{content_hash(asked)[:12]}"
    outcomes: dict[str, TaskOutcome] = {}
    is_whole = True
    for task in tasks.names:
        try:
            outcomes[task] = tasks.run(task, model, limit, folder / "lmms_eval" if logs_samples else None)
        except Unanswered:
            is_whole = False
    if not is_whole:
        return None
    rows: list[dict[str, Any]] = []
    checkpoint = checkpoint_label(loaded.checkpoint, identity["checkpoint"])
    for task, outcome in outcomes.items():
        seconds = math.fsum(model.seconds.get(own, 0.0) for own in outcome.configuration)
        about = {"model": loaded.name, "dataset": task, "method": options.method}
        precision = options.dtype if options.precision == "float" else options.precision
        shared = about | {"precision": precision, "wall_time_s": seconds, "checkpoint": checkpoint}
        shared["config_sha256"] = _configuration(model, identity["checkpoint"], outcome)
        rows += accuracy_rows(shared, task, outcome)
    every = [answer for outcome in outcomes.values() for answer in outcome.answers]
    content = manifest(asked, *_PACKAGES, seed=options.seed)
    notes = [*_notes(loaded, outcomes), *dict.fromkeys(model.notes)]
    content |= {
        "checkpoint": checkpoint,
        "notes": notes,
        "linear_layers": loaded.quantization or f"in {options.dtype}",
        "rows": rows,
        "metrics": {own: found for outcome in outcomes.values() for own, found in outcome.metrics.items()},
        "accuracy_by_kind": {task: accuracy_by_kind(outcome.answers) for task, outcome in outcomes.items()},
        "task_configuration": {
            own: found for outcome in outcomes.values() for own, found in outcome.configuration.items()
        },
    }
    columns = DSE_COLUMNS if swept else ACCURACY_COLUMNS
    with commit(output) as writing:
        write_samples(writing.staged(folder / SAMPLES).parent, every)
        text = json.dumps(content, indent=1, sort_keys=True, default=str) + "\n"
        atomic_write_text(writing.staged(folder / SUMMARY), text)
        upsert_rows(writing.stage / table.name, columns, [{**swept, **row} for row in rows])
        logs = (path for path in folder.glob("lmms_eval/**/*") if path.is_file())
        sealed = [folder / SAMPLES, folder / SUMMARY, *logs]
        writing.seal(folder / MANIFEST, {"configuration_sha256": content["configuration_sha256"]}, sealed)
        writing.seal_shared([table.name], {"tables_of": "evaluation"})
    resumed = model.log.resumed
    taken = f"{resumed} answers were taken from an earlier run" if resumed else ""
    said = (*notes, *filter(None, (taken, model.batches.note())))
    return Run(folder, tuple(rows), content, resumed, table, said)


def _notes(loaded: LoadedModel, outcomes: Mapping[str, TaskOutcome]) -> list[str]:
    generators = [
        str(found["dataset_name"]) if found["dataset_path"] == LOCAL_DATA else ""
        for outcome in outcomes.values()
        for found in outcome.configuration.values()
    ]
    is_random = loaded.checkpoint.startswith("random:")
    guessed = ["weights are random; this accuracy is that of guessing"] if is_random else []
    return guessed + foreign_notes(loaded, generators)


def _configuration(model: FocalModel, checkpoint: dict[str, Any], outcome: TaskOutcome) -> str:
    """Return the hash of a task's answers, the same as that of ``focal trace`` with the same questions."""
    options, parts = model.options, []
    for task in sorted({one.task for one in outcome.answers}):
        is_sequence = task.startswith(options.frame_tasks)
        asked = (
            # Where pixels are not known, the document stands for them, with what is done to its pictures.
            (one.pixels_sha256 or [task, one.digest, options.frames, is_sequence], one.text, one.target)
            for one in outcome.answers
            if one.task == task
        )
        limits = generation_limits(outcome.configuration[task]["generation_kwargs"] or {})
        parts.append(AskedPart(model.method(task), *limits, questions_hash(asked)))
    return configuration_hash(
        checkpoint=checkpoint,
        dtype=options.dtype,
        precision=options.precision,
        device=options.device,
        attention=options.attention,
        parts=parts,
    )
