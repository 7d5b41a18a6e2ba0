"""Everything that decides the result of a traced run, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from focal_algorithm.models.arithmetic import ATTENTIONS, PRECISIONS, our_name
from focal_algorithm.tasks.asking import AskedTask
from focal_common.errors import ConfigError
from focal_common.places import plain_name

_FEW_SAMPLES = 8
"""Runs of so many keep their pictures unless told otherwise. Chosen here: a few tens of MB at most."""


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Everything that decides the result of a run; the help of ``focal trace`` says it at length.

    Beyond the command line: ``revision`` pins a Hub name to a commit or branch; ``folder`` and ``variant`` name the
    trace folder and the end of the file name, where they are not the method's own; ``chosen_sample`` is the
    sample that simulations take, None for the one of median sparsity. ``task`` asks the questions of a benchmark in
    place of photographs and files; ``against_dense`` has the untouched model answer them too. ``keep_frames`` None
    keeps the pictures of a run of few samples.
    """

    output: Path
    model: str = "llava_onevision"
    size: str = "small"
    method: str = "focus"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    dataset: str | None = None
    videos: tuple[Path, ...] = ()
    images: tuple[Path, ...] = ()
    samples: int = 3
    frames: int = 16
    question: str = "What happens in this video?"
    new_tokens: int = 2
    seed: int = 0
    dtype: str = "fp32"
    precision: str = "float"
    device: str = "cpu"
    attention: str = "sdpa"
    threads: int = 0
    keep_masks: bool = False
    keep_frames: bool | None = False
    is_offline: bool = True
    trust_remote_code: bool = False
    revision: str = ""
    folder: str = ""
    variant: str = ""
    chosen_sample: int | None = None
    task: AskedTask | None = None
    against_dense: bool = False

    def __post_init__(self) -> None:
        for name, least in (("samples", 1), ("frames", 1), ("new_tokens", 0), ("threads", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name in ("dtype", "precision", "attention"):
            object.__setattr__(self, name, our_name(getattr(self, name)))
        if self.attention not in ATTENTIONS:
            raise ConfigError(f"attention must be {' or '.join(ATTENTIONS)}, got '{self.attention}'")
        if self.precision not in PRECISIONS:
            raise ConfigError(f"precision must be {' or '.join(PRECISIONS)}, got '{self.precision}'")
        if self.task is not None and (self.videos or self.images):
            raise ConfigError("a task brings its own pictures; expected no videos and no images beside it")
        count = self.num_samples
        if self.chosen_sample is not None and count is not None and not 0 <= self.chosen_sample < count:
            raise ConfigError(f"chosen_sample must be 0 to {count - 1}, got {self.chosen_sample}")
        plain_name(self.dataset_name, "dataset")
        for name in ("folder", "variant"):
            if getattr(self, name):
                plain_name(getattr(self, name), name)

    @property
    def num_samples(self) -> int | None:
        """Prefills of the run; None where a benchmark's clips decide."""
        if self.task is not None:
            return self.task.questions
        return len(self.videos) + len(self.images) or self.samples

    @property
    def keeps_frames(self) -> bool:
        """Whether pictures are written beside the trace."""
        if self.keep_frames is not None:
            return self.keep_frames
        return self.num_samples is not None and self.num_samples <= _FEW_SAMPLES

    @property
    def dataset_name(self) -> str:
        """Name under which results are filed."""
        if self.dataset is not None:
            return self.dataset
        if self.task is not None:
            return self.task.name
        return "files" if self.videos or self.images else "photographs"

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        values["output"] = str(self.output)
        values["videos"], values["images"] = [str(p) for p in self.videos], [str(p) for p in self.images]
        values["task"] = None if self.task is None else self.task.to_json()
        for name in ("revision", "folder", "variant", "chosen_sample", "task", "against_dense"):
            if values[name] in ("", None) or values[name] is False:  # manifests of plain runs keep their hash
                del values[name]
        if self.task is not None:  # its questions are asked, of its own samples
            del values["question"], values["samples"]
        return values | {"parameters": dict(self.parameters)}
