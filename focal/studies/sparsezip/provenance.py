"""Where every answer of a run comes from: questions, answers, configurations with their settings, and the manifest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from focal.studies.sparsezip.bench import Bench
from focal.studies.sparsezip.cells import Cell
from focal.studies.sparsezip.tables import write_table
from focal_common.files import atomic_write_text
from focal_common.provenance import manifest, package_versions

__all__ = ["write_answers"]


def write_answers(bench: Bench, cells: Sequence[Cell], output: Path, seed: int) -> None:
    """Write questions, answers, configurations with their provenance, and the manifest."""
    asked = bench.questions.questions
    write_table(output / "questions.csv", [{"question": n} | asdict(one) for n, one in enumerate(asked)])
    done = [cell for cell in cells if cell.outcome is not None]
    columns = {cell.configuration.name: cell.outcome.answers for cell in done if cell.outcome is not None}
    rows = [{"question": n} | {name: said[n] for name, said in columns.items()} for n in range(len(asked))]
    write_table(output / "answers.csv", rows)
    write_table(output / "configurations.csv", [_provenance(bench, cell, seed) for cell in cells])
    facts = manifest(
        {"questions": bench.questions.manifest, "configurations": [c.configuration.digest for c in cells]},
        "torch", "transformers", "numpy", "scipy",
        model=bench.eyes.name, model_sha256=bench.eyes.digest, visual_tokens=bench.visual,
        layers=bench.shape.layers, seed=seed, is_partial=len(done) < len(cells),
    )  # fmt: skip
    del facts["command"]  # holds paths of this machine
    atomic_write_text(output / "manifest.json", json.dumps(facts, indent=1, sort_keys=True) + "\n")


def _provenance(bench: Bench, cell: Cell, seed: int) -> dict[str, Any]:
    one, outcome = cell.configuration, cell.outcome
    weight = next(bench.eyes.model.parameters())
    versions = package_versions("focal-vlm", "torch", "transformers")
    return {
        "configuration": one.name, "part": one.part, "place": one.place, "method": one.method,
        "parameters": json.dumps(dict(one.parameters), sort_keys=True), "reads_text": one.reads_text,
        "budget": one.budget, "config_hash": one.digest,
        "visual_tokens": "" if outcome is None else outcome.visual_tokens,
        "layer_tokens": "" if outcome is None else " ".join(f"{count:.6g}" for count in outcome.layer_tokens),
        "entering": "" if outcome is None else outcome.entering,
        "flops": "" if outcome is None else outcome.flops,
        "status": cell.status, "reason": cell.reason, "model": bench.eyes.name,
        "model_sha256": bench.eyes.digest[:16], "data_sha256": bench.questions.manifest["sha256"][:16],
        "backend": f"torch {weight.device.type}{', hooks' * (one.place == 'hooks')}",
        "dtype": str(weight.dtype).removeprefix("torch."), "seed": seed,
        "versions": " ".join(f"{name} {value}" for name, value in versions.items()),
    }  # fmt: skip
