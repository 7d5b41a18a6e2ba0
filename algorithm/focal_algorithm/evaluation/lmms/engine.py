"""Runs lmms-eval through its Python API."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from focal_algorithm.evaluation.lmms import MODEL_ID, TASK_FOLDER, local_tasks
from focal_algorithm.evaluation.lmms.hub_tasks import (
    DOWNLOAD,
    HUB_TASKS,
    HubData,
    from_snapshots,
    require_cached,
    require_data,
    require_pairs,
)
from focal_algorithm.evaluation.lmms.scoring import ScoredAnswer, scored
from focal_common.errors import ConfigError, FocalError, RunError, UnsupportedError, near_matches
from focal_common.places import plain_name


@dataclass(frozen=True)
class TaskOutcome:
    """What lmms-eval found for one task or group.

    Attributes:
        answers: In the order of tasks and documents.
        metrics: Aggregates of lmms-eval by task and metric.
        configuration: Configuration of each task, as JSON values: data, prompts, generation settings, version.
    """

    answers: tuple[ScoredAnswer, ...]
    metrics: dict[str, dict[str, float]]
    configuration: dict[str, Any]


class Tasks:
    """The tasks of an evaluation, checked before a model is loaded.

    Args:
        names: Local tasks, published names of `HUB_TASKS`, or any other task of lmms-eval.
        is_offline: Whether only local files may be used.
        limit: That `run` will be given.
        include: Folder of further task files; None for none.

    Raises:
        ConfigError: No such task, task files that cannot be read or take a name that exists, or a limit that cuts what
            belongs together.
        UnsupportedError: A task needs data from the Hub that is not there.
    """

    def __init__(
        self, names: list[str], is_offline: bool, limit: float | None = None, include: Path | None = None
    ) -> None:
        require_pairs(names, limit)
        if not names:
            raise ConfigError(
                f"no task is named; {near_matches('', [*local_tasks(), *HUB_TASKS])}", about=("tasks",)
            )
        if is_offline:
            require_cached(names)
        self._is_offline = is_offline
        self.names = tuple(dict.fromkeys(names))
        own = {} if include is None else _own_index(include)
        is_local = set(names) <= {*local_tasks(), *own}
        self._manager = _manager(is_local) if include is None else _new_manager(is_local, include)
        for name in names:
            if self._lmms_name(name) not in self._manager.all_tasks:
                choices = [*local_tasks(), *HUB_TASKS, *own]
                raise ConfigError(
                    f"unknown task '{name}'; {near_matches(name, choices)} and all tasks of lmms-eval"
                )
            if name in own and (name in HUB_TASKS or self._manager.task_index[name] != own[name]):
                raise ConfigError(
                    f"{include}: task '{name}' exists; give it another name", about=("include_path",)
                )
        if is_offline:
            require_data(self._other_data(names))

    def run(self, name: str, model: Any, limit: float | None, log_folder: Path | None) -> TaskOutcome:
        """Evaluate one task.

        Args:
            name: One of ``names``.
            model: `FocalModel`.
            limit: First so many questions of each (sub-)task, or a part below 1; None for all.
            log_folder: Where lmms-eval writes its own results and samples; None writes none.

        Raises:
            RunError: Data of the task could not be read, for example for lack of a connection.
            UnsupportedError: Likewise, where a connection was not allowed.
        """
        from lmms_eval import evaluator
        from lmms_eval.loggers import EvaluationTracker
        from tenacity import RetryError

        tracker = None if log_folder is None else EvaluationTracker(output_path=str(log_folder))
        try:
            with from_snapshots() if self._is_offline else nullcontext():
                results = evaluator.simple_evaluate(
                    model=model,
                    tasks=[self._lmms_name(name)],
                    task_manager=self._manager,
                    batch_size=1,
                    limit=limit,
                    log_samples=True,
                    bootstrap_iters=0,
                    evaluation_tracker=tracker,
                    verbosity="ERROR",
                )
        except (OSError, RetryError, SystemExit) as error:  # tasks use sys.exit where a video is missing
            raise self._failure(name, error) from error
        if results is None:
            raise RunError(
                f"task '{name}': lmms-eval gave no results; it was not started as the main process"
            )
        samples = results.pop("samples")
        outcome = _outcome(results, samples)
        if tracker is not None and log_folder is not None:
            _save(tracker, log_folder, results, samples)
        return outcome

    def _failure(self, name: str, error: BaseException) -> FocalError:
        reason = _innermost(error)
        if self._is_offline and name not in local_tasks():
            return UnsupportedError(
                f"task '{name}': its data could not be read offline ({reason}); {DOWNLOAD}",
                about=("profile",),
            )
        return RunError(f"task '{name}': lmms-eval could not read its data ({reason})")

    def _lmms_name(self, name: str) -> str:
        return HUB_TASKS[name].task if name in HUB_TASKS else name

    def _other_data(self, names: list[str]) -> Iterator[tuple[str, HubData]]:
        from lmms_eval.utils import load_yaml_config

        for name in names:
            if name in local_tasks() or name in HUB_TASKS:
                continue
            path = self._manager.task_index[name]["yaml_path"]
            found = load_yaml_config(path, mode="simple") if path != -1 else {}
            data = str(found.get("dataset_path") or "")
            if data.count("/") == 1:
                revision = (found.get("dataset_kwargs") or {}).get("revision") or "main"
                yield name, HubData(data, str(found.get("dataset_name") or ""), str(revision))


@cache
def _manager(is_local: bool) -> Any:
    return _new_manager(is_local)


def _new_manager(is_local: bool, *further: Path) -> Any:
    # Reading the 2,000 task files of lmms-eval takes seconds; our own need none of them.
    from lmms_eval.tasks import TaskManager

    folders = [str(folder) for folder in (TASK_FOLDER, *further)]
    return TaskManager("ERROR", include_path=folders, include_defaults=not is_local, model_name=MODEL_ID)


def _own_index(folder: Path) -> dict[str, Any]:
    """Return what lmms-eval finds in a folder; where a name exists elsewhere, it would leave this one out silently."""
    from lmms_eval.tasks import TaskManager

    if not folder.is_dir():
        raise ConfigError(
            f"{folder}: no such folder; expected one with task files of lmms-eval", about=("include_path",)
        )
    try:
        index = TaskManager("ERROR", include_path=str(folder), include_defaults=False).task_index
    except (
        Exception
    ) as error:  # YAML, missing files, assertions: whatever stops lmms-eval lies in these files
        raise ConfigError(
            f"{folder}: a task file cannot be read ({_innermost(error)}); a copy of one of ours "
            "needs _shapes_yaml and shapes.py beside it",
            about=("include_path",),
        ) from error
    if not index:
        raise ConfigError(f"{folder}: holds no task file NAME.yaml", about=("include_path",))
    for name in index:  # lmms-eval names files of samples after them
        plain_name(name, f"{folder}: name of a task")
    return dict(index)


@contextmanager
def quiet() -> Iterator[None]:
    """Let lmms-eval report errors only; its logger is not restored, it belongs to the process of a command.

    Its progress bars are silent meanwhile, because ours is shown: TQDM_DISABLE works only before torch is imported.
    """
    from loguru import logger

    logger.remove()
    logger.add(sys.stderr, level="ERROR", format="lmms-eval: {message}")
    bar = import_module("tqdm").tqdm
    start = bar.__init__
    bar.__init__ = lambda own, *values, **named: start(own, *values, **named | {"disable": True})
    try:
        yield
    finally:
        bar.__init__ = start


def _save(tracker: Any, folder: Path, results: dict[str, Any], samples: dict[str, Any]) -> None:
    # The tracker copies what it knows of the model into a file: give it the name instead of the object.
    tracker.general_config_tracker.model_source = MODEL_ID
    tracker.save_results_aggregated(results=results, samples=samples, datetime_str=results["date"])
    for task in samples:
        tracker.save_results_samples(task_name=task, samples=samples[task])
        # lmms-eval only logs a warning where it cannot write.
        if not any(folder.rglob(f"*_samples_{task}.jsonl")):
            raise RunError(f"{folder}: lmms-eval could not write the samples of task '{task}'")


def _outcome(results: Mapping[str, Any], samples: Mapping[str, list[Any]]) -> TaskOutcome:
    answers = [
        scored(task, sample)
        for task in sorted(samples)
        for sample in sorted(samples[task], key=lambda one: one["doc_id"])
    ]
    metrics = {
        task: {
            name.split(",")[0]: float(value)
            for name, value in found.items()
            if "," in name and "stderr" not in name and isinstance(value, (int, float))
        }
        for task, found in results["results"].items()
    }
    configuration = {
        task: {
            field: found.get(field)
            for field in ("dataset_path", "dataset_name", "dataset_kwargs", "test_split", "generation_kwargs")
        }
        | {"version": results["versions"].get(task)}
        for task, found in results["configs"].items()
    }
    return TaskOutcome(tuple(answers), metrics, configuration)


def _innermost(error: BaseException) -> str:
    last = getattr(error, "last_attempt", None)  # lmms-eval tries a download several times
    found = last.exception() if last is not None else error
    return f"{type(found).__name__}: {' '.join(str(found).split())[:300]}"
