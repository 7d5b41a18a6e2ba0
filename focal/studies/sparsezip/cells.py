"""Runs configurations one by one and keeps each result, so that an interrupted study goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from focal.studies.sparsezip.configuration import Configuration
from focal.studies.sparsezip.evaluate import Outcome, evaluated
from focal.studies.sparsezip.model import ModelUnderStudy
from focal.studies.sparsezip.results import read_results
from focal.studies.tables import write_table
from focal_common.errors import ConfigError, FocalError
from focal_common.files import atomic_write_text
from focal_common.provenance import content_hash, manifest, package_versions, source_hash
from focal_common.reading.json_files import read_json, sealed, unsealed

_VERSION = 3
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
    study: ModelUnderStudy,
    configurations: Sequence[Configuration],
    folder: Path,
    track: Callable[[Iterable[Any]], Iterable[Any]] = lambda items: items,
    run: Callable[[ModelUnderStudy, Configuration], Outcome] = evaluated,
) -> list[Cell]:
    """Run what has not run yet; a configuration that fails becomes a row with its reason.

    Args:
        study: Model and questions.
        configurations: Of different names.
        folder: Where finished results are kept.
        track: Wraps the configurations to show progress.
        run: Does the work.
    """
    cells, code = [], source_hash("focal_algorithm")
    shared = [study.questions.manifest["sha256"], study.vision_model.digest, _VERSION, code]
    for configuration in track(configurations):
        path = folder / f"{content_hash([configuration.digest, *shared])[:24]}.json"
        outcome = _kept(path)
        if outcome is None:
            try:
                outcome = run(study, configuration)
            except FocalError as error:
                cells.append(Cell(configuration, "failed", None, str(error)))
                continue
            except (RuntimeError, ValueError, TypeError, LookupError, ArithmeticError) as error:
                # A defect in one method must not lose the others; its kind tells it from a limit.
                cells.append(Cell(configuration, "failed", None, f"{type(error).__name__}: {error}"))
                continue
            atomic_write_text(path, json.dumps(sealed(asdict(outcome))) + "\n")
        cells.append(Cell(configuration, "done", outcome))
    return cells


def _kept(path: Path) -> Outcome | None:
    try:
        values = unsealed(read_json(path), str(path))
    except ConfigError:
        return None  # never ran, was cut short by a full disk, or was changed: run it
    fixed: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    return Outcome(**fixed)


def write_answers(study: ModelUnderStudy, cells: Sequence[Cell], output: Path, seed: int) -> None:
    """Write questions, answers, accuracies, configurations with their provenance, and the manifest."""
    asked = study.questions.questions
    write_table(output / "questions.csv", [{"question": n} | asdict(one) for n, one in enumerate(asked)])
    said = {cell.configuration.name: cell.outcome.answers for cell in cells if cell.outcome is not None}
    rows = [{"question": n} | {name: said[name][n] for name in said} for n in range(len(asked))]
    write_table(output / "answers.csv", rows)
    write_table(output / "configurations.csv", [_provenance(study, cell, seed) for cell in cells])
    facts = manifest(
        {"questions": study.questions.manifest, "configurations": [c.configuration.digest for c in cells]},
        "torch", "transformers", "numpy", "scipy",
        model=study.vision_model.name, model_sha256=study.vision_model.digest, visual_tokens=study.visual,
        layers=study.geometry.layers, seed=seed, is_partial=len(said) < len(cells),
    )  # fmt: skip
    del facts["command"]  # holds paths of this machine
    atomic_write_text(output / "manifest.json", json.dumps(facts, indent=1, sort_keys=True) + "\n")
    accuracies = read_results(output).accuracies("repo")
    text = accuracies.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    atomic_write_text(output / "accuracy.csv", text)


def _provenance(study: ModelUnderStudy, cell: Cell, seed: int) -> dict[str, Any]:
    one, outcome = cell.configuration, cell.outcome
    weight = next(study.model.parameters())
    versions = package_versions("focal-vlm", "torch", "transformers")
    row = {
        "configuration": one.name, "part": one.part, "place": one.place, "method": one.method,
        "parameters": json.dumps(dict(one.parameters), sort_keys=True), "reads_text": one.reads_text,
        "budget": one.budget, "config_hash": one.digest, "visual_tokens": "", "layer_tokens": "", "entering": "",
        "flops": "", "status": cell.status, "reason": cell.reason, "model": study.vision_model.name,
        "model_sha256": study.vision_model.digest[:16],
        "data_sha256": study.questions.manifest["sha256"][:16],
        "backend": f"torch {weight.device.type}, hooks",
        "dtype": str(weight.dtype).removeprefix("torch."), "seed": seed,
        "versions": " ".join(f"{name} {value}" for name, value in versions.items()),
    }  # fmt: skip
    if outcome is not None:
        layers = " ".join(f"{count:.6g}" for count in outcome.layer_tokens)
        row |= {"visual_tokens": outcome.visual_tokens, "layer_tokens": layers}
        row |= {"entering": outcome.entering, "flops": outcome.flops}
    return row
