"""Questions answered by a model with a method attached, and finished answers on disk, one line each."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from focal_algorithm.checkpoints.loading import LoadedModel, load_model
from focal_algorithm.evaluation.lmms.options import ModelOptions
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.methods.build import build_method, method_in_force
from focal_algorithm.prompts.media.media import MediaSample
from focal_algorithm.tasks.asking import read_batch
from focal_algorithm.tracing.batches import Batches
from focal_algorithm.tracing.prompting import answer_of, build_prompt
from focal_common.errors import ConfigError, RunError, UnsupportedError
from focal_common.files import atomic_write_text
from focal_common.provenance import content_hash
from focal_common.reading.doors import read_bytes
from focal_common.reading.json_files import parse_line, sealed, unsealed
from focal_common.spreading.shards import Shard

_DEFAULT_NEW_TOKENS = 16


def load(options: ModelOptions) -> LoadedModel:
    """Load the model of some options; see `load_model` for errors."""
    return load_model(
        options.model,
        size=options.size,
        seed=options.seed,
        dtype=options.dtype,
        attention=options.attention,
        device=options.device,
        is_offline=options.profile == "offline",
        trust_remote_code=options.trust_remote_code,
        revision=options.revision,
        precision=options.precision,
    )


class Answerer:
    """A loaded model with its method; the method's parameters follow the data set where they were published.

    Args:
        options: Model and method.
        loaded: The model, where it is loaded already.
    """

    def __init__(self, options: ModelOptions, loaded: LoadedModel | None = None) -> None:
        self.options = options
        # Before the model is loaded, so that a slip of the pen answers at once.
        build_method(options.method, options.parameters)
        self.loaded = loaded or load(options)
        self._methods: dict[str, CompressionMethod] = {}
        self.batches = Batches(self.loaded, read_batch(options.batch_size))

    def method(self, dataset: str) -> CompressionMethod:
        """Return the method for a data set: published parameters, else fitted defaults; own ones win."""
        if dataset not in self._methods:
            family, geometry = self.loaded.adapter.family, self.loaded.geometry
            options = self.options
            self._methods[dataset], _ = method_in_force(
                options.method, options.parameters, family, geometry, dataset
            )
        return self._methods[dataset]

    def answer(self, sample: MediaSample, question: str, dataset: str, new_tokens: int) -> str:
        """Return the greedy continuation.

        Args:
            sample: One image or video.
            question: Text after it.
            dataset: Name under which parameters may be published.
            new_tokens: Most tokens to generate.

        Raises:
            RunError: Out of memory.
            UnsupportedError: The family does not take such a picture.
        """
        prompt = build_prompt(self.loaded, sample, question)
        return answer_of(self.loaded, self.method(dataset), None, prompt, new_tokens)

    def answers(self, asked: Sequence[tuple[MediaSample, str]], dataset: str, new_tokens: int) -> list[str]:
        """Return the greedy continuations of the first questions: as many as one batch takes, at least one.

        Args:
            asked: Images or videos, and the text after each; at least one.
            dataset: See `answer`.
            new_tokens: See `answer`.

        Raises:
            FocalError: See `answer`.
        """
        if self.options.batch_size == "1":
            return [self.answer(*asked[0], dataset, new_tokens)]
        prompts = [build_prompt(self.loaded, *one) for one in asked]
        return self.batches.answers(self.method(dataset), prompts, new_tokens)


def generation_limits(settings: dict[str, Any]) -> tuple[int, tuple[str, ...]]:
    """Return the most new tokens and the texts that end an answer, from ``generation_kwargs`` of a task.

    Raises:
        UnsupportedError: The task asks for sampling or beams; answers must be repeatable.
    """
    if settings.get("do_sample") or float(settings.get("temperature") or 0) > 0:
        raise UnsupportedError(f"generation_kwargs {settings}: sampling; expected greedy decoding")
    if int(settings.get("num_beams") or 1) != 1:
        raise UnsupportedError(f"generation_kwargs {settings}: beam search; expected greedy decoding")
    stops = settings.get("until") or ()
    ends = (stops,) if isinstance(stops, str) else tuple(stops)
    # lmms-eval puts the few-shot delimiter here; an empty or blank end would cut every answer.
    return int(settings.get("max_new_tokens") or _DEFAULT_NEW_TOKENS), tuple(
        end for end in ends if end.strip()
    )


_FORMAT = "focal answers 2"
_REMEDY = "remove it to answer all questions again"


class AnswerLog:
    """Answers by request key. A line is durable as soon as its answer is known; a torn last line is dropped.

    Args:
        path: File; None keeps answers in memory only. Shards have files ``NAME.1-of-2.jsonl`` beside it.
        identity: What the answers depend on; a file of another identity is refused.
        shard: Whose answers are added; None for those of a whole run.

    Raises:
        ConfigError: The file belongs to another configuration, or is damaged before its last line.
    """

    def __init__(self, path: Path | None, identity: dict[str, Any], shard: Shard | None = None) -> None:
        self._whole, self._path = path, path
        self._answers: dict[str, tuple[str, float, tuple[str, ...]]] = {}
        self._target: TextIO | None = None
        self._header = {"format": _FORMAT, "identity_sha256": content_hash(identity), "identity": identity}
        self.resumed = 0
        if path is not None:
            if shard is not None:
                self._path = path.with_name(f"{path.stem}.{shard.number}-of-{shard.count}.jsonl")
            self.read_others()
            self.resumed = len(self._answers)
            assert self._path is not None  # noqa: S101  (as the line above)
            if not self._path.is_file():
                atomic_write_text(self._path, self._heading())
            else:
                self._mend(self._path)
            self._target = self._path.open("a", encoding="utf-8")

    def _heading(self) -> str:
        return json.dumps(self._header, sort_keys=True, default=str) + "\n"

    def read_others(self) -> None:
        """Take up what shards have answered meanwhile."""
        if self._whole is None:
            return
        for path in (self._whole, *self._shards()):
            if path.is_file():
                self._read(path)

    def join(self) -> None:
        """Put the answers of shards into the one file; nothing happens where there are none."""
        if self._whole is None or not (parts := self._shards()):
            return
        self.close()
        rows = (self._row(key, *found) for key, found in self._answers.items())
        atomic_write_text(self._whole, self._heading() + "".join(rows))
        for part in parts:
            part.unlink(missing_ok=True)

    def _shards(self) -> list[Path]:
        assert self._whole is not None  # noqa: S101  (callers have looked)
        return sorted(self._whole.parent.glob(f"{glob.escape(self._whole.stem)}.*-of-*.jsonl"))

    @staticmethod
    def _row(key: str, answer: str, seconds: float, notes: tuple[str, ...]) -> str:
        row = {"key": key, "answer": answer, "seconds": round(seconds, 6)}
        return json.dumps(sealed(row | ({"notes": list(notes)} if notes else {}))) + "\n"

    def get(self, key: str) -> str | None:
        """Return a finished answer, or None."""
        found = self._answers.get(key)
        return None if found is None else found[0]

    def seconds(self, key: str) -> float:
        """Return the wall time that an answer took when it was found; 0 where there is none."""
        return self._answers.get(key, ("", 0.0))[1]

    def notes(self, key: str) -> tuple[str, ...]:
        """Return what a reader must know of the file that an answer is about."""
        return self._answers[key][2] if key in self._answers else ()

    def put(self, key: str, answer: str, seconds: float, notes: tuple[str, ...] = ()) -> None:
        """Keep an answer.

        Raises:
            RunError: It cannot be written.
        """
        self._answers[key] = (answer, seconds, notes)
        if self._target is None:
            return
        try:
            self._target.write(self._row(key, answer, seconds, notes))
            self._target.flush()
            os.fsync(self._target.fileno())
        except OSError as error:
            raise RunError(
                f"{self._path}: could not be written ({error.strerror}); finished answers are kept"
            ) from error

    def close(self) -> None:
        """Close the file."""
        if self._target is not None:
            self._target.close()

    def _read(self, path: Path) -> None:
        content = read_bytes(path, hint=_REMEDY)
        whole = content[: content.rfind(b"\n") + 1]  # what follows is torn, perhaps within a letter
        first, *rows = [
            parse_line(line, f"{path}, line {number}", hint=_REMEDY)
            for number, line in enumerate(whole.split(b"\n")[:-1] or [b""], start=1)
        ]
        if first.get("format") != _FORMAT:
            raise ConfigError(f"{path}, line 1: field 'format' must be '{_FORMAT}'; {_REMEDY}")
        found = first.get("identity_sha256")
        for number, sealed_row in enumerate(rows, start=2):
            row = unsealed(sealed_row, f"{path}, line {number}", hint=_REMEDY)
            self._answers[row["key"]] = (row["answer"], row["seconds"], tuple(row.get("notes", ())))
        if found != self._header["identity_sha256"]:
            raise ConfigError(
                f"{path}: holds answers of another model or method; remove it or choose another folder"
            )

    @staticmethod
    def _mend(path: Path) -> None:
        """Cut a torn last line off, so that the next answer starts on its own."""
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            atomic_write_text(path, whole.decode("utf-8"))
