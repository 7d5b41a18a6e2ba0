"""The published tasks by name: which task of lmms-eval each is, and the data that it needs from the Hub."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from focal_algorithm.evaluation.lmms.hub_data import HubData
from focal_common.errors import ConfigError, UnsupportedError

__all__ = [
    "HUB_TASKS",
    "HubTask",
    "answer_form",
    "dataset_of",
    "require_cached",
    "require_data",
    "require_pairs",
]

DOWNLOAD = "allow downloads (profile hub, or a matrix with hub: true that is not run offline)"
"""What to do where the Hub is needed."""


@dataclass(frozen=True)
class HubTask:
    """A task that lmms-eval brings along.

    Attributes:
        task: Its name, or that of a group, in lmms-eval 0.7.3.
        data: Data set on the Hub.
        form: Of answers, see `is_parsable`.
        unit: Of the published result: ``percent``, or ``score`` where lmms-eval's aggregate is not a percentage.
        configuration: Of the data set; empty where it has one, or where sub-tasks have their own.
        revision: Of the data set.
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
