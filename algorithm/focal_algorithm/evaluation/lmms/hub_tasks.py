"""The published tasks by name: which task of lmms-eval each is, and the data that it needs from the Hub."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from focal_common.errors import ConfigError, UnsupportedError

_DATA_FILES = frozenset({".parquet", ".arrow", ".json", ".jsonl", ".csv", ".tsv", ".zip", ".tar"})


@dataclass(frozen=True)
class HubData:
    """A data set.

    Attributes:
        name: On the Hub, owner and name.
        configuration: One of its configurations; empty for its only or default one.
        revision: Branch, tag or commit.
    """

    name: str
    configuration: str = ""
    revision: str = "main"

    @property
    def fetch_command(self) -> str:
        """Command that fetches it."""
        pin = "" if self.revision == "main" else f" --revision {self.revision}"
        return f"hf download --repo-type dataset {self.name}{pin}"

    def is_here(self) -> bool:
        """Tell whether it can be read without a connection."""
        return self.is_prepared() or self.snapshot() is not None

    def is_prepared(self) -> bool:
        """Tell whether `datasets` has read it before: offline it looks at its own cache alone."""
        owner, _, name = self.name.partition("/")
        # As `datasets` names its folders: VQAv2 is vq_av2 there.
        name = re.sub(r"([a-z\d])([A-Z])", r"\1_\2", re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)).lower()
        pattern = f"{self.configuration or '*'}/*/*/dataset_info.json"
        return any((_prepared_folder() / f"{owner}___{name}").glob(pattern))

    def snapshot(self) -> Path | None:
        """Return the folder that ``hf download`` made of this revision; None where it holds no data."""
        home = _downloads_folder() / f"datasets--{self.name.replace('/', '--')}"
        pointer = home / "refs" / self.revision
        try:
            commit = pointer.read_text(encoding="utf-8").strip() if pointer.is_file() else self.revision
            folder = home / "snapshots" / commit
            # Following links: those of a download that was cut or cleaned up lead nowhere.
            found = any(
                path.suffix in _DATA_FILES and path.is_file() and path.stat().st_size
                for path in folder.rglob("*")
            )
        except (OSError, UnicodeDecodeError):
            return None
        return folder if found else None


def hub_home() -> Path:
    """Return the cache folder of the Hub's libraries, by their rule."""
    caches = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("HF_HOME", f"{caches}/huggingface")).expanduser()


def _downloads_folder() -> Path:
    chosen = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    return Path(chosen).expanduser() if chosen else hub_home() / "hub"


def _prepared_folder() -> Path:
    chosen = os.environ.get("LMMS_EVAL_DATASETS_CACHE") or os.environ.get("HF_DATASETS_CACHE")
    return Path(chosen).expanduser() if chosen else hub_home() / "datasets"


@contextmanager
def from_snapshots() -> Iterator[None]:
    """Let `datasets.load_dataset` read what ``hf download`` left, where it would find nothing without a connection.

    Raises:
        OSError: That is no data set, or damaged.
    """
    import datasets

    load = datasets.load_dataset

    def loaded(path: str, name: str | None = None, *values: Any, **named: Any) -> Any:
        asked = HubData(str(path), name or "", named.get("revision") or "main")
        folder = asked.snapshot() if str(path).count("/") == 1 and not asked.is_prepared() else None
        if folder is None:
            return load(path, name, *values, **named)
        try:
            return load(str(folder), name, *values, **named)
        except (ValueError, datasets.exceptions.DatasetsError) as error:
            raise OSError(f"{asked.name} in {folder.parent}: {error.__cause__ or error}") from error

    datasets.load_dataset = loaded
    try:
        yield
    finally:
        datasets.load_dataset = load


DOWNLOAD = "allow downloads (profile hub, or a matrix with hub: true that is not run offline)"
"""What to do where the Hub is needed."""


@dataclass(frozen=True)
class HubTask:
    """A task that lmms-eval brings along.

    Attributes:
        task: Its name, or that of a group, in lmms-eval 0.7.3.
        data: Data set on the Hub.
        form: Form of answers, see `is_parsable`.
        unit: Unit of the published result: ``percent``, or ``score`` where lmms-eval's aggregate is not a percentage.
        configuration: Configuration of the data set; empty where it has one, or where sub-tasks have their own.
        revision: Revision of the data set.
    """

    task: str
    data: str
    form: str
    unit: str = "percent"
    configuration: str = ""
    revision: str = "main"

    @property
    def hub_data(self) -> HubData:
        """What it needs from the Hub."""
        return HubData(self.data, self.configuration, self.revision)


HUB_TASKS = {
    "mlvu": HubTask("mlvu_dev", "sy1998/MLVU_dev", "letter"),
    "mmbench": HubTask("mmbench_en_dev", "lmms-lab-encoder/MMBench", "letter", configuration="en"),
    "mme": HubTask("mme", "lmms-lab-encoder/MME", "yes/no", "score"),
    "mvbench": HubTask("mvbench", "OpenGVLab/MVBench", "letter", revision="video"),
    "pope": HubTask("pope", "lmms-lab-encoder/POPE", "yes/no"),
    "videomme": HubTask("videomme", "lmms-eval/Video-MME", "letter"),
    "vqav2": HubTask("vqav2_val", "lmms-lab-encoder/VQAv2", "free"),
}
"""By the names of the published tables (Focus, HPCA 2026, Table II) and of POPE."""


def dataset_of(task: str) -> str:
    """Return the published name of a task of lmms-eval, such as ``mvbench`` for a sub-task; else its own name."""
    for name, known in HUB_TASKS.items():
        if task in (name, known.task) or task.startswith(f"{name}_"):
            return name
    return task


def answer_form(task: str) -> str:
    """Return the form of answers of a task that lmms-eval brings along; ``free`` where it is not known."""
    known = HUB_TASKS.get(dataset_of(task))
    return known.form if known is not None else "free"


def require_pairs(names: Iterable[str], limit: float | None) -> None:
    """Refuse a limit that cuts a pair of published MME: lmms-eval's score stops there, with every answer known.

    Raises:
        ConfigError: The limit is not an even number.
    """
    for name in names:
        if limit is not None and limit % 2 and name in HUB_TASKS and HUB_TASKS[name].unit == "score":
            raise ConfigError(
                f"limit {limit:g}: task '{name}' scores the two questions of an image together; expected an even "
                "number",
                about=("limit",),
            )


def require_cached(names: Iterable[str]) -> None:
    """Refuse those of our published names whose data is not in the local cache; see `require_data`."""
    require_data([(name, HUB_TASKS[name].hub_data) for name in names if name in HUB_TASKS])


def require_data(data_sets: Iterable[tuple[str, HubData]]) -> None:
    """Refuse tasks whose data is not on this machine.

    Args:
        data_sets: Task and its data.

    Raises:
        UnsupportedError: The sentence says which data is missing and what fetches it.
    """
    for task, data in data_sets:
        if not data.is_here():
            raise UnsupportedError(
                f"task '{task}' needs the data set '{data.name}' from the Hub, and the run is offline; {DOWNLOAD}, or "
                f"fetch it before with '{data.fetch_command}'",
                about=("profile",),
            )
