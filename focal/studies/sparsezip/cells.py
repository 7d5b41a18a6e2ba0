"""Runs configurations one by one and keeps each result, so that an interrupted study goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from focal.studies.sparsezip.bench import Bench
from focal.studies.sparsezip.configuration import Configuration
from focal.studies.sparsezip.evaluate import Outcome, evaluated
from focal_common.errors import FocalError
from focal_common.files import atomic_write_text
from focal_common.provenance import content_hash, source_hash

__all__ = ["Cell", "run_cells"]

_VERSION = 2
"""Raised whenever the same configuration gives other answers."""


@dataclass(frozen=True)
class Cell:
    """A configuration with its result.

    Attributes:
        configuration: What ran.
        status: ``done`` or ``failed``.
        outcome: None where it failed.
        reason: Why it failed.
    """

    configuration: Configuration
    status: Literal["done", "failed"]
    outcome: Outcome | None
    reason: str = ""


def run_cells(
    bench: Bench,
    configurations: Sequence[Configuration],
    folder: Path,
    track: Callable[[Iterable[Any]], Iterable[Any]] = lambda items: items,
    run: Callable[[Bench, Configuration], Outcome] = evaluated,
) -> list[Cell]:
    """Run what has not run yet; a configuration that fails becomes a row with its reason.

    Args:
        bench: Model and questions.
        configurations: Of different names.
        folder: Where finished results are kept.
        track: Wraps the configurations to show progress.
        run: Does the work.
    """
    found, code = [], source_hash("focal_algorithm")
    for configuration in track(configurations):
        key = content_hash(
            [configuration.digest, bench.questions.manifest["sha256"], bench.eyes.digest, _VERSION, code]
        )
        path = folder / f"{key[:24]}.json"
        outcome = _kept(path)
        if outcome is None:
            try:
                outcome = run(bench, configuration)
            except FocalError as error:
                found.append(Cell(configuration, "failed", None, str(error)))
                continue
            except (RuntimeError, ValueError, TypeError, LookupError, ArithmeticError) as error:
                # A defect in one method must not lose the others; its kind tells it from a limit.
                found.append(Cell(configuration, "failed", None, f"{type(error).__name__}: {error}"))
                continue
            atomic_write_text(path, json.dumps(asdict(outcome)) + "\n")
        found.append(Cell(configuration, "done", outcome))
    return found


def _kept(path: Path) -> Outcome | None:
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        fixed: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return Outcome(**fixed)
    except (OSError, ValueError, TypeError):
        return None  # never ran, or was cut short by a full disk: run it
