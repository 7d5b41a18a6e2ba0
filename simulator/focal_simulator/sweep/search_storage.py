"""Where Optuna keeps the told trials of a search: files of the study folder, or a database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from focal_common.errors import ConfigError, RunError, UnsupportedError
from focal_simulator.sweep.plan import Plan
from focal_simulator.sweep.study import JOURNAL, SQLITE, STORAGES

__all__ = ["check_storage", "fresh_study", "load_optuna", "storage_errors"]

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
