"""What a worker of a sweep does: it finds the study in its folder and evaluates one chunk of points."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from focal_common.errors import RunError
from focal_simulator.sweep.axes import METHOD, Space
from focal_simulator.sweep.evaluate import Evaluator
from focal_simulator.sweep.plan import Plan, read_plan
from focal_simulator.sweep.providers.base import TraceProvider
from focal_simulator.sweep.store import Chunk, StudyFolder


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What a worker needs to find the study.

    Attributes:
        folder: Study folder.
        root: Trace root.
        cache: Folder of traces made on demand.
        sha256: Hash of the study, against a folder that is not the one meant.
        provider_class: See `Plan`.
    """

    folder: Path
    root: Path | None
    cache: Path
    sha256: str
    provider_class: type[TraceProvider]


def evaluate_chunk(context: WorkerContext, chunk: Chunk) -> int:
    """Evaluate one chunk in this process and return how many points were evaluated now.

    Raises:
        RunError: The worker does not see the study folder, or cannot write it.
    """
    folder, plan, evaluator = _workplace(context)
    return folder.run_chunk(chunk, evaluator.row, plan)


@lru_cache(maxsize=2)
def _workplace(context: WorkerContext) -> tuple[StudyFolder, Plan, Evaluator]:
    folder = StudyFolder(context.folder)
    if not (context.folder / "study.json").is_file():
        raise RunError(
            f"{context.folder}: a worker does not see this folder; workers must share the output folder"
        )
    plan = read_plan(context.folder, context.root, context.cache, context.provider_class)
    if plan.sha256 != context.sha256:
        raise RunError(
            f"{context.folder}: a worker sees another study here; workers must share the output folder"
        )
    return folder, plan, Evaluator(plan, folder.inherited_rows)


def traces_first(space: Space, chunks: Sequence[Chunk]) -> list[Chunk]:
    """Return the chunks with those that need a new trace first, each group in its order.

    Workers that take chunks in turn then make different traces, instead of waiting for the same one.
    """
    seen: set[str] = set()
    first: list[Chunk] = []
    rest: list[Chunk] = []
    for chunk in chunks:
        keys = set()
        for point in chunk.points:
            settings = space.settings(point.choices)
            own = {field: value for field, value in settings.items() if field.startswith(METHOD)}
            keys.add(json.dumps(own, sort_keys=True))
        (rest if keys <= seen else first).append(chunk)
        seen |= keys
    return first + rest
