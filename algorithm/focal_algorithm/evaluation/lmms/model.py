"""Our model as lmms-eval sees it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, ClassVar

from lmms_eval.api.model import lmms
from PIL import Image

from focal_algorithm.checkpoints.loading import LoadedModel
from focal_algorithm.evaluation.lmms.answering import Answerer, AnswerLog, generation_limits
from focal_algorithm.evaluation.lmms.hub_tasks import dataset_of
from focal_algorithm.evaluation.lmms.options import ModelOptions, options_from_arguments
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.prompts.media.media import MediaSample
from focal_algorithm.prompts.media.reading import read_image, read_video, shown_picture
from focal_algorithm.tracing.batches import Batches
from focal_algorithm.tracing.identity import resolved_parameters
from focal_common.console import track
from focal_common.errors import UnsupportedError
from focal_common.provenance import content_hash
from focal_common.spreading.shards import Shard


@dataclass(frozen=True)
class Part:
    """Which questions a process answers.

    Attributes:
        shard: Those of one shard; None for all.
        first: Number of the first question in a longer run that shards share.
    """

    shard: Shard | None = None
    first: int = 0


@dataclass(frozen=True, eq=False)
class _Asked:
    """The arguments of a request of lmms-eval, in its order."""

    question: str
    settings: dict[str, Any]
    show: Any
    index: int
    task: str
    split: str

    def is_like(self, other: _Asked) -> bool:
        """Return whether two questions can be asked under the same method and limits."""
        return self.task == other.task and self.settings == other.settings


class Unanswered(Exception):
    """Other shards have not answered all of their questions yet; own answers are kept."""


class FocalModel(lmms):
    """Any model family with any method attached, in lmms-eval's "simple" protocol.

    Args:
        options: Model and method; None to read them from ``arguments``.
        loaded: The model, where it is loaded already.
        part: Which questions are answered here; all by default.
        **arguments: Model arguments of lmms-eval; see `options_from_arguments`.
    """

    is_simple: ClassVar[bool] = True

    def __init__(
        self,
        options: ModelOptions | None = None,
        loaded: LoadedModel | None = None,
        part: Part | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__()
        self.options = options or options_from_arguments(arguments)
        self._answerer = Answerer(self.options, loaded)
        self._part = part or Part()
        self._asked = 0
        identity = self.options.identity(self.loaded.checkpoint)
        self.log = AnswerLog(self.options.answers, identity, self._part.shard)
        self.seconds: dict[str, float] = {}
        self.notes: tuple[str, ...] = ()

    @property
    def loaded(self) -> LoadedModel:
        """The model."""
        return self._answerer.loaded

    @property
    def batches(self) -> Batches:
        """What answers several questions at once."""
        return self._answerer.batches

    def generate_until(self, requests: list[Any]) -> list[str]:
        """Answer requests in their order; finished ones are taken from the log.

        Raises:
            Unanswered: Some are of other shards, which have not answered them yet.
        """
        asked = [_Asked(*request.args) for request in requests]
        shard, own, label = self._part.shard, asked, "answering"
        if shard is not None:
            first = self._part.first + self._asked
            self._asked += len(asked)
            own = [one for number, one in enumerate(asked, start=first) if shard.holds(number)]
            label = f"answering, shard {shard}"
        missing = [one for one in own if self.log.get(self._key(one)) is None]
        for _ in track(self._answer_each(missing), label, len(missing)):
            pass
        if shard is not None:
            self.log.read_others()
        return [self._answered(one) for one in asked]

    def _answer_each(self, left: list[_Asked]) -> Iterator[None]:
        """Answer questions in batches of neighbours; each is durable, in its order, before the next batch begins."""
        shown: dict[int, MediaSample] = {}
        while left:
            first, started = left[0], time.perf_counter()
            dataset, (new_tokens, ends) = dataset_of(first.task), generation_limits(first.settings)
            most = self.batches.size
            group = list(takewhile(first.is_like, left[:most]))
            for one in group:
                if id(one) not in shown:
                    shown[id(one)] = self._medium(one)
            pictures = [shown[id(one)] for one in group]
            pairs = [(picture, one.question) for picture, one in zip(pictures, group, strict=True)]
            answers = self._answerer.answers(pairs, dataset, new_tokens)
            seconds = (time.perf_counter() - started) / len(answers)
            for one, answer in zip(group, answers, strict=False):
                for end in ends:
                    answer = answer.split(end)[0]
                self.log.put(self._key(one), answer.strip(), seconds, shown.pop(id(one)).notes)
                yield
            left = left[len(answers) :]

    def _medium(self, one: _Asked) -> MediaSample:
        return media_of(
            one.show(self._document(one)),
            name=f"{one.task}-{one.split}-{one.index}",
            frames=self.options.frames,
            is_sequence=one.task.startswith(self.options.frame_tasks),
        )

    def _answered(self, one: _Asked) -> str:
        """Return an answer from the log, and count what it took."""
        key = self._key(one)
        answer = self.log.get(key)
        if answer is None:
            raise Unanswered
        self.notes += self.log.notes(key)
        self.seconds[one.task] = self.seconds.get(one.task, 0.0) + self.log.seconds(key)
        return answer

    def method(self, task: str) -> CompressionMethod:
        """Return the method with the parameters in force for a task of lmms-eval."""
        return self._answerer.method(dataset_of(task))

    def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
        """Refuse: compression acts on the prefill of a prompt, and such tasks put the answer into it."""
        raise UnsupportedError(
            "this task compares likelihoods of given answers; expected a task of output_type generate_until"
        )

    def generate_until_multi_round(self, requests: list[Any]) -> list[str]:
        """Refuse: a second round would be a prefill onto a filled cache."""
        raise UnsupportedError("this task has several rounds; expected a task of output_type generate_until")

    def _document(self, one: _Asked) -> Any:
        return self.task_dict[one.task][one.split][one.index]

    def _key(self, one: _Asked) -> str:
        # Parameters in force: after a change of published or default ones, old answers are not taken for new.
        method = resolved_parameters(self.method(one.task))
        document = _plain(self._document(one))
        return content_hash([one.task, one.split, one.index, one.question, one.settings, document, method])


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    # Pictures are told apart by the ids beside them.
    return {name: value for name, value in document.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    return all(map(_is_plain, value)) if isinstance(value, list) else isinstance(value, (str, int, float))


_IMAGE_FILES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


def media_of(visuals: Sequence[Any] | None, *, name: str, frames: int, is_sequence: bool) -> MediaSample:
    """Return one image or one video.

    Args:
        visuals: PIL images, paths, or one of our own `MediaSample`.
        name: Task and document, for messages and as sample id.
        frames: Most frames taken from a video file.
        is_sequence: Whether several images are the frames of one video.

    Raises:
        UnsupportedError: None, several images or videos, or another kind of medium.
    """
    shown = list(visuals or ())
    if len(shown) == 1:
        return _single(shown[0], name, frames)
    if shown and is_sequence and all(isinstance(one, Image.Image) for one in shown):
        return MediaSample(name, tuple(shown_picture(one, name) for one in shown), True, "lmms-eval")
    raise UnsupportedError(
        f"{name}: {len(shown)} pictures in one question; expected one image or one video "
        "(tasks whose images are frames of a video are named with frame_tasks)"
    )


def _single(shown: Any, name: str, frames: int) -> MediaSample:
    if isinstance(shown, MediaSample):
        return shown
    if isinstance(shown, Image.Image):
        return MediaSample(name, (shown_picture(shown, name),), False, "lmms-eval")
    if isinstance(shown, (str, Path)):
        path = Path(shown)
        return read_image(path) if path.suffix.lower() in _IMAGE_FILES else read_video(path, frames)
    raise UnsupportedError(f"{name}: a {type(shown).__name__} is neither an image nor a video")
