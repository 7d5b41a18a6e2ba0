"""Multi-objective search: Optuna proposes batches of points, the engine evaluates them.

The told trials lie in an Optuna storage, for its dashboard and its analyses. Proposals follow from the seed, the
proposal's number and the earlier results alone, never from the number of workers or from interruptions: a search
that goes on after a kill proposes the same points again and finds them in the store.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from focal_common.errors import ConfigError, RunError, UnsupportedError
from focal_simulator.sweep.axes import Axis
from focal_simulator.sweep.metrics import violations
from focal_simulator.sweep.plan import Plan
from focal_simulator.sweep.rows import FAILED, Row
from focal_simulator.sweep.study import JOURNAL, SQLITE, STORAGES

_LONGEST_CAUSE = 160


def load_optuna() -> Any:
    """Return the package; raises `UnsupportedError` if it is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise UnsupportedError("kind: search needs the package optuna; install focal-vlm[sweep]") from error
    return optuna


def check_storage(word: str) -> None:
    """Refuse a database URL that cannot be used here, before anything runs.

    Raises:
        ConfigError: It is no URL of a database, of an unknown one, or the package that speaks to it is missing.
        UnsupportedError: Optuna is not installed.
    """
    load_optuna()
    if word in STORAGES:
        return
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    try:
        make_url(word).get_dialect().import_dbapi()
    except ImportError as error:
        raise ConfigError(
            f"sampling.storage '{_shown(word)}': needs the package '{error.name}', which is not installed"
        ) from error
    except (SQLAlchemyError, ValueError) as error:
        raise ConfigError(
            f"sampling.storage '{_shown(word)}': not usable ({_cause(error)}); expected {' or '.join(STORAGES)}, or "
            "the URL of a database such as sqlite:///search.db"
        ) from error


def fresh_study(optuna: Any, plan: Plan, folder: Path) -> Any:
    """Return an empty Optuna study; an earlier one of this name is proposed anew from the stored rows."""
    name = f"{plan.study.name}-{plan.sha256[:12]}"
    storage = _storage(optuna, plan.study.sampling.storage, folder)
    if name in [
        summary.study_name for summary in optuna.get_all_study_summaries(storage, include_best_trial=False)
    ]:
        optuna.delete_study(study_name=name, storage=storage)
    directions = [objective.goal for objective in plan.study.objectives]
    return optuna.create_study(study_name=name, storage=storage, directions=directions)


@contextmanager
def storage_errors(word: str, folder: Path) -> Iterator[None]:
    """Turn what a storage says into one sentence.

    Args:
        word: ``sampling.storage``.
        folder: Of the study.

    Raises:
        RunError: The storage is locked, read-only or out of reach.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (StorageInternalError, SQLAlchemyError, ImportError, OSError) as error:
        raise RunError(
            f"{_shown(word, folder)}: the search storage is locked, read-only or out of reach ({_cause(error)}); "
            "finished points are kept"
        ) from error


def _storage(optuna: Any, word: str, folder: Path) -> Any:
    if word == JOURNAL:
        backend = optuna.storages.journal.JournalFileBackend(str(_file(word, folder)))
        return optuna.storages.JournalStorage(backend)
    return optuna.storages.RDBStorage(f"sqlite:///{_file(word, folder)}" if word == SQLITE else word)


def _file(word: str, folder: Path) -> Path:
    return folder / ("optuna.db" if word == SQLITE else "optuna.journal")


def _shown(word: str, folder: Path | None = None) -> str:
    """Return a storage for a message: its file, or its URL without the password."""
    if word in STORAGES and folder is not None:
        return str(_file(word, folder))
    scheme, separator, rest = word.partition("://")
    account, at, place = rest.rpartition("@")
    return f"{scheme}{separator}{account.partition(':')[0]}{at}{place}"


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:_LONGEST_CAUSE]


Choices = tuple[int, ...]
Evaluate = Callable[[int, list[Choices]], list[Row]]
"""From the number of a batch and its points to their rows, in order."""

_STARTUP_SHARE = 0.1


def search(plan: Plan, folder: Path, evaluate: Evaluate) -> None:
    """Run the whole search of a study.

    Args:
        plan: The study.
        folder: Where the storage lies, unless the study names a database.
        evaluate: Evaluates a batch; points seen before come from the store.

    Raises:
        RunError: The storage is locked, read-only or gone.
        UnsupportedError: Optuna is not installed.
    """
    optuna = load_optuna()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampling = plan.study.sampling
    # Proposals are made in memory and each told batch is stored at once: a database commits for every
    # parameter of every trial, which takes longer than the simulation. What must survive is in the rows.
    with storage_errors(sampling.storage, folder):
        stored = fresh_study(optuna, plan, folder)
    study = optuna.create_study(directions=[objective.goal for objective in plan.study.objectives])
    for number, start in enumerate(range(0, sampling.points, sampling.batch)):
        size = min(sampling.batch, sampling.points - start)
        trials = []
        for proposal in range(start, start + size):
            study.sampler = _sampler(optuna, plan, proposal)
            trial = study.ask()
            trials.append((trial, _proposed(trial, plan.study.axes)))
        rows = evaluate(number, [choices for _, choices in trials])
        for (trial, _), row in zip(trials, rows, strict=True):
            _report(optuna, study, trial, row, plan)
        with storage_errors(sampling.storage, folder):
            stored.add_trials(study.get_trials(deepcopy=False)[start : start + size])


def _sampler(optuna: Any, plan: Plan, proposal: int) -> Any:
    sampling = plan.study.sampling
    # One seed per proposal: the state of a long-lived sampler would not survive a kill.
    seed = int(np.random.SeedSequence([sampling.seed, proposal]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if sampling.sampler == "nsga2":
            return optuna.samplers.NSGAIISampler(population_size=sampling.batch, seed=seed)
        if sampling.sampler == "tpe":
            startup = max(sampling.batch, int(_STARTUP_SHARE * sampling.points))
            return optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup, constant_liar=True)
        return optuna.samplers.RandomSampler(seed=seed)


def _proposed(trial: Any, axes: tuple[Axis, ...]) -> Choices:
    choices = []
    for axis in axes:
        last = len(axis.settings) - 1
        if axis.is_ordered:
            choices.append(int(trial.suggest_int(axis.label, 0, last)))
        else:
            choices.append(int(trial.suggest_categorical(axis.label, list(range(last + 1)))))
    return tuple(choices)


def _report(optuna: Any, study: Any, trial: Any, row: Row, plan: Plan) -> None:
    trial.set_user_attr("point", row["index"])
    if row["status"] == FAILED:
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return
    for name, amount in violations(plan.study.constraints, row).items():
        trial.set_constraint(name, amount)
    values = []
    for objective in plan.study.objectives:
        value = row[objective.metric]
        # A point outside a limit is not simulated: as bad as can be, and marked infeasible above.
        values.append(objective.sign * np.inf if value is None else value)
    study.tell(trial, values)
