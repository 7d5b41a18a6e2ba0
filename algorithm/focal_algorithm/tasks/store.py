"""A split of a benchmark on disk: generated on first use, read afterwards, checked by its hash."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from focal_algorithm.prompts.media.media import Question
from focal_algorithm.tasks import TASKS
from focal_algorithm.tasks.sample import StoredSample
from focal_common.errors import ConfigError, near_matches
from focal_common.files import atomic_path, atomic_write_text
from focal_common.provenance import content_hash
from focal_common.reading.doors import read_text
from focal_common.reading.json_files import as_json, parse_object, read_json
from focal_common.reading.npy_files import read_npy

_GENERATOR_VERSION = 1
"""Raised whenever the same seed gives other pixels or questions."""
_REMEDY = "remove the folder to generate it again"
_SHEET_FRAMES, _SHEET_ZOOM = 8, 2


@dataclass(frozen=True)
class TaskSplit:
    """Samples with their manifest: task, seed, split, options, counts per sub-task, and hash."""

    samples: tuple[StoredSample, ...]
    manifest: dict[str, Any]


def cache_folder() -> Path:
    """Return where data is kept: ``FOCAL_CACHE``, else ``~/.cache/focal``."""
    chosen = os.environ.get("FOCAL_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "focal"


def load_split(
    task: str,
    *,
    seed: int,
    split: str,
    samples: int,
    cache: Path | None = None,
    track: Callable[[Iterable[int]], Iterable[int]] = lambda items: items,
    **options: Any,
) -> TaskSplit:
    """Return a split, generated if it is not in the cache.

    Args:
        task: Name in `TASKS`.
        seed: Seed of the data set.
        split: ``train``, ``val`` or ``test``.
        samples: How many.
        cache: Folder; `cache_folder` if None.
        track: Wraps generation to show progress.
        **options: Of the task, such as ``frames`` or ``variant``.

    Raises:
        ConfigError: No such task, split or option, or a cached file that was changed.
    """
    if samples < 1:
        raise ConfigError(f"samples must be at least 1, got {samples}")
    _check_names(task, options)
    request = {
        "task": task,
        "seed": seed,
        "split": split,
        "samples": samples,
        "options": options,
        "generator": _GENERATOR_VERSION,
    }
    folder = (cache or cache_folder()) / "tasks" / f"{task}-{content_hash(request)[:16]}"
    if not (folder / "manifest.json").is_file():
        _generate(request, folder, track)
    return _read(folder, request)


def _check_names(task: str, options: dict[str, Any]) -> None:
    parameters = inspect.signature(TASKS.load(task)).parameters.values()
    known = [one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY]
    for name in options:
        if name not in known:
            raise ConfigError(f"{task} has no option '{name}'; {near_matches(name, known)}")


def _generate(request: dict[str, Any], folder: Path, track: Callable[[Iterable[int]], Iterable[int]]) -> None:
    make = TASKS.load(request["task"])
    frames, rows, kinds, is_video = [], [], Counter[str](), False
    for index in track(range(request["samples"])):
        sample = make(request["seed"], request["split"], index, **request["options"])
        frames.append(sample.frames)
        is_video = sample.is_video
        kinds.update(question.kind for question in sample.questions)
        rows.append({"id": sample.sample_id, "questions": [one.to_json() for one in sample.questions]})
    lines = "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows)
    stacked = np.stack(frames)
    with atomic_path(folder / "frames.npy") as path, path.open("wb") as target:
        np.save(target, stacked, allow_pickle=False)
    atomic_write_text(folder / "questions.jsonl", lines)
    manifest = request | {
        "is_video": is_video,
        "questions": sum(kinds.values()),
        "questions_by_kind": dict(sorted(kinds.items())),
        "sha256": _digest(stacked, lines),
    }
    # Written last: a folder with a manifest is complete.
    atomic_write_text(folder / "manifest.json", json.dumps(manifest, indent=1, sort_keys=True) + "\n")


def _read(folder: Path, request: dict[str, Any]) -> TaskSplit:
    manifest = read_json(folder / "manifest.json", hint=_REMEDY)
    lines = read_text(folder / "questions.jsonl", hint=_REMEDY)
    frames = read_npy(folder / "frames.npy", ConfigError, _REMEDY)
    if missing := [name for name in (*request, "sha256", "is_video") if name not in manifest]:
        raise ConfigError(f"{folder / 'manifest.json'}: lacks '{missing[0]}'; {_REMEDY}")
    found = _digest(frames, lines)
    made = {name: manifest[name] for name in (*request, "sha256", "is_video")}
    _check_manifest(made, request, folder / "manifest.json")
    if made["sha256"] != found:
        raise ConfigError(f"{folder}: was changed (sha256 {found[:12]}); {_REMEDY}")
    samples = []
    for index, line in enumerate(lines.splitlines()):
        where = f"{folder / 'questions.jsonl'}, line {index + 1}"
        row = parse_object(line, where, hint=_REMEDY)
        if (
            index >= len(frames)
            or not isinstance(row.get("id"), str)
            or not isinstance(row.get("questions"), list)
        ):
            raise ConfigError(
                f"{where}: expected 'id' and 'questions' of one of {len(frames)} samples; {_REMEDY}"
            )
        questions = tuple(Question.from_json(one, where) for one in row["questions"])
        samples.append(StoredSample(row["id"], frames[index], questions, manifest["is_video"]))
    return TaskSplit(tuple(samples), manifest)


def _check_manifest(made: dict[str, Any], request: dict[str, Any], path: Path) -> None:
    """Refuse the data of another request: the hash of frames and questions does not tell whose they are."""
    for name, wanted in as_json(request).items():  # tuples become lists, as in the file
        if made[name] != wanted:
            raise ConfigError(f"{path}: '{name}' is {made[name]!r:.80}, expected {wanted!r}; {_REMEDY}")
    if type(made["is_video"]) is not bool:
        raise ConfigError(
            f"{path}: 'is_video' is {made['is_video']!r:.80}, expected true or false; {_REMEDY}"
        )


def _digest(frames: NDArray[np.uint8], lines: str) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(frames).data)
    digest.update(lines.encode("utf-8"))
    return digest.hexdigest()


def contact_sheet(samples: Sequence[StoredSample]) -> Image.Image:
    """Return one row per sample, with at most 8 of its frames, doubled in size."""
    rows = []
    for sample in samples:
        count = len(sample.frames)
        chosen = np.linspace(0, count - 1, min(count, _SHEET_FRAMES)).round().astype(int)
        rows.append(np.concatenate([sample.frames[frame] for frame in chosen], axis=1))
    sheet = Image.fromarray(np.concatenate(rows, axis=0))
    return sheet.resize((sheet.width * _SHEET_ZOOM, sheet.height * _SHEET_ZOOM), Image.Resampling.NEAREST)
